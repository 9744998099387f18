"""The one private trio thread of the process, in which all instances of the flat API live.

Owns: the thread's start with the first instance, and its end with the last one or with the
interpreter; what a fork leaves behind. Must not know what an instance does.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import os
import threading
from collections.abc import Callable
from typing import Final, Protocol

import trio

from signal_sdk.flat.callback_thread import note
from signal_sdk.net.reactor import Reactor

__all__ = ["EXIT_SECONDS", "Tenant", "TrioThread", "settle"]

EXIT_SECONDS: Final = 5.0
"""How long the interpreter's end waits for logouts: above what an instance takes to close."""
LOOK_SECONDS: Final = 0.25
"""In how many pieces."""


class Tenant(Protocol):
    """Who lives in the thread."""

    def close(self) -> None:
        """End, within a bound. May be called from any thread, and again."""

    async def run(self, reactor: Reactor) -> None:
        """Live. Run in the trio thread; `reactor` serves all tenants."""


class TrioThread:
    """A thread that runs trio while there are tenants."""

    def __init__(self) -> None:
        self.tenants: set[Tenant] = set()
        self._lock = threading.RLock()
        self._token: trio.lowlevel.TrioToken | None = None
        self._early: list[Callable[[], object]] = []
        self._nursery: trio.Nursery | None = None
        self._reactor = Reactor(shares=False)
        # A context of its own: what a caller's event loop keeps in its context is not for trio.
        self._thread = threading.Thread(
            target=contextvars.Context().run, args=(self._main,), name="signal_sdk", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Does the thread run?"""
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end, but not longer than that, in many short looks: of a time in
        which the process stood still, no more counts than one of them.
        """
        for _ in range(round(seconds / LOOK_SECONDS)):
            self._thread.join(LOOK_SECONDS)
            if not self._thread.is_alive():
                return

    def call_soon(self, do: Callable[[], object]) -> None:
        """Have `do` called in the thread, in the order of the calls. Never waits."""
        with self._lock:
            if self._token is None:
                self._early.append(do)
                return
        # Where the thread has ended, it has ended for all whom something could be done for.
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(do)

    def admit(self, tenant: Tenant) -> None:
        """Run `tenant` in the thread."""
        self.tenants.add(tenant)
        self.call_soon(lambda: self._start(tenant))

    def _start(self, tenant: Tenant) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._house, tenant)

    def _main(self) -> None:
        try:
            trio.run(self._run)
        except BaseException:  # noqa: BLE001  there is nobody above to hear of it
            note("the trio thread has failed: its instances do nothing any more")
        finally:
            with _process.lock:
                if _process.thread is self:
                    _process.thread = None

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._reactor.run)
            self._nursery = nursery
            with self._lock:
                self._token = trio.lowlevel.current_trio_token()
                early, self._early = self._early, []
                for do in early:
                    do()

    async def _house(self, tenant: Tenant) -> None:
        try:
            await tenant.run(self._reactor)
        except Exception:  # noqa: BLE001  one tenant's mistake must not end the others
            note("an instance has failed")
        finally:
            self._leave(tenant)

    def _leave(self, tenant: Tenant) -> None:
        with _process.lock:
            self.tenants.discard(tenant)
            if self.tenants:
                return
            if _process.thread is self:
                _process.thread = None
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()


class _Process:
    """What this process has: at most one trio thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.thread: TrioThread | None = None


_process = _Process()


def settle(tenant: Tenant) -> TrioThread:
    """Run `tenant` in the process's trio thread, which is started where there is none."""
    with _process.lock:
        thread = _process.thread
        if thread is None:
            thread = _process.thread = TrioThread()
            thread.start()
        thread.admit(tenant)
        return thread


def _end_all() -> None:
    """The interpreter ends: so do all instances, as if each had been destroyed."""
    with _process.lock:
        thread = _process.thread
        tenants = list(thread.tenants) if thread is not None else []
    for tenant in tenants:
        tenant.close()
    if thread is not None:
        thread.join(EXIT_SECONDS)


def _forget_all() -> None:
    """In a child that was forked there are no threads, and the locks may be held for ever."""
    _process.__init__()  # type: ignore[misc]  # the object that everybody holds, as new


atexit.register(_end_all)
os.register_at_fork(after_in_child=_forget_all)
