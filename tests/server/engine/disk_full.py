"""A program that fills a real server's disk: run by test_disk_full.py, in a mount namespace of its
own or under a limit of how large files may be. What it has found goes to stdout as JSON.

    disk_full.py DIRECTORY tmpfs|rlimit
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import trio

from signal_sdk.net.transport import SocketTransport
from tests.server.helpers import OURS
from tests.wire_client import WireClient, wire_client

KIB: Final = 1024
DISK_KIB: Final = 2048
BALLAST_KIB: Final = 512
FILE_KIB: Final = 768
"""Where files are what is limited, how large each may be at first."""
CONTENT: Final = "x" * 6000
CONFIG: Final = "[server]\ndev = true\nport = 0\n[limits]\nuser_messages_per_second = 100000\n"


class Room:
    """How much may be stored."""

    def __init__(self, directory: Path, how: str) -> None:
        self.how = how
        self.ballast = [directory / f"ballast{number}" for number in range(2)]
        self.kib: int | None = FILE_KIB
        if how == "tmpfs":
            for ballast in self.ballast:
                ballast.write_bytes(b"\xee" * (BALLAST_KIB * KIB))

    def before_start(self) -> Callable[[], None] | None:
        """What the server's process does before it begins."""
        if self.how == "tmpfs" or self.kib is None:
            return None
        limit = self.kib * KIB
        return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def make(self, pid: int | None) -> None:
        """Let more be stored: by the server `pid`, if one runs."""
        if self.how == "tmpfs":
            self.ballast.pop().unlink()
        elif pid is None:
            self.kib = None
        else:
            limit = 2 * FILE_KIB * KIB
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


@asynccontextmanager
async def running(directory: Path, room: Room) -> AsyncIterator[tuple[trio.Process, int]]:
    """A server, which is killed behind the block; and its port."""
    config = directory / "signal.toml"
    config.write_text(CONFIG)
    process = await trio.lowlevel.open_process(
        [
            *(sys.executable, "-m", "signal_sdk", "serve"),
            *("--config", str(config), "--data", str(directory / "data")),
        ],
        stdout=subprocess.PIPE,
        preexec_fn=room.before_start(),
    )
    try:
        assert process.stdout is not None
        line = b""
        while b"\n" not in line:
            more = await process.stdout.receive_some()
            assert more, line
            line += more
        yield process, int(line.split(b"/")[2].rpartition(b":")[2])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
        assert process.stdout is not None
        await process.stdout.aclose()


@asynccontextmanager
async def logged_in(port: int, account: str) -> AsyncIterator[WireClient]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    transport = SocketTransport(socket.socket(fileno=stream.socket.detach()))
    async with wire_client(transport) as client:
        result = await client.login(account, **OURS)
        assert result["result"] == "ok", result
        yield client


async def fill(client: WireClient, stored: list[int], number: int) -> dict[str, Any]:
    """Send until a message is refused."""
    while True:
        reply = await send(client, number)
        if reply["result"] != "ok":
            return reply
        stored.append(number)
        number += 1


async def send(client: WireClient, number: int) -> dict[str, Any]:
    return await client.call(
        "user_sendmsg",
        peer="ann",
        flag="v1:E:3600",
        t="instant",
        content=f"{number} {CONTENT}",
        ack=0,
    )


async def read_all(client: WireClient) -> list[int]:
    found: list[int] = []
    clear = 0
    while True:
        page = await client.call("user_getmsg", ver_clear=clear, max=100)
        if not page["msgs"]:
            return found
        for clear, line in page["msgs"]:  # noqa: B007  the last one is what is cleared
            found.append(int(line.split(" ")[-2]))


async def status(port: int, path: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"http://127.0.0.1:{port}{path}")).status_code


async def main(directory: Path, how: str) -> dict[str, Any]:
    room = Room(directory, how)
    stored: list[int] = []
    found: dict[str, Any] = {}
    async with running(directory, room) as (process, port), logged_in(port, "bob") as bob:
        found["first"] = await fill(bob, stored, 0)
        found["at first"] = len(stored)
        found["second"] = await send(bob, 1000)
        found["question"] = await bob.call("user_query_user_status", account="bob")
        found["full"] = [await status(port, path) for path in ("/readyz", "/healthz")]
        room.make(process.pid)
        # It tries again each second.
        with trio.fail_after(20):
            while (await send(bob, 2000))["result"] != "ok":  # noqa: ASYNC110  no event tells it
                await trio.sleep(0.1)
        found["with room"] = [await status(port, path) for path in ("/readyz", "/healthz")]
        stored.append(2000)
        found["third"] = await fill(bob, stored, 3000)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    room.make(None)
    async with running(directory, room) as (_, port), logged_in(port, "ann") as ann:
        read = await read_all(ann)
        found["lost"] = [number for number in stored if number not in read]
        found["doubled"] = len(read) - len(set(read))
        # What was refused may have come through, but nothing out of its order.
        found["in order"] = [number for number in read if number in stored] == stored
        found["stored"] = len(stored)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trio.run(main, Path(sys.argv[1]), sys.argv[2])))
