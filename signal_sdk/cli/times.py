"""Times on the command line: how they are read and shown.

Owns: their spelling. Must not know what happens then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

__all__ = ["read_time", "shown_time"]

LAST_DATE: Final = 253402300799
"""The end of the year 9999, where the calendar of `datetime` ends; expiries go on for longer."""


def shown_time(seconds: int) -> str:
    """A time in Unix seconds, as people read it, and as it is."""
    if seconds > LAST_DATE:
        return f"{seconds} (Unix seconds)"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC ({seconds})"


def read_time(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """A time in Unix seconds from an option's text: those, or a date with a time, which is UTC
    where it has no zone.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= len(str(LAST_DATE)):
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither Unix seconds nor as 2026-01-31T12:00:00"
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
