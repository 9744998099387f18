"""A task that sleeps until it is woken, again and again.

Owns: the sleeping. Must not know what there is to do. An event serves once, and making one for each
time costs more than most of what is waited for.
"""

from __future__ import annotations

import trio

__all__ = ["Sleeper"]


class Sleeper:
    """One task's sleep. Nothing is remembered of a `wake` while nobody sleeps: whoever is about to
    sleep looks first whether there is something to do.
    """

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None

    @property
    def is_asleep(self) -> bool:
        """Does a task sleep, which has not been woken yet?"""
        return self._task is not None

    async def sleep(self) -> None:
        """Sleep until `wake`. A checkpoint, always; one task at a time."""
        if self._task is not None:
            raise RuntimeError("another task sleeps here")
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Wake whoever sleeps."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)
