"""Entries that the trio thread has handed to another thread, which takes them one by one.

Owns: what was taken, what has ended, and that whatever was not taken can still be taken back. Must
not know what an entry is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from signal_sdk.client.facts import Turn

__all__ = ["Handed"]

E = TypeVar("E")


class Handed(Generic[E]):
    """Entries in order, each with its turn, where it has one. What has a turn has begun when it was
    taken, and not when it was handed over: who goes before that leaves it where it came from.
    """

    __slots__ = ("_begun", "_ended", "_entries", "_is_reported", "_lock", "_taken", "_told")

    def __init__(self, entries: Iterable[tuple[E, Turn | None]]) -> None:
        self._lock = threading.Lock()
        self._entries = list(entries)
        self._taken = 0
        self._ended = 0
        self._begun = 0
        """Of how many their turns know that they have begun."""
        self._told = 0
        """And that they have ended."""
        self._is_reported = True

    # --- the other thread ---

    def take(self) -> tuple[E, Turn | None] | None:
        """The next entry, which begins now; None where there is none any more."""
        with self._lock:
            if self._taken >= len(self._entries):
                return None
            entry = self._entries[self._taken]
            self._taken += 1
            return entry

    def end(self) -> None:
        """What was taken last has ended. Its turn knows so by `settle`."""
        self._ended = self._taken

    def report(self, call: Callable[[Callable[[], object]], object]) -> None:
        """Have `call` call `settle` in the trio thread, where a turn is to know something."""
        if self._is_reported and self._ended and self._entries[self._ended - 1][1] is not None:
            self._is_reported = False
            call(self.settle)

    # --- the trio thread ---

    def settle(self) -> None:
        """Tell the turns what is so by now."""
        self._is_reported = True
        ended = self._ended
        while self._begun < self._taken:
            turn = self._entries[self._begun][1]
            self._begun += 1
            if turn is not None:
                turn.begin()
        while self._told < ended:
            turn = self._entries[self._told][1]
            self._told += 1
            if turn is not None:
                turn.end()

    def take_back(self) -> list[tuple[E, Turn | None]]:
        """All that was not taken, which nobody can take any more."""
        with self._lock:
            back = self._entries[self._taken :]
            del self._entries[self._taken :]
        self.settle()
        return back
