"""The delay line: what is to be done a fixed time after it was asked for.

Owns: the order, and one alarm for all that waits. Must not know what is done.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import trio

from signal_sdk.net.alarms import Alarm
from signal_sdk.net.reactor import Reactor

__all__ = ["DelayLine"]


class DelayLine:
    """Calls what it is given `seconds` later, in order: without a task or an alarm for each. Of
    much, what comes within `together` seconds is done together, by at most so much later. What is
    called must not wait, nor raise. Whoever puts something in bounds how much.
    """

    def __init__(self, reactor: Reactor, seconds: float, together: float) -> None:
        self._flusher = reactor.flusher
        self._seconds = seconds
        self._together = together
        self._rung_at = -math.inf
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._alarm = Alarm(reactor.alarms, self._ring)

    def __len__(self) -> int:
        """How much waits."""
        return len(self._waiting)

    def put(self, action: Callable[[], None]) -> None:
        """Call `action` when its time has come."""
        due = trio.current_time() + self._seconds
        self._waiting.append((due, action))
        if len(self._waiting) == 1:
            self._alarm.set(max(due, self._rung_at + self._together))

    def _ring(self) -> None:
        now = self._rung_at = trio.current_time()
        # What they send goes out at the end, without a task's turn in between.
        self._flusher.hold()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1]()
        self._flusher.release()
        if self._waiting:
            self._alarm.set(max(self._waiting[0][0], now + self._together))
