"""How often and for how long a login is tried again.

Owns: what `login2` means by its two bounds. Must not know the tries, which backoff.py counts.
"""

from __future__ import annotations

from typing import Final

import attrs

from signal_sdk.client.backoff import Backoff
from signal_sdk.errors import ParameterError
from signal_sdk.wire import names
from signal_sdk.wire.parameter_errors import as_python, wrong

__all__ = ["DEFAULT_RETRY_COUNT", "DEFAULT_RETRY_SECONDS", "RetryPolicy"]

DEFAULT_RETRY_SECONDS: Final = 30
DEFAULT_RETRY_COUNT: Final = 3
"""What `login` means, which has no bounds of its own, as the original did."""

FIRST_PAUSE_SECONDS: Final = 1.0
"""The pause before the first try; none is longer than an even share of the time."""
PAUSE_FACTOR: Final = 4.0
SHORTEST_PAUSE_SECONDS: Final = 1e-6
"""So that any bound above 0 makes a back-off."""
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
            raise _wrong(seconds, "is not a number")
        if not 0 <= seconds <= MAX_RETRY_SECONDS:
            raise _wrong(seconds, f"is not from 0 to {MAX_RETRY_SECONDS}")
        tries = names.check_integer("retry_count", count, 0, MAX_RETRY_COUNT, show=as_python)
        return cls(seconds, tries)

    @property
    def backoff(self) -> Backoff | None:
        """The same as a back-off: for the first login, and for each connection that is lost later.
        None where there are no tries.
        """
        if not (self.count and self.seconds):
            return None
        share = max(self.seconds / self.count, SHORTEST_PAUSE_SECONDS)
        return Backoff(
            first_seconds=min(FIRST_PAUSE_SECONDS, share),
            factor=PAUSE_FACTOR,
            max_seconds=share,
            attempts=self.count,
            seconds=max(self.seconds, SHORTEST_PAUSE_SECONDS),
        )


def _wrong(seconds: object, why: str) -> ParameterError:
    return wrong("retry_time_in_s", seconds, why, show=as_python)
