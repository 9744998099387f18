"""A signaling server inside the test's own process: on a free port, or in memory on trio's clock.

Owns: a node's life in a test. Must not know what is tested.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from signal_sdk.client.dialer import MAX_ANSWER_BYTES
from signal_sdk.net.reactor import Reactor
from signal_sdk.server import config as configs
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import Config
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.node import Node
from signal_sdk.server.sockets import Address, Addresses
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.websocket import handshake
from signal_sdk.websocket.link import Link

__all__ = ["LocalServer", "local_server", "trio_wall_clock"]

EPOCH: Final = 1_600_000_000.0
"""What `trio_wall_clock` shows when trio's clock shows 0."""


def trio_wall_clock() -> float:
    """A wall clock that goes with trio's clock, so that a mock clock moves both."""
    return EPOCH + trio.current_time()


@attrs.define(kw_only=True, eq=False)
class LocalServer:
    """A server that runs in this process.

    It can be handed to a `Signal` as it is (`Signal("app", server=local)`), which then connects in
    memory. `address` is what `Signal(server=…)` takes, and is empty where the server listens on no
    port; `url` is what a WebSocket client takes.
    """

    node: Node
    host: str
    port: int
    tls_port: int
    native_port: int = 0
    """Where native clients connect, by TCP; 0 where they are not served."""
    lookup_ports: Sequence[int] = ()
    """Where they ask, by UDP."""
    admin_port: int = 0
    """Where those come who run it; 0 where there is no admin address."""

    @property
    def address(self) -> str:
        """The server as `HOST:PORT`."""
        return f"{self.host}:{self.port}" if self.port else ""

    @property
    def url(self) -> str:
        """The server as a WebSocket address."""
        return f"ws://{self.host}:{self.port}/"

    def connect(self) -> MemoryTransport:
        """A new connection in memory: the client's end. No port, no packet, and time only as trio's
        clock has it. Raises `RuntimeError` once the server has ended.
        """
        if not self.node.acceptor.is_running:
            raise RuntimeError("the server has ended: its block has been left")
        client, server = memory_transport_pair()
        self.node.acceptor.accept(server, "127.0.0.1")
        return client

    def connect_native(self) -> MemoryTransport:
        """As `connect`, for a client of the native SDK."""
        if not self.node.acceptor.is_running:
            raise RuntimeError("the server has ended: its block has been left")
        client, server = memory_transport_pair()
        self.node.acceptor.accept_native(server, "127.0.0.1")
        return client

    async def dial(
        self,
        appid: str,  # noqa: ARG002  one server for all
        reactor: Reactor,
        *,
        avoid: str = "",  # noqa: ARG002  there is no other
    ) -> Link:
        """A new link in memory: what makes this a `Dialer`."""
        transport = self.connect()
        try:
            return await handshake.connect(
                transport, reactor, "ws://memory/", max_frame_bytes=MAX_ANSWER_BYTES
            )
        except BaseException:
            transport.close()
            raise


@asynccontextmanager
async def local_server(
    config: Config | None = None,
    *,
    listens: bool = True,
    clock: Clock | None = None,
    engine: Engine | None = None,
) -> AsyncIterator[LocalServer]:
    """Run a server while the block runs, by default in dev mode.

    With `listens`, it takes a free port of 127.0.0.1 (and the next one for TLS, where the
    configuration has a certificate), and another for the admin address, where it has keys to that;
    without, it is reached by `connect` only. `clock` is its wall
    clock, by default `trio_wall_clock`.
    """
    config = config or configs.dev()
    config = attrs.evolve(config, server=attrs.evolve(config.server, port=0))
    node = Node(config, clock=clock or trio_wall_clock, engine=engine)

    async def run(task_status: trio.TaskStatus[Addresses]) -> None:
        await node.run(listens=listens, task_status=task_status)

    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        addresses: Addresses = await nursery.start(run)
        try:
            yield LocalServer(
                node=node,
                host=config.server.host,
                port=_first_port(addresses.plain),
                tls_port=_first_port(addresses.tls),
                native_port=_first_port(addresses.native),
                lookup_ports=[port for _, port in addresses.lookup],
                admin_port=_first_port(addresses.admin),
            )
        except Exception as exc:  # noqa: BLE001  it is raised again below
            # The block's own exception is not the nursery's to wrap.
            failed = exc
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


def _first_port(addresses: Sequence[Address]) -> int:
    return addresses[0][1] if addresses else 0
