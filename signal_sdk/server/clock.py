"""The clocks: of what outlives a process, and of what others are judged by.

Must not know what is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from signal_sdk.net.alarms import Alarm
from signal_sdk.net.deadline import Deadline
from signal_sdk.net.reactor import Reactor
from signal_sdk.server.engine.base import Clocks, Ticker

Clock = Callable[[], float]
"""Unix seconds: for what outlives the process. Waiting goes by trio's clock."""


class _PromptAlarm:
    """An alarm by trio's clock."""

    def __init__(self, reactor: Reactor, ring: Callable[[], None]) -> None:
        self._alarm = Alarm(reactor.alarms, ring)

    def set_after(self, seconds: float) -> None:
        """As the engine's `Alarm`."""
        self._alarm.set(trio.current_time() + seconds)

    def cancel(self) -> None:
        """As the engine's `Alarm`."""
        self._alarm.cancel()


def clocks(wall: Clock, reactor: Reactor) -> Clocks:
    """A node's clocks, as its engine has them."""
    return Clocks(
        wall,
        Ticker(reactor.clock.time, partial(Deadline, reactor)),
        Ticker(trio.current_time, partial(_PromptAlarm, reactor)),
    )
