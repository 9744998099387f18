"""One worker of `signal-sdk serve --workers`: a process of its own, started by its supervisor.

Owns: what the two say to each other. The supervisor writes one line to the worker's stdin, its
settings, and keeps it open: its end is the supervisor's. The worker writes one line to its stdout
once it serves. Must not know how many workers there are.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import Final

import trio

from signal_sdk.cli.failures import exit_code
from signal_sdk.cli.logs import json_complaints, log_on_stderr
from signal_sdk.cli.output import say
from signal_sdk.cli.settings import Settings

__all__ = ["SERVES"]

SERVES: Final = "serves"
"""What a worker says when it does."""
STDIN: Final = 0


def _read_line() -> bytes:
    """The settings, and no byte more than their line. Raises `EOFError` where there are none: the
    supervisor has ended before.
    """
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(STDIN, 65536)
        if not more:
            raise EOFError
        line += more
    return line


class _Stdin(trio.abc.ReceiveStream):
    """What is still to come from the supervisor."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.wait_readable(STDIN)
        return os.read(STDIN, max_bytes or 65536)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def _main(number: str) -> int:
    who = f"worker {number}"
    with ExitStack() as style:
        try:
            settings = Settings.decode(_read_line()).of_worker(int(number))
            config = settings.read()
            if is_json := config.server.log_format == "json":
                style.enter_context(json_complaints(who))
            with log_on_stderr(settings.levels(config), is_json=is_json, who=who):
                # It brings the whole server with it.
                from signal_sdk.cli.serving import serve_here  # noqa: PLC0415

                serve_here(config, settings.read, lambda _: say(SERVES), _Stdin())
        except EOFError:
            return 0
        except BaseException as exc:  # noqa: BLE001  what is not an error of ours is raised again
            return exit_code(exc)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
