"""Two nodes on one Redis behind one address, whose connections go to them in turn: what tests of
clients run on that run on one server as well.

Owns: both nodes' lives, and who is handed to which. Must not know a test.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from signal_sdk.net.transport import Transport
from signal_sdk.server import listener
from signal_sdk.server.config import Config
from signal_sdk.server.engine.redis.engine import RedisEngine
from signal_sdk.server.node import Node
from signal_sdk.testing.server import LocalServer, local_server, trio_wall_clock

HOST: Final = "127.0.0.1"
LONG_SECONDS: Final = 1e6
"""No node is taken for dead: a test's clock may jump."""

ONE: Final = "one node"
TWO: Final = "two nodes"


@attrs.define(kw_only=True, eq=False)
class TwoNodes(LocalServer):
    """Both nodes, of which `node` is the first; `host` and `port` are the address. Who looks up
    there is told the address of the node that he has reached.
    """

    other: LocalServer


def nodes_of(server: LocalServer) -> list[Node]:
    """The node, or both."""
    return [server.node, server.other.node] if isinstance(server, TwoNodes) else [server.node]


@asynccontextmanager
async def two_nodes(config: Config, redis_url: str, prefix: str) -> AsyncIterator[TwoNodes]:
    """Run them while the block runs, on keys that begin with `prefix`, by the test's clock."""

    def engine() -> RedisEngine:
        return RedisEngine(
            [redis_url], prefix=f"{prefix}:", life_seconds=LONG_SECONDS, now=trio_wall_clock
        )

    with socket.create_server((HOST, 0)) as sock:
        sock.setblocking(False)
        async with (
            local_server(config, engine=engine()) as one,
            local_server(config, engine=engine()) as other,
            trio.open_nursery() as nursery,
        ):
            turns = itertools.cycle([one.node.acceptor, other.node.acceptor])

            def accept(transport: Transport, local_host: str) -> None:
                next(turns).accept(transport, local_host)

            shortage = listener.Shortage(lambda: None)
            nursery.start_soon(listener.accept_loop, sock, accept, shortage)
            port = sock.getsockname()[1]
            yield TwoNodes(node=one.node, other=other, host=HOST, port=port, tls_port=one.tls_port)
            nursery.cancel_scope.cancel()
            shortage.close()
