"""Stdin while something goes on: keys where it is a terminal, lines where it is not.

Owns: how it is read, and that a terminal is as it was afterwards. Must not know what is typed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import trio

__all__ = ["MAX_LINE_BYTES", "is_terminal", "keys_of_terminal", "typed"]

MAX_LINE_BYTES: Final = 128 * 1024
"""More than any message may be long; what is longer is cut there."""
CHUNK_BYTES: Final = 4096


def is_terminal() -> bool:
    """Does somebody sit there?"""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def keys_of_terminal() -> Iterator[None]:
    """While the block runs, a terminal hands on each key as it is pressed, and shows none. SIGINT
    and the like stay what they are.
    """
    if not is_terminal() or sys.platform == "win32":
        yield
        return
    import termios  # noqa: PLC0415  Windows has none
    import tty  # noqa: PLC0415

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        # What has been typed before counts, which a flush would take away.
        tty.setcbreak(fd, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


async def typed(*, by_line: bool) -> AsyncIterator[str]:
    """What comes on stdin, up to its end: each line, or whatever has come since. What is not UTF-8
    is replaced.
    """
    if sys.stdin is None:
        return
    fd = sys.stdin.fileno()
    data = b""
    # A thread reads: no poll tells of a file, and of a terminal none that works everywhere. One
    # that was given up ends with the process.
    while more := await trio.to_thread.run_sync(os.read, fd, CHUNK_BYTES, abandon_on_cancel=True):
        data += more
        if not by_line:
            yield data.decode(errors="replace")
            data = b""
            continue
        *lines, data = data.split(b"\n")
        for line in lines:
            yield line[:MAX_LINE_BYTES].decode(errors="replace")
        data = data[:MAX_LINE_BYTES]
    if data:
        yield data.decode(errors="replace")
