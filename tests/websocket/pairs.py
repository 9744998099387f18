"""Both ends of a connection, of every kind that there is, for the tests of transports and links."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.websocket import handshake
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.link import Link
from signal_sdk.websocket.outbox import Flusher
from signal_sdk.websocket.tls import TlsTransport
from signal_sdk.websocket.transport import SocketTransport, Transport

TransportPair = tuple[Transport, Transport]

URL = "ws://127.0.0.1/"
MAX_FRAME_BYTES = 1000


def socket_pair() -> TransportPair:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    return SocketTransport(client), SocketTransport(server)


@attrs.frozen
class TlsContexts:
    """The two sides' settings for one server name."""

    client: ssl.SSLContext
    server: ssl.SSLContext

    def around(self, pair: TransportPair) -> tuple[TlsTransport, TlsTransport]:
        """TLS around both ends; the handshake is still to come."""
        client, server = pair
        return (
            TlsTransport(client, self.client, server_side=False, server_hostname="sig.example"),
            TlsTransport(server, self.server, server_side=True),
        )


async def tls_pair(contexts: TlsContexts, pair: TransportPair) -> TransportPair:
    """TLS around both ends, after the handshake."""
    client, server = contexts.around(pair)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.handshake)
        nursery.start_soon(server.handshake)
    return client, server


class Trickle:
    """A transport that reads one byte at a time."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._held = b""
        self.send_nowait = inner.send_nowait
        self.wait_writable = inner.wait_writable
        self.send_eof = inner.send_eof
        self.close = inner.close

    @property
    def peer(self) -> str:
        return self._inner.peer

    @property
    def has_unsent(self) -> bool:
        return self._inner.has_unsent

    async def receive_some(self) -> bytes:
        if self._held:
            await trio.lowlevel.checkpoint()
        else:
            self._held = await self._inner.receive_some()
        byte, self._held = self._held[:1], self._held[1:]
        return byte


def never(_: HttpRequest) -> HttpAnswer | None:
    """Answers no HTTP request: every request begins a link."""
    return None


@asynccontextmanager
async def running_flusher() -> AsyncIterator[Flusher]:
    """A flusher, while the block runs."""
    async with trio.open_nursery() as nursery:
        flusher = Flusher()
        await nursery.start(flusher.run)
        yield flusher
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked(
    pair: TransportPair | None = None,
    *,
    wrap: Callable[[Transport], Transport] = lambda transport: transport,
    outbox_bytes: int = 0,
) -> AsyncIterator[tuple[Link, Link]]:
    """A link's client and server, while the block runs; each transport in `wrap`."""
    client_end, server_end = map(wrap, pair or memory_transport_pair())
    links: list[Link] = []
    async with running_flusher() as flusher:

        async def accept() -> None:
            link = await handshake.accept(
                server_end,
                flusher,
                never,
                max_frame_bytes=MAX_FRAME_BYTES,
                outbox_bytes=outbox_bytes,
            )
            assert link is not None
            links.append(link)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            client = await handshake.connect(
                client_end, flusher, URL, max_frame_bytes=MAX_FRAME_BYTES
            )
        try:
            yield client, links[0]
        finally:
            client_end.close()
            server_end.close()
