"""Timers: what is to be done later, in a task of its own.

Owns: the tasks in which due actions run. Must not know what an action does, or why its deadline is
when it is. Most are somebody's time that is over (a call's, a lease), so that what has arrived is
read before one runs, and the time in which the server stood still does not count.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import trio

from signal_sdk.net.deadline import Deadline
from signal_sdk.net.reactor import Reactor

logger: logging.Logger = logging.getLogger("signal_sdk.server")

Action = Callable[[], Awaitable[None]]
Timer: TypeAlias = Deadline
"""One action's appointment; `cancel` may be called again, and after it ran."""


class Timers:
    """Appointments by a reactor's patient clock; both have to run."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._nursery: trio.Nursery | None = None

    def after(self, seconds: float, action: Action) -> Timer:
        """Run `action` in `seconds` from now, in a task of its own."""
        timer = Deadline(self._reactor, partial(self._start, action))
        timer.set_after(max(seconds, 0.0))
        return timer

    def _start(self, action: Action) -> None:
        if self._nursery is None:
            raise RuntimeError("the timers are not running")
        self._nursery.start_soon(_run, action)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run what is due, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()


async def _run(action: Action) -> None:
    try:
        await action()
    except Exception:
        # One rule's mistake must not stop every other timer of the node.
        logger.exception("a timer's action failed")
