"""Operations that are awaited in a loop, while they are under way in the trio thread.

Owns: one outcome's way from there to here. Must not know what the operation does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextvars import copy_context
from typing import Any, Protocol, TypeVar

from signal_sdk.client.operation import Operation

__all__ = ["Loop", "LoopOperation"]

T = TypeVar("T")


class Loop(Protocol):
    """The way to the loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop itself."""

    def check(self) -> object:
        """Raise `RuntimeError` anywhere but in it."""

    def put(self, do: Callable[[], object]) -> None:
        """Have `do` called in it."""


class LoopOperation(Operation[T]):
    """An operation of the trio thread, to be awaited in the loop of `crossing`: begun there where
    this is called, which calls `do` in a copy of the context in which it was made, since what is
    sent belongs to whatever the program is in the midst of.

    Many are on their way at once: each is of few objects, through which the collector has to look.
    It ends in the trio thread; the loop is woken only where somebody waits. Both look at what the
    other writes after they have written themselves, so that neither misses the other.
    """

    __slots__ = ("_args", "_context", "_crossing", "_do", "_inner", "_kwargs", "_waiting")

    def __init__(
        self,
        crossing: Loop,
        do: Callable[..., Operation[T]],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._crossing = crossing
        self._context = copy_context()
        self._do: Callable[..., Operation[T]] | None = do
        self._args = args
        self._kwargs = kwargs
        self._inner: Operation[T] | None = None
        self._waiting: list[asyncio.Future[None]] | None = None

    # --- in the trio thread ---

    def __call__(self) -> None:
        """Begin."""
        do, args, kwargs = self._do, self._args, self._kwargs
        if do is None:
            return
        self._do, self._args, self._kwargs = None, (), None
        context = self._context
        # What is in it is not kept for as long as somebody keeps this.
        del self._context
        try:
            inner = context.run(do, *args, **kwargs) if kwargs else context.run(do, *args)
        except BaseException as exc:  # noqa: BLE001  it is raised to who awaits
            self._error = exc
            self.is_done: bool = True
            self._crossing.put(self._refused)
            return
        self._inner = inner
        if self.is_awaited:
            inner.is_awaited = True
        inner.tell(self._end)

    def _end(self) -> None:
        inner = self._inner
        if inner is not None:
            self._value, self._error = inner._value, inner._error  # noqa: SLF001  the same class
        self.is_done = True
        if self._waiting:
            self._crossing.put(self._wake)

    # --- in the loop ---

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        for future in waiting or ():
            if not future.done():
                future.set_result(None)

    def _refused(self) -> None:
        """It was not begun: an argument was wrong."""
        self._wake()
        if not self.is_awaited:
            text = "a call of signal_sdk was refused, and nobody awaits it"
            self._crossing.loop.call_exception_handler({"message": text, "exception": self._error})

    def __await__(self) -> Generator[Any, Any, T]:
        self._crossing.check()
        self.is_awaited = True
        if self._inner is not None:
            self._inner.is_awaited = True
        if not self.is_done:
            future = self._crossing.loop.create_future()
            if self._waiting is None:
                self._waiting = []
            self._waiting.append(future)
            try:
                if not self.is_done:
                    yield from future
            finally:
                if self._waiting and future in self._waiting:
                    # Cancelled: it may be awaited once more, and any number of times.
                    self._waiting.remove(future)
        return self.outcome()
