"""`Signal` whose methods wait.

Owns: its block, entered and left in any thread and lived in the trio thread. Must not know what the
block does: `signal_sdk.Signal` does.
"""

from __future__ import annotations

import os
import ssl
from functools import partial
from types import TracebackType
from typing import Final, Self

from signal_sdk import login_session as _login_session
from signal_sdk import signal as _signal
from signal_sdk.bridge.lodger import Lodger
from signal_sdk.client.backoff import Backoff
from signal_sdk.client.dialer import Dialer
from signal_sdk.signal import RECONNECT
from signal_sdk.sync.objects import LoginSession
from signal_sdk.sync.waiter import Waiter

__all__ = ["Signal"]

TIMEOUT_SECONDS: Final = 30.0
"""How long a call waits: above the 10 s in which the server has to answer."""


class Signal:
    """The entrance to an app, for scripts, threads and notebooks: all that it gives waits.

        with Signal(appid) as signal, signal.login("alice", token) as session:
            session.message_instant_send("bob", "hello")

    The arguments are those of `signal_sdk.Signal`, and the methods as there, without callbacks:
    what comes in is read from streams. A call returns its result, or raises the `SignalError` that
    it failed with; one that has no outcome within `timeout` seconds (None: waits for ever) raises
    `TimeoutError`, and Ctrl-C breaks it off: neither undoes what was asked. Any thread may call,
    also one in which an event loop runs, which stands still for as long.

    The connections live in one background thread of the process, which the flat API shares. Leaving
    the block logs every session out; an exception in it ends all at once. Where one block cannot
    hold it all, as in the cells of a notebook, `open` and `close` are its two ends.
    """

    def __init__(
        self,
        appid: str,
        *,
        server: str | Dialer | None = None,
        ssl_context: ssl.SSLContext | None = None,
        reconnect: Backoff | None = RECONNECT,
        proxy: str | None = None,
        trace: str | os.PathLike[str] | None = None,
        trace_texts: bool = False,
        timeout: float | None = TIMEOUT_SECONDS,
    ) -> None:
        self._signal = _signal.Signal(
            appid,
            server=server,
            ssl_context=ssl_context,
            reconnect=reconnect,
            proxy=proxy,
            trace=trace,
            trace_texts=trace_texts,
        )
        self._waiter = Waiter(Lodger(_Block(self._signal)), timeout)
        self._has_begun = False

    def __repr__(self) -> str:
        return repr(self._signal)

    @property
    def appid(self) -> str:
        """The app's id."""
        return self._signal.appid

    @property
    def accounts(self) -> frozenset[str]:
        """As `signal_sdk.Signal.accounts`."""
        return self._signal.accounts

    # --- the block ---

    def __enter__(self) -> Self:
        if self._has_begun:
            raise RuntimeError("a Signal's block is entered once; make another Signal")
        self._has_begun = True
        lodger = self._waiter.lodger
        lodger.start()
        try:
            lodger.wait(lodger.entered)
        except BaseException as exc:
            lodger.leave(exc)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lodger = self._waiter.lodger
        lodger.check()
        lodger.leave(exc)
        try:
            lodger.wait(lodger.ended)
        except BaseException as broken:
            # Ctrl-C, once more.
            lodger.leave(broken)
            raise

    def open(self) -> Self:
        """Enter the block, and return this: for what goes on in several cells of a notebook, or
        ends in another function. Raises `RuntimeError` where it was entered before.
        """
        return self.__enter__()

    def close(self) -> None:
        """Leave the block that `open` has entered: every session is logged out. Where it was left
        before, or never entered, nothing happens.
        """
        if self._has_begun:
            self.__exit__(None, None, None)

    # --- what is asked ---

    def login(
        self,
        account: str,
        token: str,
        *,
        many_channels: bool = False,
        takes_bytes: bool = False,
        timeout: float | None = None,
    ) -> LoginSession:
        """Log `account` in, and return its session once it is: as `signal_sdk.Signal.login`, within
        `timeout` seconds where that is given. Raises `LoginError`, or `TimeoutError`, after which
        the login is given up.
        """

        async def logged_in() -> _login_session.LoginSession:
            session = self._signal.login(
                account, token, many_channels=many_channels, takes_bytes=takes_bytes
            )
            # Where it is given up, nobody has the session.
            return await session.__aenter__()

        session = self._waiter.get(logged_in, timeout, undo=_login_session.LoginSession.logout)
        return LoginSession(self._waiter, session)

    def set_do_log(self, do_log: bool) -> None:
        """As `signal_sdk.Signal.set_do_log`."""
        self._signal.set_do_log(do_log)

    def get_status(self) -> int:
        """As `signal_sdk.Signal.get_status`."""
        return self._signal.get_status()

    def user_set_attr(self, name: str, value: str) -> None:
        """As `signal_sdk.Signal.user_set_attr`."""
        self._waiter.get(partial(self._signal.user_set_attr, name, value))

    def user_get_attr(self, account: str, name: str) -> str:
        """As `signal_sdk.Signal.user_get_attr`."""
        return self._waiter.get(partial(self._signal.user_get_attr, account, name))

    def user_get_attr_all(self, account: str) -> dict[str, str]:
        """As `signal_sdk.Signal.user_get_attr_all`."""
        return self._waiter.get(partial(self._signal.user_get_attr_all, account))

    def channel_query_user_num(self, name: str) -> int:
        """As `signal_sdk.Signal.channel_query_user_num`."""
        return self._waiter.get(partial(self._signal.channel_query_user_num, name))


class _Block:
    """The block of a `Signal` in the trio thread."""

    def __init__(self, signal: _signal.Signal) -> None:
        self._signal = signal

    async def enter(self) -> None:
        await self._signal.__aenter__()

    async def leave(self, exc: BaseException | None) -> None:
        await self._signal.__aexit__(type(exc) if exc else None, exc, None)
