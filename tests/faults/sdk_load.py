"""A program of our SDK's that sends and receives for as long as it is told to, over whatever
befalls the server, and then says what was acknowledged and what came.

    python tests/faults/sdk_load.py SERVER NAME,NAME,… PEER,PEER,…

The names log in; each sends to the peers in turn. A line "stop" on stdin ends the sending, which is
said once all are connected: some may be in a pause between their tries. A line "tell" ends the
program.
"""

from __future__ import annotations

import itertools
import json
import sys
from functools import partial

import trio

from signal_sdk import LoginCallback, LoginSession, Signal, SignalError

PAUSE_SECONDS = 0.02


def say(line: str) -> None:
    """Tell whoever started this program."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Bot(LoginCallback):
    """One session's records; of one, the test wants to know when it is back."""

    def __init__(self, *, is_watched: bool) -> None:
        self.is_watched = is_watched
        self.acked: list[str] = []
        self.unknown: list[str] = []
        self.heard: list[str] = []
        self.reconnected = 0
        self.connected = trio.Event()
        self.connected.set()

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self.heard.append(msg)

    async def on_reconnecting(self, session: LoginSession, attempt: int) -> None:
        self.connected = trio.Event()

    async def on_reconnected(self, session: LoginSession) -> None:
        self.reconnected += 1
        self.connected.set()
        if self.is_watched:
            say("back")

    async def send_loop(self, session: LoginSession, peers: list[str], stop: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            for number, peer in enumerate(itertools.cycle(peers)):
                if stop.is_set():
                    return
                text = f"{session.account}>{peer}#{number}"
                nursery.start_soon(self._watch, text, session.message_instant_send(peer, text))
                await trio.sleep(PAUSE_SECONDS)

    async def _watch(self, text: str, operation: object) -> None:
        try:
            await operation  # type: ignore[misc]  # an Operation
        except SignalError:
            self.unknown.append(text)
        else:
            self.acked.append(text)


async def listen(stop: trio.Event, tell: trio.Event) -> None:
    """Set what is told on stdin."""
    stdin = trio.lowlevel.FdStream(sys.stdin.fileno())
    data = b""
    while not tell.is_set():
        data += await stdin.receive_some()
        if b"stop\n" in data:
            stop.set()
        if b"tell\n" in data:
            tell.set()


async def main(server: str, names: list[str], peers: list[str]) -> None:
    stop, tell = trio.Event(), trio.Event()
    bots = {name: Bot(is_watched=name == names[0]) for name in names}
    async with Signal("app", server=server) as signal, trio.open_nursery() as nursery:
        nursery.start_soon(listen, stop, tell)
        sessions = {name: signal.login(name, "_no_need_token", bots[name]) for name in names}
        for session in sessions.values():
            await session
        say("ready")
        async with trio.open_nursery() as senders:
            for name, session in sessions.items():
                others = [peer for peer in peers if peer != name]
                senders.start_soon(partial(bots[name].send_loop, session, others, stop))
        for bot in bots.values():
            await bot.connected.wait()
        say("stopped")
        await tell.wait()
    told = {
        name: {
            "acked": bot.acked,
            "unknown": bot.unknown,
            "heard": bot.heard,
            "reconnected": bot.reconnected,
        }
        for name, bot in bots.items()
    }
    say(json.dumps(told))


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(","))
