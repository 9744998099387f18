"""A program with many sessions of our SDK, which is stopped by SIGSTOP in the midst of its sends.

    python tests/faults/stopped_bots.py SERVER SESSIONS

"send" on stdin has each session send to the next, one after the other; what came of it and of the
connections is said at "tell". An answer may take `REPLY_SECONDS` here, so that nobody has to wait
for long.
"""

from __future__ import annotations

import json
import sys

import trio

from signal_sdk import LoginCallback, LoginSession, Signal, SignalError
from signal_sdk.client import requests

REPLY_SECONDS = 3.0
ROUNDS = 20


class Bot(LoginCallback):
    """Counts what a session has lost."""

    def __init__(self) -> None:
        self.lost = 0

    async def on_reconnecting(self, session: LoginSession, attempt: int) -> None:
        self.lost += 1


def say(line: str) -> None:
    """Tell whoever started this program."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(server: str, count: int) -> None:
    """Obey stdin."""
    requests.REPLY_SECONDS = REPLY_SECONDS  # type: ignore[misc]
    bots = [Bot() for _ in range(count)]
    failed: list[str] = []

    async def send_all(session: LoginSession, peer: str) -> None:
        for number in range(ROUNDS):
            try:
                await session.message_instant_send(peer, str(number))
            except SignalError as exc:
                failed.append(str(exc))

    async with Signal("app", server=server) as signal:
        sessions = [
            signal.login(f"bot{number}", "_no_need_token", bot) for number, bot in enumerate(bots)
        ]
        for session in sessions:
            await session
        say("ready")
        stdin = trio.lowlevel.FdStream(sys.stdin.fileno())
        async with trio.open_nursery() as nursery:
            async for data in stdin:
                if data == b"send\n":
                    for number, session in enumerate(sessions):
                        nursery.start_soon(send_all, session, f"bot{(number + 1) % count}")
                    say("sending")
                else:
                    break
        say(json.dumps({"failed": failed, "lost": sum(bot.lost for bot in bots)}))


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
