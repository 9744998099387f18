"""Many of python-socketio's clients in one process, each of which answers what it is told, and has
its answer acknowledged.

    python bots_socketio.py PORT SESSIONS

Prints how much memory it has before the first login, and a line when all are logged in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp  # type: ignore[import-not-found, unused-ignore]  # noqa: F401  counts as before
import socketio  # type: ignore[import-not-found, unused-ignore]
import uvloop  # type: ignore[import-not-found, unused-ignore]

TOKENS = json.loads(os.environ["TOKENS"])
LOGINS_AT_ONCE = 20


def acknowledged(*_: Any) -> None:
    pass


async def log_in(port: int, number: int, turn: asyncio.Semaphore) -> Any:
    client = socketio.AsyncClient(reconnection=False)

    async def told(account: str, text: str) -> None:
        await client.emit("tell", (account, text), callback=acknowledged)

    client.on("told", told)
    async with turn:
        await client.connect(
            f"http://127.0.0.1:{port}",
            transports=["websocket"],
            auth={"account": f"bot{number}", "token": TOKENS[number]},
            wait_timeout=60,
        )
    return client


def print_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print("before", pages * os.sysconf("SC_PAGE_SIZE"), flush=True)


async def main(port: int, sessions: int) -> None:
    print_memory()
    turn = asyncio.Semaphore(LOGINS_AT_ONCE)
    clients = await asyncio.gather(*(log_in(port, number, turn) for number in range(sessions)))
    print("ready", flush=True)
    await asyncio.gather(*(client.wait() for client in clients))


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
