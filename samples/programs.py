"""Programs in one terminal: each with its name before its lines, and all of them ended in the end.

Owns: the processes, from their start to their end, and how they are shown. Must not know what they
say, but for the line by which each tells that it is ready.
"""

from __future__ import annotations

import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import trio

HOST = "127.0.0.1"
PORT = 8001
NATIVE_PORT = 8003
LOOKUP_PORTS = (8180, 8181)
PAGE_PORT = 8080
ADMIN_UP = 10
"""How far above its own port a server in dev mode has its admin address."""

READY_SECONDS = 30
"""How long a program may take to say that it is ready."""
END_SECONDS = 5
"""How long a program that is asked to end may take; a server waits 3 s for its clients."""

ROOT = Path(__file__).parents[1]


class ProgramError(Exception):
    """Something went wrong; the text is one line."""


def end_with(group: BaseExceptionGroup[ProgramError]) -> None:
    """End this program, and say why."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    sys.exit(f"error: {error}")


async def cancel_on_signal(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    """Cancel `scope` at Ctrl-C, and at other signals that end a program."""
    with trio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


def free_server_port() -> int:
    """The server's own port where all that it listens on are free; otherwise 0, for any that are:
    those of native clients, too.
    """
    is_free = free_port(NATIVE_PORT) and all(free_port(port, udp=True) for port in LOOKUP_PORTS)
    return free_node_port(PORT) if is_free else 0


def free_node_port(preferred: int) -> int:
    """`preferred` where it and the admin address's are free; otherwise 0, for any that are."""
    return preferred if free_port(preferred) and free_port(preferred + ADMIN_UP) else 0


def free_port(preferred: int, *, udp: bool = False) -> int:
    """`preferred` where it is free; otherwise 0, for any that is."""
    with socket.socket(type=socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as sock:
        if not udp:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, preferred))
            if not udp:
                sock.listen()
        except OSError:
            show("ports", f"port {preferred} is taken: another will do")
            return 0
    return preferred


def module(text: str) -> list[str]:
    """The command that runs a Python module with its arguments."""
    return [sys.executable, "-m", *text.split()]


async def run(
    name: str, command: Sequence[str], ready: str, *, task_status: trio.TaskStatus[re.Match[str]]
) -> None:
    """Run a program until cancelled, and show its lines; it has started when they match `ready`.
    Raises `ProgramError` if it ends by itself.
    """
    async with program(command) as process:
        with trio.move_on_after(READY_SECONDS) as patience:
            text = ""
            async for line in lines(process):
                show(name, line)
                if patience.deadline < math.inf:
                    text += f"{line}\n"
                    if match := re.search(ready, text):
                        patience.deadline = math.inf
                        task_status.started(match)
            raise ProgramError(f"{name} has ended with exit code {await process.wait()}")
        raise ProgramError(f"{name} was not ready in {READY_SECONDS} s")


async def run_to_its_end(name: str, command: Sequence[str]) -> None:
    """Run a program that ends by itself, and show its lines. Raises `ProgramError` if it fails."""
    async with program(command) as process:
        async for line in lines(process):
            show(name, line)
        if code := await process.wait():
            raise ProgramError(f"{name} has ended with exit code {code}")


@asynccontextmanager
async def program(command: Sequence[str]) -> AsyncIterator[trio.Process]:
    """Run a program; leaving the block ends it, and waits for its end."""
    process = await trio.lowlevel.open_process(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A terminal's Ctrl-C goes to this program only, which ends the others in good order.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            with trio.move_on_after(END_SECONDS):
                process.terminate()
                async for _ in lines(process):
                    pass  # What it says in the end must not hold it up.
                await process.wait()
            process.kill()
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()


async def lines(process: trio.Process) -> AsyncIterator[str]:
    """What a program writes, line by line."""
    rest = b""
    if process.stdout is not None:
        async for data in process.stdout:
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")


def show(name: str, line: str) -> None:
    """Show a line of a program."""
    print(f"{name:>8} | {line}", flush=True)
