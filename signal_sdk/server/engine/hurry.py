"""Hurry: are batches kept short, since a few cannot wait while many write all the time?

Owns: what was urgent lately, beside all else, and what a batch may be meanwhile. Must not know what
is in a batch, nor the clock.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = [
    "BEHIND",
    "BEHIND_CHARS",
    "FULL_CHARS",
    "HURRIED_SECONDS",
    "MANY_TO_ONE",
    "SHORT",
    "SHORT_CHARS",
    "Hurry",
]

GATHER_SECONDS: Final = 0.002
"""How long a batch is gathered, beside what comes while the one before it is written. Longer makes
acknowledgements late, and clients wait for them; shorter makes batches small.
"""
HURRIED_GATHER_SECONDS: Final = 0.004
"""In a hurry, what is not urgent waits longer: whatever is, is seldom just behind it then."""
SHORT: Final = 500
"""A batch of at most so many rows and entries is short: it is written in 2 ms at most. In a hurry,
each is: a thread would take longer to be heard."""
SHORT_CHARS: Final = 256 * 1024
"""And it has at most so many characters, of texts that may be long."""
FULL_CHARS: Final = 64 * 1024
"""In a hurry, a batch that has more is written at once, and who asks all the time is not read
before: each of hundreds would put one more long text into it.
"""
BEHIND: Final = 2000
"""How many may wait for the batch that is being gathered before that is said to be large: a message
to an account is two. One of so many is written in some 2 ms, and they are told in some 10.
"""
BEHIND_CHARS: Final = 2 * 1024 * 1024
"""How many characters its rows may have before that is said, too: messages, attributes and replies
may be long. So many are written in some 10 ms.
"""
HURRIED_LEAST_SECONDS: Final = 0.001
"""In a hurry, what is urgent is written as soon as that after the batch before it."""
HURRIED_SECONDS: Final = 1.0
"""For how long there is a hurry once something was urgent: more will be."""
MANY_TO_ONE: Final = 8
"""Only where so many others wait for one to whom it is urgent: of whom all ask seldom, each would
wait for the others' short batches.
"""
KEPT: Final = 0.98
"""How much of those who waited still counts a batch later."""


class Hurry:
    """Of one engine's batches."""

    __slots__ = ("_all", "_urgent", "_urgent_at", "is_on")

    def __init__(self) -> None:
        self.is_on: bool = False
        self._urgent_at = -math.inf
        self._urgent = 0.0
        self._all = 0.0

    def note(self, urgent: int, waiting: int, now: float) -> None:
        """A batch was taken, for which so many wait, and for some of whom it is urgent."""
        if urgent:
            self._urgent_at = now
        self._urgent = self._urgent * KEPT + urgent
        self._all = self._all * KEPT + waiting
        is_recent = now < self._urgent_at + HURRIED_SECONDS
        self.is_on = is_recent and self._urgent * MANY_TO_ONE <= self._all

    @property
    def gather_seconds(self) -> float:
        """How long what is not urgent is gathered."""
        return HURRIED_GATHER_SECONDS if self.is_on else GATHER_SECONDS

    @property
    def least_seconds(self) -> float:
        """How soon after the one before a batch is written that is urgent: very many who cannot
        wait would make batches small, and in a hurry they are few.
        """
        return HURRIED_LEAST_SECONDS if self.is_on else GATHER_SECONDS

    @property
    def most_rows(self) -> float:
        """How many rows a batch has at most that is written where the server runs."""
        return math.inf if self.is_on else SHORT

    @property
    def most_chars(self) -> float:
        """And how many characters."""
        return math.inf if self.is_on else SHORT_CHARS

    def is_full(self, chars: int) -> bool:
        """Is it so long that it is to be written now?"""
        return chars > FULL_CHARS and self.is_on
