"""What a test puts between a node and its Redis: a link that is slow, breaks, or loses replies.

Owns: the connections that go through it, and what befalls them. Must not know what is said on them.
"""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from tests.redis.resp import Address
from tests.redis.servers import free_port

CHUNK_BYTES: Final = 65_536
RESET: Final = struct.pack("ii", 1, 0)
"""Nothing is waited for when such a socket is closed: the other side sees it broken."""


@attrs.define(eq=False)
class _Pair:
    """A connection, and its other half."""

    client: trio.SocketStream
    redis: trio.SocketStream

    def reset(self) -> None:
        if self.client.socket.fileno() < 0:
            # It was cut on the other side at the same time.
            return
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self) -> None:
        self.client.socket.close()
        self.redis.socket.close()


class Proxy:
    """Passes connections to `port` of 127.0.0.1 on to a Redis, as `proxied` runs it.

    - `delay_seconds`: how much later a reply comes, on trio's clock; many are under way at once.
    - `swallows`: are replies lost now? What was asked is done nevertheless, and the connection
      stays; what was lost never comes.
    - `is_silent`: does nothing get through now, either way? Connections stay, and new ones are let
      in, on which nothing is said.
    - `command_bytes`, `reply_bytes`: behind so many bytes more, of all connections together, the
      one that they are on is cut, in the midst of what it says; then these are None again.
    """

    def __init__(self, target: Address) -> None:
        self._target = target
        self.port = 0
        self.delay_seconds = 0.0
        self.swallows = False
        self.is_silent = False
        self.command_bytes: int | None = None
        self.reply_bytes: int | None = None
        self._lost = trio.Event()
        self.accepted = 0
        """How many connections there have been so far."""
        self._pairs: set[_Pair] = set()
        self._listener: trio.SocketListener | None = None
        self._is_open = trio.Event()

    @property
    def url(self) -> str:
        """Redis through this."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._pairs)

    def cut(self) -> None:
        """Break all connections; new ones are let in."""
        for pair in self._pairs:
            pair.reset()

    def refuse(self) -> None:
        """Let no new connection in until `admit`: as where no Redis runs."""
        if self._listener is not None:
            self._listener.socket.close()
            self._listener = None
            self._is_open = trio.Event()

    def admit(self) -> None:
        """Let new connections in."""
        if self._listener is None:
            self._listener = self._listen()
            self._is_open.set()

    def swallow(self) -> trio.Event:
        """Lose all replies from now on, until `swallows` is False; the event of the first loss."""
        self.swallows = True
        self._lost = trio.Event()
        return self._lost

    def _listen(self) -> trio.SocketListener:
        while True:
            port = self.port or free_port()
            try:
                sock = socket.create_server(("127.0.0.1", port), backlog=100)
            except OSError:
                if self.port:
                    raise
                continue
            self.port = port
            return trio.SocketListener(trio.socket.from_stdlib_socket(sock))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        self.admit()
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    await self._is_open.wait()
                    assert self._listener is not None
                    try:
                        client = await self._listener.accept()
                    except trio.ClosedResourceError:
                        continue
                    self.accepted += 1
                    nursery.start_soon(self._serve, client)
        finally:
            self.refuse()
            self.cut()

    async def _serve(self, client: trio.SocketStream) -> None:
        try:
            if isinstance(self._target, Path):
                redis = await trio.open_unix_socket(self._target)
            else:
                redis = await trio.open_tcp_stream(*self._target)
        except OSError:
            client.socket.close()
            return
        pair = _Pair(client, redis)
        self._pairs.add(pair)
        try:
            async with trio.open_nursery() as nursery:
                send, receive = trio.open_memory_channel[tuple[float, bytes]](math.inf)
                nursery.start_soon(self._pass_commands, pair, nursery.cancel_scope)
                nursery.start_soon(self._take_replies, pair, send)
                nursery.start_soon(self._pass_replies, pair, receive, nursery.cancel_scope)
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _pass_commands(self, pair: _Pair, scope: trio.CancelScope) -> None:
        try:
            while data := await pair.client.receive_some(CHUNK_BYTES):
                if self.is_silent:
                    continue
                if self.command_bytes is not None:
                    left, self.command_bytes = self.command_bytes - len(data), None
                    if left < 0:
                        await pair.redis.send_all(data[:left])
                        pair.reset()
                        break
                    self.command_bytes = left
                await pair.redis.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async def _take_replies(
        self, pair: _Pair, send: trio.MemorySendChannel[tuple[float, bytes]]
    ) -> None:
        with send:
            try:
                while data := await pair.redis.receive_some(CHUNK_BYTES):
                    if self.swallows:
                        self._lost.set()
                    elif not self.is_silent:
                        send.send_nowait((trio.current_time() + self.delay_seconds, data))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    async def _pass_replies(
        self,
        pair: _Pair,
        receive: trio.MemoryReceiveChannel[tuple[float, bytes]],
        scope: trio.CancelScope,
    ) -> None:
        try:
            async for due, data in receive:
                await trio.sleep_until(due)
                if self.reply_bytes is not None:
                    left, self.reply_bytes = self.reply_bytes - len(data), None
                    if left < 0:
                        await pair.client.send_all(data[:left])
                        pair.reset()
                        break
                    self.reply_bytes = left
                await pair.client.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def proxied(target: Address) -> AsyncIterator[Proxy]:
    """A proxy to that Redis while the block runs."""
    proxy = Proxy(target)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        yield proxy
        nursery.cancel_scope.cancel()
