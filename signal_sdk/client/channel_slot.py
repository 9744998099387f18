"""A place for one channel: the one that the session is in, those that it is joining instead, and
whose each event is.

Owns: membership as the client sees it (protocol.md, section 5), and bringing the server's view in
line with it after a lost connection. Must not know the connection, what is made of its facts, or
how many such places the session has: channels.py does.

The client decides which channel the session is in: where the server has it elsewhere, the channel
is joined again, or the other one left, without a callback. That waits until no join or leave of the
user's is under way, since each of them may settle the matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from signal_sdk.client import given
from signal_sdk.client.channel_states import ChannelState, ChannelStep
from signal_sdk.client.facts import EventsMissed, Gap, Joined, JoinFailed, Left, Rejoined, Sink
from signal_sdk.client.log import Log, warn
from signal_sdk.client.membership import Membership
from signal_sdk.client.operation import Operation
from signal_sdk.client.request import Codes, UnansweredError
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.client.roster_check import RosterCheck
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LogoutError, SignalError
from signal_sdk.wire import events, functions, results

__all__ = ["ChannelSlot"]

JOIN_CODES: Final = Codes(other=ECode.JOINCHANNEL_E_OTHER, timeout=ECode.JOINCHANNEL_E_OTHER)
REJOIN_SECONDS: Final = 5.0
"""When a channel is joined again that could not be, for a reason that may pass."""
SETTLE_SECONDS: Final = 0.1
"""When a channel is left that nobody is in here: what is sent again goes ahead, since behind it all
that would be out of its order, and refused."""


class ChannelSlot:
    """The memberships of one session, `account`'s, of which one follows the other. `sink` is told
    of events that are missing, and `wake` when to call `settle_if_due`.
    """

    def __init__(
        self,
        account: str,
        sink: Sink[EventsMissed],
        requests: Requests,
        log: Log,
        wake: Callable[[float], None],
    ) -> None:
        self._account = account
        self._sink = sink
        self._wake = wake
        self._rejoin_at = -math.inf
        self._requests = requests
        self._log = log
        self._joining: list[Membership] = []
        self._rejoining: Membership | None = None
        self._is_out_of_sync = False
        self._is_over = False
        self._catch_ups = 0
        """How often what was missed was asked for: all but the latest are moot."""
        self._server_channel: str | None = None
        """Where the server has the session, or may have it, while that is out of sync."""
        self.current: Membership | None = None
        self.roster_check: RosterCheck = RosterCheck(
            account, requests, log, wake, lambda member: self.current is member
        )

    @property
    def is_idle(self) -> bool:
        """Is nobody in it, or about to be, and does the server see it so?"""
        is_used = self.current is not None or self._joining or self._rejoining is not None
        return not (is_used or self._is_out_of_sync or self._rejoin_at > -math.inf)

    # --- joining and leaving ---

    def membership(self, asked: str, name: str) -> Membership:
        """The membership of the channel `name` that there is, where the session is in it or about
        to be; else a new one, to be joined, as `asked`.
        """
        for there in self._joining[-1:] or ([self.current] if self.current else []):
            if there.name == name and there.is_staying:
                return there
        return Membership(self._account, asked, name, self._missed)

    def join(self, member: Membership) -> None:
        """Join the channel of a new membership, whose sink is there by now."""
        self._joining.append(member)
        member.joined = self._requests.call(
            lambda: functions.ChannelJoin(channel=given.text("channel", member.asked)),
            results.JoinResult,
            nothing,
            done=partial(self._accepted, member),
            failed=partial(self._tell_refused, member) if member.sink is not None else None,
            codes=JOIN_CODES,
            undo=partial(self._refused, member),
            lapse=lambda: None if member in self._joining else _moved_on(),
        )

    def _accepted(self, member: Membership, result: results.JoinResult) -> None:
        if member not in self._joining:
            self._is_out_of_sync, self._server_channel = True, member.name
            raise _moved_on()
        # Answers come in the order of requests: one that has none by now was lost on the way, and
        # sent again it would take the session back.
        del self._joining[: self._joining.index(member) + 1]
        self._is_out_of_sync = False
        if self.current is not None:
            # The server takes a session out of one channel when it joins another.
            self._over(self.current, ECode.LEAVECHANNEL_E_BYUSER)
        member.step(ChannelStep.ACCEPTED)
        self.current = member
        member.accepted(result)
        member.tell(Joined(list(result.list), result.attrs))
        member.release()

    def _refused(self, member: Membership, error: SignalError) -> None:
        member.step(ChannelStep.REFUSED, error.ecode)
        self._forget(member)
        if isinstance(error, UnansweredError):
            # The server may have taken the session there, and out of where it was.
            self._is_out_of_sync, self._server_channel = True, member.name
        self._settle()

    def _tell_refused(self, member: Membership, error: SignalError) -> None:
        if member.state is ChannelState.FAILED:
            member.tell(JoinFailed(error))

    def _forget(self, member: Membership) -> None:
        if member in self._joining:
            self._joining.remove(member)
        if self.current is member:
            self.current = None

    def find(self, name: str) -> Membership | None:
        """The membership of `name` that is or will be, as far as the user has asked for."""
        there = [*reversed(self._joining), *([self.current] if self.current else [])]
        return next((it for it in there if it.name == name and it.is_staying), None)

    def leave(
        self, member: Membership, failed: Callable[[SignalError], None] | None = None
    ) -> Operation[None]:
        """Leave; the operation that there is, where the session is about to."""
        if member.leaving is not None and not member.leaving.is_done:
            return member.leaving
        leaving: Operation[None] = self._requests.call(
            lambda: functions.ChannelLeave(channel=member.name),
            results.Result,
            nothing,
            done=lambda _: self._left(member),
            failed=failed,
            unless=member.why_not(ECode.LEAVECHANNEL_E_OTHER),
            # Left is left: by joining another, or where the server has forgotten the session.
            moot=lambda: member.state is ChannelState.LEFT and not self._is_over,
            undo=partial(self._stays, member),
            lapse=lambda: _moved_on() if member.state is ChannelState.LEFT else None,
        )
        if not leaving.is_done:
            member.leaving = leaving
        return leaving

    def _stays(self, member: Membership, error: SignalError) -> None:
        member.leaving = None
        if isinstance(error, UnansweredError) and self.current is member:
            # The server may have taken the session out of it, and whoever is told that it failed is
            # to stay.
            self._is_out_of_sync = True
        self._settle()

    def _left(self, member: Membership) -> None:
        self._over(member, ECode.LEAVECHANNEL_E_BYUSER)
        self._settle()

    def _over(self, member: Membership, ecode: ECode) -> None:
        self._forget(member)
        if member.step(ChannelStep.OVER, ecode):
            member.tell(Left(ecode))

    def end(self, ecode: ECode) -> None:
        """The session is over. Joins under way fail as the requests that they are."""
        self._is_out_of_sync, self._is_over = False, True
        if self.current is not None:
            self._over(self.current, ecode)

    # --- after a lost connection ---

    def where(self) -> tuple[str | None, int]:
        """The channel that the session takes itself to be in, and the last event that it saw."""
        member = self.current
        if member is None or member.is_absent:
            return None, 0
        return member.name, member.last_msgid

    def forgotten(self) -> None:
        """The server knows nothing of the session any more, which had to log in anew."""
        member = self.current
        if member is not None:
            member.is_absent = True
            if member.is_leaving:
                self._over(member, ECode.LEAVECHANNEL_E_BYUSER)
        self.resumed(None)

    def resumed(self, there: str | None, *, is_removed: bool = False) -> Membership | None:
        """The session was taken up again: the server has it in the channel `there`. With
        `is_removed`, an operator has taken it out of where it was, which is not gone back to by
        itself. Returns the membership that goes on, of which something may have been missed.
        """
        if is_removed and self.current is not None and not self.current.is_absent:
            self._over(self.current, ECode.LEAVECHANNEL_E_KICKED)
        member = self.current
        mine, _ = self.where()
        self._is_out_of_sync = there != mine or (member is not None and member.is_absent)
        self._server_channel = there
        if member is None and there is not None:
            self._settle_in(SETTLE_SECONDS)
        self._settle()
        goes_on = member is not None and there == member.name and not member.is_absent
        return member if goes_on else None

    def _settle(self) -> None:
        """Bring the server's view in line with the user's, once nothing else can."""
        member = self.current
        if not self._is_out_of_sync or self._joining or self._rejoining is not None:
            return
        if self._requests.is_sealed or self._rejoin_at > trio.current_time():
            return
        if member is None:
            self._is_out_of_sync = False
            if self._server_channel is not None:
                self._leave_quietly(self._server_channel)
        elif not member.is_leaving:
            self._is_out_of_sync = False
            self._rejoining = member
            self._requests.call(
                lambda: functions.ChannelJoin(channel=member.name),
                results.JoinResult,
                nothing,
                done=partial(self._rejoined, member),
                failed=partial(self._rejoin_failed, member),
                lapse=lambda: None if self.current is member else _moved_on(),
                always=True,
            )

    def _settle_in(self, seconds: float) -> None:
        """Not earlier than in so many seconds."""
        self._rejoin_at = trio.current_time() + seconds
        self._wake(self._rejoin_at)

    def settle_if_due(self) -> float:
        """Join again what could not be joined again before, and ask who is there; when to ask for
        that.
        """
        self.roster_check.ask_if_due(self.current)
        if self._rejoin_at > trio.current_time():
            return min(self._rejoin_at, self.roster_check.due_at)
        if self._rejoin_at > -math.inf:
            self._rejoin_at = -math.inf
            self._settle()
        return self.roster_check.due_at

    def _rejoined(self, member: Membership, result: results.JoinResult) -> None:
        self._rejoining = None
        self._is_out_of_sync = False
        if self.current is member:
            member.rejoined(result)
            member.tell(Rejoined(result.attrs))
            member.release()
            self.roster_check.ask(member)
        self._settle()

    def _rejoin_failed(self, member: Membership, error: SignalError) -> None:
        self._rejoining = None
        if self.current is not member or isinstance(error, LogoutError):
            pass
        elif isinstance(error, UnansweredError):
            self._is_out_of_sync = True
        elif error.retry_after is not None:
            # So many come back that the channel takes no more for the moment.
            self._is_out_of_sync = True
            self._settle_in(error.retry_after)
        elif error.ecode is ECode.GENERAL_E_FAILED:
            # The server cannot change anything for the moment, or has no room.
            self._is_out_of_sync = True
            self._settle_in(REJOIN_SECONDS)
        else:
            warn("%s: the channel is lost: %s", self._account, error)
            self._over(member, ECode.LEAVECHANNEL_E_DISCONN)
            # Where the server has the session is left, too.
            self._is_out_of_sync = True
        self._settle()

    def _leave_quietly(self, name: str) -> None:
        def failed(error: SignalError) -> None:
            # A refusal says that the session is not there, which is just as well.
            self._log.debug("%s: not left: %s", self._account, error)
            if isinstance(error, UnansweredError):
                self._is_out_of_sync = True
                self._settle()

        self._requests.call(
            lambda: functions.ChannelLeave(channel=name),
            results.Result,
            nothing,
            failed=failed,
            # Where the server has the session is known anew then.
            lapse=_moved_on,
            always=True,
        )

    def catch_up(self, member: Membership) -> None:
        """Ask for what was missed of a channel that the session is in, and to hear of it again."""
        self._catch_ups = number = self._catch_ups + 1
        self._requests.call(
            lambda: functions.ChannelCatchUp(channel=member.name, msgid=member.last_msgid),
            results.CatchUpResult,
            nothing,
            done=partial(self._caught_up, member),
            failed=partial(self._not_caught_up, member, number),
            # On another connection it is asked for anew.
            lapse=_moved_on,
            always=True,
        )

    def _caught_up(self, member: Membership, result: results.CatchUpResult) -> None:
        if self.current is member and result.gap:
            member.missed_until(result.msgid + 1)

    def _not_caught_up(self, member: Membership, number: int, error: SignalError) -> None:
        if self.current is not member or number != self._catch_ups or self._is_over:
            return
        if isinstance(error, UnansweredError):
            self.catch_up(member)
        elif error.ecode is ECode.LEAVECHANNEL_E_KICKED:
            self._over(member, ECode.LEAVECHANNEL_E_KICKED)
            self._settle()
        else:
            self._log.debug("%s: not caught up: %s", self._account, error)
            self._is_out_of_sync, self._server_channel = True, None
            self._settle()

    # --- events ---

    def take(self, event: events.ChannelEvent) -> None:
        """An event has come: for the current channel, or one whose join is not answered yet."""
        if self.current is not None and self.current.name == event.channel:
            if type(event.content) is events.ChannelUserLeave and event.content.ecode:
                self._taken_out(self.current, event.content)
            else:
                self.current.take(event)
            return
        for member in self._joining:
            if member.name == event.channel:
                member.take(event)
                return

    def _taken_out(self, member: Membership, left: events.ChannelUserLeave) -> None:
        """An operator has taken the session out of the channel. The server may have told so of this
        event before, as of anybody's leave.
        """
        if left.account == self._account:
            self._over(member, ECode.LEAVECHANNEL_E_KICKED)
            self._settle()

    def _missed(self, member: Membership, gap: Gap) -> None:
        self._sink(EventsMissed(member.name, gap))
        # Somebody may have come or gone in it.
        self.roster_check.ask(member)


def _moved_on() -> SignalError:
    """Why a request is not sent again, or its answer comes too late."""
    return SignalError(ECode.JOINCHANNEL_E_OTHER, "the session has moved on meanwhile")
