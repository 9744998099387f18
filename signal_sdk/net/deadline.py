"""Deadlines: how long somebody else may take, judged once what has arrived was read.

Owns: the order of reading and judging. Must not know who is waited for. A process that was busy or
stood still finds its timers overdue and its sockets full: what lies in those counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from signal_sdk.net.alarms import Alarm
from signal_sdk.net.reactor import Reactor

__all__ = ["Deadline", "move_on_after"]

ROUNDING_SECONDS: Final = 1e-6
"""Sums and differences of times are no more exact than that."""


class Deadline:
    """Calls `ring` once the reactor's patient clock shows the `time` that it is set to, and the
    reactor has read what had arrived by then. Infinity where it is not set. `ring` must not wait,
    nor raise. Only while the reactor runs.
    """

    __slots__ = ("_alarm", "_reactor", "_ring", "time")

    def __init__(self, reactor: Reactor, ring: Callable[[], None]) -> None:
        self._reactor = reactor
        self._ring = ring
        self._alarm = Alarm(reactor.alarms, self._look)
        self.time: float = math.inf

    def set(self, time: float) -> None:
        """Ring at `time`, by the patient clock, instead of when it would have."""
        self.time = time
        self._alarm.set(self._reactor.clock.when(time))

    def set_after(self, seconds: float) -> None:
        """Ring `seconds` from now."""
        self.set(self._reactor.clock.time() + seconds)

    def cancel(self) -> None:
        """Do not ring, unless it is set again."""
        self.time = math.inf
        self._alarm.cancel()

    def _look(self) -> None:
        self._reactor.after_catching_up(self._judge)

    def _judge(self) -> None:
        time = self.time
        if time == math.inf:
            return
        if self._reactor.clock.time() < time - ROUNDING_SECONDS:
            self._alarm.set(self._reactor.clock.when(time))
        else:
            self.cancel()
            self._ring()


@contextmanager
def move_on_after(reactor: Reactor, seconds: float) -> Iterator[trio.CancelScope]:
    """As trio's, for what somebody else is to do in `seconds`."""
    scope = trio.CancelScope()
    deadline = Deadline(reactor, scope.cancel)
    deadline.set_after(seconds)
    try:
        with scope:
            yield scope
    finally:
        deadline.cancel()
