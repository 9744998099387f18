"""`Call`: what a program holds of a call, whoever called.

Owns: the documented methods, and which callback each fact of a call is. Must not know a call's
rules or the wire: client/ does.
"""

# ruff: noqa: N802, N815  the documented names are camelCase

from __future__ import annotations

import contextlib
from collections.abc import Generator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from signal_sdk.callbacks import CallCallback
from signal_sdk.client import given
from signal_sdk.client.call_side import (
    CallEnded,
    CallFact,
    CallFailed,
    CallSide,
    CallStepped,
    InvitationRefused,
    SelfRefused,
)
from signal_sdk.client.call_states import CallState, CallStep
from signal_sdk.client.operation import Operation
from signal_sdk.client.session import SessionClient
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.spelling import DocumentedNames
from signal_sdk.stream_events import CallEvent
from signal_sdk.streamed import call_event
from signal_sdk.streams import LIMIT, Readers, Stream
from signal_sdk.wire import events
from signal_sdk.wire.names import JsonValue

if TYPE_CHECKING:
    from signal_sdk.login_session import LoginSession

__all__ = ["Call"]


class Call(DocumentedNames):
    """A call with another account: made by `LoginSession.channel_invite_user2`, or handed to
    `on_invite_received`.

    Java server SDK, "Call Class". Every method returns at once; what it returns can be awaited. A
    step that does not fit the call's state fails with 700 and changes nothing; unless awaited,
    `LoginCallback.on_error` hears of a failure. `extra` is told to the peer: text of at most 8192
    visible characters, or another JSON value (a dict, a list), which arrives as its JSON text.

    Awaiting an outgoing call itself waits until the server has taken the invitation, and raises
    `SignalError` (what `on_invite_failed` hears, or a `LogoutError` where the session ends first)
    where it has not. Leaving its block ends the call, if that is not over, and so does a
    cancellation on the way in. Where `cb` sets an event of its own when the peer accepts:

        async with session.channel_invite_user2("room", "bob", "", cb) as call:
            await cb.accepted.wait()
            await call.channel_invite_dtmf("12#")
    """

    def __init__(
        self,
        client: SessionClient,
        session: LoginSession,
        side: CallSide,
        cb: CallCallback | None = None,
    ) -> None:
        self._client = client
        self._session = session
        self._side = side
        self._cb = cb
        self._readers: Readers[CallEvent] | None = None
        side.sink = self._tell

    @property
    def channel(self) -> str:
        """The name of the channel that the call is about."""
        return self._side.channel

    @property
    def peer(self) -> str:
        """The other side's account."""
        return self._side.peer

    @property
    def peer_uid(self) -> int:
        """The other side's uid; 0 where it is not known."""
        return self._side.peer_uid

    @property
    def extra(self) -> str:
        """What the invitation said, as text."""
        return self._side.extra

    @property
    def state(self) -> CallState:
        """Where the call stands now, which callbacks that wait their turn may not have told yet."""
        return self._side.state

    @property
    def session(self) -> LoginSession:
        """The session that the call belongs to."""
        return self._session

    @property
    def cb(self) -> CallCallback | None:
        """What hears of the call; set it in `on_invite_received` to hear of all that follows."""
        return self._cb

    @cb.setter
    def cb(self, cb: CallCallback | None) -> None:
        given.callback(cb, CallCallback)
        self._cb = cb

    def set_callback(self, cb: CallCallback | None) -> None:
        """Set `cb`. The original Java SDK's `Call.setCallback`."""
        self.cb = cb

    def __repr__(self) -> str:
        return f"<Call with {self.peer!r} about {self.channel!r}: {self.state.value}>"

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from self._side.invited.__await__()
        return self

    async def __aenter__(self) -> Self:
        try:
            return await self
        except BaseException:
            # Cancelled: nobody will leave a block that was not entered.
            if self.state is not CallState.ENDED and not self._side.is_ending:
                self.channel_invite_end()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.state is CallState.ENDED or self._side.is_ending:
            return
        with contextlib.suppress(SignalError):
            # Over is over: the peer, or the session's end, was quicker.
            await self.channel_invite_end()

    def events(self) -> Stream[CallEvent]:
        """A stream of what becomes of the call, beside its callback: `CallRinging`, `CallAccepted`,
        `CallMessage`; the last is one of `CallRefused`, `CallEnded` and `CallFailed`, but where
        this side has refused, which just ends it.

        What the peer does has been handled when the next event is asked for, as of
        `LoginSession.messages`; nothing is dropped. Where the call has come by
        `LoginSession.invitations`, the stream begins with what has become of it since, the newest
        1000 events. The original SDKs have none of it.
        """
        return Stream(self._wanted(0))

    def keep_events(self) -> None:
        """Keep what becomes of it for the first stream, the newest 1000. For who is called."""
        self._wanted(LIMIT)

    def _wanted(self, keep: int) -> Readers[CallEvent]:
        """From here on, readers are told."""
        if self._readers is None:
            self._readers = Readers(keep)
            if self.state is CallState.ENDED:
                self._readers.end()
        return self._readers

    def channel_invite_accept(self, extra: JsonValue = "") -> Operation[None]:
        """Accept an incoming call.

        The peer's `on_invite_accepted_by_peer` hears of it with `extra`. Java server SDK,
        `channelInviteAccept`.
        """
        return self._client.calls.take_step(self._side, CallStep.ACCEPT, extra)

    def channel_invite_refuse(self, extra: JsonValue = "") -> Operation[None]:
        """Refuse an incoming call.

        The peer's `on_invite_refused_by_peer` hears of it with `extra`. Where the call ends at the
        same moment, the operation succeeds all the same. Java server SDK, `channelInviteRefuse`.
        """
        return self._client.calls.take_step(self._side, CallStep.REFUSE, extra)

    def channel_invite_end(self, extra: JsonValue = "") -> Operation[None]:
        """End the call, in whatever state it is.

        `on_invite_end_by_myself` hears of it with `extra`, and the peer's `on_invite_end_by_peer`.
        Where the peer, or the session's end, ends the call at the same moment, the operation
        succeeds all the same. Java server SDK, `channelInviteEnd`.
        """
        return self._client.calls.take_step(self._side, CallStep.END, extra)

    def channel_invite_dtmf(self, digits: str) -> Operation[None]:
        """Send dialled digits, each one of 0 to 9, * and #, within a call that was accepted.

        The peer's `on_invite_msg` hears `{"msgtype": "dtmf", "msgdata": digits}`. Fails with 1004
        for other digits. The original SDKs have it elsewhere.
        """
        try:
            extra = events.encode_dtmf(given.text("DTMF digits", digits))
        except ParameterError as exc:
            return self._client.requests.refuse("channel_invite_dtmf", exc)
        return self._client.calls.take_step(self._side, CallStep.SEND, extra)

    # --- what its callback hears: looked for when that runs, since an incoming call gets its own in
    # the first one ---

    def _tell(self, fact: CallFact) -> None:
        """Put the callback that hears of the fact into the queue."""
        dispatcher = self._client.dispatcher
        if self._readers is not None:
            fact = self._tell_readers(self._readers, fact)
        match fact:
            case CallStepped(turn=turn):
                dispatcher.put(partial(self._tell_step, fact), turn)
            case CallFailed(ecode=ecode, turn=turn):
                dispatcher.put(partial(self._tell_failed, ecode), turn)
            case InvitationRefused(error=error):
                dispatcher.put_outcome(partial(self._tell_failed, error.ecode))
            case CallEnded(extra=extra):
                dispatcher.put(partial(self._tell_ended, extra))
            case SelfRefused():
                pass

    def _tell_readers(self, readers: Readers[CallEvent], fact: CallFact) -> CallFact:
        """Tell it; returns the fact with the turn that the callback has part in."""
        event = call_event(fact)
        if event is not None:
            turn = fact.turn if isinstance(fact, CallStepped | CallFailed) else None
            shared = readers.tell(event, turn, is_heard=self._cb is not None)
            if shared is not turn:
                fact = msgspec.structs.replace(fact, turn=shared)
        if self.state is CallState.ENDED:
            readers.end()
        return fact

    def _tell_step(self, fact: CallStepped) -> object:
        cb, session, extra = self._cb, self._session, fact.extra
        if cb is None:
            return None
        match fact.step:
            case CallStep.PEER_RECEIVED:
                return cb.on_invite_received_by_peer(session, self)
            case CallStep.PEER_ACCEPTED:
                return cb.on_invite_accepted_by_peer(session, self, extra)
            case CallStep.PEER_REFUSED:
                return cb.on_invite_refused_by_peer(session, self, extra)
            case CallStep.PEER_ENDED:
                return cb.on_invite_end_by_peer(session, self, extra)
            case _:
                return cb.on_invite_msg(session, self, extra)

    def _tell_failed(self, ecode: ECode) -> object:
        return None if self._cb is None else self._cb.on_invite_failed(self._session, self, ecode)

    def _tell_ended(self, extra: str) -> object:
        if self._cb is None:
            return None
        return self._cb.on_invite_end_by_myself(self._session, self, extra)

    if TYPE_CHECKING:

        def channelInviteAccept(self, extra: JsonValue = "") -> Operation[None]: ...
        def channelInviteRefuse(self, extra: JsonValue = "") -> Operation[None]: ...
        def channelInviteEnd(self, extra: JsonValue = "") -> Operation[None]: ...
        def setCallback(self, cb: CallCallback | None) -> None: ...
    else:
        channelInviteAccept = channel_invite_accept
        channelInviteRefuse = channel_invite_refuse
        channelInviteEnd = channel_invite_end
        setCallback = set_callback
