"""The crew that runs callbacks in the user's loop.

Owns: what the loop takes of the queues of callbacks, and how it runs there: one session's one at a
time and in order, each in its session's context, in tasks. Must not know what a callback tells.

As on trio, a task for each callback would cost more than most callbacks do: one begins all that is
ready, each up to where it first waits. One that waits keeps the task, since what it waits for knows
that, and another task begins the others. Queues are shared with the trio thread, which appends;
what that is to know of what the loop has done is told for many at once.
"""

from __future__ import annotations

import asyncio
import threading
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from typing import Any, Final, NamedTuple

from signal_sdk.aio.crossing import Crossing
from signal_sdk.client.crew import CALLBACKS_PER_TURN, Crew, Entry, Work, coroutine_of
from signal_sdk.client.facts import Turn

__all__ = ["LoopCrew"]

CANCELLED: Final = "its task was cancelled"


class _Begun(NamedTuple):
    """A callback that waits: its coroutine, and what that has yielded."""

    work: Work
    turn: Turn | None
    coroutine: Coroutine[Any, Any, object]
    trap: object


class LoopCrew(Crew):
    """Runs callbacks in the loop of `crossing`."""

    def __init__(self, crossing: Crossing) -> None:
        super().__init__()
        self._crossing = crossing
        self._lock = threading.Lock()
        """Is held where a callback is taken, and where it is taken back: either has begun, or has
        not."""
        self._is_called = False
        """Does the loop know that there is something ready?"""
        self._reports: deque[Callable[[], object]] = deque()
        """What the trio thread is to do about what the loop has done."""
        self._rested: deque[Work] = deque()
        """Whose queues the loop has found empty, behind that."""
        self._is_told = False
        """Does the trio thread know that there are some?"""
        self._beginner: object = None
        """Who begins what is ready: what stands for a task, from before that begins to run."""
        self._tasks: set[asyncio.Task[None]] = set()

    # --- in the trio thread ---

    def line_up(self, work: Work) -> None:
        """Run what is in the queue of `work`, which rests."""
        self._ready.append(work)
        if not self._is_called:
            self._is_called = True
            self._crossing.put(self._call_beginner)

    def _has_run(self, work: Work) -> None:
        """The loop has found its queue empty."""
        if work.queue:
            self.line_up(work)
        else:
            work.rest()

    def withdraw_turns(self, work: Work) -> None:
        """Take back what has a turn and the loop has not taken."""
        with self._lock:
            super().withdraw_turns(work)
        self._settle()

    def _settle(self) -> None:
        """Do what is to be done about what the loop has done."""
        self._is_told = False
        reports = self._reports
        # What was in the queue of these is among the reports; the loop goes on meanwhile.
        rested = len(self._rested)
        while reports:
            reports.popleft()()
        # A report may have some withdrawn, by which all of these are settled.
        while rested and self._rested:
            rested -= 1
            self._has_run(self._rested.popleft())

    async def run(self) -> None:
        """Have callbacks run until cancelled."""
        try:
            await self._crossing.flush()
        finally:
            with self._lock:
                self.is_over = True
            self._settle()
            self._crossing.put(self._cancel_all)

    # --- in the loop ---

    def _call_beginner(self) -> None:
        """There is something ready."""
        self._is_called = False
        if self._beginner is None and self._ready and not self.is_over:
            self._beginner = who = object()
            # Each step of a callback is run in its session's context, and nothing else is there.
            task = self._crossing.loop.create_task(self._run_ready(who), context=Context())
            self._tasks.add(task)
            task.add_done_callback(partial(self._has_ended, who))

    def _has_ended(self, who: object, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # What ends the loop has been raised there.
            task.exception()
        self._let_others_begin(who)
        self._tell()

    def _let_others_begin(self, who: object) -> None:
        """It begins nothing more."""
        if self._beginner is who:
            self._beginner = None
        self._call_beginner()

    def _tell(self) -> None:
        """Tell the trio thread, once for all that it does not know yet."""
        if (self._reports or self._rested) and not self._is_told:
            self._is_told = True
            self._crossing.call(self._settle)

    async def _run_ready(self, who: object) -> None:
        """Run what is ready, until there is nothing, or another task does."""
        while self._beginner is who and self._ready and not self.is_over:
            begun = self._begin_ready()
            self._tell()
            if begun is not None:
                self._let_others_begin(who)
                await self._go_on(begun)
                if self._beginner is None:
                    self._beginner = who
            if _is_cancelled():
                break
            if begun is None and self._ready:
                await asyncio.sleep(0)
        self._let_others_begin(who)

    def _begin_ready(self) -> _Begun | None:
        """Run what is ready, until something waits. None where nothing is ready any more, or it is
        others' turn.
        """
        ready, task = self._ready, asyncio.current_task()
        left = CALLBACKS_PER_TURN
        while ready:
            work = ready.popleft()
            queue, run_in = work.queue, work.context.run
            while queue and (entry := self._take(work)) is not None:
                run, turn = entry
                try:
                    result = run_in(run)
                    coroutine = None if result is None else coroutine_of(result)
                    if coroutine is not None:
                        try:
                            trap = run_in(coroutine.send, None)
                        except StopIteration:
                            pass
                        else:
                            return _Begun(work, turn, coroutine, trap)
                except Exception as exc:  # noqa: BLE001  it is anybody's code, and is reported
                    self._failed(work, exc)
                except asyncio.CancelledError:
                    self._failed(work, RuntimeError(CANCELLED))
                except BaseException:
                    # It ends the loop, or whatever runs in it; the next ones run where it goes on.
                    self._end(turn)
                    ready.append(work)
                    raise
                self._end(turn)
                left -= 1
                if task is not None and task.cancelling():
                    # What a callback has asked for, and not waited for, befalls nobody else's.
                    self._failed(work, RuntimeError(CANCELLED))
                    left = 0
                if not left:
                    ready.append(work)
                    return None
            self._rested.append(work)
        return None

    def _take(self, work: Work) -> Entry | None:
        """The next callback, which begins now; None where there is none any more."""
        with self._lock:
            if self.is_over or not work.queue:
                return None
            entry = work.queue.popleft()
            if entry[1] is not None:
                self._reports.append(entry[1].begin)
            return entry

    def _end(self, turn: Turn | None) -> None:
        if turn is not None:
            self._reports.append(turn.end)

    async def _go_on(self, begun: _Begun) -> None:
        """Go on with a callback that waits, to its end."""
        work = begun.work
        try:
            await _drive(work.context, begun.coroutine, begun.trap)
        except Exception as exc:  # noqa: BLE001  as above
            self._failed(work, exc)
        except asyncio.CancelledError:
            if not self.is_over:
                self._failed(work, RuntimeError(CANCELLED))
        finally:
            self._end(begun.turn)
            self._ready.append(work)

    def _failed(self, work: Work, exc: Exception) -> None:
        report = work.report_of(exc)
        if report is not None:
            with self._lock:
                work.queue.appendleft(report)

    def _cancel_all(self) -> None:
        """The end: what still runs has had its time."""
        for task in self._tasks:
            task.cancel()


def _is_cancelled() -> bool:
    """Has somebody cancelled this task, which has not ended?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@types.coroutine
def _drive(
    context: Context, coroutine: Coroutine[Any, Any, object], trap: object
) -> Generator[object, Any, None]:
    """Await the rest of a coroutine that has yielded `trap`, in its own context."""
    try:
        while True:
            try:
                answer = yield trap
            except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001  the loop's, to it
                trap = context.run(coroutine.throw, exc)
            else:
                trap = context.run(coroutine.send, answer)
    except StopIteration:
        return
    finally:
        # Where this is closed, unfinished, with the event loop.
        context.run(coroutine.close)
