"""The crew that runs callbacks in the user's loop.

Owns: which callbacks were handed to the loop, and how they run there: one session's one at a time
and in order, each in its session's context, as tasks where they await. Must not know what a
callback tells.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from functools import partial
from types import CoroutineType
from typing import Any

from signal_sdk.aio.crossing import Crossing
from signal_sdk.bridge.handed import Handed
from signal_sdk.client.crew import CALLBACKS_PER_TURN, Crew, Thunk, Work

__all__ = ["LoopCrew"]


class LoopCrew(Crew):
    """Runs callbacks in the loop of `crossing`."""

    def __init__(self, crossing: Crossing) -> None:
        super().__init__()
        self._crossing = crossing
        self._handed: dict[Work, Handed[Thunk]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- in the trio thread ---

    def line_up(self, work: Work) -> None:
        """Run what is in the queue of `work`, which rests."""
        queue = work.queue
        entries = [queue.popleft() for _ in range(min(len(queue), CALLBACKS_PER_TURN))]
        if entries:
            handed = self._handed[work] = Handed(entries)
            self._crossing.put(partial(self._run, work, handed))
        else:
            work.rest()

    def _has_run(self, work: Work, handed: Handed[Thunk]) -> None:
        """The loop has taken all that it was handed."""
        handed.settle()
        del self._handed[work]
        self.line_up(work)

    def give_back(self, work: Work) -> None:
        """Put into its queue again what the loop has not begun."""
        handed = self._handed.get(work)
        if handed is not None:
            work.queue.extendleft(reversed(handed.take_back()))

    async def run(self) -> None:
        """Have callbacks run until cancelled."""
        try:
            await self._crossing.flush()
        finally:
            self.is_over = True
            for handed in self._handed.values():
                handed.take_back()
            self._crossing.put(self._cancel_all)

    # --- in the loop ---

    def _run(self, work: Work, handed: Handed[Thunk]) -> None:
        """Run what is left of it, up to what has to wait."""
        while (entry := handed.take()) is not None:
            try:
                result = work.context.run(entry[0])
            except Exception as exc:  # noqa: BLE001  it is anybody's code, and is reported
                self._failed(work, handed, exc)
            except BaseException:
                # It ends the loop, or whatever runs in it; the next ones run where it goes on.
                self._crossing.loop.call_soon(self._run, work, handed)
                raise
            else:
                if result is not None and inspect.isawaitable(result):
                    self._wait(work, handed, result)
                    return
            handed.end()
        self._crossing.call(partial(self._has_run, work, handed))

    def _wait(self, work: Work, handed: Handed[Thunk], result: Awaitable[object]) -> None:
        handed.report(self._crossing.call)
        coroutine = result if isinstance(result, CoroutineType) else _wait_for(result)
        task = self._crossing.loop.create_task(coroutine, context=work.context)
        self._tasks.add(task)
        task.add_done_callback(partial(self._has_waited, work, handed))

    def _has_waited(self, work: Work, handed: Handed[Thunk], task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if self.is_over:
                return
            self._failed(work, handed, RuntimeError("its task was cancelled"))
        elif isinstance(exc := task.exception(), Exception):
            self._failed(work, handed, exc)
        handed.end()
        self._run(work, handed)

    def _failed(self, work: Work, handed: Handed[Thunk], exc: Exception) -> None:
        report = work.report_of(exc)
        if report is not None:
            handed.put_first(report[0])

    def _cancel_all(self) -> None:
        """The end: what still runs has had its time."""
        for task in self._tasks:
            task.cancel()


async def _wait_for(awaitable: Awaitable[object]) -> None:
    await awaitable
