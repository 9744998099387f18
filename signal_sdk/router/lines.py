"""Lines: what one account does in one place is handled in order, and all else beside it.

Owns: who waits behind whom, and how many may. Must not know what is handled, or how.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

import trio

__all__ = ["MAX_EVENTS", "MAX_EVENTS_OF_ONE", "Lines"]

MAX_EVENTS_OF_ONE: Final = 100
"""How many events of one account in one place may wait behind the one that is handled."""
MAX_EVENTS: Final = 10_000
"""How many events of all may wait or be handled."""

T = TypeVar("T")


class Lines(Generic[T]):
    """One task for each line that something waits in."""

    def __init__(self, nursery: trio.Nursery, handle: Callable[[T], Awaitable[None]]) -> None:
        self._nursery = nursery
        self._handle = handle
        self._lines: dict[Hashable, deque[T]] = {}
        self._full: set[Hashable] = set()
        """The lines of which it is known that they were full."""
        self._count = 0
        self._is_full = False
        self._idle = trio.Event()

    def put(self, key: Hashable, event: T) -> int | None:
        """Have an event handled in its line. Where there is no room, it is dropped: returns how
        many may wait there, once until half of them are done, else None.
        """
        line = self._lines.get(key)
        if self._count >= MAX_EVENTS:
            is_new, self._is_full = not self._is_full, True
            return MAX_EVENTS if is_new else None
        if line is not None and len(line) >= MAX_EVENTS_OF_ONE:
            is_new = key not in self._full
            self._full.add(key)
            return MAX_EVENTS_OF_ONE if is_new else None
        self._count += 1
        if line is None:
            self._lines[key] = deque([event])
            self._nursery.start_soon(self._run, key)
        else:
            line.append(event)
        return None

    async def _run(self, key: Hashable) -> None:
        line = self._lines[key]
        try:
            while line:
                try:
                    await self._handle(line.popleft())
                finally:
                    self._count -= 1
                    self._is_full = self._is_full and self._count > MAX_EVENTS // 2
                    if len(line) <= MAX_EVENTS_OF_ONE // 2:
                        self._full.discard(key)
        finally:
            self._count -= len(line)
            del self._lines[key]
            self._full.discard(key)
            if not self._lines:
                self._idle.set()

    async def wait_empty(self) -> None:
        """Wait until nothing waits or is handled."""
        while self._lines:
            self._idle = trio.Event()
            await self._idle.wait()
        await trio.lowlevel.checkpoint()
