"""The life of one session: logged in, taken up again after a lost connection, logged out.

Owns: the login's state, and the order in which a session's beginnings and its end are told. Must
not know when to connect, which reconnector.py does, what each frame is for, as demultiplexer.py
does, nor what is made of the facts that it tells; channels, calls and the inbox have modules of
their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from signal_sdk.client.call_side import Invited
from signal_sdk.client.calls import Calls
from signal_sdk.client.channels import Channels
from signal_sdk.client.connection import Connection
from signal_sdk.client.credentials import Credentials
from signal_sdk.client.demultiplexer import Demultiplexer
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
)
from signal_sdk.client.locks import Locks
from signal_sdk.client.log import log_raised, warn
from signal_sdk.client.login_states import STATUS, TABLE, LoginEvent, LoginState
from signal_sdk.client.mailbox import Mailbox
from signal_sdk.client.operation import Operation, Promise
from signal_sdk.client.reconnector import Reconnector
from signal_sdk.client.requests import Requests, nothing
from signal_sdk.client.seen import Seen
from signal_sdk.client.shared import Shared
from signal_sdk.client.spanned import Spanned
from signal_sdk.client.watches import Watches
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, LogoutError, SignalError
from signal_sdk.raised import type_name
from signal_sdk.spans import spans_in_use
from signal_sdk.wire import functions, login, results
from signal_sdk.wire.message_ids import new_series

__all__ = ["SessionClient", "SessionFact"]

SessionFact = (
    LoggedIn
    | LoginFailed
    | LoggedOut
    | Reconnecting
    | Reconnected
    | MessageReceived
    | PassedOver
    | Invited
    | EventsMissed
    | OperationFailed
)
"""What the session itself is told; its channel and its calls have sinks of their own."""


class SessionClient:
    """One login of one account, from `Signal.login` to its last callback; the `Delegate` of its
    `Reconnector`.
    """

    def __init__(
        self,
        shared: Shared,
        *,
        account: str,
        token: str,
        sink: Sink[SessionFact],
        dispatcher: Dispatcher,
        after: Operation[ECode] | None = None,
        seen: Seen | None = None,
        many_channels: bool = False,
        takes_bytes: bool = False,
    ) -> None:
        """`dispatcher` is the queue that what is told ends in, which is run by its owner. `after`
        is the end that the login waits for; `seen` is what earlier sessions of the account hand on.
        With `many_channels` the session may be in more than one.
        One that `takes_bytes` is told messages that are bytes.
        """
        self.account = account
        self.uid: int = 0
        self.state: LoginState = LoginState.CONNECTING
        self.logged_in: Promise[None] = Promise()
        self.ended: Promise[ECode] = Promise()
        self.seen: Seen = Seen() if seen is None else seen
        self.dispatcher = dispatcher
        self._shared = shared
        self._sink = sink
        self._after = after
        self._line = ""
        self._instance = secrets.token_urlsafe(12)
        self.next_message_id: Callable[[], str] = new_series().__next__
        """An id that no other message has, in the order in which they are sent."""
        self._logout: Promise[None] | None = None
        log, reactor = shared.log, shared.reactor
        patient = reactor.clock
        requests = Requests(
            self._unheard,
            dispatcher.is_full,
            log,
            account,
            clock=lambda: patient.time_at(reactor.time()),
            has_ended=lambda: dispatcher.has_ended,
        )
        self.requests = requests
        who = Credentials(
            appid=shared.appid,
            account=account,
            token=token,
            instance=self._instance,
            many_channels=many_channels,
            takes_bytes=takes_bytes,
        )
        self._reconnector = Reconnector(
            self,
            who,
            shared.dialer,
            shared.reactor,
            log,
            first=shared.first,
            backoff=shared.backoff,
        )
        self.channels: Channels = Channels(
            account, sink, requests, log, self._reconnector.wake, many=many_channels
        )
        self.calls: Calls = Calls(sink, requests, log)
        self.locks: Locks = Locks(requests, reactor, self.next_message_id, self._note_failure)
        self._mailbox = Mailbox(
            sink,
            requests,
            self.calls,
            log,
            wake=self._reconnector.wake,
            withdraw=dispatcher.withdraw_turns,
            seen=self.seen,
        )
        self.channels.takes_bytes = self._mailbox.takes_bytes = takes_bytes
        self.watches: Watches = Watches(requests, reactor)
        self._trace = shared.trace.session(account) if shared.trace is not None else None
        requests.trace = self._mailbox.trace = self._trace
        spans = spans_in_use(warn)
        self.spanned: Spanned | None = Spanned(spans) if spans is not None else None
        """What makes spans of its messages; None where its program has no use for them."""
        requests.spanned = self._mailbox.spanned = self.spanned
        self.receiver: Demultiplexer = Demultiplexer(
            reconnector=self._reconnector,
            requests=requests,
            mailbox=self._mailbox,
            channels=self.channels,
            locks=self.locks,
            watches=self.watches,
            trace=self._trace,
            ended=self.ended,
            end=self._end,
        )

    @property
    def status(self) -> int:
        """The documented number of the session's state."""
        return STATUS[self.state]

    @property
    def is_staying(self) -> bool:
        """Is the session logged in, or about to be, as far as its user has asked for?"""
        return self.state in (
            LoginState.CONNECTING,
            LoginState.LOGGED_IN,
            LoginState.RECONNECTING,
        )

    @property
    def is_over(self) -> bool:
        """Is the session over?"""
        return self.ended.is_done

    def _step(self, event: LoginEvent) -> bool:
        state = TABLE[self.state].get(event)
        if state is None:
            return False
        self._shared.log.debug("%s: %s", self.account, state.name)
        if self._trace is not None:
            self._trace.note(state.name.lower().replace("_", " "))
        self.state = state
        return True

    # --- the task ---

    async def run(self) -> None:
        """Live the session, until all of it has been told."""
        try:
            await self._live()
        finally:
            # Only where the Signal itself was cancelled is anything left to end.
            self.refused(LoginError(ECode.LOGIN_E_CANCEL, "the Signal was closed"))
            self._end(ECode.LOGOUT_E_OTHER, "the Signal was closed")

    async def _live(self) -> None:
        try:
            await self._reconnector.run(self._after)
        except Exception as exc:  # noqa: BLE001  logged and told, below
            # A mistake of ours, or of somebody's dialer, must not end the other sessions.
            log_raised(f"{self.account}: the session failed", exc)
            self.refused(LoginError(ECode.LOGIN_E_OTHER, type_name(exc)))
            self._end(ECode.LOGOUT_E_OTHER, type_name(exc))

    # --- its connections: what the reconnector tells ---

    def accepted(
        self, success: login.LoginSucceeded, connection: Connection, *, is_fresh: bool
    ) -> None:
        """There is a connection: by a login that is the session's first or `is_fresh`, else the
        session was taken up.
        """
        is_first = self.state is LoginState.CONNECTING
        is_leaving = self.state is LoginState.LOGGING_OUT
        self._step(LoginEvent.ACCEPTED)
        self.uid = success.uid
        self._line = success.line
        self.requests.can_send_bytes = success.takes_bytes is True
        if is_first:
            self._sink(LoggedIn(success.uid))
            self.requests.open(success.line, connection.send)
            self._mailbox.open()
            self.logged_in.succeed(None)
        elif is_leaving:
            self.requests.open(success.line, connection.send)
        else:
            self._come_back(success, connection, is_fresh=is_fresh)

    def _come_back(
        self, success: login.LoginSucceeded, connection: Connection, *, is_fresh: bool
    ) -> None:
        self._sink(Reconnected())
        if is_fresh:
            self.calls.end(ECode.INVITE_E_NET)
            self._mailbox.start_afresh()

        def settle() -> None:
            if is_fresh:
                self.channels.forgotten()
            else:
                self.channels.resumed(success)

        # What belongs to a channel that is to be joined again goes out behind that.
        self.requests.open(success.line, connection.send, settle)
        self.locks.resumed()
        self._mailbox.resume()
        self.watches.resume()

    def ticket(self) -> login.LineLogin:
        """What takes the session up again."""
        channel, msgid = self.channels.where()
        return login.LineLogin(line=self._line, msgid=msgid, channel=channel)

    def lost(self, reason: str) -> bool:
        """The connection is lost: is it to be replaced?"""
        if self._shared.backoff is None or not self._step(LoginEvent.LOST):
            self._end(ECode.LOGOUT_E_NET, reason)
            return False
        self.requests.suspend()
        self._mailbox.pause()
        self._shared.log.debug("%s: the connection is lost: %s", self.account, reason)
        if self._trace is not None:
            self._trace.note(f"the connection is lost: {reason}")
        return True

    def reconnecting(self, attempt: int) -> None:
        """Another connection is about to be dialed."""
        if self.state is LoginState.RECONNECTING:
            self._sink(Reconnecting(attempt))

    def over(self, ecode: ECode, reason: str) -> None:
        """There will be no other connection."""
        self._end(ecode, reason)

    def stopped(self) -> None:
        """Nothing more will come."""
        self._end(ECode.LOGOUT_E_USER, "")

    @property
    def overdue_at(self) -> float:
        """When, by the reactor's patient clock, something has waited for its answer too long."""
        return self.requests.overdue_at

    def due(self, now: float) -> float:
        """Fail what was not answered in time, poll and join again when it is due; when to ask
        again. `now` is the patient clock's, what is returned trio's.
        """
        expires_at = self._shared.reactor.clock.when(self.requests.expire(now))
        return min(expires_at, self._mailbox.poll_if_due(), self.channels.settle_if_due())

    # --- the end ---

    def log_out(self) -> Operation[None]:
        """Log out; the operation that there is, where that is under way."""
        self.requests.check_thread()
        if self._logout is not None and not self._logout.is_done:
            return self._logout
        if self.state in (LoginState.LOGGED_OUT, LoginState.FAILED):
            error = SignalError(ECode.LOGOUT_E_ALREADY_LOGOUT, f"{self.account} is not logged in")
            return self.requests.refuse("logout", error)
        self._logout = Promise()
        if self.state is LoginState.CONNECTING:
            self.refused(LoginError(ECode.LOGIN_E_CANCEL, "logout was called during the login"))
            self._reconnector.stop()
            return self._logout
        if self.state is LoginState.RECONNECTING:
            self._reconnector.hurry()
        self._step(LoginEvent.LOGOUT)
        self._mailbox.close()
        self._mailbox.tell_last()
        self.requests.call(
            functions.UserLogout,
            results.Result,
            nothing,
            done=lambda _: self._end(ECode.LOGOUT_E_USER, ""),
            failed=lambda exc: self._end(ECode.LOGOUT_E_USER, str(exc)),
            always=True,
        )
        self.requests.seal("the session is logging out")
        return self._logout

    def refused(self, error: LoginError) -> None:
        """The first login has failed, where the session is not over yet."""
        if not self._step(LoginEvent.REFUSED):
            return
        self.watches.close(error)
        self.requests.close(error)
        self._sink(LoginFailed(error.ecode))
        self.logged_in.fail(error)
        self._finish(error.ecode)

    def _end(self, ecode: ECode, reason: str) -> None:
        """The session is over."""
        was_asked = self.state is LoginState.LOGGING_OUT
        if not self._step(LoginEvent.OVER):
            return
        if was_asked:
            # However it came about, it is what the user asked for.
            ecode = ECode.LOGOUT_E_USER
        self._mailbox.close()
        is_lost = ecode is ECode.LOGOUT_E_NET
        self.channels.end(ECode.LEAVECHANNEL_E_DISCONN if is_lost else ECode.LEAVECHANNEL_E_LOGOUT)
        self.calls.end(None if was_asked else ECode.INVITE_E_NET)
        is_own = ecode is ECode.LOGOUT_E_USER
        self.watches.close(None if is_own else LogoutError(ecode, reason))
        self.requests.close(LogoutError(ecode, reason))
        self._sink(LoggedOut(ecode))
        self._finish(ecode)

    def _finish(self, ecode: ECode) -> None:
        if self._logout is not None:
            self._logout.succeed(None)
        self.ended.succeed(ecode)
        self._reconnector.hang_up()

    # --- what fails ---

    def _note_failure(self, error: SignalError) -> None:
        """Something has failed that makes no difference."""
        self._shared.log.debug("%s: %s", self.account, error)

    def _unheard(self, operation: Operation[Any], what: str, error: SignalError) -> None:
        self._sink(OperationFailed(operation, what, error))
