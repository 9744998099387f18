"""How often and for how long a login is tried again.

Owns: the counting of `login2`. Must not know a clock (the time is an argument), or what is tried.
"""

from __future__ import annotations

import math
import random
from typing import Final

import attrs

from signal_sdk.wire import names

__all__ = ["RetryPolicy", "Tries"]

FIRST_PAUSE_SECONDS: Final = 1.0
"""The pause before the first try; each next one is four times as long, but not longer than an even
share of the time."""
MAX_RETRY_COUNT: Final = 1_000_000
MAX_RETRY_SECONDS: Final = 30 * 24 * 3600


@attrs.frozen
class RetryPolicy:
    """Up to `count` tries, within `seconds`."""

    seconds: float
    count: int

    @classmethod
    def checked(cls, seconds: object, count: object) -> RetryPolicy:
        """A policy of a user's values. Raises `ParameterError` (1004)."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise names.wrong("retry_time_in_s", seconds, "is not a number")
        if not 0 <= seconds <= MAX_RETRY_SECONDS:
            raise names.wrong("retry_time_in_s", seconds, f"is not from 0 to {MAX_RETRY_SECONDS}")
        return cls(seconds, names.check_integer("retry_count", count, 0, MAX_RETRY_COUNT))

    @property
    def tries_again(self) -> bool:
        """Does it allow any?"""
        return self.count > 0 and self.seconds > 0


class Tries:
    """The tries after one failure."""

    def __init__(self, policy: RetryPolicy, now: float) -> None:
        self.made = 0
        self._policy = policy
        self.deadline = now + policy.seconds if policy.tries_again else math.inf

    def next_pause(self, now: float) -> float | None:
        """How long to wait before another try; None where a bound is reached."""
        if self.made >= self._policy.count:
            return None
        share = self._policy.seconds / self._policy.count
        pause = min(FIRST_PAUSE_SECONDS * 4.0 ** min(self.made, 10), share)
        # All clients of a server that was restarted must not come at once.
        pause *= random.uniform(0.5, 1.0)  # noqa: S311  nothing secret
        if now + pause >= self.deadline:
            return None
        self.made += 1
        return pause
