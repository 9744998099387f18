"""Timers: what is to be done later, at once or in a task of its own.

Owns: the tasks in which due actions run. Must not know what an action does, or why its deadline is
when it is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import trio

from signal_sdk.net.alarms import Alarm, Alarms

logger: logging.Logger = logging.getLogger("signal_sdk.server")

Action = Callable[[], Awaitable[None]]
Timer: TypeAlias = Alarm
"""One action's appointment; `cancel` may be called again, and after it ran."""


class Timers:
    """Appointments on trio's clock."""

    def __init__(self) -> None:
        self._alarms = Alarms()
        self._nursery: trio.Nursery | None = None

    def after(self, seconds: float, action: Action) -> Timer:
        """Run `action` in `seconds` from now, in a task of its own."""
        return self.at(trio.current_time() + max(seconds, 0.0), action)

    def at(self, time: float, action: Action) -> Timer:
        """Run `action` once trio's clock shows `time`, in a task of its own."""
        timer = Alarm(self._alarms, partial(self._start, action))
        timer.set(time)
        return timer

    def _start(self, action: Action) -> None:
        if self._nursery is None:
            raise RuntimeError("the timers are not running")
        self._nursery.start_soon(_run, action)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run what is due, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._alarms.run(task_status)


async def _run(action: Action) -> None:
    try:
        await action()
    except Exception:
        # One rule's mistake must not stop every other timer of the node.
        logger.exception("a timer's action failed")
