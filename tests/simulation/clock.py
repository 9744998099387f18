"""Simulated time: it stands still while anybody has something to do, and goes on then to when the
next one has.

Owns: what time it is, and who sleeps until when. Must not know who, nor why.

Trio's own clock for tests finds out by itself whether all are waiting, and trio ends each sleep by
cancelling a scope, with an exception: together a third of what a world took, most of whose time
passes while nothing happens.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeAlias

import trio

_Sleep: TypeAlias = "tuple[float, int, trio.lowlevel.Task]"


class SimulatedClock(trio.abc.Clock):
    """A clock for `trio.run`, which begins at 0. In what it runs, nothing comes from elsewhere: no
    packet, no thread and no signal.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._sleeps: list[_Sleep] = []
        self._order = count()
        self._aborted: set[int] = set()
        """Of those, which have ended, since somebody was cancelled."""

    @property
    def sleeps(self) -> int:
        """How many sleeps it remembers."""
        return len(self._sleeps)

    def start_clock(self) -> None:
        """It needs no start."""

    def current_time(self) -> float:
        """What it shows."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Go on to `deadline`, or to the end of the next sleep. Trio asks when no task can run, and
        so only then.
        """
        sleeps = self._sleeps
        self._forget()
        now = min(deadline, sleeps[0][0]) if sleeps else deadline
        if now == math.inf:
            return math.inf
        self._now = max(self._now, now)
        while sleeps and sleeps[0][0] <= now:
            trio.lowlevel.reschedule(heapq.heappop(sleeps)[2])
            self._forget()
        return 0.0

    def _forget(self) -> None:
        """Let those that were ended by others not be the next to end."""
        while self._sleeps and self._sleeps[0][1] in self._aborted:
            self._aborted.remove(heapq.heappop(self._sleeps)[1])

    @contextmanager
    def ends_sleeps(self) -> Iterator[None]:
        """Meanwhile whoever sleeps is woken by this clock. What is run meanwhile runs on it."""
        sleep, sleep_until = trio.sleep, trio.sleep_until
        trio.sleep, trio.sleep_until = self._sleep, self._sleep_until
        try:
            yield
        finally:
            trio.sleep, trio.sleep_until = sleep, sleep_until

    async def _sleep(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"nobody sleeps for {seconds} s")
        await self._sleep_until(self._now + seconds)

    async def _sleep_until(self, deadline: float) -> None:
        if not deadline > self._now:
            await trio.lowlevel.checkpoint()
            return
        number = next(self._order)
        heapq.heappush(self._sleeps, (deadline, number, trio.lowlevel.current_task()))

        def abort(_: object) -> trio.lowlevel.Abort:
            self._aborted.add(number)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
