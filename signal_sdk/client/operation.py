"""Operations: what a method that returns at once returns, for those who want to wait for its
outcome.

Owns: one outcome, and any number of tasks that await it. Must not know what the operation does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import trio

from signal_sdk.errors import SignalError

__all__ = ["Operation", "Promise", "done"]

T = TypeVar("T")


class Operation(Generic[T]):
    """Something that is under way already, whether anybody waits for it or not.

    `await operation` gives its result, or raises the `SignalError` that it failed with. It may be
    awaited by any number of tasks, any number of times, before its end or after; an operation that
    nobody awaits raises nothing, and its callback hears of its end all the same. Cancelling an
    `await` does not undo the operation.
    """

    __slots__ = ("_error", "_event", "_value", "is_awaited", "is_done")

    def __init__(self) -> None:
        self._value: T | None = None
        self._error: BaseException | None = None
        self._event: trio.Event | Callable[[], object] | _Told | None = None
        """Who is told of its end: tasks, or one that is called, or any number of both."""
        self.is_awaited: bool = False
        """Has anybody awaited it yet?"""
        self.is_done: bool = False
        """Is its outcome known?"""

    def __await__(self) -> Generator[Any, Any, T]:
        self.is_awaited = True
        return self._wait().__await__()

    async def _wait(self) -> T:
        if self.is_done:
            await trio.lowlevel.checkpoint()
        else:
            event = self._event
            if event is None:
                event = self._event = trio.Event()
            elif not isinstance(event, trio.Event | _Told):
                event = self._event = _Told(event, None)
            await event.wait()
        return self.outcome()

    def outcome(self) -> T:
        """Its result, once it is done; raises what it failed with."""
        if self._error is not None:
            # Each awaiter raises its own copy: a traceback belongs to one raise.
            raise copy.copy(self._error) from self._error.__cause__
        return self._value  # type: ignore[return-value]  # set by whoever ended the operation

    def tell(self, do: Callable[[], object]) -> None:
        """Have `do` called at its end, in the task that ends it; at once where it is done."""
        if self.is_done:
            do()
        elif self._event is None:
            self._event = do
        elif isinstance(self._event, _Told):
            self._event.dos.append(do)
        elif isinstance(self._event, trio.Event):
            self._event = _Told(do, self._event)
        else:
            self._event = _Told(self._event, None)
            self._event.dos.append(do)

    def __repr__(self) -> str:
        if not self.is_done:
            state = "under way"
        else:
            state = "done" if self._error is None else f"failed: {self._error}"
        return f"<{type(self).__name__} {state}>"


class _Told:
    """In the place of an event: it sets the event that there is, and calls all of `dos`."""

    __slots__ = ("_event", "dos")

    def __init__(self, do: Callable[[], object], event: trio.Event | None) -> None:
        self.dos: list[Callable[[], object]] = [do]
        self._event = event

    def set(self) -> None:
        if self._event is not None:
            self._event.set()
        for do in self.dos:
            do()

    async def wait(self) -> None:
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()


class Promise(Operation[T]):
    """The side of an `Operation` that ends it. The first outcome is the one that counts."""

    __slots__ = ()

    def succeed(self, value: T) -> None:
        """End it with a result."""
        if not self.is_done:
            self._value = value
            self.is_done: bool = True
            if self._event is not None:
                self._wake()

    def fail(self, error: SignalError) -> None:
        """End it with an error."""
        if not self.is_done:
            self._error = error
            self.is_done = True
            if self._event is not None:
                self._wake()

    def _wake(self) -> None:
        event, self._event = self._event, None
        if isinstance(event, trio.Event | _Told):
            event.set()
        elif event is not None:
            event()


def done(value: T) -> Operation[T]:
    """An operation that has succeeded already."""
    promise: Promise[T] = Promise()
    promise.succeed(value)
    return promise
