"""The dispatcher: a session's callbacks, run one at a time and in order by one task.

Owns: the queue of callbacks and its bound, and what becomes of one that raises. Must not know what
a callback tells, nor complete any operation: that is the reader's, so that a callback may await
whatever it likes.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Final, TypeGuard

import msgspec
import trio

from signal_sdk.client.facts import Turn
from signal_sdk.client.log import log_raised, warn
from signal_sdk.ecodes import ECode
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.raised import text_of, type_name

__all__ = ["MAX_QUEUED_CALLBACKS", "Dispatcher", "OnError", "Thunk"]

MAX_QUEUED_CALLBACKS: Final = 10_000
"""How many callbacks may wait before channel events are dropped: minutes of a busy channel."""
CALLBACKS_PER_TURN: Final = 32
"""How many callbacks that never wait are run before other tasks get their turn: about a
millisecond's."""

Thunk = Callable[[], object]
"""A callback with its arguments. What it returns is awaited where it can be."""
OnError = Callable[[ECode, str], object]
"""`LoginCallback.on_error` without its session."""


class _Entry(msgspec.Struct, frozen=True, eq=False):
    run: Thunk
    turn: Turn | None


class Dispatcher:
    """A queue of callbacks and the task that runs them.

    `spare` runs what is put after this one's end.
    """

    def __init__(self, on_error: OnError | None = None, *, spare: Dispatcher | None = None) -> None:
        self._on_error = on_error
        self._spare = spare
        self._queue: deque[_Entry] = deque()
        self._sleeper = Sleeper()
        self._is_finishing = False
        self._is_over = False
        self._dropped_events = 0
        self._dropped_outcomes = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Have callbacks fallen so far behind that nothing more should be asked for?"""
        return len(self._queue) >= MAX_QUEUED_CALLBACKS

    def put(self, run: Thunk, turn: Turn | None = None) -> None:
        """Have `run` called once all that was put before it has returned. Never waits."""
        if self._is_over:
            if self._spare is not None:
                self._spare.put_outcome(run)
            return
        self._queue.append(_Entry(run, turn))
        self._sleeper.wake()

    def put_event(self, run: Thunk) -> None:
        """As `put`, for a channel's event, which is dropped and counted where the queue is full."""
        if self.is_full:
            self._dropped_events += 1
        else:
            self.put(run)

    def put_outcome(self, run: Thunk) -> None:
        """As `put_event`, for the outcome of a call, but at twice the bound.

        What is sent is bounded by `is_full` and by how many requests may be under way, so that only
        the outcomes of calls that were refused at once can grow past that.
        """
        if len(self._queue) >= 2 * MAX_QUEUED_CALLBACKS:
            self._dropped_outcomes += 1
        else:
            self.put(run)

    def withdraw_turns(self) -> None:
        """Take back every callback that has a turn and has not begun."""
        self._queue = deque(entry for entry in self._queue if entry.turn is None)

    def finish(self) -> None:
        """End `run` once the queue is empty."""
        self._is_finishing = True
        self._sleeper.wake()

    async def run(self) -> None:
        """Run callbacks until `finish`, or cancelled."""
        count = 0
        try:
            while True:
                if not self._queue:
                    if self._is_finishing:
                        return
                    await self._sleeper.sleep()
                    continue
                entry = self._queue.popleft()
                if entry.turn is not None:
                    entry.turn.begin()
                try:
                    # As `_call`, without a coroutine of its own: this is done for every callback.
                    result = entry.run()
                    if _is_awaitable(result):
                        await result
                except Exception as exc:  # noqa: BLE001  it is anybody's code, and is reported
                    await self._failed(exc)
                if entry.turn is not None:
                    entry.turn.end()
                if self._dropped_events or self._dropped_outcomes:
                    self._report_dropped()
                count += 1
                if count % CALLBACKS_PER_TURN == 0:
                    await trio.lowlevel.checkpoint()
        finally:
            self._is_over = True

    async def _failed(self, exc: Exception) -> None:
        log_raised(f"a callback raised {type_name(exc)}", exc)
        if self._on_error is not None:
            await self._report(self._on_error, exc)

    async def _report(self, on_error: OnError, exc: Exception) -> None:
        reason = f"a callback raised {type_name(exc)}: {text_of(exc)}"
        try:
            await _call(lambda: on_error(ECode.GENERAL_E_UNKNOWN, reason))
        except Exception as raised:  # noqa: BLE001  as above
            log_raised("on_error itself raised", raised)

    def _report_dropped(self) -> None:
        if len(self._queue) > MAX_QUEUED_CALLBACKS // 2:
            return
        what = []
        if self._dropped_events:
            what.append(f"{self._dropped_events} channel events")
        if self._dropped_outcomes:
            what.append(f"{self._dropped_outcomes} outcomes of refused calls")
        self._dropped_events = self._dropped_outcomes = 0
        reason = f"{' and '.join(what)} were dropped because callbacks fell behind"
        warn("%s", reason)
        on_error = self._on_error
        if on_error is not None:
            self.put(lambda: on_error(ECode.GENERAL_E, reason))


async def _call(run: Thunk) -> None:
    result = run()
    if _is_awaitable(result):
        await result


def _is_awaitable(result: object) -> TypeGuard[Awaitable[object]]:
    # Nearly all are one of the first two, which are quicker to tell.
    return result is not None and (type(result) is CoroutineType or inspect.isawaitable(result))
