"""Both ends of a connection, of every kind that there is, for the tests of transports and links."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import OnReadable, SocketTransport, Transport, Watcher
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.websocket import handshake
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.link import Link

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
    """A transport that reads one byte at a time, or `most`."""

    def __init__(self, inner: Transport, most: int = 1) -> None:
        self._inner = inner
        self._most = most
        self._held = b""
        self._call_soon: Callable[[], None] = lambda: None
        self.send_nowait = inner.send_nowait
        self.wait_writable = inner.wait_writable
        self.send_eof = inner.send_eof
        self.receive_exactly = inner.receive_exactly
        self.pass_for = inner.pass_for
        self.close = inner.close

    @property
    def peer(self) -> str:
        return self._inner.peer

    @property
    def host(self) -> str:
        return self._inner.host

    @property
    def has_unsent(self) -> bool:
        return self._inner.has_unsent

    async def receive_some(self) -> bytes:
        if self._held:
            await trio.lowlevel.checkpoint()
        else:
            self._held = await self._inner.receive_some()
        some, self._held = self._held[: self._most], self._held[self._most :]
        return some

    def receive_nowait(self) -> bytes | None:
        if not self._held:
            data = self._inner.receive_nowait()
            if data is None:
                return None
            self._held = data
        some, self._held = self._held[: self._most], self._held[self._most :]
        if self._held:
            self._call_soon()
        return some

    def watch(self, reactor: Watcher, on_readable: OnReadable) -> bool:
        self._call_soon = partial(reactor.call_soon, on_readable)
        if self._held:
            self._call_soon()
        return self._inner.watch(reactor, on_readable)

    def unwatch(self) -> None:
        self._inner.unwatch()


def never(_: HttpRequest) -> HttpAnswer | None:
    """Answers no HTTP request: every request begins a link."""
    return None


@asynccontextmanager
async def running_reactor(*, shares: bool = True) -> AsyncIterator[Reactor]:
    """A reactor, while the block runs."""
    failed: Exception | None = None
    async with trio.open_nursery() as nursery:
        reactor = Reactor(shares=shares)
        await nursery.start(reactor.run)
        try:
            yield reactor
        except Exception as exc:  # noqa: BLE001  it is raised again below
            # The block's own exception is not the nursery's to wrap.
            failed = exc
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


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
    async with running_reactor() as reactor:

        async def accept() -> None:
            link = await handshake.accept(
                server_end,
                reactor,
                never,
                make=Link,
                max_frame_bytes=MAX_FRAME_BYTES,
                outbox_bytes=outbox_bytes,
            )
            assert link is not None
            links.append(link)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            client = await handshake.connect(
                client_end, reactor, URL, max_frame_bytes=MAX_FRAME_BYTES
            )
        try:
            yield client, links[0]
        finally:
            client_end.close()
            server_end.close()


Pairs = Callable[[], TransportPair]


class FakeTransport:
    """A transport that takes `room` bytes, and remembers each call."""

    def __init__(self, room: int = 10**9) -> None:
        self.peer = "fake"
        self.host = ""
        self.has_unsent = False
        self.sent: list[bytes] = []
        self.room = room
        self.is_ended = False
        self.is_closed = False
        self.fails = False
        self.waiters = 0
        self.max_waiters = 0
        self._changed = trio.Event()

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self.fails or self.is_closed:
            raise LinkError("sending to fake failed: broken pipe")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent.append(taken)
        return len(taken)

    def make_room(self, room: int) -> None:
        self.room += room
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_writable(self) -> None:
        self.waiters += 1
        self.max_waiters = max(self.waiters, self.max_waiters)
        try:
            while not self.room or self.has_unsent:
                if self.is_closed:
                    raise LinkError("the connection to fake is closed")
                await self._changed.wait()
        finally:
            self.waiters -= 1

    async def receive_some(self) -> bytes:
        raise NotImplementedError

    async def receive_exactly(self, count: int) -> bytes:
        raise NotImplementedError

    def pass_for(self, host: str) -> None:
        raise NotImplementedError

    def receive_nowait(self) -> bytes | None:
        raise NotImplementedError

    def watch(self, reactor: Watcher, on_readable: OnReadable) -> bool:
        raise NotImplementedError

    def unwatch(self) -> None:
        raise NotImplementedError

    def send_eof(self) -> None:
        self.is_ended = True

    def close(self) -> None:
        self.is_closed = True
        self._tell()


async def until(holds: Callable[[], bool]) -> None:
    """Real sockets take a moment."""
    with trio.fail_after(5):
        while not holds():  # noqa: ASYNC110  the kernel sets no event
            await trio.sleep(0.001)
