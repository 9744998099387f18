"""The crew: the tasks that run the callbacks of all sessions of one owner.

Owns: which task runs whose callback, and in which context. Must not know what a callback tells, nor
what is done about one that raises: the queue that it comes from does.

A task for each session would be woken for each callback, which costs more than most callbacks do.
So one task begins the callbacks of all, one after the other, each in its session's context; most
end without having waited. One that waits cannot be moved to another task, since what it waits for
knows the one that it runs in: so that task stays with it, and with its session for as long as the
callbacks of that wait, and another task begins the others'.
"""

from __future__ import annotations

import inspect
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import trio

from signal_sdk.client.facts import Turn
from signal_sdk.net.sleeper import Sleeper

__all__ = ["CALLBACKS_PER_TURN", "MAX_IDLE", "Crew", "Entry", "Thunk", "Work", "coroutine_of"]

CALLBACKS_PER_TURN: Final = 32
"""How many callbacks that never wait are run before other tasks get their turn: about a
millisecond's."""
MAX_IDLE: Final = 100
"""How many tasks are kept that are nobody's and have nothing to do: to make one costs several times
as much as to wake it."""

Thunk: TypeAlias = Callable[[], object]
"""A callback with its arguments. What it returns is awaited where it can be."""


Entry: TypeAlias = "tuple[Thunk, Turn | None]"


class Work(Protocol):
    """Callbacks that run one at a time, in order: a dispatcher."""

    @property
    def queue(self) -> deque[Entry]:
        """What has not begun."""

    @property
    def context(self) -> Context:
        """What it runs in, all of it."""

    @property
    def is_over(self) -> bool:
        """Will there be nothing more?"""

    def failed(self, exc: Exception) -> None:
        """A callback has raised."""

    def report_of(self, exc: Exception) -> Entry | None:
        """As `failed`, for who runs next what this returns."""

    def rest(self) -> None:
        """The queue is empty. Once it is not, `Crew.line_up` is to be called."""


class _Begun(NamedTuple):
    """A callback that waits: its coroutine, and what that has yielded. Where there is none, the
    callback has ended, and left something open.
    """

    work: Work
    turn: Turn | None
    coroutine: Coroutine[Any, Any, object] | None
    trap: object


