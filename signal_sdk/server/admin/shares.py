"""How many requests each key may have under way, of the places that the admin address has.

Owns: the share of a key, and what is said beyond it. Must not know what a connection is, nor a key
beside its name.
"""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Final

from signal_sdk.server.admin.problems import ProblemError

__all__ = ["Shares"]

RETRY_SECONDS: Final = 1.0


class Shares:
    """Of so many `places`, a key may have three quarters of those that others leave: 96 of 128,
    while nobody else asks. So whoever asks slowly, and with a right key, shuts nobody else out.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._under_way: Counter[str] = Counter()

    def begin(self, name: str) -> None:
        """One more request with this key is under way, until `end`. Raises `ProblemError` (429)."""
        left = self._places - self._under_way.total() + self._under_way[name]
        most = max(1, left * 3 // 4)
        if self._under_way[name] >= most:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-under-way",
                f"the key {name} has {self._under_way[name]} requests under way: {most}, the most "
                "allowed while others ask as they do",
                retry_after=RETRY_SECONDS,
            )
        self._under_way[name] += 1

    def end(self, name: str) -> None:
        """One of them is over."""
        self._under_way[name] -= 1
        if not self._under_way[name]:
            del self._under_way[name]
