"""Behind a proxy: whose word counts for who a client is, and what that changes."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from signal_sdk.errors import ConfigError
from signal_sdk.net.proxy_header import Speaker, encode
from signal_sdk.net.tls import TlsTransport
from signal_sdk.server.config import Config, ServerConfig
from signal_sdk.server.forwarded import Forwarded
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import packets
from tests.net.pairs import TlsContexts, socket_pair
from tests.server.helpers import OPENING, connect, dev_config, settle

PROXY, OTHER_PROXY, CLIENT, STRANGER = "10.0.0.1", "10.0.0.2", "192.0.2.7", "198.51.100.9"
LOOKUP = b"GET /getaddr?vid=app HTTP/1.1\r\nHost: sig.example\r\n\r\n"


def config(*, proxy_protocol: bool = False) -> Config:
    server = ServerConfig(
        dev=True, trusted_proxies=("10.0.0.0/8", "2001:db8::1"), proxy_protocol=proxy_protocol
    )
    return attrs.evolve(dev_config(connections_per_address=1), server=server)


def forwarded(**more: Any) -> Forwarded:
    return Forwarded(config(**more).server)


def hosts(server: LocalServer) -> list[str]:
    return [connection._link.host for connection in server.node.acceptor.connections]


async def said(transport: MemoryTransport, data: bytes) -> bytes:
    transport.send_nowait(data)
    await settle()
    return transport.receive_nowait() or b""


def behalf(client: str, opening: bytes = OPENING) -> bytes:
    return opening.replace(b"\r\nHost", f"\r\nX-Forwarded-For: {client}\r\nHost".encode(), 1)


# --- X-Forwarded-For ---


@pytest.mark.parametrize(
    ("host", "header", "client"),
    [
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"{STRANGER}, {CLIENT}", CLIENT),
        (PROXY, f"{STRANGER}, {CLIENT}, {OTHER_PROXY}", CLIENT),
        (PROXY, f"{CLIENT}:5555", CLIENT),
        (PROXY, "[2001:db8::7]:5555", "2001:db8::7"),
        (PROXY, "2001:db8::7", "2001:db8::7"),
        (PROXY, f"::ffff:{CLIENT}", CLIENT),
        ("2001:db8::1", CLIENT, CLIENT),
        (PROXY, "", PROXY),
        (PROXY, "unknown", PROXY),
        (PROXY, f"{CLIENT}, unknown", PROXY),
        (PROXY, f"{CLIENT}, unknown, {OTHER_PROXY}", OTHER_PROXY),
        (PROXY, f"{OTHER_PROXY}", OTHER_PROXY),
        (PROXY, ",,", PROXY),
        (STRANGER, CLIENT, STRANGER),
        ("2001:db8::2", CLIENT, "2001:db8::2"),
        ("", CLIENT, ""),
    ],
)
def test_the_nearest_name_that_is_no_proxy_is_the_client(
    host: str, header: str, client: str
) -> None:
    assert forwarded().client_of(host, header) == client
    # One that speaks the PROXY protocol has said so there.
    assert forwarded(proxy_protocol=True).client_of(host, header) == host


@given(st.text())
def test_whatever_a_header_says_an_address_comes_of_it(header: str) -> None:
    client = forwarded().client_of(PROXY, header)
    assert Forwarded(ServerConfig(trusted_proxies=("0.0.0.0/0", "::/0"))).trusts(client)


@pytest.mark.parametrize("more", [b"", b"X: 1\r\nX: 2\r\n"], ids=["plain", "by the library"])
async def test_whom_a_trusted_proxy_names_is_the_client(
    autojump_clock: MockClock, more: bytes
) -> None:
    opening = OPENING.replace(b"Host: memory\r\n", b"Host: memory\r\n" + more)
    async with local_server(config(), listens=False) as server:
        first = connect(server, PROXY)
        assert (await said(first, behalf(CLIENT, opening))).startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == [CLIENT]
        # The proxy itself may have as many as it likes, and each client one.
        second = connect(server, PROXY)
        assert (await said(second, behalf(STRANGER, opening))).startswith(b"HTTP/1.1 101 ")
        third = connect(server, PROXY)
        assert (await said(third, behalf(CLIENT, opening))).startswith(b"HTTP/1.1 429 ")
        first.close()
        third.close()
        await settle()
        assert hosts(server) == [STRANGER]
        again = connect(server, PROXY)
        assert (await said(again, behalf(CLIENT, opening))).startswith(b"HTTP/1.1 101 ")
        for transport in (second, again):
            transport.close()
        await settle()
        assert server.node._visitors.count == 0


async def test_whom_a_stranger_names_is_nobody(autojump_clock: MockClock) -> None:
    async with local_server(config(), listens=False) as server:
        transport = connect(server, STRANGER)
        assert (await said(transport, behalf(CLIENT))).startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == [STRANGER]


# --- the PROXY protocol ---


def header(client: str = CLIENT, reached: str = "203.0.113.1") -> bytes:
    return encode(Speaker(client, 5555, reached=reached))


@pytest.mark.parametrize("is_cut", [False, True], ids=["at once", "byte by byte"])
async def test_a_header_names_the_client_and_where_it_came_in(
    autojump_clock: MockClock, is_cut: bool
) -> None:
    async with local_server(config(proxy_protocol=True), listens=False) as server:
        transport = connect(server, PROXY)
        data = header() + LOOKUP
        for start in range(0, len(data), 1 if is_cut else len(data)):
            transport.send_nowait(data[start : start + (1 if is_cut else len(data))])
            await settle()
        _, _, body = (await transport.receive_some()).partition(b"\r\n\r\n")
        assert msgspec.json.decode(body)["web2"] == [["203.0.113.1", server.node._places.web_port]]
        transport.close()
        first = connect(server, PROXY)
        assert (await said(first, header() + OPENING)).startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == [CLIENT]
        # What a client says itself of where it comes from is not heard.
        second = connect(server, PROXY)
        answer = await said(second, header(STRANGER) + behalf(CLIENT))
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == [CLIENT, STRANGER]
        assert (await said(connect(server, PROXY), header())).startswith(b"HTTP/1.1 429 ")


async def test_a_native_client_behind_a_proxy(autojump_clock: MockClock) -> None:
    async with local_server(config(proxy_protocol=True), listens=False) as server:
        transport = connect(server, PROXY, native=True)
        assert await said(transport, header() + packets.encode_plain(b"line_ping:1")) == b""
        assert hosts(server) == [CLIENT]


async def test_a_header_stands_before_tls(autojump_clock: MockClock, tls: TlsContexts) -> None:
    async with local_server(config(proxy_protocol=True), listens=False) as server:
        client, inner = memory_transport_pair()
        inner.host = PROXY
        server.node.acceptor.accept(TlsTransport(inner, tls.server, server_side=True), "127.0.0.1")
        client.send_nowait(header())
        transport = TlsTransport(
            client, tls.client, server_side=False, server_hostname="sig.example"
        )
        await transport.handshake()
        transport.send_nowait(OPENING)
        assert (await transport.receive_some()).startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == [CLIENT]


async def test_a_proxy_that_speaks_for_itself_is_the_client(autojump_clock: MockClock) -> None:
    async with local_server(config(proxy_protocol=True), listens=False) as server:
        transport = connect(server, PROXY)
        assert (await said(transport, encode(None) + OPENING)).startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == [PROXY]


@pytest.mark.parametrize(
    "data", [OPENING, header()[:20], b"", header()[:15] + b"\xff" * 20], ids=str
)
async def test_a_proxy_without_a_whole_header_is_hung_up_on(
    autojump_clock: MockClock, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "signal_sdk.server")
    async with local_server(config(proxy_protocol=True), listens=False) as server:
        transport = connect(server, PROXY)
        transport.send_nowait(data)
        with trio.fail_after(12):
            assert await transport.receive_some() == b""
        await settle()
        assert server.node._visitors.count == len(server.node.acceptor) == 0


async def test_a_stranger_s_header_is_no_opening(autojump_clock: MockClock) -> None:
    async with local_server(config(proxy_protocol=True), listens=False) as server:
        transport = connect(server, STRANGER)
        answer = await said(transport, header() + OPENING)
        assert not answer.startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == []
        assert (await said(connect(server, STRANGER), OPENING)).startswith(b"HTTP/1.1 101 ")
        assert hosts(server) == [STRANGER]


async def test_over_sockets_no_more_is_read_than_the_header() -> None:
    client, server = socket_pair()
    assert server.host == "127.0.0.1"
    client.send_nowait(b"abc")
    async with trio.open_nursery() as nursery:

        async def late() -> None:
            await trio.testing.wait_all_tasks_blocked()
            client.send_nowait(b"defgh")

        nursery.start_soon(late)
        assert await server.receive_exactly(6) == b"abcdef"
    assert server.receive_nowait() == b"gh"
    server.pass_for(CLIENT)
    assert (server.host, server.peer.split(":")[0]) == (CLIENT, f"{CLIENT} (by 127.0.0.1")
    client.close()
    server.close()


# --- the configuration ---


@pytest.mark.parametrize(
    ("server", "why"),
    [
        ({"trusted_proxies": ("proxy.example",)}, "trusted_proxies: expected an address or a net"),
        ({"trusted_proxies": ("10.0.0.0/40",)}, "trusted_proxies: expected an address or a net"),
        ({"proxy_protocol": True}, "proxy_protocol: needs the proxies that speak it"),
    ],
)
def test_what_is_wrong_is_refused(server: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Config(server=ServerConfig(dev=True, **server))