class Crew:
    """Tasks that run what is lined up, while its owner has `run` run, once."""

    def __init__(self) -> None:
        self._ready: deque[Work] = deque()
        self._idle: list[Sleeper] = []
        self._kept: dict[Work, Sleeper] = {}
        """Who has a task of its own, which sleeps: whose last callback has waited."""
        self._start: Callable[[], None] | None = None
        """Starts a task, while the crew runs."""
        self._has_beginner = False
        """Is there a task that begins what is ready, or is about to?"""
        self.is_over: bool = False
        """Will nothing be run any more?"""

    def line_up(self, work: Work) -> None:
        """Run what is in the queue of `work`, which rests."""
        keeper = self._kept.pop(work, None) if self._kept else None
        if keeper is not None:
            keeper.wake()
            return
        self._ready.append(work)
        if not self._has_beginner:
            self._call_beginner()

    def withdraw_turns(self, work: Work) -> None:
        """Take what has a turn out of the queue of `work`: it will not begin any more."""
        left = [entry for entry in work.queue if entry[1] is None]
        work.queue.clear()
        work.queue.extend(left)

    async def run(self) -> None:
        """Run until cancelled, or until a callback raises what is no `Exception`."""
        try:
            async with trio.open_nursery() as nursery:
                # In a copy of this context, and not of that of whoever has something run, which
                # may be a callback.
                self._start = partial(copy_context().run, nursery.start_soon, self._run_one)
                if self._ready:
                    self._call_beginner()
                try:
                    await trio.sleep_forever()
                finally:
                    self._start = None
        finally:
            self.is_over = True

    def _call_beginner(self) -> None:
        if self._idle:
            self._has_beginner = True
            self._idle.pop().wake()
        elif self._start is not None:
            self._has_beginner = True
            self._start()

    # --- one task ---

    async def _run_one(self) -> None:
        task = trio.lowlevel.current_task()
        context, scopes = task.context, _scopes(task)
        sleeper = Sleeper()
        while True:
            begun = self._begin_some(task, scopes)
            if begun is not None:
                self._has_beginner = False
                if self._ready:
                    self._call_beginner()
                # From when it goes on.
                task.context = begun.work.context
                if not await self._stay(begun, task, scopes):
                    return
                # Nothing of the session's is held while this is idle.
                begun, task.context = None, context
            elif self._ready:
                await trio.lowlevel.checkpoint()
                continue
            else:
                self._has_beginner = False
            if len(self._idle) >= MAX_IDLE:
                return
            self._idle.append(sleeper)
            await sleeper.sleep()

    def _begin_some(self, task: trio.lowlevel.Task, scopes: object) -> _Begun | None:
        """Run what is ready, until something waits or has left something open. None where nothing
        is ready any more, or it is others' turn.
        """
        ready = self._ready
        left = CALLBACKS_PER_TURN
        while ready and left:
            work = ready.popleft()
            queue, run_in = work.queue, work.context.run
            while queue:
                if not left:
                    ready.append(work)
                    return None
                left -= 1
                run, turn = queue.popleft()
                if turn is not None:
                    turn.begin()
                try:
                    result = run_in(run)
                    if result is not None:
                        coroutine = coroutine_of(result)
                        if coroutine is not None:
                            try:
                                trap = run_in(coroutine.send, None)
                            except StopIteration:
                                pass
                            else:
                                return _Begun(work, turn, coroutine, trap)
                except Exception as exc:  # noqa: BLE001  it is anybody's code, and is reported
                    work.failed(exc)
                if turn is not None:
                    turn.end()
                if _scopes(task) is not scopes:
                    return _Begun(work, None, None, None)
            work.rest()
        return None

    async def _stay(self, begun: _Begun, task: trio.lowlevel.Task, scopes: object) -> bool:
        """Go on with what has begun, in its own context, and with what else its session has to run:
        until a callback does not wait, since the next one may not either. Where one has left a
        scope or a nursery open, until that is closed: no other session's may run in it. False
        where it never was.
        """
        work = begun.work
        sleeper = Sleeper()
        has_waited = await _go_on(begun)
        count = 0
        while True:
            while work.queue:
                run, turn = work.queue.popleft()
                if turn is not None:
                    turn.begin()
                has_waited = await _run_here(run, work)
                if turn is not None:
                    turn.end()
                count += 1
                if count % CALLBACKS_PER_TURN == 0:
                    await trio.lowlevel.checkpoint()
            is_clean = _scopes(task) is scopes
            if is_clean and not has_waited:
                work.rest()
                return True
            self._kept[work] = sleeper
            work.rest()
            if work.is_over:
                del self._kept[work]
                return is_clean
            await sleeper.sleep()


async def _go_on(begun: _Begun) -> bool:
    """Go on with what has begun, from here on in its own context. Does it wait?"""
    work, turn, coroutine, trap = begun
    if coroutine is None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        return False
    try:
        await _drive(coroutine, trap)
    except Exception as exc:  # noqa: BLE001  it is anybody's code, and is reported
        work.failed(exc)
    if turn is not None:
        turn.end()
    return True


async def _run_here(run: Thunk, work: Work) -> bool:
    """Run a callback, in its own context already. Has it waited?"""
    has_waited = False
    try:
        result = run()
        coroutine = None if result is None else coroutine_of(result)
        if coroutine is not None:
            try:
                trap = coroutine.send(None)
            except StopIteration:
                pass
            else:
                has_waited = True
                await _drive(coroutine, trap)
    except Exception as exc:  # noqa: BLE001  it is anybody's code, and is reported
        work.failed(exc)
    return has_waited


def _scopes(task: trio.lowlevel.Task) -> object:
    """The innermost cancel scope that the task is in, a nursery's too. Trio has no public word for
    it; where it had no such word at all, nothing would be seen to be left open.
    """
    return getattr(task, "_cancel_status", None)


def coroutine_of(result: object) -> Coroutine[Any, Any, object] | None:
    """What awaits the result of a callback; None where it cannot be awaited."""
    if type(result) is types.CoroutineType:
        return result
    return _wait_for(result) if inspect.isawaitable(result) else None


async def _wait_for(awaitable: Awaitable[object]) -> None:
    await awaitable


@types.coroutine
def _drive(coroutine: Coroutine[Any, Any, object], trap: object) -> Generator[object, Any, None]:
    """Await the rest of a coroutine that has yielded `trap`."""
    try:
        while True:
            try:
                answer = yield trap
            except Exception as exc:  # noqa: BLE001  trio's, to who has yielded what is not trio's
                trap = coroutine.throw(exc)
            else:
                trap = coroutine.send(answer)
    except StopIteration:
        return
    finally:
        # Where this is closed, unfinished, with the event loop.
        coroutine.close()
