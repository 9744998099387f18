"""What connections take before a login, measured in a process of its own: run as a module, it
prints how many bytes each takes of its kind.
"""

from __future__ import annotations

import gc
import socket
import sys
import tracemalloc

import attrs
import trio

from signal_sdk.server import config as configs
from signal_sdk.server.node import Node
from signal_sdk.server.wires.base import STRANGER
from tests.server.helpers import OPENING

COUNT = 200
HALF = STRANGER.kept_bytes - 50
KINDS = {
    "nothing": b"",
    "half a request": b"GET / HTTP/1.1\r\nX: ".ljust(HALF, b"x"),
    "a request that is not plain": OPENING.replace(b"\r\n\r\n", b"\r\nX: 1\r\nX: 2\r\n\r\n"),
    "opened": OPENING,
    "half a login": OPENING + b"\x81\xfe\x1f\xff\0\0\0\0" + b"x" * HALF,
    "a ping and half a login": OPENING + b"\x89\x80\0\0\0\0\x81\xfe\x1f\xff\0\0\0\0" + b"x" * HALF,
    "native": b"",
    "half a native login": b"\x80\0\x1f\xff" + b"x" * HALF,
}


async def open_all(socks: list[socket.socket], port: int, said: bytes) -> None:
    for sock in socks:
        sock.connect(("127.0.0.1", port))
        sock.sendall(said)
        await trio.lowlevel.checkpoint()
    # It is a real server: until it has read them all.
    for _ in range(10):
        await trio.sleep(0.02)
    gc.collect()


async def main() -> None:
    config = configs.dev()
    config = attrs.evolve(
        config,
        server=attrs.evolve(config.server, port=0),
        native=attrs.evolve(config.native, enabled=True),
        limits=attrs.evolve(config.limits, connections_per_second=0, handshake_seconds=0),
    )
    node = Node(config)
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(node.run)
        for kind, said in KINDS.items():
            ((_, port), *_) = addresses.native if "native" in kind else addresses.plain
            # The first ones use up what is made once for all.
            first, second = ([socket.socket() for _ in range(COUNT)] for _ in range(2))
            await open_all(first, port, said)
            tracemalloc.start()
            before, _ = tracemalloc.get_traced_memory()
            await open_all(second, port, said)
            after, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            if len(node.acceptor) != 2 * COUNT:
                sys.exit(f"{kind}: {len(node.acceptor)} are open")
            sys.stdout.write(f"{kind}: {(after - before) // COUNT}\n")
            for sock in first + second:
                sock.close()
            await node.acceptor.all_gone()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
