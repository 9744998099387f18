"""A server in a process of its own, for tests that are not trio's.

Owns: the process's start and end. Must not know who talks to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

__all__ = ["server_process"]

COMMAND: Final = (
    *("-m", "signal_sdk", "serve"),
    *("--dev", "--port", "0"),
    *("--no-native", "--json"),
)
END_SECONDS: Final = 10.0


@contextmanager
def server_process() -> Generator[str]:
    """Run `signal-sdk serve --dev` on a free port while the block runs; gives its `HOST:PORT`.

    Raises `RuntimeError` with what it says where it does not start.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  our own command
            [sys.executable, *COMMAND],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        try:
            if process.stdout is None:
                raise RuntimeError("the server has no stdout")
            try:
                listens = json.loads(process.stdout.readline())
            except ValueError:
                process.wait()
                said.seek(0)
                text = said.read().decode(errors="replace").strip()
                raise RuntimeError(f"the server has not started: {text}") from None
            yield listens["plain"][0]
        finally:
            process.kill()
            process.wait(END_SECONDS)
            if process.stdout is not None:
                process.stdout.close()
