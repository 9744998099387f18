"""Rates: how often something may happen in a second.

Owns: the sliding window, and the windows of many. Must not know what is counted, nor the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

WINDOW_SECONDS = 1.0
MAX_IDLE_RATES: Final = 10_000
"""How many rates are remembered before those that have been quiet for a second are forgotten."""


_NEVER: Final[deque[float]] = deque(maxlen=0)
"""What all share for which nothing was counted yet, which are most: a deque takes 600 bytes."""


class Rate:
    """At most `limit` times in any second, exactly: the times of the last `limit` are kept. The
    limit may differ from call to call.
    """

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times = _NEVER

    def allows(self, limit: int, now: float) -> bool:
        """Count one more at `now`, unless that were more than `limit` (0: no limit) in a second."""
        if not limit:
            return True
        times = self._times
        while times and now - times[0] >= WINDOW_SECONDS:
            times.popleft()
        if len(times) >= limit:
            return False
        if times is _NEVER:
            times = self._times = deque()
        times.append(now)
        return True

    def is_idle(self, now: float) -> bool:
        """Has nothing been counted for a second?"""
        return not self._times or now - self._times[-1] >= WINDOW_SECONDS


class Rates(Generic[K]):
    """The rates of many, each by its key."""

    def __init__(self) -> None:
        self._rates: dict[K, Rate] = {}

    def __len__(self) -> int:
        """How many rates are remembered."""
        return len(self._rates)

    def of(self, key: K, now: float) -> Rate:
        """The rate of `key`."""
        rate = self._rates.get(key)
        if rate is None:
            if len(self._rates) >= MAX_IDLE_RATES:
                self._rates = {
                    key: rate for key, rate in self._rates.items() if not rate.is_idle(now)
                }
            rate = self._rates[key] = Rate()
        return rate
