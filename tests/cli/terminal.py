"""A terminal that a program of ours runs in, and what is seen on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from tests.cli.program import COMMAND, LIVES_SECONDS, ROOT, clean_environment

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")
"""What moves the cursor and changes colours."""


class Terminal:
    """The side of it that somebody sits at."""

    def __init__(self, fd: int, process: trio.Process) -> None:
        self._fd = fd
        self.process = process
        self.seen = ""
        """All that was written to it, colours and all."""

    @property
    def text(self) -> str:
        """What was written to it, without what moves the cursor."""
        return CONTROL.sub("", self.seen)

    async def until(self, text: str) -> None:
        """Read until that was written."""
        while text not in self.text:
            assert await self._read(), f"it ended with {self.seen!r}"

    async def end(self) -> int:
        """Read until it ends; its exit code."""
        while await self._read():
            pass
        return await self.process.wait()

    async def _read(self) -> bool:
        await trio.lowlevel.wait_readable(self._fd)
        try:
            more = os.read(self._fd, 65536)
        except OSError:
            # Linux says so once nobody has the other side any more.
            return False
        self.seen += more.decode()
        return bool(more)

    def press(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._fd, keys.encode())

    def attributes(self) -> list[object]:
        """How the terminal is set."""
        return termios.tcgetattr(self._fd)


@asynccontextmanager
async def terminal(
    *args: str, environment: Mapping[str, str] | None = None, columns: int = 160
) -> AsyncIterator[Terminal]:
    """Run `signal-sdk` with `args` in a terminal while the block runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    try:
        with trio.fail_after(LIVES_SECONDS):
            try:
                process = await trio.lowlevel.open_process(
                    # It is what Ctrl-C means at this terminal.
                    ["setsid", "--ctty", *COMMAND, *args],
                    cwd=ROOT,
                    env=_environment() | dict(environment or {}),
                    stdin=theirs,
                    stdout=theirs,
                    stderr=theirs,
                )
            finally:
                os.close(theirs)
            try:
                yield Terminal(ours, process)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
    finally:
        os.close(ours)


def _environment() -> dict[str, str]:
    """What a terminal's own shell would have, whatever runs the tests says of one."""
    others = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM")
    kept = {name: value for name, value in clean_environment().items() if name not in others}
    return {**kept, "TERM": "xterm-256color"}


async def shown(*args: str, environment: Mapping[str, str] | None = None) -> tuple[int, Terminal]:
    """Run it to its end; the exit code, and what is seen."""
    async with terminal(*args, environment=environment) as running:
        return await running.end(), running
