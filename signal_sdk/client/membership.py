"""One membership of one channel: which of its events are new, and which are missing.

Owns: the counting of a channel's events, as protocol.md, section 5, has it, from the client's side.
Must not know requests, or how callbacks are run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from signal_sdk.callbacks import ChannelCallback
from signal_sdk.client.channel_states import TABLE, ChannelState, ChannelStep
from signal_sdk.client.operation import Operation, Promise
from signal_sdk.client.roster import Roster
from signal_sdk.client.seen import Heard
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire import events, names, results

if TYPE_CHECKING:
    from signal_sdk.channel import Channel

__all__ = ["Gap", "Membership", "Teller"]

MAX_EARLY_EVENTS: Final = 1000
"""How many events of a channel are kept until the join is answered, which takes milliseconds."""


@attrs.frozen
class Gap:
    """Events of a channel that were missed: their ids are above `after` and below `before`.

    Ids rise by 1 within a channel. Where the server has begun to count anew, `before` may be the
    smaller one.
    """

    after: int
    before: int


class Teller(Protocol):
    """Whom a membership tells what it finds: the session's channels."""

    def tell_event(self, member: Membership, content: events.ChannelContent) -> None:
        """An event is new."""

    def tell_gap(self, member: Membership, gap: Gap) -> None:
        """Events are missing."""


class Membership:
    """One membership of one channel, from `channel_join` to its end."""

    def __init__(
        self,
        teller: Teller,
        name: str,
        cb: ChannelCallback | None,
        make_channel: Callable[[Membership], Channel],
    ) -> None:
        self.name = name
        self.cb = cb
        self.state: ChannelState = ChannelState.JOINING
        self.joined: Operation[None]
        self.leaving: Operation[None] | None = None
        self.is_special: bool = name in names.SPECIAL_CHANNELS
        self.roster: Roster = Roster()
        self.is_asking_roster = False
        self.is_absent: bool = False
        """Has the server forgotten it, so that the channel is to be joined again?"""
        self.last_msgid: int = 0
        """The id of the last event that was seen; 0 where none was, and the server named none."""
        self.gap: Promise[Gap] = Promise()
        self._teller = teller
        self._early: list[events.ChannelEvent] = []
        self._heard = Heard()
        self.channel: Channel = make_channel(self)

    @property
    def is_leaving(self) -> bool:
        """Has the session asked to leave, and had no answer yet?"""
        return self.leaving is not None and not self.leaving.is_done

    @property
    def is_staying(self) -> bool:
        """Is or will the session be in the channel, as far as its user has asked for?"""
        return self.state in (ChannelState.JOINING, ChannelState.JOINED) and not self.is_leaving

    def why_not(self, ecode: ECode = ECode.GENERAL_E_FAILED) -> SignalError | None:
        """Why nothing can be asked of the channel any more; None where it can."""
        if self.is_staying:
            return None
        return SignalError(ecode, f"not in the channel {self.name!r} any more")

    def step(self, step: ChannelStep, ecode: ECode = ECode.GENERAL_E_FAILED) -> bool:
        """Take a step of the table; False where there is none, and nothing is to come of it.

        `ecode` is why, where it is the end.
        """
        state = TABLE[self.state].get(step)
        if state is None:
            return False
        self.state = state
        if state in (ChannelState.LEFT, ChannelState.FAILED):
            self.gap.fail(SignalError(ecode, f"not in the channel {self.name!r} any more"))
        return True

    # --- events ---

    def take(self, event: events.ChannelEvent) -> None:
        """An event of the channel has come."""
        if self.state is ChannelState.JOINING or self.is_absent:
            if len(self._early) < MAX_EARLY_EVENTS:
                self._early.append(event)
        elif self.state is ChannelState.JOINED and event.msgid > self.last_msgid:
            if self.last_msgid:
                self.missed_until(event.msgid)
            self.last_msgid = event.msgid
            if self._is_news(event.content):
                self._teller.tell_event(self, event.content)

    def _is_news(self, content: events.ChannelContent) -> bool:
        match content:
            case events.ChannelMessage(account=account, id=id_):
                return self._heard.add(account, id_)
            case events.ChannelUserJoin(account=account, uid=uid):
                return self.roster.joined(account, uid)
            case events.ChannelUserLeave(account=account):
                return self.roster.left(account)
            case events.ChannelAttrUpdate():
                self.roster.attr_changed(content)
                return True

    def missed_until(self, msgid: int) -> None:
        """The next event is the one of this id: what is missing before it is told."""
        if msgid > self.last_msgid + 1:
            self._tell_gap(msgid)
            self.last_msgid = msgid - 1

    def _tell_gap(self, before: int) -> None:
        gap = Gap(self.last_msgid, before)
        ended, self.gap = self.gap, Promise()
        ended.succeed(gap)
        self._teller.tell_gap(self, gap)

    # --- answers ---

    def accepted(self, result: results.JoinResult) -> None:
        """The join was answered."""
        self.last_msgid = result.msgid
        if not self.is_special:
            self.roster.begin(result.list, result.num, result.attrs)

    def rejoined(self, result: results.JoinResult) -> None:
        """A join by which the SDK has come back was answered."""
        if not self.is_special:
            self.roster.read_attributes(result.attrs)
        if self.is_absent:
            # Of what there was meanwhile nothing is known, however the server counts.
            self._tell_gap(result.msgid + 1)
            self.last_msgid = result.msgid
            self.is_absent = False
        else:
            self.missed_until(result.msgid + 1)

    def take_early(self) -> None:
        """What came before the join's answer is told now."""
        early, self._early = self._early, []
        for event in early:
            self.take(event)
