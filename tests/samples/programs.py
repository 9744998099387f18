"""Programs of ours as real processes: what they write, and how they end. Every wait is bounded.

Owns: a process's life in a test. Must not know which program it is.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import trio

ROOT: Final = Path(__file__).parents[2]
MARK: Final = "SIGNAL_SDK_PROGRAM_TEST"
"""The name in a process's environment by which `marked` finds it, and those that it has started."""

EXPECT_SECONDS: Final = 50.0
"""How long a line, or a program's end, may take: a busy machine takes seconds to start Python."""
END_SECONDS: Final = 15.0
"""How long a program that a failed test leaves running has to end those that it has started."""


def marked(mark: str) -> list[str]:
    """The command lines of all processes that have the `mark` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


class Program:
    """A running program. `written` are its lines on stdout and stderr, `lines` those of them that
    nobody has taken.
    """

    def __init__(self, command: str, process: trio.Process) -> None:
        self.command = command
        self.lines: list[str] = []
        self.written: list[str] = []
        self._process = process
        self._news = trio.Event()
        self._is_silent = False

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def read(self) -> None:
        """Take in what the program writes, to the end."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *whole, rest = (rest + data).split(b"\n")
            new = [line.decode() for line in whole]
            self.lines += new
            self.written += new
            self._tell()
        self._is_silent = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def expect(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches, and take it and all before it."""
        with trio.move_on_after(EXPECT_SECONDS):
            while True:
                for number, line in enumerate(self.lines):
                    if match := re.search(pattern, line):
                        del self.lines[: number + 1]
                        return match
                if self._is_silent:
                    break
                await self._news.wait()
        raise AssertionError(f"{self.command}: no line with {pattern!r}; there is {self.lines}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def end(self) -> int:
        """Wait for the program's end, by itself or by a signal; return its exit code."""
        with trio.move_on_after(EXPECT_SECONDS):
            while not self._is_silent:
                await self._news.wait()
            return await self._process.wait()
        raise AssertionError(f"{self.command}: has not ended; there is {self.lines}")


@asynccontextmanager
async def program(*args: str, env: dict[str, str] | None = None) -> AsyncIterator[Program]:
    """Run Python with these arguments, from the repository's root, while the block runs."""
    process = await trio.lowlevel.open_process(
        [sys.executable, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(env or {})},
    )
    running = Program(" ".join(args), process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.read)
            yield running
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            with trio.move_on_after(END_SECONDS):
                process.terminate()
                if process.stdout is not None:
                    async for _ in process.stdout:
                        pass  # A full pipe would hold it up.
                await process.wait()
            process.kill()
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()
