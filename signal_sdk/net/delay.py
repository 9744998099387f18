"""The delay line: what is to be done a fixed time after it was asked for.

Owns: the order, and one alarm for all that waits. Must not know what is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from signal_sdk.net.alarms import Alarm
from signal_sdk.net.reactor import Reactor

__all__ = ["DelayLine"]


class DelayLine:
    """Calls what it is given no sooner than `seconds` and no later than twice that, in order: what
    comes close together is done together, without a task or an alarm for each. What is called must
    not wait, nor raise. Whoever puts something in bounds how much.
    """

    def __init__(self, reactor: Reactor, seconds: float) -> None:
        self._flusher = reactor.flusher
        self._seconds = seconds
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
            self._alarm.set(due)

    def _ring(self) -> None:
        now = trio.current_time()
        # What they send goes out at the end, without a task's turn in between.
        self._flusher.hold()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1]()
        self._flusher.release()
        if self._waiting:
            self._alarm.set(max(self._waiting[0][0], now + self._seconds))
