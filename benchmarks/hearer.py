"""Whoever hears what topics.py has published: `python -m benchmarks.hearer PORT WAY CHANNELS`.

Owns: subscribing and reading, each way on one connection, as a node has one. Must not know who
publishes. Says `hears` when it does, and how late each message came once it has heard the end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import trio

from signal_sdk.net.sleeper import Sleeper
from signal_sdk.server.engine.redis import resp
from signal_sdk.server.engine.redis.addresses import parse
from signal_sdk.server.engine.redis.connection import Connection

PUBSUB: Final = "sharded pub/sub"
STREAM: Final = "a stream for each channel"
ALL: Final = "one stream for all"
CHANNEL: Final = "channel"
END: Final = "end"


def key_of(kind: str, number: int) -> str:
    """The name of a channel, and of its stream; or that of the stream for all."""
    return "signal:{bench}:all" if kind == ALL else f"signal:{{bench}}:e:hall{number}"


class Hearer:
    """What is heard."""

    def __init__(self) -> None:
        self._late_ns: list[int] = []
        self._count = 0
        self._wanted = -1
        self.done: trio.Event = trio.Event()

    def hear(self, message: bytes) -> None:
        """A message was published."""
        stamp, _, rest = message.partition(b" ")
        if stamp == END.encode():
            self._wanted = int(rest)
        else:
            self._count += 1
            self._late_ns.append(time.monotonic_ns() - int(stamp))
        if self._count == self._wanted:
            self.done.set()

    def __str__(self) -> str:
        late = sorted(self._late_ns)
        p50, p99 = (late[int(len(late) * share)] / 1e6 for share in (0.5, 0.99))
        return f"heard all; p50 {p50:.3f} p99 {p99:.3f}"


async def main(port: int, way: str, channels: int) -> None:
    """Hear until the end."""
    hearer, is_open, replied = Hearer(), trio.Event(), Sleeper()
    replies: list[Any] = []

    def take(reply: Any) -> None:
        replies.append(reply)
        replied.wake()

    def pushed(message: Sequence[Any]) -> None:
        if message[0] == b"smessage":
            hearer.hear(message[2])
        else:
            take(message)

    async def read() -> None:
        keys = [key_of(ALL, 0)]
        if way == STREAM:
            keys = [key_of(CHANNEL, number) for number in range(channels)]
        # What has been read of each, in the order in which they are named.
        last = {key.encode(): b"0" for key in keys}
        print("hears", flush=True)
        while True:
            asked = resp.command("XREAD", "BLOCK", 0, "STREAMS", *last, *last.values())
            await connection.send(asked)
            await replied.sleep()
            for key, entries in replies.pop().items():
                last[key] = entries[-1][0]
                for _, fields in entries:
                    hearer.hear(fields[-1])

    address = parse([f"redis://127.0.0.1:{port}"])
    connection = Connection(address.places[0], address, take, pushed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run, is_open)
        await is_open.wait()
        if way == PUBSUB:
            for number in range(channels):
                await connection.send(resp.command("SSUBSCRIBE", key_of(CHANNEL, number)))
                await replied.sleep()
            print("hears", flush=True)
        else:
            nursery.start_soon(read)
        await hearer.done.wait()
        print(hearer, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
