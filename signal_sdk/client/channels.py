"""A session's channels: the one that it is in, those that it is joining, and which event is told to
whom.

Owns: membership as the client sees it (protocol.md, section 5). Must not know the connection, or
how callbacks are run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from signal_sdk.callbacks import ChannelCallback
from signal_sdk.client.channel_states import TABLE, ChannelState, ChannelStep
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.operation import Operation
from signal_sdk.client.requests import Codes, Requests
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError, SignalError
from signal_sdk.wire import events, functions, names

if TYPE_CHECKING:
    from signal_sdk.channel import Channel
    from signal_sdk.login_session import LoginSession

__all__ = ["Channels", "Membership"]

JOIN_CODES: Final = Codes(other=ECode.JOINCHANNEL_E_OTHER, timeout=ECode.JOINCHANNEL_E_OTHER)
MAX_EARLY_EVENTS: Final = 1000
"""How many events of a channel are kept until the join is answered, which takes milliseconds."""

_UPDATE: Final = "update"


class Membership:
    """One membership of one channel, from `channel_join` to its end."""

    def __init__(
        self,
        channels: Channels,
        name: str,
        cb: ChannelCallback | None,
        make_channel: Callable[[Membership], Channel],
    ) -> None:
        self.name = name
        self.cb = cb
        self.state = ChannelState.JOINING
        self.joined: Operation[None]
        self.leaving: Operation[None] | None = None
        self._channels = channels
        self._last_msgid = 0
        self._early: list[events.ChannelEvent] = []
        self.channel = make_channel(self)

    @property
    def is_staying(self) -> bool:
        """Is or will the session be in the channel, as far as its user has asked for?"""
        is_leaving = self.leaving is not None and not self.leaving.is_done
        return self.state in (ChannelState.JOINING, ChannelState.JOINED) and not is_leaving

    def why_not(self, ecode: ECode = ECode.GENERAL_E_FAILED) -> SignalError | None:
        """Why nothing can be asked of the channel any more; None where it can."""
        if self.is_staying:
            return None
        return SignalError(ecode, f"not in the channel {self.name!r} any more")

    def step(self, step: ChannelStep) -> bool:
        """Take a step of the table; False where there is none, and nothing is to come of it."""
        state = TABLE[self.state].get(step)
        if state is None:
            return False
        self.state = state
        return True

    def take(self, event: events.ChannelEvent) -> None:
        """An event of the channel has come."""
        if self.state is ChannelState.JOINING:
            if len(self._early) < MAX_EARLY_EVENTS:
                self._early.append(event)
        elif self.state is ChannelState.JOINED and event.msgid > self._last_msgid:
            self._last_msgid = event.msgid
            if self.cb is not None:
                self._channels.tell(self, self.cb, event.content)

    def take_early(self) -> None:
        """The join was answered: what came before its answer is told now."""
        early, self._early = self._early, []
        for event in early:
            self.take(event)


class Channels:
    """All memberships of one session."""

    def __init__(self, session: LoginSession, requests: Requests, dispatcher: Dispatcher) -> None:
        self._session = session
        self._requests = requests
        self._dispatcher = dispatcher
        self._joining: list[Membership] = []
        self.current: Membership | None = None

    # --- joining and leaving ---

    def join(
        self, name: str, cb: ChannelCallback | None, make_channel: Callable[[Membership], Channel]
    ) -> Membership:
        """Join `name`; the membership that there is, where the session is in it or about to be."""
        with contextlib.suppress(ParameterError, TypeError):
            # A wrong name is refused with the request.
            name = names.check_channel(name)
        for there in self._joining[-1:] or ([self.current] if self.current else []):
            if there.name == name and there.is_staying:
                return there
        member = Membership(self, name, cb, make_channel)
        self._joining.append(member)
        member.joined = self._requests.call(
            lambda: functions.ChannelJoin(channel=name),
            functions.JoinResult,
            lambda _: None,
            done=partial(self._accepted, member),
            failed=partial(self._tell_refused, member, cb) if cb is not None else None,
            codes=JOIN_CODES,
            undo=partial(self._refused, member),
        )
        return member

    def _accepted(self, member: Membership, result: functions.JoinResult) -> None:
        self._joining.remove(member)
        if self.current is not None:
            # The server takes a session out of one channel when it joins another.
            self._over(self.current, ECode.LEAVECHANNEL_E_BYUSER)
        member.step(ChannelStep.ACCEPTED)
        self.current = member
        cb, channel = member.cb, member.channel
        if cb is not None:
            put, session = self._dispatcher.put, self._session
            put(partial(cb.on_channel_joined, session, channel))
            users = [account for account, _ in result.list]
            uids = [uid for _, uid in result.list]
            put(partial(cb.on_channel_user_list, session, channel, users, uids))
            for name, value in result.attrs.items():
                text = names.json_text(value)
                put(partial(cb.on_channel_attr_updated, session, channel, name, text, _UPDATE))
        member.take_early()

    def _refused(self, member: Membership) -> None:
        member.step(ChannelStep.REFUSED)
        self._forget(member)

    def _tell_refused(self, member: Membership, cb: ChannelCallback, error: SignalError) -> None:
        if member.state is ChannelState.FAILED:
            put = self._dispatcher.put_outcome
            put(partial(cb.on_channel_join_failed, self._session, member.channel, error.ecode))

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
            functions.Result,
            lambda _: None,
            done=lambda _: self._over(member, ECode.LEAVECHANNEL_E_BYUSER),
            failed=failed,
            unless=member.why_not(ECode.LEAVECHANNEL_E_OTHER),
        )
        if not leaving.is_done:
            member.leaving = leaving
        return leaving

    def _over(self, member: Membership, ecode: ECode) -> None:
        self._forget(member)
        cb = member.cb
        if member.step(ChannelStep.OVER) and cb is not None:
            put = self._dispatcher.put
            put(partial(cb.on_channel_leaved, self._session, member.channel, ecode))

    def end(self, ecode: ECode) -> None:
        """The session is over. Joins under way fail as the requests that they are."""
        if self.current is not None:
            self._over(self.current, ecode)

    # --- events ---

    def take(self, event: events.ChannelEvent) -> None:
        """An event has come: for the current channel, or one whose join is not answered yet."""
        if self.current is not None and self.current.name == event.channel:
            self.current.take(event)
            return
        for member in self._joining:
            if member.name == event.channel:
                member.take(event)
                return

    def tell(self, member: Membership, cb: ChannelCallback, content: events.ChannelContent) -> None:
        """Put the callback for an event's content into the queue."""
        session, channel = self._session, member.channel
        put = self._dispatcher.put_event
        is_special = member.name in names.SPECIAL_CHANNELS
        match content:
            case events.ChannelMessage(account=account, uid=uid, msg=msg):
                if is_special and account == member.name:
                    try:
                        special = events.decode_special_event(msg)
                    except ProtocolError:
                        pass
                    else:
                        put(partial(cb.on_special_event, session, channel, special))
                        return
                text = names.json_text(msg)
                put(partial(cb.on_message_channel_receive, session, channel, account, uid, text))
            case events.ChannelUserJoin(account=account, uid=uid):
                if is_special or account != session.account:
                    put(partial(cb.on_channel_user_joined, session, channel, account, uid))
            case events.ChannelUserLeave(account=account, uid=uid):
                if is_special or account != session.account:
                    put(partial(cb.on_channel_user_leaved, session, channel, account, uid))
            case events.ChannelAttrUpdate(name=name, value=value, change=change):
                text = names.json_text(value)
                put(partial(cb.on_channel_attr_updated, session, channel, name, text, change))
