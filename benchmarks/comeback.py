"""A server with many sessions is killed and started again: how long until all are back, and was
anything lost that it had acknowledged?

    python -m benchmarks.comeback [--sessions 2000]

The server has one core, all sessions are in one process on the other. While the server is down and
coming back, they go on sending to each other; at the end every message that was acknowledged must
have come, once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import trio

from benchmarks.process import BenchmarkError, Cores, Process, raise_file_limit, running
from signal_sdk import LoginCallback, LoginSession, Signal, SignalError

ROOT: Final = Path(__file__).parents[1]
MEMBERS: Final = 100
"""How many sessions share a channel."""
LOGINS_AT_ONCE: Final = 50
SENDS_PER_SECOND: Final = 200
DOWN_SECONDS: Final = 0.5
BUSY_SECONDS: Final = 2.0
LIMITS: Final = {
    f"SIGNAL_SDK_LIMITS_{name}": "0"
    for name in ("CONNECTIONS_PER_ADDRESS", "CONNECTIONS_PER_SECOND", "LOGINS_PER_SECOND")
}
"""All sessions come from one address."""
PATIENCE_SECONDS: Final = 120.0
ENDS_SECONDS: Final = 15.0
"""After the last send: longer than an answer is waited for."""


class Bot(LoginCallback):
    """A session that counts what comes, and knows when it was back."""

    def __init__(self, heard: Counter[str], back_at: dict[str, float]) -> None:
        self._heard = heard
        self._back_at = back_at

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self._heard[msg] += 1

    async def on_reconnected(self, session: LoginSession) -> None:
        self._back_at[session.account] = time.monotonic()


class Crowd:
    """All sessions."""

    def __init__(self, signal: Signal, count: int) -> None:
        self.heard: Counter[str] = Counter()
        self.back_at: dict[str, float] = {}
        self.acked: list[str] = []
        self.failed = 0
        self.is_sending = True
        self._signal = signal
        self._names = [f"bot{number}" for number in range(count)]
        self._sessions: dict[str, LoginSession] = {}

    async def log_in(self) -> None:
        """Log everybody in, and into a channel."""
        limiter = trio.CapacityLimiter(LOGINS_AT_ONCE)

        async def log_one_in(number: int, name: str) -> None:
            async with limiter:
                bot = Bot(self.heard, self.back_at)
                session = await self._signal.login(name, "_no_need_token", bot)
                self._sessions[name] = session
                await session.channel_join(f"room{number // MEMBERS}")

        async with trio.open_nursery() as nursery:
            for number, name in enumerate(self._names):
                nursery.start_soon(log_one_in, number, name)

    async def send_loop(self) -> None:
        """Send from anybody to anybody, until told to stop; then wait for the answers."""
        async with trio.open_nursery() as nursery:
            number = 0
            while self.is_sending:
                sender, peer = random.sample(self._names, 2)
                nursery.start_soon(self._send, sender, peer, f"{sender}>{peer}#{number}")
                number += 1
                await trio.sleep(1 / SENDS_PER_SECOND)

    async def _send(self, sender: str, peer: str, text: str) -> None:
        try:
            await self._sessions[sender].message_instant_send(peer, text)
        except SignalError:
            self.failed += 1
        else:
            self.acked.append(text)

    async def wait_all_back(self) -> None:
        """Wait until every session has reconnected. Raises `BenchmarkError` where some do not."""
        with trio.move_on_after(PATIENCE_SECONDS):
            while len(self.back_at) < len(self._names):  # noqa: ASYNC110  callbacks count
                await trio.sleep(0.05)
            return
        raise BenchmarkError(f"only {len(self.back_at)} came back in {PATIENCE_SECONDS:.0f} s")


async def measure(count: int, cores: Cores) -> dict[str, float]:
    """One kill, and all that comes of it."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        port = _free_port()
        command = [sys.executable, "-m", "signal_sdk", "serve", "--dev", "--port", str(port)]
        command += ["--data", str(folder / "data")]

        def serve() -> AbstractContextManager[Process]:
            return running(
                "server",
                command,
                core=cores.measured,
                folder=folder,
                cwd=ROOT,
                environment=LIMITS,
            )

        async with Signal("app", server=f"127.0.0.1:{port}") as signal:
            crowd = Crowd(signal, count)
            with serve() as server:
                server.wait_for("^listening")
                await crowd.log_in()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(crowd.send_loop)
                    await trio.sleep(BUSY_SECONDS)
                    server.kill()
                    killed = time.monotonic()
                    await trio.sleep(DOWN_SECONDS)
                    with serve() as again:
                        again.wait_for("^listening")
                        listening = time.monotonic()
                        await crowd.wait_all_back()
                        cpu = again.cpu_seconds()
                        await trio.sleep(BUSY_SECONDS)
                        crowd.is_sending = False
                        await trio.sleep(ENDS_SECONDS)
                        nursery.cancel_scope.cancel()
        back = sorted(at - killed for at in crowd.back_at.values())
        return {
            "sessions": count,
            "listening_s": listening - killed,
            "half_back_s": back[len(back) // 2],
            "all_back_s": back[-1],
            "server_cpu_s": cpu,
            "acknowledged": len(crowd.acked),
            "unknown": crowd.failed,
            "lost": sum(not crowd.heard[text] for text in crowd.acked),
            "twice": sum(count > 1 for count in crowd.heard.values()),
        }


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="How long sessions take to come back.")
    parser.add_argument("--sessions", type=int, default=2000)
    args = parser.parse_args()
    raise_file_limit()
    cores = Cores.choose()
    os.sched_setaffinity(0, {cores.load})
    print(json.dumps(trio.run(measure, args.sessions, cores), indent=2))


if __name__ == "__main__":
    main()
