"""Clocks and alarms that a test moves by hand, for models of what the embedded engine does."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import TypeVar

import attrs
import trio
from trio.testing import MockClock

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import Alarm, Answer, Clocks, Engine, Pending, Ticker
from signal_sdk.server.engine.pending import waited

T = TypeVar("T")


@attrs.define(eq=False)
class HandAlarm:
    """An alarm that the test rings."""

    clock: HandClock
    ring: Callable[[], None]
    time: float = math.inf

    def set_after(self, seconds: float) -> None:
        self.time = self.clock.now + seconds

    def cancel(self) -> None:
        self.time = math.inf


@attrs.define(eq=False)
class HandClock:
    """A clock that the test moves, and its alarms."""

    now: float = 0.0
    alarms: list[HandAlarm] = attrs.field(factory=list)

    def _alarm(self, ring: Callable[[], None]) -> Alarm:
        self.alarms.append(HandAlarm(self, ring))
        return self.alarms[-1]

    @property
    def ticker(self) -> Ticker:
        return Ticker(lambda: self.now, self._alarm)

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now, self.ticker, self.ticker)

    def advance(self, seconds: float) -> None:
        """Move on; what is due on the way is done when it is."""
        until = self.now + seconds
        while due := [it for it in self.alarms if it.time <= until]:
            alarm = min(due, key=lambda it: it.time)
            self.now = max(self.now, alarm.time)
            alarm.cancel()
            alarm.ring()
        self.now = until

    def run(self, operation: Callable[[], Answer[T]]) -> T:
        """Do one thing that does not look at trio's clock; an embedded engine does it at once."""
        done = operation()
        assert not isinstance(done, Pending)
        return done

    def in_trio(self, operation: Callable[[], Answer[T]]) -> T:
        """Do one thing that needs trio's clock, which shows the same."""

        async def run() -> T:
            return await waited(operation())

        return self.in_loop(run)

    def in_loop(self, work: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run work of several steps in trio, whose clock shows the same."""

        async def run() -> T:
            return await work()

        clock = MockClock()
        clock.jump(self.now)
        return trio.run(run, clock=clock)

    def refused(self, operation: Callable[[], Answer[object]]) -> SignalError | None:
        """As `in_trio`; what it was refused with."""
        try:
            self.in_trio(operation)
        except SignalError as exc:
            return exc
        return None

    def start(self, engine: Engine) -> None:
        """Begin the life of an embedded engine's node, which lasts without a task."""

        async def start() -> None:
            async with trio.open_nursery() as nursery:
                await nursery.start(engine.run)
                nursery.cancel_scope.cancel()

        self.in_loop(start)
