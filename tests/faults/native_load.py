"""A program of native peers that sends and receives as sdk_load.py's does, over whatever befalls
the server, and then says what was acknowledged and what came.

    python tests/faults/native_load.py HOST:PORT,PORT NAME,NAME,… PEER,PEER,…

The ports are those of the lookup.
"""

from __future__ import annotations

import itertools
import json
import sys
from functools import partial

import trio

from signal_sdk import SignalError
from signal_sdk.testing import NativePeer, connect_by_lookup, native_peer
from tests.faults.sdk_load import PAUSE_SECONDS, listen, say


class Bot:
    """One peer's records; of one, the test wants to know when it is back."""

    def __init__(self, peer: NativePeer, *, is_watched: bool) -> None:
        self.peer = peer
        self.is_watched = is_watched
        self.acked: list[str] = []
        self.unknown: list[str] = []
        self.heard: list[str] = []
        self.reconnected = 0

    async def hear_loop(self) -> None:
        while True:
            _, _, msg = await self.peer.expect("on_message_instant_receive")
            self.heard.append(msg)

    async def watch_loop(self) -> None:
        while True:
            await self.peer.expect("on_reconnected")
            self.reconnected += 1
            if self.is_watched:
                say("back")

    async def send_loop(self, peers: list[str], stop: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            for number, peer in enumerate(itertools.cycle(peers)):
                if stop.is_set():
                    return
                text = f"{self.peer.account}>{peer}#{number}"
                nursery.start_soon(self._send, peer, text)
                await trio.sleep(PAUSE_SECONDS)

    async def _send(self, peer: str, text: str) -> None:
        try:
            await self.peer.message_instant_send(peer, text)
        except SignalError:
            # It is not sent again: whether it was done, nobody knows.
            self.unknown.append(text)
        else:
            self.acked.append(text)


async def main(lookup: str, names: list[str], peers: list[str]) -> None:
    host, _, ports = lookup.partition(":")
    connect = connect_by_lookup("app", host, [int(port) for port in ports.split(",")])
    stop, tell = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, stop, tell)
        bots: dict[str, Bot] = {}
        started = trio.Event()

        async def live(name: str) -> None:
            async with native_peer(connect=connect) as peer, trio.open_nursery() as loops:
                await peer.login(name)
                bots[name] = bot = Bot(peer, is_watched=name == names[0])
                loops.start_soon(bot.hear_loop)
                loops.start_soon(bot.watch_loop)
                if len(bots) == len(names):
                    started.set()
                await tell.wait()
                loops.cancel_scope.cancel()

        for name in names:
            nursery.start_soon(live, name)
        await started.wait()
        say("ready")
        async with trio.open_nursery() as senders:
            for name, bot in bots.items():
                others = [peer for peer in peers if peer != name]
                senders.start_soon(partial(bot.send_loop, others, stop))
        say("stopped")
        await tell.wait()
    told = {
        name: {
            "acked": bot.acked,
            "unknown": bot.unknown,
            "heard": bot.heard,
            "reconnected": bot.reconnected,
            "logouts": len(bot.peer.seen("on_logout")),
        }
        for name, bot in bots.items()
    }
    say(json.dumps(told))


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(","))
