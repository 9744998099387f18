"""The back-off: how long to wait before each try to connect again, and when to stop trying.

Owns: the counting of one outage. Must not know a clock (the time is an argument), or what is tried.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final

import attrs

from signal_sdk.wire import names
from signal_sdk.wire.parameter_errors import as_python, wrong

__all__ = ["Backoff", "Outage"]

JITTER: Final = (0.5, 1.0)
"""What part of a pause is waited: all clients of a server that was restarted must not come at
once."""


@attrs.frozen(kw_only=True)
class Backoff:
    """How a session that has lost its connection tries to come back: `Signal(reconnect=…)`.

    The pause before the first try is `first_seconds` (over 0), each next one is `factor` (at least
    1) times as long, up to `max_seconds`; of each pause a random part, from a half to all of it, is
    waited. There are at most `attempts` tries (at least 1), within `seconds` (over 0) of the loss,
    not counting those in which the process stood still; None stands for no such bound. Only a login
    that was completed begins the counting again. Raises `ParameterError` (1004) for any other
    value.
    """

    first_seconds: float = 0.5
    factor: float = 2.0
    max_seconds: float = 30.0
    attempts: int | None = None
    seconds: float | None = None

    def __attrs_post_init__(self) -> None:
        _check("first_seconds", self.first_seconds)
        _check("factor", self.factor, least=1)
        _check("max_seconds", self.max_seconds, least=self.first_seconds)
        if self.attempts is not None:
            names.check_integer("attempts", self.attempts, 1, show=as_python)
        if self.seconds is not None:
            _check("seconds", self.seconds)


def _check(what: str, value: object, least: float = 0.0) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(what, value, "is not a number", show=as_python)
    if not (math.isfinite(value) and value > 0 and value >= least):
        why = f"is not above 0 and at least {least:g}"
        raise wrong(what, value, why, show=as_python)


class Outage:
    """The tries of one outage, which began at `now`. `made` is how many of them there have been;
    `draw` draws a number between two.
    """

    def __init__(
        self, backoff: Backoff, now: float, draw: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.made: int = 0
        self._backoff = backoff
        self._draw = draw
        self._pause: float = backoff.first_seconds
        self.deadline: float = math.inf if backoff.seconds is None else now + backoff.seconds

    def next_pause(self, now: float, at_least: float = 0.0) -> float | None:
        """How many seconds to wait before another try, which counts; None where a bound is reached.

        `at_least` is what the server has asked for.
        """
        attempts = self._backoff.attempts
        if attempts is not None and self.made >= attempts:
            return None
        pause = max(self._pause * self._draw(*JITTER), at_least)
        if now + pause >= self.deadline:
            return None
        self.made += 1
        self._pause = min(self._pause * self._backoff.factor, self._backoff.max_seconds)
        return pause
