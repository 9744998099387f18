"""Many of nats-py's clients in one process, each of which answers what it is told.

    python bots_nats.py PORT SESSIONS

Prints how much memory it has before the first login, and a line when all are logged in.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import nats  # type: ignore[import-not-found, unused-ignore]
import uvloop  # type: ignore[import-not-found, unused-ignore]

LOGINS_AT_ONCE = 20


async def told(message: Any) -> None:
    await message.respond(message.data)


async def log_in(port: int, number: int, turn: asyncio.Semaphore, gone: asyncio.Event) -> Any:
    async def closed() -> None:
        gone.set()

    async with turn:
        client = await nats.connect(
            f"nats://127.0.0.1:{port}",
            token=os.environ["CERTIFICATE"],
            allow_reconnect=False,
            connect_timeout=60,
            closed_cb=closed,
        )
        await client.subscribe(f"user.bot{number}", cb=told)
        await client.flush(60)
    return client


def print_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print("before", pages * os.sysconf("SC_PAGE_SIZE"), flush=True)


async def main(port: int, sessions: int) -> None:
    print_memory()
    turn = asyncio.Semaphore(LOGINS_AT_ONCE)
    gone = asyncio.Event()
    logins = [log_in(port, number, turn, gone) for number in range(sessions)]
    clients = await asyncio.gather(*logins)
    print("ready", len(clients), flush=True)
    await gone.wait()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
