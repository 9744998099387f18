"""The wheel: who is to be looked at in which second, so that of very many who are silent each is
looked at when its time may be over, and not once a second.

Owns: the seconds, and who is in each. Must not know what is looked for, nor a clock.
"""

from __future__ import annotations

import math
from typing import Final, Generic, TypeVar

__all__ = ["NEVER", "Wheel"]

K = TypeVar("K")

NEVER: Final = -1
"""Where nobody is put whose time is never over."""


class Wheel(Generic[K]):
    """Those who wait to be looked at, by the second of their time. Whoever puts somebody in keeps
    the place, by which it is taken out again: here that would take as much room once more.
    """

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, dict[K, None]]] = {}
        self._looked = -math.inf
        """Up to this second all have been taken out."""

    def put(self, key: K, time: float) -> int:
        """`key` is to be looked at once it is `time`; in which place it is."""
        if time == math.inf:
            return NEVER
        place = math.ceil(time)
        if place <= self._looked:
            place = int(self._looked) + 1
        # One number for all who are in it.
        place, keys = self._places.setdefault(place, (place, {}))
        keys[key] = None
        return place

    def take_out(self, key: K, place: int) -> None:
        """`key` need not be looked at. Does nothing where it was taken out."""
        _, keys = self._places.get(place, (place, {}))
        keys.pop(key, None)

    def turn(self, now: float) -> list[K]:
        """Take out all whose time has come."""
        due: list[K] = []
        for place in sorted(place for place in self._places if place <= now):
            due += self._places.pop(place)[1]
        self._looked = max(self._looked, math.floor(now))
        return due
