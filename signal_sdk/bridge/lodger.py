"""A `Signal` that lives in the process's trio thread, for a program that runs elsewhere.

Owns: the way into the trio thread, in the order of the calls, and the life of the `Signal`'s block
there. Must not know who calls, nor how that waits: asyncio's side and the blocking one do.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from signal_sdk.flat.callback_thread import note
from signal_sdk.flat.thread import TrioThread, settle
from signal_sdk.net.reactor import Reactor
from signal_sdk.raised import is_cancellation

__all__ = ["NOT_ENTERED", "Block", "Lodger"]

T = TypeVar("T")

CALLS_PER_TURN: Final = 100
"""How many calls are made before the trio thread does something else."""
LOOK_SECONDS: Final = 0.25
"""How often who waits for the trio thread looks whether it is still there."""
NOT_ENTERED: Final = "the Signal's block was not entered: that begins by `with` or `async with`"
FORKED: Final = (
    "this Signal lives in the process {pid}, before that forked, and its thread and its connections"
    " stayed there: enter a Signal's block in the process that uses it"
)
ENDED: Final = "the thread that this Signal lived in has ended: enter another Signal's block"


class Block(Protocol):
    """What is lived in the trio thread: a `Signal`'s block."""

    async def enter(self) -> object:
        """Enter it."""

    async def leave(self, exc: BaseException | None) -> None:
        """Leave it, by an exception or without one."""


