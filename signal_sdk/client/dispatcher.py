"""The dispatcher: a session's callbacks, run one at a time and in order.

Owns: the queue of callbacks and its bound, and what becomes of one that raises. Must not know what
a callback tells, nor in which task it runs (crew.py does), nor complete any operation: that is the
reader's, so that a callback may await whatever it likes.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Final

import trio

from signal_sdk.client.crew import Crew, Entry, Thunk
from signal_sdk.client.facts import Turn
from signal_sdk.client.log import log_raised, warn
from signal_sdk.ecodes import ECode
from signal_sdk.raised import text_of, type_name

__all__ = ["MAX_QUEUED_CALLBACKS", "Dispatcher", "OnError"]

MAX_QUEUED_CALLBACKS: Final = 10_000
"""How many callbacks may wait before channel events are dropped: minutes of a busy channel."""

OnError = Callable[[ECode, str], object]
"""`LoginCallback.on_error` without its session."""


class Dispatcher:
    """A queue of callbacks that `crew` runs, in a copy of the context in which this was made.

    `spare` runs what is put after this one's end. `label` is whose it is, for the log.
    """

    def __init__(
        self,
        crew: Crew,
        on_error: OnError | None = None,
        *,
        spare: Dispatcher | None = None,
        label: str = "",
    ) -> None:
        self.queue: deque[Entry] = deque()
        self.context: Context = copy_context()
        self.is_over: bool = False
        """Has it run its last callback?"""
        self._crew = crew
        self._on_error = on_error
        self._spare = spare
        self._whose = f"{label}: " if label else ""
        self._ended: trio.Event | None = None
        self._is_resting = True
        """Is there nothing that the crew knows of?"""
        self._is_finishing = False
        self._dropped_events = 0
        self._dropped_outcomes = 0

    def __len__(self) -> int:
        return len(self.queue)

    @property
    def has_ended(self) -> bool:
        """Does nobody run callbacks any more?"""
        return self._crew.is_over

    def is_full(self) -> bool:
        """Have callbacks fallen so far behind that nothing more should be asked for?"""
        return len(self.queue) >= MAX_QUEUED_CALLBACKS

    def put(self, run: Thunk, turn: Turn | None = None) -> None:
        """Have `run` called once all that was put before it has returned. Never waits."""
        if self.is_over or self._crew.is_over:
            if self._spare is not None:
                self._spare.put_outcome(run)
            return
        self.queue.append((run, turn))
        if self._is_resting:
            self._is_resting = False
            self._crew.line_up(self)

    def put_event(self, run: Thunk) -> None:
        """As `put`, for a channel's event, which is dropped and counted where the queue is full."""
        if self.is_full():
            self._note_drop()
            self._dropped_events += 1
        else:
            self.put(run)

    def put_outcome(self, run: Thunk) -> None:
        """As `put_event`, for the outcome of a call, but at twice the bound.

        What is sent is bounded by `is_full` and by how many requests may be under way, so that only
        the outcomes of calls that were refused at once can grow past that.
        """
        if len(self.queue) >= 2 * MAX_QUEUED_CALLBACKS:
            self._note_drop()
            self._dropped_outcomes += 1
        else:
            self.put(run)

    def withdraw_turns(self) -> None:
        """Take back every callback that has a turn and has not begun."""
        self._crew.withdraw_turns(self)

    def finish(self) -> None:
        """End once the queue is empty."""
        self._is_finishing = True
        if self._is_resting:
            self._is_resting = False
            self._crew.line_up(self)

    async def ended(self) -> None:
        """Wait until all callbacks have returned, after `finish`."""
        if self._ended is None:
            self._ended = trio.Event()
            if self.is_over:
                self._ended.set()
        await self._ended.wait()

    # --- what the crew says ---

    def rest(self) -> None:
        """The queue is empty."""
        self._is_resting = True
        if self._is_finishing:
            self.is_over = True
            if self._ended is not None:
                self._ended.set()

    def failed(self, exc: Exception) -> None:
        """A callback has raised."""
        report = self.report_of(exc)
        if report is not None:
            # Before all else that waits.
            self.queue.appendleft(report)

    def report_of(self, exc: Exception) -> Entry | None:
        """Log what a callback has raised, and make the callback that hears of it, if one does."""
        log_raised(f"{self._whose}a callback raised {type_name(exc)}", exc)
        if self._on_error is None:
            return None
        reason = f"a callback raised {type_name(exc)}: {text_of(exc)}"
        return partial(self._report, self._on_error, reason), None

    async def _report(self, on_error: OnError, reason: str) -> None:
        try:
            result = on_error(ECode.GENERAL_E_UNKNOWN, reason)
            if inspect.isawaitable(result):
                await result
        except Exception as raised:  # noqa: BLE001  it is anybody's code
            log_raised(f"{self._whose}on_error itself raised", raised)

    # --- what was dropped ---

    def _note_drop(self) -> None:
        """Something is about to be dropped: what tells of it has its place behind what was not."""
        if not self._dropped_events and not self._dropped_outcomes:
            self.put(self._tell_dropped)

    def _tell_dropped(self) -> object:
        what = []
        if self._dropped_events:
            what.append(f"{self._dropped_events} channel events")
        if self._dropped_outcomes:
            what.append(f"{self._dropped_outcomes} outcomes of refused calls")
        self._dropped_events = self._dropped_outcomes = 0
        reason = f"{' and '.join(what)} were dropped because callbacks fell behind"
        warn("%s%s", self._whose, reason)
        return None if self._on_error is None else self._on_error(ECode.GENERAL_E, reason)
