"""Rests: who is not to be read for a while.

Owns: until when each rests. Must not know what they are, nor what is done once that is over.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable
from itertools import count
from typing import Final, Generic, TypeVar

import trio

from signal_sdk.net.alarms import Alarm, Alarms

K = TypeVar("K", bound=Hashable)

STEP_SECONDS: Final = 0.005
"""Those whose rest ends within so much end it together."""


class Rests(Generic[K]):
    """Those who rest. `wake` is called with all whose rest is over, each in its order."""

    def __init__(self, alarms: Alarms, wake: Callable[[list[K]], None]) -> None:
        self.resting: dict[K, int] = {}
        """Those who rest, each with the number of its rest."""
        self._ends: list[tuple[float, int, K]] = []
        self._numbers = count()
        self._over = Alarm(alarms, self._end)
        self._wake = wake

    def begin(self, key: K, seconds: float) -> None:
        """It rests from now on for so long, however long it rested already."""
        number = self.resting[key] = next(self._numbers)
        ends = math.ceil((trio.current_time() + seconds) / STEP_SECONDS) * STEP_SECONDS
        heapq.heappush(self._ends, (ends, number, key))
        self._over.set(self._ends[0][0])

    def forget(self, key: K) -> bool:
        """It is gone. Did it rest?"""
        return self.resting.pop(key, None) is not None

    def _end(self) -> None:
        now = trio.current_time()
        over: list[K] = []
        while self._ends and self._ends[0][0] <= now:
            _, number, key = heapq.heappop(self._ends)
            # Else it is gone, or rests anew.
            if self.resting.get(key) == number:
                del self.resting[key]
                over.append(key)
        if self._ends:
            self._over.set(self._ends[0][0])
        self._wake(over)
