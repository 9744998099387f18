"""TLS: agreeing on keys, refusing the wrong ones, and links inside it."""

from __future__ import annotations

import ssl

import pytest
import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.tls import TlsTransport
from signal_sdk.testing.memory import memory_transport_pair
from tests.net.pairs import TlsContexts, TransportPair, linked, socket_pair, tls_pair


@pytest.fixture(params=["socket", "memory"])
def inner(request: pytest.FixtureRequest) -> TransportPair:
    return socket_pair() if request.param == "socket" else memory_transport_pair()


async def failing(transport: TlsTransport, reasons: list[str]) -> None:
    try:
        await transport.handshake()
    except LinkError as exc:
        reasons.append(str(exc))
    finally:
        transport.close()


async def test_a_link_inside_tls_carries_messages_and_closes(
    tls: TlsContexts, inner: TransportPair
) -> None:
    async with linked(await tls_pair(tls, inner)) as (client, server):
        client.send_text(b"there")
        assert [message.data for message in await server.receive()] == [b"there"]
        server.send_text(b"back")
        assert [message.data for message in await client.receive()] == [b"back"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
            nursery.start_soon(server.aclose)


async def test_a_certificate_that_the_client_does_not_trust_is_refused_with_the_reason(
    tls: TlsContexts, inner: TransportPair
) -> None:
    distrustful = TlsContexts(ssl.create_default_context(), tls.server)
    client, server = distrustful.around(inner)
    reasons: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failing, client, reasons)
        nursery.start_soon(failing, server, reasons)
    assert any("unable to get local issuer certificate" in reason for reason in reasons)


async def test_a_certificate_for_another_name_is_refused(
    tls: TlsContexts, inner: TransportPair
) -> None:
    client = TlsTransport(inner[0], tls.client, server_side=False, server_hostname="other.example")
    server = TlsTransport(inner[1], tls.server, server_side=True)
    reasons: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failing, client, reasons)
        nursery.start_soon(failing, server, reasons)
    assert any("other.example" in reason for reason in reasons)


async def test_a_peer_that_does_not_speak_tls_is_refused(
    tls: TlsContexts, inner: TransportPair
) -> None:
    client, server = inner
    client.send_nowait(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(LinkError, match="TLS with"):
        await TlsTransport(server, tls.server, server_side=True).handshake()
    client.close()
    server.close()


async def test_a_peer_that_goes_during_the_handshake_is_a_link_error(
    tls: TlsContexts, inner: TransportPair
) -> None:
    client, server = tls.around(inner)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failing, client, [])
        await trio.testing.wait_all_tasks_blocked()
        inner[1].close()
    server.close()


async def test_a_stream_that_is_cut_off_inside_a_record_is_its_end_and_no_crash(
    tls: TlsContexts,
) -> None:
    client, server = await tls_pair(tls, memory_transport_pair(buffer_bytes=4096))
    client.send_nowait(bytes(10_000))
    assert client.has_unsent
    client.close()
    assert await server.receive_some() == b""


async def test_garbage_behind_the_handshake_is_a_link_error(tls: TlsContexts) -> None:
    inner = memory_transport_pair()
    _, server = await tls_pair(tls, inner)
    inner[0].send_nowait(b"\x17\x03\x03\x00\x10" + bytes(16))
    with pytest.raises(LinkError, match="receiving from"):
        await server.receive_some()
