"""Programs as processes of their own, which are told by lines on stdin and tell by lines on
stdout.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 60.0


def free_port() -> int:
    """A port that is free now, and whose next is, too."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Program:
    """A process, killed at the end of its block where it still runs."""

    def __init__(self, command: Sequence[str]) -> None:
        self._lines: Queue[str] = Queue()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def expect(self, start: str) -> str:
        """Wait for a line that begins so."""
        return self._expect(start, str.startswith)

    def expect_within(self, text: str) -> str:
        """Wait for a line with this in it."""
        return self._expect(text, str.__contains__)

    def _expect(self, text: str, fits: Callable[[str, str], bool]) -> str:
        seen: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_SECONDS)
            except Empty:
                raise AssertionError(f"no line {text!r}, but {seen}") from None
            if fits(line, text):
                return line
            assert line, f"it ended with {seen}"
            seen.append(line)

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it by SIGKILL, and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
