"""The life of one session: connect, log in, read, log out, end.

Owns: the login's state, the one task that reads, the one that keeps time, and the order in which a
session's end is told. Must not know the API's classes but as what callbacks are handed; channels,
calls and the inbox have modules of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from signal_sdk.callbacks import LoginCallback, MessageCallback
from signal_sdk.client.calls import Calls, Leg
from signal_sdk.client.channels import Channels
from signal_sdk.client.connection import Connection, login_frame
from signal_sdk.client.dialer import Dialer
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.log import Log, logger
from signal_sdk.client.login_states import STATUS, TABLE, LoginEvent, LoginState
from signal_sdk.client.mailbox import Mailbox, Seen
from signal_sdk.client.operation import Operation, Promise
from signal_sdk.client.requests import Codes, Requests
from signal_sdk.client.user_attributes import UserAttributes
from signal_sdk.ecodes import ECode
from signal_sdk.errors import (
    LinkError,
    LoginError,
    LogoutError,
    ProtocolError,
    SignalError,
)
from signal_sdk.websocket.link import LinkClosed
from signal_sdk.websocket.outbox import Flusher
from signal_sdk.wire import call2, events, frames, functions, login

if TYPE_CHECKING:
    from signal_sdk.call import Call
    from signal_sdk.login_session import LoginSession

__all__ = ["LOGIN_SECONDS", "SessionClient", "Shared"]

LOGIN_SECONDS: Final = 10.0
"""How long the server may take to answer a login."""

MESSAGE_CODES: Final = Codes(other=ECode.SENDMESSAGE_E_OTHER, timeout=ECode.SENDMESSAGE_E_TIMEOUT)


@attrs.frozen(kw_only=True)
class Shared:
    """What all sessions of one `Signal` stand on.

    `spare` runs the callbacks of what is asked of a session that has ended.
    """

    appid: str
    dialer: Dialer
    flusher: Flusher
    log: Log
    spare: Dispatcher


class SessionClient:
    """One login of one account, from `Signal.login` to its last callback."""

    def __init__(
        self,
        shared: Shared,
        *,
        account: str,
        token: str,
        cb: LoginCallback | None,
        make_session: Callable[[SessionClient], LoginSession],
        make_call: Callable[[SessionClient, Leg], Call],
        after: Operation[ECode] | None = None,
        dispatcher: Dispatcher | None = None,
        seen: Seen | None = None,
    ) -> None:
        """`after` is the end that the login waits for. `dispatcher`, where it is given, is run by
        its owner, and may outlive the session; `seen` is what earlier sessions of the account hand
        on.
        """
        self.account = account
        self.uid = 0
        self.state = LoginState.CONNECTING
        self.logged_in: Promise[None] = Promise()
        self.ended: Promise[ECode] = Promise()
        self.seen: Seen = {} if seen is None else seen
        self._shared = shared
        self._token = token
        self._cb = cb
        self._after = after
        self._logout: Promise[None] | None = None
        self._scope = trio.CancelScope()
        self._wake = trio.Event()
        self._is_asked = False
        self._pings = 0
        self._pongs = 0
        self.session = make_session(self)
        self._runs_dispatcher = dispatcher is None
        if dispatcher is None:
            on_error = partial(cb.on_error, self.session) if cb is not None else None
            dispatcher = Dispatcher(on_error, spare=shared.spare)
        self.dispatcher = dispatcher
        log = shared.log
        requests = Requests(self._unheard, lambda: dispatcher.is_full, log, account)
        self.requests = requests
        self.attributes = UserAttributes(requests, dispatcher)
        self.channels = Channels(self.session, requests, dispatcher)
        self.calls = Calls(self.session, cb, requests, dispatcher, log, partial(make_call, self))
        self._mailbox = Mailbox(
            self.session, cb, requests, dispatcher, self.calls, log, self._wake_timer, self.seen
        )

    @property
    def status(self) -> int:
        """The documented number of the session's state."""
        return STATUS[self.state]

    @property
    def is_staying(self) -> bool:
        """Is the session logged in, or about to be, as far as its user has asked for?"""
        return self.state in (LoginState.CONNECTING, LoginState.LOGGED_IN)

    def _step(self, event: LoginEvent) -> bool:
        state = TABLE[self.state].get(event)
        if state is None:
            return False
        self._shared.log.debug("%s: %s", self.account, state.name)
        self.state = state
        return True

    # --- the task ---

    async def run(self) -> None:
        """Live the session; where the dispatcher is its own, run callbacks to the last one."""
        try:
            async with trio.open_nursery() as nursery:
                if self._runs_dispatcher:
                    nursery.start_soon(self.dispatcher.run)
                try:
                    await self._live()
                finally:
                    if self._runs_dispatcher:
                        self.dispatcher.finish()
        finally:
            # Only where the Signal itself was cancelled is anything left to end.
            self._fail(LoginError(ECode.LOGIN_E_CANCEL, "the Signal was closed"))
            self._end(ECode.LOGOUT_E_OTHER, "the Signal was closed")

    async def _live(self) -> None:
        connection: Connection | None = None
        try:
            with self._scope:
                frame = login_frame(self._shared.appid, self.account, self._token)
                if self._after is not None:
                    # The account's earlier session here is logging out: its farewell goes first.
                    await self._after
                connection = await self._connect()
                self._scope.deadline = trio.current_time() + LOGIN_SECONDS
                connection.send(frame)
                self._is_asked = True
                await self._talk(connection)
            if self._scope.cancelled_caught:
                reason = f"the server did not answer the login in {LOGIN_SECONDS:g} s"
                self._fail(LoginError(ECode.LOGIN_E_NET, reason))
            if connection is not None:
                if self._is_asked:
                    await connection.withdraw()
                await connection.aclose()
        except LoginError as exc:
            self._fail(exc)
        except LinkClosed as exc:
            self._fail(LoginError(ECode.LOGIN_E_NET, str(exc)))
        except Exception as exc:  # noqa: BLE001  logged and told, below
            # A mistake of ours, or of somebody's dialer, must not end the other sessions.
            logger.exception("%s: the session failed", self.account)
            self._fail(LoginError(ECode.LOGIN_E_OTHER, type(exc).__name__))
            self._end(ECode.LOGOUT_E_OTHER, type(exc).__name__)
        finally:
            if connection is not None:
                connection.abort()

    async def _connect(self) -> Connection:
        try:
            link = await self._shared.dialer.dial(self._shared.appid, self._shared.flusher)
        except LinkError as exc:
            raise LoginError(ECode.LOGIN_E_NET, str(exc)) from None
        return Connection(link, self._shared.log, self.account)

    async def _talk(self, connection: Connection) -> None:
        """Read until the session is over. Raises `LoginError` for a login that was refused."""
        while self.state is LoginState.CONNECTING:
            self._take_early(await connection.receive(), connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._timer_loop, connection)
            try:
                await self._read_loop(connection)
            except LinkClosed as exc:
                self._end(ECode.LOGOUT_E_NET, str(exc))
            nursery.cancel_scope.cancel()

    async def _read_loop(self, connection: Connection) -> None:
        while not self.ended.is_done:
            frame = await connection.receive()
            try:
                self._take(frame)
            except ProtocolError as exc:
                connection.pass_over(exc)

    # --- time ---

    def _wake_timer(self) -> None:
        self._wake.set()

    async def _timer_loop(self, connection: Connection) -> None:
        """Ping, fail what is not answered in time, poll when it is due: one task for it all."""
        ping_at = trio.current_time() + login.PING_INTERVAL_SECONDS
        while True:
            now = trio.current_time()
            if now >= ping_at:
                self._ping(connection)
                ping_at = now + login.PING_INTERVAL_SECONDS
            due = min(ping_at, self.requests.expire(now), self._mailbox.poll_if_due())
            if self.ended.is_done:
                break
            self._wake = trio.Event()
            with trio.move_on_at(due):
                await self._wake.wait()
        # The reader waits for a frame that may never come.
        self._scope.cancel()

    def _ping(self, connection: Connection) -> None:
        missed = self._pings - self._pongs
        if missed > login.MAX_MISSED_PONGS:
            self._end(ECode.LOGOUT_E_NET, f"{missed} pings were not answered")
            return
        self._pings += 1
        connection.send(frames.encode_frame(login.PING, self._pings))

    # --- frames ---

    def _take_early(self, frame: frames.Frame, connection: Connection) -> None:
        """A frame during the login."""
        match frame.event:
            case login.LOGIN_RET:
                self._is_asked = False
                try:
                    success = login.decode_login_ret(frame)
                except ProtocolError as exc:
                    reason = f"the answer is not understood: {exc}"
                    raise LoginError(ECode.LOGIN_E_OTHER, reason) from None
                self._accepted(success, connection)
            case login.KICK:
                self._is_asked = False
                raise LoginError(ECode.LOGIN_E_TOKEN_KICKED)
            case login.CLOSE:
                self._is_asked = False
                closing = login.decode_closing(frame, ECode.LOGIN_E_NET)
                is_login = 200 <= closing.ecode < 300
                ecode = ECode(closing.ecode) if is_login else ECode.LOGIN_E_NET
                raise LoginError(ecode, closing.reason)

    def _take(self, frame: frames.Frame) -> None:
        """A frame of the session. Raises `ProtocolError`."""
        match frame.event:
            case call2.REPLY:
                self.requests.answer(call2.decode_reply(frame))
            case events.NOTIFY:
                self._notified(events.decode_notify(frame))
            case login.PONG:
                self._pongs = max(self._pongs, frame.decode(int))
            case login.KICK:
                closing = login.decode_closing(frame, ECode.LOGOUT_E_KICKED)
                self._end(ECode.LOGOUT_E_KICKED, closing.reason)
            case login.CLOSE:
                closing = login.decode_closing(frame, ECode.LOGOUT_E_NET)
                is_logout = 100 <= closing.ecode < 200
                ecode = ECode(closing.ecode) if is_logout else ECode.LOGOUT_E_NET
                self._end(ecode, closing.reason)

    def _accepted(self, success: login.LoginSucceeded, connection: Connection) -> None:
        if not self._step(LoginEvent.ACCEPTED):
            return
        self._scope.deadline = math.inf
        self.uid = success.uid
        if self._cb is not None:
            self.dispatcher.put(partial(self._cb.on_login_success, self.session, success.uid))
        self.requests.open(success.line, connection.send)
        self._mailbox.open()
        self.logged_in.succeed(None)

    def _notified(
        self, told: events.InboxAnnounced | events.InboxPushed | events.ChannelEvent
    ) -> None:
        match told:
            case events.InboxPushed(version=version, line=line):
                self._mailbox.pushed(version, line)
            case events.InboxAnnounced(version=version):
                self._mailbox.announced(version)
            case events.ChannelEvent():
                self.channels.take(told)

    # --- the end ---

    def log_out(self) -> Operation[None]:
        """Log out; the operation that there is, where that is under way."""
        if self._logout is not None and not self._logout.is_done:
            return self._logout
        if self.state in (LoginState.LOGGED_OUT, LoginState.FAILED):
            error = SignalError(ECode.LOGOUT_E_ALREADY_LOGOUT, f"{self.account} is not logged in")
            return self.requests.refuse("logout", error)
        self._logout = Promise()
        if self.state is LoginState.CONNECTING:
            self._fail(LoginError(ECode.LOGIN_E_CANCEL, "logout was called during the login"))
            self._scope.cancel()
            return self._logout
        self._step(LoginEvent.LOGOUT)
        self._mailbox.close()
        self._mailbox.tell_last()
        self.requests.call(
            functions.UserLogout,
            functions.Result,
            lambda _: None,
            done=lambda _: self._end(ECode.LOGOUT_E_USER, ""),
            failed=lambda exc: self._end(ECode.LOGOUT_E_USER, str(exc)),
            always=True,
        )
        self.requests.seal("the session is logging out")
        return self._logout

    def _fail(self, error: LoginError) -> None:
        """The login has failed."""
        if not self._step(LoginEvent.REFUSED):
            return
        self.requests.close(error)
        if self._cb is not None:
            self.dispatcher.put(partial(self._cb.on_login_failed, self.session, error.ecode))
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
        self.requests.close(LogoutError(ecode, reason))
        if self._cb is not None:
            self.dispatcher.put(partial(self._cb.on_logout, self.session, ecode))
        self._finish(ecode)

    def _finish(self, ecode: ECode) -> None:
        if self._logout is not None:
            self._logout.succeed(None)
        self.ended.succeed(ecode)

    # --- outcomes ---

    def send_message(
        self,
        make: Callable[[], functions.Arguments],
        cb: MessageCallback | None,
        unless: SignalError | None = None,
    ) -> Operation[None]:
        """Send a message of either kind; `cb` hears of its outcome."""
        put, session = self.dispatcher.put_outcome, self.session

        def done(_: functions.Result) -> None:
            if cb is not None:
                put(partial(cb.on_message_send_success, session))

        def failed(exc: SignalError) -> None:
            if cb is not None:
                put(partial(cb.on_message_send_error, session, exc.ecode))

        return self.requests.call(
            make,
            functions.Result,
            lambda _: None,
            done=done,
            failed=failed if cb is not None else None,
            codes=MESSAGE_CODES,
            unless=unless,
        )

    def _unheard(self, operation: Operation[Any], what: str, error: SignalError) -> None:
        """A failure that has no callback of its own: `on_error` hears of it, unless somebody awaits
        it by then.
        """

        def tell() -> object:
            if operation.is_awaited:
                return None
            reason = f"{what}: {error.reason}" if what else error.reason
            if self._cb is None:
                logger.warning("%s: %s", self.account, reason)
                return None
            return self._cb.on_error(self.session, error.ecode, reason)

        self.dispatcher.put_outcome(tell)
