"""Timers: what is to be done later, in one heap, with one task that sleeps.

Owns: the sleeping, and the tasks in which due actions run. Must not know what an action does, or
why its deadline is when it is.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Awaitable, Callable
from itertools import count

import trio

logger = logging.getLogger("signal_sdk.server")

Action = Callable[[], Awaitable[None]]


class Timer:
    """One action's appointment."""

    __slots__ = ("action",)

    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        """Never run the action. May be called again, and after it ran."""
        self.action = None


class Timers:
    """Appointments on trio's clock. An action that is cancelled stays in the heap, empty, until its
    time comes.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._earlier = trio.Event()

    def after(self, seconds: float, action: Action) -> Timer:
        """Run `action` in `seconds` from now, in a task of its own."""
        timer = Timer(action)
        entry = (trio.current_time() + max(seconds, 0.0), next(self._order), timer)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._earlier.set()
        return timer

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run what is due, until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                self._earlier = trio.Event()
                now = trio.current_time()
                while self._heap and self._heap[0][0] <= now:
                    _, _, timer = heapq.heappop(self._heap)
                    if timer.action is not None:
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
