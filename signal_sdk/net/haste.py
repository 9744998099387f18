"""Haste: something is urgent, and until it is done, nobody is read but who asks seldom.

Owns: since when, for how long at most, and that all are read between two of these. Must not know
what is urgent, nor who is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from signal_sdk.net.alarms import Alarm, Alarms
from signal_sdk.net.turns import ANY, SELDOM_STEPS

MOST_SECONDS: Final = 0.01
"""For how long nobody else is read at most."""


class Haste:
    """One reactor's. At its end `go_on` is called."""

    __slots__ = ("_go_on", "_is_over", "_over", "most_steps")

    def __init__(self, alarms: Alarms, go_on: Callable[[], None]) -> None:
        self.most_steps: int = ANY
        """Whoever has used more steps is not read now."""
        self._over = Alarm(alarms, self.end)
        self._go_on = go_on
        self._is_over = True
        """Have all been read since the last one?"""

    def begin(self) -> None:
        """Something is urgent."""
        if self._is_over:
            self._is_over = False
            self.most_steps = SELDOM_STEPS
            self._over.set(trio.current_time() + MOST_SECONDS)

    def end(self) -> None:
        """It is done."""
        if self.is_on:
            self.most_steps = ANY
            self._over.cancel()
            self._go_on()

    @property
    def is_on(self) -> bool:
        """Is nobody else read now?"""
        return self.most_steps != ANY

    def note_slice(self) -> None:
        """Some were read, whoever they are: until here, nothing urgent has cut that short."""
        self._is_over = True