class Lodger:
    """One `Signal` in the trio thread. `entered` and `ended` are done when its block is."""

    def __init__(self, block: Block) -> None:
        self.entered: Future[None] = Future()
        self.ended: Future[None] = Future()
        for future in (self.entered, self.ended):
            future.set_running_or_notify_cancel()  # nobody can cancel it any more
        self._block = block
        # Reentrant: what is collected in the midst of a call may have a last call of its own.
        self._lock = threading.RLock()
        self._calls: deque[Callable[[], object]] = deque()
        self._is_woken = False
        self._is_over = False
        self._pid = 0
        self._thread: TrioThread | None = None
        self._ident = 0
        self._nursery: trio.Nursery | None = None
        self._leaving = trio.Event()
        self._exit = trio.CancelScope()
        self._left_by: BaseException | None = None

    # --- from any thread ---

    def start(self) -> None:
        """Enter the block, in the trio thread, which is started where there is none."""
        self._pid = os.getpid()
        self._thread = settle(self)

    def check(self) -> None:
        """Raise `RuntimeError` where the block was not entered, and in a process that was forked
        since.
        """
        if not self._pid:
            raise RuntimeError(NOT_ENTERED)
        if self._pid != os.getpid():
            raise RuntimeError(FORKED.format(pid=self._pid))

    def call(self, do: Callable[[], object]) -> bool:
        """Have `do` called in the trio thread, in the order of the calls. Never waits. `do` raises
        nothing. Once the block has been left, nobody has anything of it any more: False.
        """
        with self._lock:
            if self._is_over:
                return False
            self._calls.append(do)
            if not self._is_woken and self._thread is not None:
                self._is_woken = True
                self._thread.call_soon(self._make_calls)
            return True

    def ask(self, do: Callable[[], object]) -> None:
        """As `call`, for what somebody waits for: once the block has been left, it is called here,
        since nothing of it is anybody else's any more.
        """
        if not self.call(do):
            do()

    def now(self, do: Callable[[], T]) -> T:
        """Call `do` in the trio thread, in its turn and in a copy of this context, and wait for
        that: some 0.1 ms where the thread is not busy, since nothing there waits for anybody.
        """
        self.check()
        if threading.get_ident() == self._ident:
            raise RuntimeError("what runs in the SDK's own thread (a Dialer) cannot call a Signal")
        answer: Future[T] = Future()
        self.ask(partial(_answer, answer, partial(copy_context().run, do)))
        return self.wait(answer)

    def wait(self, answer: Future[T], seconds: float | None = None) -> T:
        """Wait for an answer from the trio thread. Raises `TimeoutError`."""
        left = seconds
        while True:
            look = LOOK_SECONDS if left is None else min(left, LOOK_SECONDS)
            with contextlib.suppress(TimeoutError):
                return answer.result(look)
            if answer.done():
                return answer.result()
            if left is not None and (left := left - look) <= 0:
                raise TimeoutError
            if self._thread is not None and not self._thread.is_alive and not answer.done():
                raise RuntimeError(ENDED)

    def spawn(self, ask: Callable[[], Awaitable[T]]) -> tuple[Future[T], Callable[[], object]]:
        """Have `ask` awaited in the trio thread, in a copy of this context; what it comes to, and
        what ends the waiting.
        """
        self.check()
        context = copy_context()
        answer: Future[T] = Future()
        scope = trio.CancelScope()

        async def run() -> None:
            try:
                with scope:
                    result = await ask()
            except BaseException as exc:
                if is_cancellation(exc):
                    raise
                answer.set_exception(exc)
                return
            if scope.cancelled_caught:
                answer.set_exception(TimeoutError())
            else:
                answer.set_result(result)

        async def start() -> None:
            try:
                await run()
            finally:
                if not answer.done():
                    answer.set_exception(RuntimeError(ENDED))

        def begin() -> None:
            if self._nursery is None:
                answer.set_exception(RuntimeError("the Signal's block has been left"))
            else:
                context.run(self._nursery.start_soon, start)

        self.ask(begin)
        return answer, partial(self.call, scope.cancel)

    def leave(self, exc: BaseException | None) -> None:
        """Leave the block; by an exception, at once, even where it is being left already. Never
        waits.
        """
        if self._pid != os.getpid():
            return

        def do() -> None:
            if exc is not None and self._leaving.is_set():
                self._exit.cancel()
            elif not self._leaving.is_set():
                self._left_by = exc
                self._leaving.set()

        self.call(do)

    def close(self) -> None:
        """The interpreter ends: log out."""
        self.leave(None)

    # --- in the trio thread ---

    def _make_calls(self) -> None:
        """Make what calls there are; those that come meanwhile wake the thread anew."""
        self._is_woken = False
        for _ in range(CALLS_PER_TURN):
            if not self._calls:
                return
            _make(self._calls.popleft())
        if self._thread is not None:
            with self._lock:
                self._is_woken = True
            self._thread.call_soon(self._make_calls)

    async def run(self, reactor: Reactor) -> None:  # noqa: ARG002  a Signal has its own
        """Live in the block until it is to be left."""
        self._ident = threading.get_ident()
        failed: BaseException | None = RuntimeError(ENDED)
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with self._exit:
                        await self._live(nursery)
                    failed = None
                except BaseException as exc:
                    if is_cancellation(exc):
                        raise
                    failed = exc
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self._end(failed)

    async def _live(self, nursery: trio.Nursery) -> None:
        await self._block.enter()
        self._nursery = nursery
        self.entered.set_result(None)
        try:
            await self._leaving.wait()
        except BaseException as exc:
            await self._block.leave(exc)
            raise
        await self._block.leave(self._left_by)

    def _end(self, failed: BaseException | None) -> None:
        """Nothing of the block is left: what is called from here on is called by who calls it."""
        with self._lock:
            self._is_over = True
            left = list(self._calls)
            self._calls.clear()
        for do in left:
            _make(do)
        for future in (self.entered, self.ended):
            if not future.done() and failed is not None:
                future.set_exception(failed)
            elif not future.done():
                future.set_result(None)


def _make(do: Callable[[], object]) -> None:
    """Make a call. One that raises is a mistake of ours, which must not end those who live in the
    thread beside.
    """
    try:
        do()
    except BaseException:  # noqa: BLE001  it is noted
        note("a call into the trio thread has failed")


def _answer(answer: Future[T], do: Callable[[], T]) -> None:
    answer.set_running_or_notify_cancel()
    try:
        result = do()
    except BaseException as exc:  # noqa: BLE001  it is raised to who waits
        answer.set_exception(exc)
    else:
        answer.set_result(result)
