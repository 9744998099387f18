"""What is due, and when.

Owns: the order of due times, and the one alarm that is set to the earliest. Must not know what is
done then.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Iterator
from itertools import count
from typing import Final, Generic, TypeVar

import trio

from signal_sdk.server.engine.base import Alarm, Ticker

K = TypeVar("K", bound=Hashable)

MIN_CLEARED: Final = 1000
"""How many appointments that were changed are not worth clearing away."""
PER_RING: Final = 200
"""How much is done before others run, at most."""
RING_SECONDS: Final = 0.001
"""For how long it is: a call that ends is told to two, and written."""
ROUNDING_SECONDS: Final = 1e-6


class Dues(Generic[K]):
    """Appointments, one for each key. `do` is called with a key whose time has come; it neither
    waits nor raises. Times are the ticker's, so that a wall clock that is set changes no
    waiting.
    """

    def __init__(self) -> None:
        self.do: Callable[[K], None] = _nothing
        self._times: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._numbers = count()
        self._alarms: list[Alarm] = []
        self._clocks: list[tuple[Callable[[], float], float]] = []
        self._time: Callable[[], float] = trio.current_time

    def __len__(self) -> int:
        """How many there are."""
        return len(self._times)

    def use(self, ticker: Ticker) -> Alarm:
        """Have an alarm of this ring, too, and look at its clock."""
        ahead = self._time() - ticker.time() if self._clocks else 0.0
        alarm = ticker.alarm(self.ring)
        self._alarms.append(alarm)
        self._clocks.append((ticker.time, ahead))
        self._time = self._furthest if len(self._clocks) > 1 or ahead else ticker.time
        return alarm

    def _furthest(self) -> float:
        """What the clock shows that has gone furthest: that of a node which has died stands still,
        be it that nobody knows so yet.
        """
        return max(time() + ahead for time, ahead in self._clocks)

    def start(self) -> None:
        """From here on, the alarms ring."""
        self._arm()

    def leave(self, alarm: Alarm) -> None:
        """It rings no more, and nobody looks at its clock any more."""
        alarm.cancel()
        at = self._alarms.index(alarm)
        del self._alarms[at], self._clocks[at]

    def set(self, key: K, seconds: float) -> None:
        """`key` is due in so many seconds, instead of when it was."""
        time = self._time() + max(seconds, 0.0)
        self._times[key] = time
        heapq.heappush(self._heap, (time, next(self._numbers), key))
        if len(self._heap) > 2 * len(self._times) + MIN_CLEARED:
            self._clear()
        if self._heap[0][2] == key:
            self._arm()

    def cancel(self, key: K) -> None:
        """`key` is not due any more."""
        self._times.pop(key, None)

    def ring(self) -> None:
        """Do what is due, some of it."""
        now = self._time()
        for key in self._take(now + ROUNDING_SECONDS):
            self.do(key)
            if self._time() >= now + RING_SECONDS:
                break
        self._arm()

    def _take(self, now: float) -> Iterator[K]:
        for _ in range(PER_RING):
            if not self._heap or self._heap[0][0] > now:
                return
            time, _, key = heapq.heappop(self._heap)
            if self._times.get(key) == time:
                del self._times[key]
                yield key

    def _arm(self) -> None:
        heap = self._heap
        while heap and self._times.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        seconds = max(heap[0][0] - self._time(), 0.0) if heap else math.inf
        for alarm in self._alarms:
            if seconds == math.inf:
                alarm.cancel()
            else:
                alarm.set_after(seconds)

    def _clear(self) -> None:
        self._heap = [(time, next(self._numbers), key) for key, time in self._times.items()]
        heapq.heapify(self._heap)


def _nothing(_: object) -> None:
    """Nobody does anything yet."""
