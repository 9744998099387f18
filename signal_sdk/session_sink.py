"""One login, between the client that tells what happens and the callbacks that hear of it.

Owns: which callback each fact of a session is, which streams give it, and the queue that all of the
session's callbacks wait in. Must not know a session's life, or when anything happens: client/ does.
What happens in a channel or a call, `Channel` and `Call` hear themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from signal_sdk.call import Call
from signal_sdk.callbacks import Answer, ChannelCallback, LoginCallback
from signal_sdk.client.call_side import CallSide, Invited
from signal_sdk.client.crew import Crew
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.facts import (
    EventsMissed,
    LoggedIn,
    LoggedOut,
    LoginFailed,
    MessageReceived,
    OperationFailed,
    PassedOver,
    Reconnected,
    Reconnecting,
    Sink,
    Turn,
    UsersCounted,
)
from signal_sdk.client.log import warn
from signal_sdk.client.operation import Operation
from signal_sdk.client.seen import Seen
from signal_sdk.client.session import SessionClient, SessionFact
from signal_sdk.client.shared import Shared
from signal_sdk.client.spanned import Processing
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, LogoutError, SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.stream_events import Message
from signal_sdk.streams import LIMIT, Readers
from signal_sdk.user_attributes import UserAttributes
from signal_sdk.wire.properties import NONE as NO_PROPERTIES

__all__ = ["SessionSink"]

SENDER_UID: Final = 0
"""The uid of a message's sender, which a message line does not carry."""


