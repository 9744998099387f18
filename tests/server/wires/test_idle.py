"""Pings of clients that say nothing else: they are answered where they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock
from websockets.protocol import Side

from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import OnReadable, Watcher
from signal_sdk.server.wires.web import ALONE_SECONDS, WebClientLink, WebWires
from signal_sdk.websocket import frames
from signal_sdk.wire import login, typed
from tests.net.pairs import FakeTransport, running_reactor

PONG = frames.encode_text(b'["pong",7]')


class Socket(FakeTransport):
    """A transport that is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = b""

    def receive_nowait(self) -> bytes | None:
        data, self.unread = self.unread, b""
        return data or None

    def watch(self, reactor: Watcher, on_readable: OnReadable) -> bool:
        return True

    def unwatch(self) -> None:
        pass


@attrs.frozen
class Idle:
    """A logged-in client's link, and what was handed on of what it has said."""

    link: WebClientLink
    socket: Socket
    reactor: Reactor
    taken: list[typed.ClientFrame]

    def hear(self, data: bytes) -> None:
        """It says this, which is read."""
        self.socket.unread = data
        self.reactor.look_at_clock()
        self.link._read()


def said(text: bytes) -> bytes:
    return frames.encode_masked(frames.TEXT, text)


@asynccontextmanager
async def idle() -> AsyncIterator[Idle]:
    async with running_reactor() as reactor:
        socket = Socket()
        link = WebClientLink(WebWires(0, reactor), socket, reactor, Side.SERVER, max_bytes=1 << 17)
        link.trust()
        taken: list[typed.ClientFrame] = []

        def take(frame: typed.ClientFrame) -> bool:
            taken.append(frame)
            return True

        link.watch(take)
        assert link.rest(lambda: None)
        await trio.sleep(ALONE_SECONDS)
        yield Idle(link, socket, reactor, taken)


async def test_who_was_silent_is_answered_at_once(autojump_clock: MockClock) -> None:
    async with idle() as client:
        client.hear(said(b'["ping",7]'))
        assert (client.socket.sent, client.taken) == ([PONG], [])
        assert client.link.heard_at == client.reactor.clock.time()


async def test_who_pings_again_soon_is_heard_as_by_any_frame(autojump_clock: MockClock) -> None:
    """So that it counts."""
    async with idle() as client:
        client.hear(said(b'["ping",7]'))
        await trio.sleep(ALONE_SECONDS / 2)
        client.hear(said(b'["ping",8]'))
        assert client.taken == [typed.Ping(8)]
        await trio.sleep(ALONE_SECONDS)
        client.hear(said(b'["ping",9]'))
        assert client.taken == [typed.Ping(8)]
        assert len(client.socket.sent) == 2


@pytest.mark.parametrize(
    "data",
    [
        said(b'["ping",7]') * 2,
        said(b'["ping",7]')[:-1],
        said(b'["ping",07]'),
        said(b'["ping",-7]'),
        said(b'["pong",7]'),
        frames.encode_masked(frames.BINARY, b'["ping",7]'),
    ],
    ids=["two", "not all of one", "no number", "below 0", "a pong", "binary"],
)
async def test_all_else_goes_its_way(autojump_clock: MockClock, data: bytes) -> None:
    async with idle() as client:
        client.hear(data)
        assert client.socket.sent == []


async def test_the_rest_of_a_frame_is_not_a_ping(autojump_clock: MockClock) -> None:
    """However it looks."""
    async with idle() as client:
        ping = said(b'["ping",7]')
        whole = frames.encode_masked(frames.TEXT, b'["x","' + ping.hex().encode() + b'"]')
        client.hear(whole[:-4])
        await trio.sleep(ALONE_SECONDS)
        client.hear(whole[-4:])
        assert [type(frame) for frame in client.taken] == [typed.Unknown]
        await trio.sleep(ALONE_SECONDS)
        client.hear(ping)
        assert client.socket.sent == [PONG]


async def test_an_original_java_client_is_answered_in_its_own_words(
    autojump_clock: MockClock,
) -> None:
    async with idle() as client:
        success = login.LoginSucceeded(uid=7, line="the line")
        client.link.send(typed.LoggedIn(success=success, device=login.NATIVE_DEVICE))
        client.hear(said(b'["ping",7]'))
        assert client.taken == [typed.Ping(7)]


async def test_who_has_gone_is_sent_nothing(autojump_clock: MockClock) -> None:
    async with idle() as client:
        client.socket.fails = True
        client.hear(said(b'["ping",7]'))
        assert client.link.outbox.broken
