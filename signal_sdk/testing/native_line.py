"""The native peer's line: finding a server, two dials at once, packets, and pings, as the original
client does them.

Owns: one connection at a time, and its timing. Must not know what a session is.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import trio

from signal_sdk.errors import LinkError, ProtocolError
from signal_sdk.native import udp
from signal_sdk.native.link import PacketLink
from signal_sdk.net.alarms import Alarm
from signal_sdk.net.deadline import Deadline, move_on_after
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import SocketTransport, Transport
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import datagrams, packets, typed, words_heard
from signal_sdk.wire.words_heard import LinePong, NativeFrame

__all__ = ["Connect", "Line", "connect_by_lookup", "connect_in_memory"]

PING_SECONDS: Final = 10.0
"""After the last packet that was heard."""
PONG_SECONDS: Final = 8.0
"""How long a pong may take before the line is dead."""
PONG_LEAST_SECONDS: Final = 0.001
"""A pong that is quicker than this is taken for none."""
LOOKUP_SECONDS: Final = 0.5
"""How long an answer is waited for, at each port."""
DIAL_SECONDS: Final = 5.0
MAX_BYTES: Final = packets.MAX_PACKET_BYTES

Connect: TypeAlias = Callable[[Reactor], Awaitable[Transport]]
"""Finds a server and connects to it, in a time that the reactor bounds. Raises `LinkError`."""


def connect_in_memory(server: LocalServer) -> Connect:
    """Connections to a server in this process, in memory. Two are dialed at once; the later one is
    closed without a word.
    """

    async def connect(_: Reactor) -> Transport:
        await trio.lowlevel.checkpoint()
        try:
            first, later = server.connect_native(), server.connect_native()
        except RuntimeError as exc:
            raise LinkError(str(exc)) from None
        later.close()
        return first

    return connect


def connect_by_lookup(app: str, host: str, ports: Sequence[int]) -> Connect:
    """Connections to a server that is asked by UDP where it is, at each of `ports` in turn."""

    async def connect(reactor: Reactor) -> Transport:
        question = datagrams.encode_question(app)
        reason = ""
        for port in ports:
            try:
                data = await udp.ask(reactor, host, port, question, LOOKUP_SECONDS)
                return await _dial_two(reactor, datagrams.decode_answer(data).tcp)
            except (LinkError, ProtocolError) as exc:
                reason = str(exc)
        raise LinkError(reason)

    return connect


async def _dial_two(reactor: Reactor, addresses: Sequence[tuple[str, int]]) -> Transport:
    """Dial the first two at once: the first connection that is made is kept, a later one closed
    without a word.
    """
    made: list[Transport] = []
    reasons: list[str] = []

    async def dial(host: str, port: int) -> None:
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as exc:
            reasons.append(f"tcp {host}:{port}: {exc}")
            return
        transport = SocketTransport(socket.socket(fileno=stream.socket.detach()))
        if made:
            transport.close()
        else:
            made.append(transport)

    with move_on_after(reactor, DIAL_SECONDS):
        async with trio.open_nursery() as nursery:
            for host, port in addresses[:2]:
                nursery.start_soon(dial, host, port)
    if not made:
        raise LinkError("; ".join(reasons) or f"no connection in {DIAL_SECONDS:g} s")
    return made[0]


class Line:
    """A connection to the server. `hear` is called with each thing that is said on it."""

    def __init__(
        self, link: PacketLink, reactor: Reactor, hear: Callable[[NativeFrame], None]
    ) -> None:
        self._link = link
        self._hear = hear
        self._has_spoken = False
        self._heard_at = trio.current_time()
        self._pings = 0
        self._pinged_at: float | None = None
        self._ping = Alarm(reactor.alarms, self._look)
        self._pong = Deadline(reactor, link.abort)
        self.early_pongs: int = 0
        """How many pongs came within the millisecond of their ping, upon which it pings no more."""

    def say(self, frame: words_heard.Said, *, vid: str = "") -> None:
        """Say something: the first time as it is, compressed from then on."""
        text = words_heard.encode_client(frame, vid=vid)
        encode = packets.encode_compressed if self._has_spoken else packets.encode_plain
        self._has_spoken = True
        self._link.send_encoded(encode(text))

    def say_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._has_spoken = True
        self._link.send_encoded(data)

    def cut(self) -> None:
        """Break the connection, without a word."""
        self._link.abort()

    async def run(self) -> None:
        """Read and ping until the connection is lost."""
        # Where the reactor reads, a pong that lies there is read before it is missed.
        self._link.watch(self._take)
        self._ping.set(self._heard_at + PING_SECONDS)
        try:
            while True:
                for text in await self._link.receive():
                    self._take(text)
        except LinkError:
            return
        finally:
            self._ping.cancel()
            self._pong.cancel()

    def _take(self, text: bytes) -> bool:
        self._heard_at = trio.current_time()
        frame = words_heard.decode_server(text)
        if not isinstance(frame, LinePong):
            self._hear(frame)
        elif self._pinged_at is not None and frame.number == self._pings:
            self._pong.cancel()
            if self._heard_at - self._pinged_at < PONG_LEAST_SECONDS:
                self.early_pongs += 1
            else:
                self._ping.set(self._heard_at + PING_SECONDS)
            self._pinged_at = None
        return True

    def _look(self) -> None:
        """Ping, if nothing was heard for 10 s; without the pong in 8 s, the line is dead."""
        due = self._heard_at + PING_SECONDS
        if trio.current_time() < due:
            self._ping.set(due)
            return
        self._pings += 1
        self._pinged_at = trio.current_time()
        self._pong.set_after(PONG_SECONDS)
        self.say(typed.Ping(self._pings))


@asynccontextmanager
async def open_line(
    connect: Connect, reactor: Reactor, hear: Callable[[NativeFrame], None]
) -> AsyncIterator[Line]:
    """A line to the server, closed at the block's end. Raises `LinkError`."""
    transport = await connect(reactor)
    link = PacketLink(transport, reactor, max_bytes=MAX_BYTES)
    try:
        yield Line(link, reactor, hear)
    finally:
        link.abort()
