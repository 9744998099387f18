"""Complaints: what strangers can cause again and again is said in the log once a minute.

Owns: when it is said, and how often it was not. Must not know what is complained of, or whose part
of the log that belongs to, unless it is a limit.
"""

from __future__ import annotations

import logging
import math
from typing import Final

import trio

__all__ = ["SILENT_SECONDS", "Complaint"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.limits")

SILENT_SECONDS: Final = 60.0
"""Between two lines of one kind."""


class Complaint:
    """A warning that begins with `what`, once a minute at most, in the part of the log that is
    `said_by`.
    """

    def __init__(self, what: str, said_by: logging.Logger = logger) -> None:
        self._what = what
        self._said_by = said_by
        self._told_at = -math.inf
        self._untold = 0

    def tell(self, why: str) -> None:
        """It has happened, for this reason; what a stranger has said is in it as `repr` has it."""
        now = trio.current_time()
        if now - self._told_at < SILENT_SECONDS:
            self._untold += 1
            return
        more = f" (and {self._untold} before it)" if self._untold else ""
        self._told_at, self._untold = now, 0
        self._said_by.warning("%s: %s%s", self._what, why, more)
