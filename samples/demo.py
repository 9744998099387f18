"""The whole system in one terminal: a server in dev mode, the sample bots, a visitor, a web page.

    python -m samples.demo [--seconds N] [--port P] [--page-port P]

Owns: the processes, from their start to their end, and what is shown of them. Must not know what
they say, but for the line by which each tells that it is ready.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

import trio

HOST = "127.0.0.1"
PORT = 8001
NATIVE_PORT = 8003
LOOKUP_PORTS = (8180, 8181)
PAGE_PORT = 8080
APP = "demo"

LISTENS = (
    r"ws://([\w.]+:\d+)/ [\s\S]*"
    r"native clients: tcp \S+ \(lookup udp [\d.]+:(\d+) and udp [\d.]+:(\d+)\)"
)
"""How a server says where it listens, and where old apps ask for it."""
READY_SECONDS = 30
"""How long a program may take to say that it is ready."""
END_SECONDS = 5
"""How long a program that is asked to end may take; a server waits 3 s for its clients."""

ROOT = Path(__file__).parents[1]


class DemoError(Exception):
    """Something went wrong; the text is one line."""


async def demo(seconds: float, port: int | None, page_port: int | None) -> None:
    """Run everything until a signal comes or the time is over. Bots end first, servers last."""
    async with trio.open_nursery() as servers:
        with trio.move_on_after(seconds) as bots_scope:
            await servers.start(cancel_on_signal, bots_scope)
            chosen = free_server_port() if port is None else port
            command = f"signal_sdk serve --dev --native --port {chosen}"
            server, *lookup = (await servers.start(run, "server", command, LISTENS)).groups()
            chosen = free_port(PAGE_PORT) if page_port is None else page_port
            command = f"samples.web_server --port {chosen}"
            url = (await servers.start(run, "page", command, r"(http://\S+)"))[1]
            # On its own, the page looks for a server on port 8001.
            page = url if server == f"{HOST}:{PORT}" else f"{url}?server={server}"
            await show_bots(server, f"{HOST}:{','.join(lookup)}", page)
        servers.cancel_scope.cancel()
    show("demo", "all has ended")


async def show_bots(server: str, lookup: str, url: str) -> None:
    """Run the bots until cancelled."""
    at = f"--server {server} --app {APP}"
    async with trio.open_nursery() as bots:
        await bots.start(run, "presence", f"samples.presence_listener {at}", "listen to")
        await bots.start(run, "echo", f"samples.echo_bot {at}", "is online")
        await bots.start(run, "desk", f"samples.call_desk {at}", "is online")
        await run_to_its_end("visitor", f"samples.visitor {at}")
        await run_to_its_end("old app", f"samples.old_app --lookup {lookup} --app {APP}")
        await run_to_its_end("many", f"samples.many_bots {at}")
        show("demo", f"now it is your turn: {url} is the page, and Ctrl-C ends all")
        await trio.sleep_forever()


async def cancel_on_signal(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


def free_server_port() -> int:
    """The server's own port where all that it listens on are free; otherwise 0, for any that are:
    those of native clients, too.
    """
    is_free = free_port(NATIVE_PORT) and all(free_port(port, udp=True) for port in LOOKUP_PORTS)
    return PORT if free_port(PORT) and is_free else 0


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
            show("demo", f"port {preferred} is taken: another will do")
            return 0
    return preferred


# --- Programs


async def run(
    name: str, command: str, ready: str, *, task_status: trio.TaskStatus[re.Match[str]]
) -> None:
    """Run a program until cancelled, and show its lines; it has started when they match `ready`.
    Raises `DemoError` if it ends by itself.
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
            raise DemoError(f"{name} has ended with exit code {await process.wait()}")
        raise DemoError(f"{name} was not ready in {READY_SECONDS} s")


async def run_to_its_end(name: str, command: str) -> None:
    """Run a program that ends by itself, and show its lines. Raises `DemoError` if it fails."""
    async with program(command) as process:
        async for line in lines(process):
            show(name, line)
        if code := await process.wait():
            raise DemoError(f"{name} has ended with exit code {code}")


@asynccontextmanager
async def program(command: str) -> AsyncIterator[trio.Process]:
    """Run a Python module with its arguments; leaving the block ends it, and waits for its end."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", *command.split()],
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
    print(f"{name:>8} | {line}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A server, the sample bots, and a web page.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="end after so many")
    parser.add_argument("--port", type=int, help=f"the server's (default: {PORT}, if it is free)")
    parser.add_argument(
        "--page-port", type=int, help=f"the page's (default: {PAGE_PORT}, if it is free)"
    )
    args = parser.parse_args()
    try:
        trio.run(demo, args.seconds, args.port, args.page_port)
    except* DemoError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        sys.exit(f"error: {error}")
