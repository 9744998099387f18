"""The doors: which ports there are, and what is set on them."""

from __future__ import annotations

import re
import socket

import attrs
import pytest
import trio

from signal_sdk.errors import ConfigError, InUseError
from signal_sdk.native import udp
from signal_sdk.net.transport import SocketTransport
from signal_sdk.server import config as configs
from signal_sdk.server.config import Config, NativeConfig, ServerConfig
from signal_sdk.server.doors import Doors
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


async def test_a_native_port_that_is_taken_is_told_where_nobody_has_asked_for_it(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """As in dev mode: the server goes on without native clients, half of whose ports would be of no
    use to anybody.
    """
    plain, native, first = (free_port() for _ in range(3))
    with udp.listen("127.0.0.1", 0)[0] as taken:
        last = taken.getsockname()[1]
        config = attrs.evolve(
            configs.dev(),
            server=ServerConfig(dev=True, port=plain),
            native=NativeConfig(enabled=True, port=native, lookup_ports=(first, last)),
        )
        node = Node(config)
        addresses = await nursery.start(node.run)
        assert [list(addresses.native), list(addresses.lookup)] == [[], []]
        assert addresses.plain == [("127.0.0.1", plain)]
        for port in (native, first):
            listen("127.0.0.1", port)[0].close()
        (line,) = caplog.messages
        assert re.fullmatch(
            rf"native clients are not served: cannot listen on udp 127\.0\.0\.1:{last}: "
            r"the process \d+ \(.+\) is using it",
            line,
        )
        node.stop()
        server = ServerConfig(dev=True, port=free_port())
        by_name = attrs.evolve(config, server=server, native_by_default=False)
        with pytest.raises(InUseError, match=f":{last}: the process"):
            Doors(by_name, node.acceptor, node._places, node._lookup)


def native_warnings(
    caplog: pytest.LogCaptureFixture, host: str, port: int, *lookup_ports: int
) -> list[str]:
    """What a server says as it opens its doors."""
    native = NativeConfig(enabled=True, port=0, lookup_ports=lookup_ports)
    server = ServerConfig(dev=True, host=host, port=port)
    node = Node(Config(server=server, native=native))
    caplog.clear()
    Doors(node.config, node.acceptor, node._places, node._lookup).close()
    return caplog.messages


def test_lookup_ports_that_no_native_client_asks_at_are_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (free_port() for _ in range(3))
    said = (
        f"[native] lookup_ports has {two}, {three}, but native clients ask at UDP 8180 and 8181"
        " only: listen there, or have the network map those ports"
    )
    assert native_warnings(caplog, "127.0.0.1", one, two, three) == [said]
    monkeypatch.setattr("signal_sdk.server.sockets.LOOKUP_PORTS", (two, three))
    assert native_warnings(caplog, "127.0.0.1", one, two, three) == []
    assert native_warnings(caplog, "127.0.0.1", one) == []
    # For a test, as any free port is.
    assert native_warnings(caplog, "127.0.0.1", 0, one) == []


@pytest.mark.parametrize(
    ("host", "is_told"),
    [
        ("::1", True),
        ("::ffff:127.0.0.1", False),
        ("::", False),
        ("127.0.0.1", False),
        ("localhost", False),
    ],
)
def test_a_host_that_no_native_client_can_reach_is_told(
    caplog: pytest.LogCaptureFixture, host: str, is_told: bool
) -> None:
    said = (
        '[server] host "::1" stands for IPv6 addresses only, which native clients do not know:'
        " none of them can come; listen on an IPv4 address, too"
    )
    assert native_warnings(caplog, host, 0, 0) == ([said] if is_told else [])


async def test_a_port_that_is_taken_leaves_none_open() -> None:
    with listen("127.0.0.1", 0)[0] as taken:
        port, other = taken.getsockname()[1], free_port()
        server = ServerConfig(dev=True, port=other, also_listen=(port,))
        with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port}: "):
            await Node(attrs.evolve(configs.dev(), server=server)).run()
    listen("127.0.0.1", other)[0].close()
