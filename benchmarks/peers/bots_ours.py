"""Many sessions of our SDK in one process, each of which answers what it is told.

    python bots_ours.py PORT SESSIONS

Prints where its code is, how much memory it has before the first login, and a line when all are
logged in.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import trio

import signal_sdk
from signal_sdk import LoginCallback, LoginSession, Signal

TOKENS = json.loads(os.environ["TOKENS"])


class Answering(LoginCallback):
    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        session.message_instant_send(account, msg)


def print_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print("before", pages * os.sysconf("SC_PAGE_SIZE"), flush=True)


async def main(port: int, sessions: int) -> None:
    print("signal_sdk is of", Path(signal_sdk.__file__).parents[1], flush=True)
    print_memory()
    async with Signal(os.environ["APP_ID"], server=f"127.0.0.1:{port}") as signal:
        answering = Answering()
        bots = [signal.login(f"bot{i}", TOKENS[i], answering) for i in range(sessions)]
        for bot in bots:
            await bot
        print("ready", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]))
