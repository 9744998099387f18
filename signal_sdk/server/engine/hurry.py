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
    "HURRIED_BEHIND",
    "HURRIED_BEHIND_CHARS",
    "HURRIED_SECONDS",
    "HURRIED_SHORT",
    "MANY_TO_ONE",
    "SHORT",
    "Hurry",
]

GATHER_SECONDS: Final = 0.002
"""How long a batch is gathered, beside what comes while the one before it is written. Longer makes
acknowledgements late, and clients wait for them; shorter makes batches small.
"""
HURRIED_GATHER_SECONDS: Final = 0.004
"""In a hurry, what is not urgent waits longer: whatever is, is seldom just behind it then."""
SHORT: Final = 500
"""A batch of at most so many rows and entries is short: it is written in 2 ms at most."""
HURRIED_SHORT: Final = 2000
"""In a hurry, one of so many is short enough: a thread would take longer to be heard."""
BEHIND: Final = 2000
"""How many may wait for the batch that is being gathered before that is said to be large: a message
to an account is two. One of so many is written in some 2 ms, and they are told in some 10.
"""
BEHIND_CHARS: Final = 2 * 1024 * 1024
"""How many characters its rows may have before that is said, too: messages, attributes and replies
may be long. So many are written in some 10 ms.
"""
HURRIED_BEHIND: Final = 2000
HURRIED_BEHIND_CHARS: Final = 192 * 1024
"""In a hurry, who asks all the time is not heard while so many wait, or so many characters: what is
long. A bound that busy honest clients reach costs them dearly: at 500, four under way for each of
200 took a fifth more CPU, and their acknowledgements came after 80 ms in place of 30.
"""
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
    def short_rows(self) -> int:
        """How many rows a batch has at most that is written where the server runs."""
        return HURRIED_SHORT if self.is_on else SHORT

    def is_full(self, waiting: int, chars: int) -> bool:
        """Is there as much in a batch as there may be in a hurry?"""
        return self.is_on and (waiting > HURRIED_BEHIND or chars > HURRIED_BEHIND_CHARS)
