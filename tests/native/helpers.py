"""What the native tests share: native clients of one server, and a look at their packets."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import OnReadable, Transport, Watcher
from signal_sdk.server import config as configs
from signal_sdk.server.config import AppConfig, Config, LimitsConfig
from signal_sdk.testing.native_line import Connect, connect_in_memory
from signal_sdk.testing.native_peer import NativePeer, native_peer
from signal_sdk.testing.server import EPOCH, LocalServer
from signal_sdk.wire import tokens

ROOM: Final = "room 1"
GUARDED_APP: Final = "guarded"
CERTIFICATE: Final = "5cfd2fd1755d40ecb72977518be15d3b"
PLAIN: Final = 0x80
COMPRESSED: Final = 0x81


def dev_config(**limits: int) -> Config:
    """A server in dev mode, whose clients must ping, and an app that needs tokens."""
    apps = (AppConfig(id=GUARDED_APP, certificate=CERTIFICATE),)
    return attrs.evolve(configs.dev(), apps=apps, limits=LimitsConfig(**limits))


def make_token(account: str, *, seconds: int) -> str:
    """A token that is good until the mock clock shows `seconds`."""
    return tokens.make_token(GUARDED_APP, CERTIFICATE, account, int(EPOCH) + seconds)


async def settle() -> None:
    """Let all happen that happens soon, also the poll that follows a login."""
    await trio.sleep(1)


@attrs.frozen
class Natives:
    """Native clients of one server, which last as long as the test."""

    server: LocalServer
    nursery: trio.Nursery

    async def peer(self, *, app: str = "app", connect: Connect | None = None) -> NativePeer:
        """A client that is not logged in."""

        async def hold(task_status: trio.TaskStatus[NativePeer]) -> None:
            async with native_peer(self.server, app=app, connect=connect) as peer:
                task_status.started(peer)
                await trio.sleep_forever()

        peer: NativePeer = await self.nursery.start(hold)
        return peer

    async def login(self, account: Any, *, app: str = "app", **more: Any) -> NativePeer:
        """A client that is logged in."""
        peer = await self.peer(app=app)
        await peer.login(account, **more)
        return peer

    async def tapped_login(
        self, account: str, *, app: str = "app", **more: Any
    ) -> tuple[NativePeer, Tap]:
        """A client that is logged in, and what goes over its line."""
        tap = Tap(self.server)
        peer = await self.peer(app=app, connect=tap.connect)
        await peer.login(account, **more)
        return peer, tap


async def reconnect(peer: NativePeer, meanwhile: Callable[[], Any] | None = None) -> None:
    """Break a client's line, do something meanwhile, and wait until it has taken its session up."""
    peer.is_down = True
    peer.cut()
    await peer.expect("on_reconnecting", 1)
    if meanwhile is not None:
        await meanwhile()
    peer.is_down = False
    await peer.expect("on_reconnected", 0)


def of_channel(peer: NativePeer) -> list[tuple[Any, ...]]:
    """All that a client has heard of its channel and nobody has taken, in order."""
    names = (
        "on_message_channel_receive",
        "on_channel_user_joined",
        "on_channel_user_leaved",
        "on_channel_attr_updated",
    )
    return [(told.name, *told.args) for told in peer.heard if told.name in names]


# --- packets --------------------------------------------------------------------------------------


@attrs.frozen
class Packet:
    """A packet as it was on the wire: when, of which kind (the header's top byte), how many bytes
    it took, and its text.
    """

    time: float
    kind: int
    size: int
    text: str


class _Stream:
    """One direction of a line."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Cut packets out; by hand, since what does so in the server is tested by this."""
        self._rest += data
        while len(self._rest) >= 4:
            size = int.from_bytes(self._rest[1:4], "big")
            if len(self._rest) < size:
                return
            kind, payload = self._rest[0], self._rest[4:size]
            text = (zlib.decompress(payload) if kind == COMPRESSED else payload).decode()
            self.packets.append(Packet(trio.current_time(), kind, size, text))
            self._rest = self._rest[size:]


class Tap:
    """Dials a server, and writes down what goes over the line in both directions. While `is_silent`
    is true, whatever the client says is lost.
    """

    def __init__(self, server: LocalServer) -> None:
        self._connect = connect_in_memory(server)
        self.said = _Stream()
        self.heard = _Stream()
        self.is_silent = False

    async def connect(self, reactor: Reactor) -> Transport:
        """A new line."""
        return _TappedTransport(await self._connect(reactor), self)


class _TappedTransport:
    has_unsent = False

    def __init__(self, inner: Transport, tap: Tap) -> None:
        self._inner = inner
        self._tap = tap
        self.peer = inner.peer
        self.host = inner.host

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self._tap.is_silent:
            return len(data)
        sent = self._inner.send_nowait(data)
        self._tap.said.feed(bytes(data[:sent]))
        return sent

    async def wait_writable(self) -> None:
        await self._inner.wait_writable()

    async def receive_some(self) -> bytes:
        data = await self._inner.receive_some()
        self._tap.heard.feed(data)
        return data

    async def receive_exactly(self, count: int) -> bytes:
        return await self._inner.receive_exactly(count)

    def pass_for(self, host: str) -> None:
        self._inner.pass_for(host)

    def receive_nowait(self) -> bytes | None:
        data = self._inner.receive_nowait()
        self._tap.heard.feed(data or b"")
        return data

    def watch(self, reactor: Watcher, on_readable: OnReadable) -> bool:
        return self._inner.watch(reactor, on_readable)

    def unwatch(self) -> None:
        self._inner.unwatch()

    def send_eof(self) -> None:
        self._inner.send_eof()

    def close(self) -> None:
        self._inner.close()
