"""The command line as its users run it: a process of its own, with its lines and its signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import attrs
import trio

ROOT = Path(__file__).parents[2]
LIVES_SECONDS = 100
"""Generous: a program that takes as long has hung. Where others had the machine, a supervisor whose
workers had gone took 26 s to exit, which needs 0.1 s of a core. A test's own limit is longer, since
that says less.
"""
COMMAND = [sys.executable, "-m", "signal_sdk"]


@attrs.define(kw_only=True)
class Ended:
    """How a program ended: its exit code, and all lines that it had not been asked for."""

    code: int
    out: str
    err: str


class Lines:
    """One output of a program, line by line."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._data = b""

    async def next(self) -> str:
        """The next line, without its end."""
        while b"\n" not in self._data:
            more = await self._stream.receive_some()
            assert more, f"it ended with {self._data!r}"
            self._data += more
        line, _, self._data = self._data.partition(b"\n")
        return line.decode()

    async def rest(self) -> str:
        """All that is still to come."""
        async for more in self._stream:
            self._data += more
        return self._data.decode()


class Program:
    """A program that runs."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout
        assert process.stderr
        self.process = process
        self.out = Lines(process.stdout)
        self.err = Lines(process.stderr)

    async def say(self, text: str) -> None:
        """Write it to its stdin."""
        assert self.process.stdin
        await self.process.stdin.send_all(text.encode())

    async def close_stdin(self) -> None:
        """Say no more."""
        assert self.process.stdin
        await self.process.stdin.aclose()

    async def close_stdout(self) -> None:
        """Read no more of its stdout, and tell it so."""
        assert self.process.stdout
        await self.process.stdout.aclose()

    async def end(self, number: signal.Signals | None = None, *, reads: bool = True) -> Ended:
        """Send it a signal, if one is given, and wait for its end."""
        if number is not None:
            self.process.send_signal(number)
        out = await self.out.rest() if reads else ""
        err = await self.err.rest()
        return Ended(code=await self.process.wait(), out=out, err=err)


@asynccontextmanager
async def program(
    *args: str, environment: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> AsyncIterator[Program]:
    """Run `signal-sdk` with `args` while the block runs; with `subprocess.PIPE`, what it is to read
    can be said. Raises `trio.TooSlowError` where that
    takes too long, with a note on what the program was doing.
    """
    standing = ""
    try:
        with trio.fail_after(LIVES_SECONDS) as scope:
            process = await trio.lowlevel.open_process(
                [*COMMAND, *args],
                cwd=ROOT,
                env=clean_environment() | dict(environment or {}),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            try:
                yield Program(process)
            finally:
                if scope.cancel_called:
                    standing = standing_of(process.pid)
                if process.returncode is None:
                    process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None:
                        await stream.aclose()
    except trio.TooSlowError as exc:
        if standing:
            exc.add_note(standing)
        raise


def standing_of(pid: int) -> str:
    """What a process and its children are doing, a line each: has it hung, or no core to run on?"""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        ran, waited, _ = (int(it) / 1e9 for it in (process / "schedstat").read_text().split())
        children = (process / f"task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return f"process {pid} has gone"
    own = f"process {pid}: {state}, ran for {ran:.1f} s, waited for a core for {waited:.1f} s"
    return "\n".join([own, *(standing_of(int(child)) for child in children)])


@asynccontextmanager
async def dev_server(*args: str) -> AsyncIterator[tuple[Program, str]]:
    """`signal-sdk serve --dev` on a free port, and its address."""
    async with program("serve", "--dev", "--port", "0", *args) as server:
        yield server, address_in(await server.out.next())


def address_in(line: str) -> str:
    """HOST:PORT in the line that says what the server listens on."""
    found = re.match(r"listening on ws://(\S+?)/", line)
    assert found, line
    return found[1]


def run(
    *args: str,
    stdin: str | bytes = "",
    stdout: int | IO[Any] = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run `signal-sdk` with `args` to its end."""
    done = subprocess.run(
        [*COMMAND, *args],
        cwd=ROOT,
        env=clean_environment() | dict(environment or {}),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=LIVES_SECONDS,
        check=False,
    )
    return Ended(code=done.returncode, out=(done.stdout or b"").decode(), err=done.stderr.decode())


@contextmanager
def unread_pipe() -> Iterator[IO[bytes]]:
    """The writing end of a pipe whose reader is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        yield stdout


def full_disk() -> IO[bytes]:
    """A file that has no room for anything."""
    return Path("/dev/full").open("wb")


def clean_environment() -> dict[str, str]:
    """This process's environment without what the command line reads in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SIGNAL_SDK_")}


def one_line_of(ended: Ended) -> str:
    """The one line on stderr, and nothing on stdout, that a failure is."""
    assert ended.out == ""
    line, end, rest = ended.err.partition("\n")
    assert (end, rest) == ("\n", ""), ended.err
    return line
