"""Timers: what is to be done later, in one heap, with one task that sleeps.

Owns: the sleeping, and the tasks in which due actions run. Must not know what an action does, or
why its deadline is when it is.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

import trio

logger = logging.getLogger("signal_sdk.server")

Action = Callable[[], Awaitable[None]]

MIN_CLEARED: Final = 1000
"""How many cancelled appointments are not worth clearing away."""


class Timer:
    """One action's appointment."""

    __slots__ = ("_timers", "action")

    def __init__(self, timers: Timers, action: Action) -> None:
        self._timers = timers
        self.action: Action | None = action

    def cancel(self) -> None:
        """Never run the action. May be called again, and after it ran."""
        if self.action is not None:
            self.action = None
            self._timers.count_cancelled()


class Timers:
    """Appointments on trio's clock. The cancelled are cleared away once they are the most."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._cancelled = 0
        self._earlier = trio.Event()

    def after(self, seconds: float, action: Action) -> Timer:
        """Run `action` in `seconds` from now, in a task of its own."""
        return self.at(trio.current_time() + max(seconds, 0.0), action)

    def at(self, time: float, action: Action) -> Timer:
        """Run `action` once trio's clock shows `time`, in a task of its own."""
        timer = Timer(self, action)
        entry = (time, next(self._order), timer)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._earlier.set()
        return timer

    def count_cancelled(self) -> None:
        """An appointment was cancelled; called by it."""
        self._cancelled += 1
        if self._cancelled >= MIN_CLEARED and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run what is due, until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                self._earlier = trio.Event()
                now = trio.current_time()
                while self._heap and self._heap[0][0] <= now:
                    _, _, timer = heapq.heappop(self._heap)
                    if timer.action is None:
                        self._cancelled -= 1
                    else:
                        nursery.start_soon(_run, timer.action)
                        timer.action = None
                with trio.move_on_at(self._heap[0][0] if self._heap else float("inf")):
                    await self._earlier.wait()


async def _run(action: Action) -> None:
    try:
        await action()
    except Exception:
        # One rule's mistake must not stop every other timer of the node.
        logger.exception("a timer's action failed")
