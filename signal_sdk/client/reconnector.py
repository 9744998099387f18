"""The reconnector of a session: it dials, logs in, and when the connection is lost, comes back.

Owns: which connection there is, its silence, the back-offs, and the one task that keeps time. Must
not know what a frame says beyond the login, nor what a lost connection means to channels, calls or
the inbox: the session does.

There is one connection at a time: it is closed before the next is dialed, and no frame of it is
read any more.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import attrs
import trio
from msgspec import UNSET

from signal_sdk.client.backoff import Backoff, Outage
from signal_sdk.client.connection import Connection
from signal_sdk.client.credentials import Credentials
from signal_sdk.client.delegate import Delegate
from signal_sdk.client.dialer import Dialer
from signal_sdk.client.log import Log
from signal_sdk.client.operation import Operation
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError, ProtocolError
from signal_sdk.net.alarms import Alarm
from signal_sdk.net.closed import LinkClosed
from signal_sdk.net.deadline import Deadline, move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.raised import text_of
from signal_sdk.wire import frames, login

__all__ = ["LOGIN_SECONDS", "LOGOUT_SECONDS", "Reconnector"]

DIAL_SECONDS: Final = 60.0
"""How long a dialer is waited for. Ours take half of that at most; a user's may forget to look."""
LOGIN_SECONDS: Final = 10.0
"""How long the server may take to answer a login."""
NO_ANSWER: Final = f"the server did not answer the login in {LOGIN_SECONDS:g} s"
ONE_CHANNEL: Final = (
    "the server knows sessions in one channel at a time only: log in without many_channels"
)
LOGOUT_SECONDS: Final = 1.5
"""How long a logout without a connection waits for one. Leaving a `Signal`'s block waits for 2 s,
and callbacks want their part of that."""

_FINAL: Final = {
    ECode.LOGIN_E_TOKEN_KICKED: ECode.LOGOUT_E_KICKED,
    ECode.LOGIN_E_TOKENEXPIRED: ECode.LOGOUT_E_TOKENEXPIRED,
    ECode.LOGIN_E_TOKENWRONG: ECode.LOGOUT_E_OTHER,
    ECode.LOGIN_E_INVALID_USER: ECode.LOGOUT_E_OTHER,
}
"""Refusals that another try would not change, and what a session that reconnects ends with."""


@attrs.define(kw_only=True, eq=False)
class _Absence:
    """What the tries of one outage have found: whom to avoid, how long to stay away, and whether
    the server knows nothing of the session any more.
    """

    avoid: str
    delay: float
    is_forgotten: bool = False


