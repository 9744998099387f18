"""The doors: which ports there are, and what is set on them."""

from __future__ import annotations

import socket

import attrs
import pytest
import trio

from signal_sdk.errors import ConfigError
from signal_sdk.net.transport import SocketTransport
from signal_sdk.server import config as configs
from signal_sdk.server.config import NativeConfig, ServerConfig
from signal_sdk.server.listener import listen
from signal_sdk.server.node import Node
from signal_sdk.testing import connect_by_lookup, native_peer
from signal_sdk.testing.server import local_server
from tests.server.helpers import dev_config, dial
from tests.wire_client import wire_client


def free_port() -> int:
    with listen("127.0.0.1", 0)[0] as sock:
        port: int = sock.getsockname()[1]
        return port


async def test_more_plain_ports_serve_as_the_first_does() -> None:
    more = (free_port(), free_port())
    config = attrs.evolve(configs.dev(), server=ServerConfig(dev=True, also_listen=more))
    async with local_server(config) as server:
        for port in (server.port, *more):
            async with wire_client(await dial("127.0.0.1", port)) as ann:
                assert (await ann.login("ann"))["result"] == "ok"


async def test_more_native_ports_serve_as_the_first_does(nursery: trio.Nursery) -> None:
    """With a port of its own, and not any free one, which would be meant for all of them."""
    ports = [free_port() for _ in range(5)]
    native = NativeConfig(
        enabled=True, port=ports[0], also_listen=(ports[1],), lookup_ports=(ports[2], ports[3])
    )
    config = attrs.evolve(dev_config(), native=native)
    config = attrs.evolve(config, server=attrs.evolve(config.server, port=ports[4]))
    node = Node(config)
    with trio.fail_after(10):
        addresses = await nursery.start(node.run)
        assert [port for _, port in addresses.native] == ports[:2]
        assert [port for _, port in addresses.lookup] == ports[2:4]
        for port in ports[:2]:
            (await dial("127.0.0.1", port)).close()
        connect = connect_by_lookup("app", "127.0.0.1", ports[3:4])
        async with native_peer(connect=connect) as ann:
            await ann.login("ann")
    node.stop()


async def test_a_native_connection_that_acknowledges_nothing_is_not_kept() -> None:
    """The network ends it: what a listener is told hides that it says nothing."""
    async with local_server(dev_config(silence_seconds=20)) as server:
        connect = connect_by_lookup("app", server.host, server.lookup_ports)
        async with native_peer(connect=connect) as ann:
            await ann.login("ann")
            (connection,) = server.node.acceptor.connections
            transport = connection._link._transport  # type: ignore[attr-defined]
            assert isinstance(transport, SocketTransport)
            patience = transport._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert patience == 20_000


async def test_a_port_that_is_taken_leaves_none_open() -> None:
    with listen("127.0.0.1", 0)[0] as taken:
        port, other = taken.getsockname()[1], free_port()
        server = ServerConfig(dev=True, port=other, also_listen=(port,))
        with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port}: "):
            await Node(attrs.evolve(configs.dev(), server=server)).run()
    listen("127.0.0.1", other)[0].close()
