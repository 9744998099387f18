"""Processes under measurement: started on a core of their own, read from /proc, and always stopped.

Owns: child processes, the two cores, CPU time and memory. Must not know what a process serves.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.02
SHOWN_CHARS: Final = 2000
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class BenchmarkError(Exception):
    """A measurement that could not be made."""


@attrs.frozen
class Cores:
    """Which core is the measured process's, and which the load's."""

    measured: int
    load: int

    @classmethod
    def choose(cls) -> Cores:
        """The first and the last of those that this process may use. Raises `BenchmarkError` where
        there is only one.
        """
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise BenchmarkError("the benchmarks need two cores: one for the server, one for load")
        return cls(cores[0], cores[-1])


def raise_file_limit() -> int:
    """As many open files as the system lets us have; children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def own_cpu_seconds() -> float:
    """The CPU time that this process, the load, has used so far."""
    return time.process_time()


class Process:
    """A child on one core, which has said that it is ready. Its output is in a file, so that no
    pipe can fill up.
    """

    def __init__(self, name: str, child: subprocess.Popen[bytes], output: Path) -> None:
        self.name = name
        self._child = child
        self._output = output

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until the output has `pattern` in it. Raises `BenchmarkError` where it ends, or
        takes too long.
        """
        ends = time.monotonic() + seconds
        while True:
            text = self.output()
            if found := re.search(pattern, text, re.MULTILINE):
                return found
            if self._child.poll() is not None:
                raise BenchmarkError(f"{self.name} ended: {text[-SHOWN_CHARS:]}")
            if time.monotonic() > ends:
                raise BenchmarkError(
                    f"{self.name} did not say {pattern!r} in {seconds:.0f} s: {text[-SHOWN_CHARS:]}"
                )
            time.sleep(POLL_SECONDS)

    def output(self) -> str:
        """All that it has said so far."""
        return self._output.read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """The CPU time of all its threads so far, in steps of 10 ms."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_bytes(self) -> int:
        """What it has in memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    def check(self) -> None:
        """Raises `BenchmarkError` where it has ended."""
        if self._child.poll() is not None:
            raise BenchmarkError(f"{self.name} ended: {self.output()[-SHOWN_CHARS:]}")

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._child.kill()
        self._child.wait(STOP_SECONDS)

    def stop(self) -> None:
        """End it, by force if it does not go."""
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(STOP_SECONDS)


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    core: int,
    folder: Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """`command` on `core`; its output goes into a file in `folder`."""
    mine = os.sched_getaffinity(0)
    path = folder / f"{name.replace(' ', '-')}.log"
    with path.open("wb") as output:
        # A child inherits the affinity, with all threads that it will ever start.
        os.sched_setaffinity(0, {core})
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
            )
        except OSError as exc:
            raise BenchmarkError(f"{name} cannot be started: {exc}") from None
        finally:
            os.sched_setaffinity(0, mine)
        process = Process(name, child, path)
        try:
            yield process
        finally:
            process.stop()
