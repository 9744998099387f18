"""Notes: what somebody in a test has heard, and waiting for more.

Owns: the list, and who waits for which entry. Must not know what an entry is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import trio

__all__ = ["Notes"]

CATCH_UP_SECONDS: Final = 0.05
"""How much longer is waited for what has arrived and is not read yet: a test may stand still."""

T = TypeVar("T")


class Notes(Generic[T]):
    """What was heard, oldest first, each with trio's time, and what of it was taken."""

    def __init__(self) -> None:
        self.all: list[tuple[float, T]] = []
        self._left: list[T] = []
        self._more = trio.Event()

    def put(self, entry: T) -> None:
        """Something was heard."""
        self.all.append((trio.current_time(), entry))
        self._left.append(entry)
        self._more.set()

    def is_left(self, entry: T) -> bool:
        """Has nobody taken it?"""
        return any(it is entry for it in self._left)

    async def take(self, fits: Callable[[T], bool], within: float) -> T | None:
        """The first that fits and that nobody has taken, as soon as it is there; None where there
        is none in `within` seconds.
        """
        with trio.move_on_after(within + CATCH_UP_SECONDS):
            while True:
                for index, entry in enumerate(self._left):
                    if fits(entry):
                        del self._left[index]
                        return entry
                self._more = trio.Event()
                await self._more.wait()
        return None
