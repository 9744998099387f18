"""Output: lines on stdout, at once and safe for a terminal.

Owns: how lines are written, and what a stdout that nobody reads means. Must not know what they
say.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Final

import click
import trio

from signal_sdk.printable import one_line

__all__ = [
    "LineWriter",
    "StdoutClosedError",
    "StdoutWriter",
    "complain",
    "complaints_in",
    "give_up_stdout",
    "say",
]


class StdoutClosedError(Exception):
    """Nobody reads stdout any more, as in `signal-sdk listen | head -1`: a reason to end."""


def say(text: str) -> None:
    """Write `text`, which may be several lines, to stdout. Raises `StdoutClosedError`."""
    try:
        click.echo(text)
    except BrokenPipeError:
        raise StdoutClosedError from None


Style = Callable[[str, bool], str]
"""How a complaint becomes a line; is it a warning only?"""


def _plain(text: str, _: bool) -> str:
    return one_line(text)


_styles: Final[list[Style]] = [_plain]
"""The last one holds."""


@contextlib.contextmanager
def complaints_in(style: Style) -> Iterator[None]:
    """While the block runs, complaints are written in this style."""
    _styles.append(style)
    try:
        yield
    finally:
        _styles.pop()


def complain(text: str, *, is_warning: bool = False) -> None:
    """Write one line to stderr, where there is one."""
    with contextlib.suppress(OSError):
        click.echo(_styles[-1](text, is_warning), err=True)


def give_up_stdout() -> None:
    """Send what is still buffered for stdout nowhere, where it can go nowhere else, so that the
    interpreter's end does not complain of it.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class LineWriter:
    """Lines to a file descriptor from trio tasks: one that takes none holds up only who writes."""

    def __init__(self, fd: int, encoding: str = "utf-8") -> None:
        self._fd = fd
        self._encoding = encoding

    async def write_line(self, text: str, *, encoding: str = "") -> None:
        """Write one line. Raises `OSError`."""
        data = f"{text}\n".encode(encoding or self._encoding, "backslashreplace")
        await trio.to_thread.run_sync(_write_all, self._fd, data, abandon_on_cancel=True)


class StdoutWriter(LineWriter):
    """Lines to stdout, by default as that encodes.

    It goes past Python's buffer, whose lock a write that was given up would hold for ever.
    """

    def __init__(self) -> None:
        if sys.stdout is None:  # closed before the program began
            raise StdoutClosedError
        sys.stdout.flush()
        super().__init__(sys.stdout.fileno(), sys.stdout.encoding)

    async def write_line(self, text: str, *, encoding: str = "") -> None:
        """Write one line. Raises `StdoutClosedError`, `OSError`."""
        try:
            await super().write_line(text, encoding=encoding)
        except BrokenPipeError:
            raise StdoutClosedError from None


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
