"""The node: one server process's parts wired together, and their life.

Owns: which part gets which, the start, and the stop. Must not know any rule.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import trio

from signal_sdk.errors import LinkError
from signal_sdk.server import functions, listener
from signal_sdk.server.attributes import ChannelAttributes, UserAttributes
from signal_sdk.server.calls import Calls
from signal_sdk.server.channels import Channels
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import Config
from signal_sdk.server.connection import Connection, Services
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.http import HEALTH_PATH, Routes
from signal_sdk.server.hub import Hub
from signal_sdk.server.inbox import Inboxes
from signal_sdk.server.presence import Presences
from signal_sdk.server.timers import Timers
from signal_sdk.websocket import handshake
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.outbox import Flusher
from signal_sdk.websocket.tls import TlsTransport
from signal_sdk.websocket.transport import Transport

logger = logging.getLogger("signal_sdk.server")

SWEEP_SECONDS: Final = 1.0
STOP_SECONDS: Final = 3.0
"""How long a stop waits for the clients to take their farewell."""


class Node:
    """A signaling server.

    `config` says what it does; `engine` keeps its state, in memory by default; `clock` is the wall
    clock. `run` serves until it is cancelled or `stop` is called; `serve` serves one connection
    that somebody else has accepted.
    """

    def __init__(
        self, config: Config, *, engine: Engine | None = None, clock: Clock = time.time
    ) -> None:
        self.config = config
        self.port = config.server.port
        limits = config.limits
        self._engine = engine or EmbeddedEngine(max_inbox=limits.inbox_messages)
        self._clock = clock
        self._flusher = Flusher()
        self._timers = timers = Timers()
        self._hub = Hub()
        self._engine.attach(self._hub)
        self._routes = Routes(config.server)
        self._connections: set[Connection] = set()
        self._transports = 0
        self._stopping = trio.Event()
        self._gone = trio.Event()

        users = UserAttributes(self._engine, limits)
        channel_attributes = ChannelAttributes(self._engine, timers, limits, clock)
        channels = Channels(self._engine, channel_attributes, config, clock)
        calls = Calls(self._engine, timers, limits, clock)
        presences = Presences(self._engine, users, channels, calls, timers, config, clock)
        handlers = functions.handlers(
            presences=presences,
            inboxes=Inboxes(self._engine, limits, clock),
            users=users,
            channels=channels,
            channel_attributes=channel_attributes,
            calls=calls,
        )
        self._services = Services(
            hub=self._hub,
            presences=presences,
            handlers=handlers,
            timers=timers,
            limits=limits,
            clock=clock,
        )

    @property
    def sessions(self) -> int:
        """How many logged-in connections there are."""
        return len(self._hub)

    async def run(
        self,
        *,
        listens: bool = True,
        task_status: trio.TaskStatus[Sequence[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until stopped or cancelled. Starts with the addresses that it listens on; without
        `listens`, on none.
        """
        server = self.config.server
        sockets = []
        context = None
        if listens and server.cert:
            context = listener.tls_context(server.cert, server.key)
            sockets = [*listener.listen_pair(server.host, server.port)]
        elif listens:
            sockets = [listener.listen(server.host, server.port)]
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._flusher.run)
                await nursery.start(self._timers.run)
                nursery.start_soon(self._sweep_loop)
                addresses = [sock.getsockname()[:2] for sock in sockets]
                if addresses:
                    self.port = addresses[0][1]
                async with trio.open_nursery() as serving:
                    async with trio.open_nursery() as accepting:
                        for number, sock in enumerate(sockets):
                            tls = context if number else None
                            accepting.start_soon(
                                listener.accept_loop, sock, serving, self.serve, tls
                            )
                        task_status.started(addresses)
                        await self._stopping.wait()
                        accepting.cancel_scope.cancel()
                    for connection in list(self._connections):
                        connection.go_away()
                    with trio.move_on_after(STOP_SECONDS):
                        while self._transports:
                            self._gone = trio.Event()
                            await self._gone.wait()
                    serving.cancel_scope.cancel()
                nursery.cancel_scope.cancel()
        finally:
            for sock in sockets:
                sock.close()

    def stop(self) -> None:
        """Tell every client that the server is going away, and end `run` once they have heard."""
        self._stopping.set()

    async def serve(self, transport: Transport, local_host: str = "127.0.0.1") -> None:
        """Serve one connection, until it ends. It has `handshake_seconds` for all handshakes and
        the login together.
        """
        limits = self.config.limits
        ends = trio.current_time() + limits.handshake_seconds

        def answer(request: HttpRequest) -> HttpAnswer | None:
            is_full = limits.max_connections and self._transports > limits.max_connections
            # A server that is full serves: whoever restarts the sick must not think it one.
            if self._stopping.is_set() or (is_full and request.path != HEALTH_PATH):
                return HttpAnswer(
                    status=HTTPStatus.SERVICE_UNAVAILABLE, body=b"no room for another connection\n"
                )
            return self._routes.answer(request, local_host, self.port)

        self._transports += 1
        try:
            link = None
            with trio.move_on_at(ends):
                if isinstance(transport, TlsTransport):
                    await transport.handshake()
                link = await handshake.accept(
                    transport,
                    self._flusher,
                    answer,
                    max_frame_bytes=limits.max_frame_bytes,
                    outbox_bytes=limits.outbox_bytes,
                )
            if link is not None:
                connection = Connection(link, self._services)
                self._connections.add(connection)
                try:
                    await connection.run(ends)
                finally:
                    self._connections.discard(connection)
        except LinkError as exc:
            logger.info("%s: %s", transport.peer, exc)
        except Exception:
            # One connection's mistake must not end the others'.
            logger.exception("%s: the connection failed", transport.peer)
        finally:
            transport.close()
            self._transports -= 1
            self._gone.set()

    async def _sweep_loop(self) -> None:
        while True:
            await trio.sleep(SWEEP_SECONDS)
            await self._engine.sweep_inboxes(self._clock())
