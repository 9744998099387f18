"""Stdin: the text, or the bytes, of an argument that is `-`.

Owns: reading it, bounded. Must not know what it is for.
"""

from __future__ import annotations

import sys
from typing import Final

import click

__all__ = ["read_bytes", "read_stdin"]

MAX_BYTES: Final = 128 * 1024
"""More than any argument may be long: a message of 8192 characters, each of 4 bytes, has 32 KiB."""


def read_bytes(limit: int) -> bytes:
    """Bytes of stdin, at most so many."""
    return sys.stdin.buffer.read(limit) if sys.stdin else b""


def read_stdin(what: str) -> str:
    """All of stdin as text. Raises click's `UsageError` where that is no text, or too much."""
    data = read_bytes(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise click.UsageError(f"There is more than {MAX_BYTES} bytes on stdin for {what}.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise click.UsageError(f"What stands on stdin for {what} is not UTF-8 text.") from None
