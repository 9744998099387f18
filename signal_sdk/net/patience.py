"""Patience: a clock for judging others by, which does not count the time in which this process
stood still.

Owns: noticing that the process stood still (SIGSTOP, a suspended machine, a callback that blocks),
and how much time that was. Must not know who is judged. Whoever stood still has heard nothing, and
said nothing: neither is the other side's fault.
"""

from __future__ import annotations

import math
from typing import Final

import trio

__all__ = ["BEAT_SECONDS", "GRACE_SECONDS", "LATE_SECONDS", "PatientClock"]

BEAT_SECONDS: Final = 1.0
"""How often somebody looks at the clock at least, while its owner runs."""
LATE_SECONDS: Final = 1.0
"""How much later than that the next look may be, before the process is said to have stood still."""
GRACE_SECONDS: Final = 10.0
"""For how long the clock still stands once the process goes on: an answer may take that long, as
may the next ping, and a network needs a moment to come back with its machine."""
GRACE_EVERY_SECONDS: Final = 60.0
"""A process that stands still again and again has that once in a minute, so that whoever is gone is
missed at last."""


class PatientClock:
    """Trio's clock, less the time in which nobody looked at it who should have, and less a grace
    after that. Never goes backwards.
    """

    __slots__ = ("_beat_at", "_grace_at", "_held_at", "_lost")

    def __init__(self) -> None:
        self._lost = 0.0
        self._held_at = -math.inf
        self._beat_at = math.inf
        self._grace_at = -math.inf

    def start(self) -> None:
        """From now on somebody looks every `BEAT_SECONDS`."""
        self._beat_at = trio.current_time()

    def time(self) -> float:
        """What it shows, in seconds."""
        return self.time_at(trio.current_time())

    def time_at(self, now: float) -> float:
        """What it shows while trio's clock shows `now`."""
        if now - self._beat_at > BEAT_SECONDS + LATE_SECONDS:
            self._stood_still(now)
        self._beat_at = now
        shown = now - self._lost
        return max(self._held_at, shown)

    def when(self, time: float) -> float:
        """When it shows `time`, by trio's clock, unless the process stands still once more; now,
        where it has shown that already.
        """
        return time + self._lost if time > self._held_at else trio.current_time()

    def _stood_still(self, now: float) -> None:
        shown = self._beat_at - self._lost
        grace = max(self._held_at - shown, 0.0)
        shown = max(shown, self._held_at)
        if shown - self._grace_at >= GRACE_EVERY_SECONDS:
            self._grace_at = shown
            grace = GRACE_SECONDS
        self._held_at = shown
        self._lost = now + grace - shown