class SessionSink:
    """What hears of one login of `account`, and has its objects. `cb` is the user's; `crew` runs
    its callbacks, and has `spare` for those of what is asked of a session that has ended. `make`
    makes the session's object.
    """

    def __init__(
        self,
        shared: Shared,
        crew: Crew,
        spare: Dispatcher,
        *,
        account: str,
        token: str,
        cb: LoginCallback | None,
        after: Operation[ECode] | None,
        seen: Seen | None,
        many_channels: bool,
        takes_bytes: bool,
        make: Callable[[SessionClient, Readers[Message], Readers[Call]], LoginSession],
    ) -> None:
        self._dispatcher = Dispatcher(
            crew,
            partial(self._tell_raised, cb) if cb is not None else None,
            spare=spare,
            label=account,
        )
        self.client: SessionClient = SessionClient(
            shared,
            account=account,
            token=token,
            sink=partial(self._tell, cb) if cb is not None else self._tell_nobody,
            dispatcher=self._dispatcher,
            after=after,
            seen=seen,
            many_channels=many_channels,
            takes_bytes=takes_bytes,
        )
        self._messages: Readers[Message] = Readers(0 if cb is not None else LIMIT)
        self._invitations: Readers[Call] = Readers(0 if cb is not None else LIMIT)
        self.session: LoginSession = make(self.client, self._messages, self._invitations)
        self.attributes: UserAttributes = UserAttributes(self.client.requests, self._dispatcher)

    async def run(self) -> None:
        """Live the session, and run its callbacks to the last one."""
        try:
            await self.client.run()
        finally:
            self._dispatcher.finish()
        await self._dispatcher.ended()

    def query_num(self, channel: str, cb: ChannelCallback | None) -> Operation[int]:
        """Ask how many users are in a channel; without a callback, that of the channel that the
        session is in hears of it.
        """
        current = self.client.channels.current
        sink: Sink[UsersCounted] | None = current.sink if current is not None else None
        if cb is not None:
            sink = partial(self._tell_counted, cb)
        return self.attributes.query_num(channel, sink)

    def _tell_counted(self, cb: ChannelCallback, fact: UsersCounted) -> None:
        tell = partial(cb.on_channel_query_user_num, self.session, fact.err, fact.num)
        self._dispatcher.put_outcome(tell)

    def _tell_raised(self, cb: LoginCallback, ecode: ECode, reason: str) -> object:
        """A callback has raised."""
        return cb.on_error(self.session, ecode, reason)

    def _tell(self, cb: LoginCallback, fact: SessionFact) -> None:
        """Put the callback that hears of the fact into the queue."""
        session, put = self.session, self._dispatcher.put
        match fact:
            case MessageReceived(account=account, text=text, turn=turn):
                its: Turn | None = turn
                if self._messages.is_wanted:
                    its = self._messages.tell(_message(fact), turn, is_heard=True)
                run: partial[Answer]
                if fact.data is None:
                    receive = cb.on_message_instant_receive
                    run = partial(receive, session, account, SENDER_UID, text)
                else:
                    receive_bytes = cb.on_message_instant_receive_bytes
                    run = partial(receive_bytes, session, account, SENDER_UID, fact.data)
                put(run if type(turn) is not Processing else partial(turn.run, run), its)
            case PassedOver(turn=turn):
                put(_nothing, turn)
            case Invited(side=side, turn=turn):
                call, its = self._called(side, turn, is_heard=True)
                run = partial(cb.on_invite_received, session, call)
                put(run if type(turn) is not Processing else partial(turn.run, run), its)
            case LoggedIn(uid=uid):
                put(partial(cb.on_login_success, session, uid))
            case LoginFailed() | LoggedOut():
                self._end_streams(fact)
                tell = cb.on_logout if isinstance(fact, LoggedOut) else cb.on_login_failed
                put(partial(tell, session, fact.ecode))
            case Reconnecting(attempt=attempt):
                self._dispatcher.put_outcome(partial(cb.on_reconnecting, session, attempt))
            case Reconnected():
                put(partial(cb.on_reconnected, session))
            case EventsMissed(reason=reason):
                self._dispatcher.put_event(partial(cb.on_error, session, ECode.GENERAL_E, reason))
            case OperationFailed():
                self._dispatcher.put_outcome(partial(self._tell_failed, cb, fact))

    def _tell_failed(self, cb: LoginCallback, fact: OperationFailed) -> object:
        if fact.operation.is_awaited:
            return None
        return cb.on_error(self.session, fact.error.ecode, fact.reason)

    def _tell_nobody(self, fact: SessionFact) -> None:
        """There is no callback: what nobody reads is kept, and what goes wrong is logged."""
        match fact:
            case MessageReceived(turn=turn):
                self._pass_over(self._messages.tell(_message(fact), turn, is_heard=False))
            case Invited(side=side, turn=turn):
                _, left = self._called(side, turn, is_heard=False)
                self._pass_over(left)
            case PassedOver(turn=turn):
                self._pass_over(turn)
            case LoginFailed() | LoggedOut():
                self._end_streams(fact)
            case EventsMissed(reason=reason):
                warn("%s: %s", self.client.account, reason)
            case OperationFailed():
                self._dispatcher.put_outcome(partial(self._warn_of, fact))
            case _:
                pass

    def _pass_over(self, turn: Turn | None) -> None:
        """An entry that no callback hears of has its turn all the same, unless readers have it."""
        if turn is not None:
            self._dispatcher.put(_nothing, turn)

    def _called(self, side: CallSide, turn: Turn, *, is_heard: bool) -> tuple[Call, Turn | None]:
        call = self.session.Call(self.client, self.session, side)
        if self._invitations.is_wanted:
            call.keep_events()
        return call, self._invitations.tell(call, turn, is_heard=is_heard)

    def _end_streams(self, fact: LoginFailed | LoggedOut) -> None:
        error: SignalError | None = None
        if isinstance(fact, LoginFailed):
            error = LoginError(fact.ecode)
        elif fact.ecode is not ECode.LOGOUT_E_USER:
            error = LogoutError(fact.ecode)
        self._messages.end(error, withdraws=True)
        self._invitations.end(error, withdraws=True)

    def _warn_of(self, fact: OperationFailed) -> None:
        if not fact.operation.is_awaited:
            warn("%s: %s", self.client.account, fact.reason)


def _message(fact: MessageReceived) -> Message:
    """The message as streams give it."""
    return Message(fact.account, fact.text, fact.properties or NO_PROPERTIES, fact.data)


def _nothing() -> None:
    """What an entry that no callback hears of does in its turn, which it has all the same."""
