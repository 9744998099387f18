"""Operations that are awaited in a loop, while they are under way in the trio thread.

Owns: one outcome's way from there to here. Must not know what the operation does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
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
    """An operation of the trio thread, to be awaited in the loop of `crossing`: begun there by
    `start`, which calls `do`.

    It ends in the trio thread; the loop is woken only where somebody waits. Both look at what the
    other writes after they have written themselves, so that neither misses the other.
    """

    __slots__ = ("_crossing", "_do", "_inner", "_waiting")

    def __init__(self, crossing: Loop, do: Callable[[], Operation[T]]) -> None:
        super().__init__()
        self._crossing = crossing
        self._do: Callable[[], Operation[T]] | None = do
        self._inner: Operation[T] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    # --- in the trio thread ---

    def start(self) -> None:
        """Begin."""
        do, self._do = self._do, None
        if do is None:
            return
        try:
            inner = do()
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
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

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
            self._waiting.append(future)
            try:
                if not self.is_done:
                    yield from future
            finally:
                if future in self._waiting:
                    # Cancelled: it may be awaited once more, and any number of times.
                    self._waiting.remove(future)
        return self.outcome()
