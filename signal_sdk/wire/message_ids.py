"""The ids that our SDK gives messages: in a series, so that a receiver sees which came first.

Owns: their form, `~SERIES.N` (protocol.md, section 9, "Ids"). Must not know what is done about a
message that is late.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from typing import Final

__all__ = ["new_series", "parse_message_id"]

MARK: Final = "~"
"""What a series begins with, so that an id that a user has made up is not taken for one of it."""
MAX_DIGITS: Final = 15


def new_series() -> Iterator[str]:
    """Yield ids that no other message has, each with a higher number than the one before."""
    series = f"{MARK}{secrets.token_urlsafe(6)}."
    return (f"{series}{number}" for number in itertools.count(1))


def parse_message_id(message_id: str) -> tuple[str, int] | None:
    """Return the series of an id and its number in it; None for an id of any other form."""
    if not message_id.startswith(MARK):
        return None
    series, _, digits = message_id.rpartition(".")
    if not series or not (digits.isascii() and digits.isdigit()) or len(digits) > MAX_DIGITS:
        return None
    return series, int(digits)