class Reconnector:
    """One session's connections, one after the other."""

    def __init__(
        self,
        delegate: Delegate,
        credentials: Credentials,
        dialer: Dialer,
        reactor: Reactor,
        log: Log,
        *,
        first: Backoff | None,
        backoff: Backoff | None,
    ) -> None:
        """`first` is for the first login, `backoff` for a lost connection; None: no other try."""
        self._delegate = delegate
        self._ended = delegate.ended
        self._credentials = credentials
        self._dialer = dialer
        self._reactor = reactor
        self._first = first
        self._backoff = backoff
        self._log = log
        self._connection: Connection | None = None
        self._scope = trio.CancelScope()
        self._end = Deadline(reactor, self._scope.cancel)
        self._talking = trio.CancelScope()
        self.loss: str | None = None
        """Why the present connection is taken for lost; None where it is not."""
        self._is_asked = False
        """Has the first login been asked for, and not been answered?"""
        self._why_not = "" if first is None else f"no login in {first.seconds} s"
        """Why there is no login yet."""
        self._is_leaving = False
        self._hurry = trio.Event()
        self._alarm: Alarm | None = None
        self._failure: Exception | None = None
        self._ping_at = math.inf
        self._pings = 0

    # --- what the session asks for ---

    def stop(self) -> None:
        """End it all: nothing more is read, and nothing dialed."""
        self._scope.cancel()

    def give_up(self, reason: str) -> None:
        """Take the present connection for lost."""
        self.loss = reason
        self._talking.cancel()

    def hang_up(self) -> None:
        """The session is over: listen no more."""
        self._talking.cancel()

    def stay_away(self, seconds: float) -> None:
        """Dial no sooner than that after the loss of the present connection."""
        if self._connection is not None:
            self._connection.delay = seconds

    def hurry(self) -> None:
        """Try to come back at once, and stop after `LOGOUT_SECONDS`."""
        self._is_leaving = True
        self._end.set_after(LOGOUT_SECONDS)
        self._hurry.set()

    def wake(self, by: float = -math.inf) -> None:
        """Look again at what is due, and when, `by` then: by default, at once."""
        if self._alarm is not None and by < self._alarm.time:
            self._alarm.set(by)

    # --- the task ---

    async def run(self, after: Operation[ECode] | None) -> None:
        """Log in once `after` has ended, and stay until the session is over."""
        try:
            with self._scope:
                self._alarm = Alarm(self._reactor.alarms, self._ring)
                self.wake()
                try:
                    await self._log_in(after)
                except LoginError as exc:
                    self._delegate.refused(exc)
                else:
                    await self._stay()
            if self._failure is not None:
                raise self._failure
            # Where it is not over by now, all tries have taken too long.
            self._delegate.refused(LoginError(ECode.LOGIN_E_NET, self._why_not))
            self._delegate.stopped()
            if self._connection is not None:
                await self._let_go(self._connection)
        finally:
            self._end.cancel()
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            if self._connection is not None:
                self._connection.abort()

    async def _log_in(self, after: Operation[ECode] | None) -> None:
        """Log in, in one of the tries that there may be. Raises `LoginError` where the login is
        refused, or there is no server to be had.
        """
        frame = self._credentials.login_frame()
        if after is not None:
            # The account's earlier session here is logging out: its farewell goes first.
            await after
        clock = self._reactor.clock
        outage = None if self._first is None else Outage(self._first, clock.time())
        if outage is not None:
            self._end.set(outage.deadline)
        absence = _Absence(avoid="", delay=0.0)
        while True:
            try:
                await self._log_in_once(frame, absence)
                break
            except LoginError as exc:
                pause = None
                if outage is not None and exc.ecode is ECode.LOGIN_E_NET:
                    pause = outage.next_pause(clock.time(), absence.delay)
                if pause is None:
                    raise
                self._why_not = exc.reason
                self._log.debug("%s: the login is tried again: %s", self._credentials.account, exc)
            if self._connection is not None:
                await self._let_go(self._connection)
                self._connection = None
            await trio.sleep(pause)
        self._end.cancel()

    async def _log_in_once(self, frame: bytes, absence: _Absence) -> None:
        """Dial, and log in. Raises `LoginError`; what was not answered is to be let go."""
        self._connection = connection = await self._dial(absence)
        connection.send(frame)
        self._is_asked = True
        with move_on_after(self._reactor, LOGIN_SECONDS):
            try:
                success = await self._answer(connection, is_fresh=True)
            except LoginError:
                self._is_asked, self._connection = False, None
                absence.delay = connection.delay
                connection.abort()
                raise
            self._is_asked = False
            if self._scope.cancel_called:
                # It was given up when this had been read, and was not handled yet.
                return connection.log_out(success.line)
            return self._delegate.accepted(success, connection, is_fresh=True)
        raise LoginError(ECode.LOGIN_E_NET, NO_ANSWER)

    async def _let_go(self, connection: Connection) -> None:
        """Close a connection; a login that was not answered is taken back."""
        if self._is_asked:
            await connection.withdraw(self._reactor)
            self._is_asked = False
        await connection.aclose()

    async def _dial(self, absence: _Absence) -> Connection:
        link, avoid, absence.delay = None, absence.avoid, 0.0
        try:
            with move_on_after(self._reactor, DIAL_SECONDS):
                link = await self._dialer.dial(self._credentials.appid, self._reactor, avoid=avoid)
        except LinkError as exc:
            raise LoginError(ECode.LOGIN_E_NET, text_of(exc)) from None
        if link is None:
            raise LoginError(ECode.LOGIN_E_NET, f"no connection in {DIAL_SECONDS:g} s")
        absence.avoid = link.peer
        return Connection(link, self._log, self._credentials.account)

    async def _answer(self, connection: Connection, *, is_fresh: bool) -> login.LoginSucceeded:
        """How the session is that was made, if `is_fresh`, or taken up. Raises `LoginError`."""
        try:
            success = await connection.login_answer()
        except LinkClosed as exc:
            raise LoginError(ECode.LOGIN_E_NET, str(exc)) from None
        if self._credentials.many_channels and success.channels is UNSET:
            if is_fresh:
                connection.log_out(success.line)
                await connection.aclose()
            raise LoginError(ECode.LOGIN_E_OTHER, ONE_CHANNEL)
        return success

    # --- staying ---

    async def _stay(self) -> None:
        while self._connection is not None:
            reason = await self._talk(self._connection)
            if self._ended.is_done:
                return
            lost = self._connection
            lost.abort()
            self._connection = None
            if not self._delegate.lost(reason):
                return
            await self._come_back(lost)

    async def _talk(self, connection: Connection) -> str:
        """Read until the connection is lost, and why; or until the session is over."""
        self._ping_at = trio.current_time() + login.PING_INTERVAL_SECONDS
        self.loss = None
        self.wake()
        try:
            with trio.CancelScope() as self._talking:
                connection.watch(partial(self._take, connection), self._delegate.receiver.hear)
                while not self._is_done:
                    self._take(connection, await connection.receive())
        except LinkClosed as exc:
            return self._why(str(exc))
        return self._why("")

    def _why(self, reason: str) -> str:
        return reason if self.loss is None else self.loss

    @property
    def _is_done(self) -> bool:
        """Is there nothing more to be read?"""
        return self.loss is not None or self._ended.is_done

    def _take(self, connection: Connection, frame: frames.Frame) -> None:
        if self._is_done:
            return
        try:
            self._delegate.receiver.take(frame)
        except ProtocolError as exc:
            connection.pass_over(exc)

    async def _come_back(self, lost: Connection) -> None:
        """Dial until the session is taken up again, or over."""
        if self._backoff is None:
            return
        clock = self._reactor.clock
        outage = Outage(self._backoff, clock.time())
        absence = _Absence(avoid=lost.peer, delay=lost.delay)
        while (pause := outage.next_pause(clock.time(), absence.delay)) is not None:
            with trio.move_on_after(pause):
                await self._hurry.wait()
                self._hurry = trio.Event()
            self._delegate.reconnecting(outage.made)
            try:
                await self._try(absence)
            except LoginError as exc:
                self._log.debug("%s: try %d: %s", self._credentials.account, outage.made, exc)
                if exc.ecode in _FINAL or (self._is_leaving and absence.is_forgotten):
                    self._delegate.over(_FINAL.get(exc.ecode, ECode.LOGOUT_E_OTHER), exc.reason)
                    return
            else:
                return
        self._delegate.over(ECode.LOGOUT_E_NET, f"{outage.made} tries to reconnect have failed")

    async def _try(self, absence: _Absence) -> None:
        """Take the session up, or log in anew where there is none any more. Raises `LoginError`."""
        if not absence.is_forgotten:
            try:
                ticket = frames.encode_frame(login.LINE_LOGIN, self._delegate.ticket())
                await self._ask(ticket, absence)
            except LoginError as exc:
                if exc.ecode is not ECode.LOGIN_E_FAILED:
                    raise
                absence.is_forgotten = True
                if self._is_leaving:
                    raise
            else:
                return
        await self._ask(self._credentials.login_frame(again=True), absence)

    async def _ask(self, frame: bytes, absence: _Absence) -> None:
        """Dial, and say `frame`. Raises `LoginError`."""
        connection = await self._dial(absence)
        success = None
        try:
            connection.send(frame)
            with move_on_after(self._reactor, LOGIN_SECONDS):
                success = await self._answer(connection, is_fresh=absence.is_forgotten)
        finally:
            if success is None:
                absence.delay = connection.delay
                connection.abort()
        if success is None:
            raise LoginError(ECode.LOGIN_E_NET, NO_ANSWER)
        self._connection = connection
        self._delegate.accepted(success, connection, is_fresh=absence.is_forgotten)

    # --- time ---

    def _ring(self, *, has_read: bool = False) -> None:
        try:
            self._look(has_read=has_read)
        except Exception as exc:  # noqa: BLE001  `run` raises it: it is this session's alone
            self._failure = exc
            self._scope.cancel()

    def _look(self, *, has_read: bool) -> None:
        """Ping, notice silence, have done what is due, and set the alarm for when to look again."""
        if self._alarm is None:
            return
        if self._ended.is_done:
            # The reader waits for a frame that may never come.
            self._scope.cancel()
            return
        clock = self._reactor.clock
        now = clock.time()
        if not has_read and now >= min(self._delegate.overdue_at, self._silent_at):
            # What is missed may lie there, unread.
            self._reactor.after_catching_up(partial(self._ring, has_read=True))
            return
        due = self._delegate.due(now)
        if now >= self._silent_at:
            self.give_up(f"nothing was heard for {login.SILENCE_SECONDS} s")
        # What is asked meanwhile waits longer than that.
        latest = trio.current_time() + login.PING_INTERVAL_SECONDS
        self.wake(min(due, clock.when(self._silent_at), self._ping(), latest))

    @property
    def _silent_at(self) -> float:
        """When, by the patient clock, the connection has been silent for too long."""
        if self._connection is None or self.loss is not None:
            return math.inf
        return self._connection.heard_at + login.SILENCE_SECONDS

    def _ping(self) -> float:
        """Ping, if it is time, also where the process stood still; when to do so again."""
        if self._connection is None or self.loss is not None:
            return math.inf
        now = trio.current_time()
        if now >= self._ping_at:
            self._pings += 1
            self._connection.send(frames.encode_frame(login.PING, self._pings))
            self._ping_at = now + login.PING_INTERVAL_SECONDS
        return self._ping_at
