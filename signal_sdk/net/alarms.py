"""Alarms: what is to be done later, in one heap, with one task that sleeps.

Owns: when each alarm rings, the sleeping, and the beat by which a patient clock notices that the
process stood still. Must not know what is done then. A task for each that waits would cost more
than most of what is done.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import Final, TypeAlias

import trio

from signal_sdk.net.patience import BEAT_SECONDS, PatientClock

MIN_CLEARED: Final = 1000
"""How many appointments that were changed are not worth clearing away."""
RINGS_PER_TURN: Final = 64
"""How many alarms ring before other tasks run."""

_Entry: TypeAlias = "tuple[float, int, Alarm]"


class Alarm:
    """Calls `ring` at the `time` (trio's clock) that it is set to; infinity where it is not set.
    `ring` must not wait, nor raise.
    """

    __slots__ = ("_alarms", "entry", "ring", "time")

    def __init__(self, alarms: Alarms, ring: Callable[[], None]) -> None:
        self._alarms = alarms
        self.ring: Callable[[], None] = ring
        self.time: float = math.inf
        self.entry: _Entry | None = None

    def set(self, time: float) -> None:
        """Ring at `time`, instead of when it would have."""
        if time != self.time:
            self.cancel()
            if time != math.inf:
                self.time = time
                self._alarms.add(self)

    def cancel(self) -> None:
        """Do not ring, unless it is set again."""
        self.time = math.inf
        if self.entry is not None:
            self.entry = None
            self._alarms.count_changed()


class Alarms:
    """All alarms of one owner, who runs them. Appointments that were changed are cleared away once
    they are the most.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._order = count()
        self._changed = 0
        self._earlier = trio.Event()
        self.clock: PatientClock = PatientClock()
        """What others are judged by."""

    def __len__(self) -> int:
        """How many appointments there are, those that were changed too."""
        return len(self._heap)

    def add(self, alarm: Alarm) -> None:
        """Note when `alarm` rings; called by it."""
        alarm.entry = entry = (alarm.time, next(self._order), alarm)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._earlier.set()

    def count_changed(self) -> None:
        """An appointment is no more; called by its alarm."""
        self._changed += 1
        if self._changed >= MIN_CLEARED and self._changed * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].entry is entry]
            heapq.heapify(self._heap)
            self._changed = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ring until cancelled."""
        self.clock.start()
        task_status.started()
        rung = 0
        while True:
            self._earlier = trio.Event()
            self.clock.time()
            # Those that are set anew to what is past already ring after others have run.
            for alarm in self._pop_due(trio.current_time()):
                if alarm.entry is not None or alarm.time == math.inf:
                    # One that rang before it has set it anew, or cancelled it.
                    continue
                alarm.time = math.inf
                alarm.ring()
                rung += 1
                if rung % RINGS_PER_TURN == 0:
                    await trio.lowlevel.checkpoint()
            beat_at = trio.current_time() + BEAT_SECONDS
            with trio.move_on_at(min(self._heap[0][0], beat_at) if self._heap else beat_at):
                await self._earlier.wait()

    def _pop_due(self, now: float) -> list[Alarm]:
        due = []
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            alarm = entry[2]
            if alarm.entry is entry:
                alarm.entry = None
                due.append(alarm)
            else:
                self._changed -= 1
        return due
