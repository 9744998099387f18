"""Rates: how often something may happen in a second.

Owns: the sliding window. Must not know what is counted, nor the clock.
"""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 1.0


class Rate:
    """At most `limit` times in any second, exactly: the times of the last `limit` are kept. The
    limit may differ from call to call.
    """

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def allows(self, limit: int, now: float) -> bool:
        """Count one more at `now`, unless that were more than `limit` (0: no limit) in a second."""
        if not limit:
            return True
        times = self._times
        while times and now - times[0] >= WINDOW_SECONDS:
            times.popleft()
        if len(times) >= limit:
            return False
        times.append(now)
        return True

    def is_idle(self, now: float) -> bool:
        """Has nothing been counted for a second?"""
        return not self._times or now - self._times[-1] >= WINDOW_SECONDS
