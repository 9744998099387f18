"""An instance in the trio thread: the calls that come in, its logins one after the other, its end.

Owns: the way from any thread into the trio thread and from there into the callback thread, both
bounded. Must not know the operations (operations.py does), nor a login's course (life.py does).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

from signal_sdk.client.crew import Crew
from signal_sdk.client.dialer import Dialer
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.log import Log
from signal_sdk.client.seen import Seen
from signal_sdk.client.session import SessionClient
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.flat.callback_thread import CallbackThread, note
from signal_sdk.flat.failures import general, in_words, not_logged_in
from signal_sdk.flat.life import Account, Life, Means, Status
from signal_sdk.flat.retries import RetryPolicy
from signal_sdk.flat.thread import TrioThread, settle
from signal_sdk.net.deadline import Deadline
from signal_sdk.net.reactor import Reactor
from signal_sdk.raised import type_name
from signal_sdk.wire import names
from signal_sdk.wire.names import JsonValue

__all__ = ["CLOSE_SECONDS", "MAX_WAITING_CALLS", "Core"]

MAX_WAITING_CALLS: Final = 10_000
"""How many calls may wait for the trio thread; the next ones are dropped, and `on_error` says how
many: a program that calls faster than they can be made has none of their outcomes anyway."""
LOGIN: Final = "login"
"""What `on_error` calls both logins."""
CALLS_PER_TURN: Final = 32
"""How many calls are made before other instances get their turn."""
CLOSE_SECONDS: Final = 3.0
"""How long an instance that was destroyed may take to log out, and to run the callbacks that
wait."""


class _TeeLog(Log):
    """A debug log whose lines also go to `on_log`."""

    __slots__ = ("_callbacks",)

    def __init__(self, callbacks: CallbackThread) -> None:
        super().__init__()
        self._callbacks = callbacks

    @property
    def is_heard(self) -> bool:
        return self._callbacks.wants_log

    def debug(self, text: str, *args: object) -> None:
        if not self.is_heard:
            return
        try:
            line = text % args
        except BaseException as exc:  # noqa: BLE001  it may come from a dialer's own exception
            line = f"{text}: cannot be shown: {type_name(exc)}"
        self._callbacks.put_line(line)


class Core:
    """One instance."""

    def __init__(self, dialer: Dialer) -> None:
        self.callbacks: CallbackThread = CallbackThread()
        self.log: Log = _TeeLog(self.callbacks)
        self._dialer = dialer
        # Reentrant: a signal handler, too, may call a method, in the midst of another.
        self._lock = threading.RLock()
        self._pid = 0
        self._thread: TrioThread | None = None
        self._is_destroyed = False
        self._is_login_waiting = False
        self._calls: deque[tuple[str, Callable[[], object]]] = deque()
        self._dropped_calls = 0
        self._wake = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._reactor: Reactor | None = None
        self._life: Life | None = None
        self._seen: tuple[str, str, Seen] = ("", "", Seen())
        self._crew = Crew()
        tell_raised = partial(self.tell, "on_error", "callbacks")
        self.dispatcher: Dispatcher = Dispatcher(self._crew, tell_raised)

    # --- from any thread ---

    def check(self) -> None:
        """Raise `RuntimeError` where the instance can be used no more."""
        if self._is_destroyed:
            raise RuntimeError(
                "this instance was destroyed: make another by create_agora_sdk_instance_cpp()"
            )
        if self._pid not in (0, os.getpid()):
            raise RuntimeError(
                f"this instance was used in the process {self._pid} before that forked, and its"
                " threads and its connection stayed there: use instances only after the fork, or"
                " make another here by create_agora_sdk_instance_cpp()"
            )

    def call(self, name: str, do: Callable[[], object]) -> None:
        """Have `do` called in the trio thread, in the order of the calls. Never waits.

        `name` is what `on_error` calls it. Raises `RuntimeError` as `check` does.
        """
        self.check()
        with self._lock:
            self.check()
            if self._thread is None:
                self._pid = os.getpid()
                self.callbacks.start()
                self._thread = settle(self)
            if len(self._calls) >= MAX_WAITING_CALLS:
                self._dropped_calls += 1
                self._is_login_waiting = False
                return
            self._calls.append((name, do))
            if len(self._calls) == 1:
                self._thread.call_soon(self._wake_up)

    def close(self) -> None:
        """Log out and end. Never waits; may be called again, and in a process that was forked."""
        if self._pid not in (0, os.getpid()):
            self._is_destroyed = True
            return
        with self._lock:
            self._is_destroyed = True
            if self._thread is not None:
                self._thread.call_soon(self._wake_up)

    @property
    def is_closed(self) -> bool:
        """Was it destroyed?"""
        return self._is_destroyed

    def expect_login(self) -> None:
        """A login is about to be called: until it has been made, that is the status."""
        self.check()
        self._is_login_waiting = True

    @property
    def status(self) -> Status:
        """Where the instance stands. May be read from any thread."""
        life = self._life
        status = life.status if life is not None else Status.LOGIN_STATE_NOT_LOGIN
        if status is Status.LOGIN_STATE_NOT_LOGIN and self._is_login_waiting:
            return Status.LOGIN_STATE_LOGINING
        return status

    # --- in the trio thread ---

    def _wake_up(self) -> None:
        self._wake.set()

    async def run(self, reactor: Reactor) -> None:
        """Make the calls that come, until the instance is destroyed."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery, self._reactor = nursery, reactor
                end = Deadline(reactor, nursery.cancel_scope.cancel)
                nursery.start_soon(self._crew.run)
                nursery.start_soon(self._make_calls, end)
                try:
                    await self.dispatcher.ended()
                finally:
                    end.cancel()
                nursery.cancel_scope.cancel()
        finally:
            self._is_destroyed = True
            self._nursery = None
            if self._life is not None:
                # A callback did not return in time: this is told after it, by and by.
                for words in self._life.last_words:
                    self.callbacks.put(*words)
            self.callbacks.close()

    async def _make_calls(self, end: Deadline) -> None:
        count = 0
        while True:
            # Read in this order: what was called before `destroy` is seen once that is.
            is_destroyed = self._is_destroyed
            if not self._calls:
                if is_destroyed:
                    break
                await self._wake.wait()
                self._wake = trio.Event()
                continue
            with self._lock:
                name, do = self._calls.popleft()
                dropped, self._dropped_calls = self._dropped_calls, 0
            self._make(name, do)
            if dropped:
                reason = f"{dropped} calls were dropped: {MAX_WAITING_CALLS} were waiting"
                self.put("on_error", "calls", ECode.GENERAL_E, reason)
            count += 1
            if count % CALLS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
        await self._end(end)

    def _make(self, name: str, do: Callable[[], object]) -> None:
        try:
            do()
        except SignalError as exc:
            self.fail(name, exc)
        except BaseException as exc:  # noqa: BLE001  nothing waits in here: see below
            # A mistake of ours, or an argument whose own methods raise (`__repr__`, `__eq__`, …),
            # be it SystemExit, must not end the instance, nor all others.
            self.put("on_error", name, ECode.GENERAL_E_UNKNOWN, in_words(exc))
            note("%s failed", name)

    async def _end(self, end: Deadline) -> None:
        end.set_after(CLOSE_SECONDS)
        if self._life is not None:
            self._life.leave()
            await self._life.ended.wait()
        self.dispatcher.finish()

    # --- logging in and out ---

    def refuse_login(self, error: SignalError) -> None:
        """A login's arguments are wrong."""
        if not self._is_taken():
            ecode = error.ecode
            self.put_all(("on_login_failed", ecode), ("on_error", LOGIN, ecode, error.reason))

    def _is_taken(self) -> bool:
        """Is the instance logged in, or about to be? Then `on_error` hears that a login is not to
        be called, and all stays as it is.
        """
        self._is_login_waiting = False
        life = self._life
        if life is None or life.is_leaving or life.ended.is_set():
            return False
        reason = f"login in wrong status : {int(life.status)}"
        self.put("on_error", LOGIN, ECode.LOGIN_E_ALREADY_LOGIN, reason)
        return True

    def login(self, account: Account, policy: RetryPolicy) -> None:
        """Log in; refused where the instance is logged in, or about to be."""
        if self._is_taken():
            return
        before = self._life
        if self._nursery is None or self._reactor is None:
            return
        key = (account.appid, account.name)
        if self._seen[:2] != key:
            self._seen = (*key, Seen())
        means = Means(
            dialer=self._dialer,
            reactor=self._reactor,
            log=self.log,
            dispatcher=self.dispatcher,
            tell=self.tell,
        )
        after = before.ended if before is not None else None
        self.callbacks.label = account.name
        self._life = Life(means, account, policy, self._seen[2], after)
        self._nursery.start_soon(self._life.run)

    def log_out(self) -> None:
        """Log out; `on_error` hears 108 where there is nobody to log out."""
        life = self._life
        if life is None or life.is_leaving or life.ended.is_set():
            reason = "logout when logouted, ignore this action"
            self.put("on_error", "logout", ECode.LOGOUT_E_ALREADY_LOGOUT, reason)
        else:
            life.leave()

    def join(self, channel: str) -> None:
        """Join a channel. Raises `SignalError` where nobody is logged in."""
        if self._life is None or self.client is None:
            raise not_logged_in("channel join when logouted")
        self._life.join(channel)

    def invite(self, channel: str, account: str, extra: JsonValue) -> None:
        """Call an account. Raises `SignalError` where nobody is logged in, or `extra` is text that
        is not JSON.
        """
        if self._life is None or self.client is None:
            raise not_logged_in()
        names.check_json_extra(extra)
        self._life.invite(channel, account, extra)

    @property
    def account(self) -> str:
        """The account that has logged in last."""
        return self._life.account.name if self._life is not None else ""

    @property
    def client(self) -> SessionClient | None:
        """The session that there is, logged in or about to be."""
        life = self._life
        return life.client if life is not None and not life.is_leaving else None

    # --- telling ---

    async def tell(self, name: str, *args: Any) -> None:
        """Have a callback run, and wait until it has. For the dispatcher's turns only."""
        await self.callbacks.hand_over(name, *args)

    def put(self, name: str, *args: Any) -> None:
        """Have a callback run in its turn."""
        self.dispatcher.put_outcome(partial(self.tell, name, *args))

    def put_all(self, *told: tuple[Any, ...]) -> None:
        """Have callbacks, each with its arguments, run in their turn, with nothing in between."""
        self.dispatcher.put_outcome(partial(self._tell_all, told))

    def fail(self, name: str, exc: SignalError, *heard: Any) -> None:
        """Have a failure told: by the callback `heard`, where there is one, then by `on_error`."""
        error = ("on_error", name, *general(exc))
        self.put_all(*([heard, error] if heard else [error]))

    async def _tell_all(self, told: tuple[tuple[Any, ...], ...]) -> None:
        for words in told:
            await self.tell(*words)
