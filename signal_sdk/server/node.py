"""The node: one server process's parts wired together, and their life.

Owns: which part gets which, the start, and the stop. Must not know any rule.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

import trio

from signal_sdk.errors import LinkError, SignalError
from signal_sdk.server import functions, listener
from signal_sdk.server.attributes import ChannelAttributes, UserAttributes
from signal_sdk.server.calls import Calls
from signal_sdk.server.channels import Channels
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import Config
from signal_sdk.server.connection import Connection
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.http import HEALTH_PATH, READY_PATH, Routes, unavailable
from signal_sdk.server.hub import Hub
from signal_sdk.server.inbox import Inboxes
from signal_sdk.server.presence import Presences
from signal_sdk.server.requests import Services
from signal_sdk.server.timers import Timers
from signal_sdk.websocket import handshake
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.link import Link
from signal_sdk.websocket.reactor import Reactor
from signal_sdk.websocket.tls import TlsTransport
from signal_sdk.websocket.transport import Transport

logger = logging.getLogger("signal_sdk.server")

SWEEP_SECONDS: Final = 1.0
"""Between two looks at all connections, of which 10,000 take half a millisecond."""
ENDED_PER_TURN: Final = 64
"""How many connections are closed for their silence before others run."""
STOP_SECONDS: Final = 3.0
"""How long a stop waits for the clients to take their farewell."""


def make_engine(config: Config) -> Engine:
    """The engine of a node: in memory, or with `[server] data` on the journal there. Raises
    `StorageError`.
    """
    server, limits = config.server, config.limits
    return EmbeddedEngine(
        max_inbox=limits.inbox_messages,
        history_events=limits.history_events,
        history_seconds=limits.history_seconds,
        journal=Journal.open(server.data, server.durability) if server.data else None,
    )


class Node:
    """A signaling server.

    `config` says what it does; `engine` keeps its state, by default the one that `make_engine`
    makes; `clock` is the wall clock. `run` serves until it is cancelled or `stop` is called;
    `serve` serves one connection that somebody else has accepted. Raises `StorageError` where the
    data directory cannot be used.
    """

    def __init__(
        self, config: Config, *, engine: Engine | None = None, clock: Clock = time.time
    ) -> None:
        self.config = config
        self.port = config.server.port
        limits = config.limits
        self._engine = engine or make_engine(config)
        self._clock = clock
        self._reactor = Reactor()
        self._timers = timers = Timers()
        self._hub = Hub(limits.compress_over_bytes)
        self._engine.attach(self._hub)
        self._routes = Routes(config.server)
        self._connections: dict[Connection, None] = {}
        self._transports = 0
        self._stopping = trio.Event()
        self._drain_seconds = 0.0
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
        self._recoverable = (presences, calls, channel_attributes)
        self._services = Services(
            engine=self._engine,
            hub=self._hub,
            presences=presences,
            handlers=handlers,
            timers=timers,
            limits=limits,
            clock=clock,
            is_draining=self._stopping.is_set,
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
        try:
            if listens and server.cert:
                context = listener.tls_context(server.cert, server.key)
                sockets = [*listener.listen_pair(server.host, server.port)]
            elif listens:
                sockets = [listener.listen(server.host, server.port)]
            async with trio.open_nursery() as nursery:
                await nursery.start(self._reactor.run)
                await nursery.start(self._timers.run)
                await nursery.start(self._engine.run)
                for rules in self._recoverable:
                    await rules.recover()
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
                        await self._drain()
                        accepting.cancel_scope.cancel()
                    with trio.move_on_after(STOP_SECONDS):
                        await self._all_gone()
                    serving.cancel_scope.cancel()
                nursery.cancel_scope.cancel()
        finally:
            for sock in sockets:
                sock.close()
            with trio.CancelScope(shield=True):
                await self._engine.aclose()

    def stop(self, drain_seconds: float = 0.0) -> None:
        """Let nobody in any more, tell every client that the server is going away, spread over
        `drain_seconds`, and end `run` once they have heard.
        """
        self._drain_seconds = drain_seconds
        self._stopping.set()

    async def _drain(self) -> None:
        """Send the clients away one by one: ours are told to come back when this node has gone, in
        the same order and over the same time.
        """
        start, window = trio.current_time(), self._drain_seconds
        connections = list(self._connections)
        for number, connection in enumerate(connections):
            with trio.move_on_at(start + window * number / len(connections)):
                await self._all_gone()
                return
            if connection in self._connections:
                connection.go_away(delay=round(window, 1))

    async def _all_gone(self) -> None:
        while self._transports:
            self._gone = trio.Event()
            await self._gone.wait()

    async def serve(self, transport: Transport, local_host: str = "127.0.0.1") -> None:
        """Serve one connection, until it ends. It has `handshake_seconds` for all handshakes and
        the login together.
        """
        self._transports += 1
        try:
            connection = await self._open(transport, local_host)
            if connection is not None:
                self._connections[connection] = None
                try:
                    await connection.run()
                finally:
                    del self._connections[connection]
        except LinkError as exc:
            logger.info("%s: %s", transport.peer, exc)
        except Exception:
            # One connection's mistake must not end the others'.
            logger.exception("%s: the connection failed", transport.peer)
        finally:
            transport.close()
            self._transports -= 1
            self._gone.set()

    async def _open(self, transport: Transport, local_host: str) -> Connection | None:
        """Do the handshakes in time; None and errors as `_accept`."""
        ends = trio.current_time() + self.config.limits.handshake_seconds
        # A cancel scope takes three times as long.
        patience = self._timers.ring_at(ends, transport.close)
        link = None
        try:
            link = await self._accept(transport, local_host)
        finally:
            if link is None:
                patience.cancel()
        return Connection(link, self._services, patience) if link is not None else None

    async def _accept(self, transport: Transport, local_host: str) -> Link | None:
        """Do the handshakes; None where the client got an HTTP answer. Raises `LinkError`."""
        limits = self.config.limits

        def answer(request: HttpRequest) -> HttpAnswer | None:
            is_full = limits.max_connections and self._transports > limits.max_connections
            # A server that is full serves: whoever restarts the sick must not think it one.
            if request.path != HEALTH_PATH and (why := self._why_not_ready()):
                return unavailable(why)
            if request.path not in (HEALTH_PATH, READY_PATH) and is_full:
                return unavailable("no room for another connection")
            return self._routes.answer(request, local_host, self.port)

        if isinstance(transport, TlsTransport):
            await transport.handshake()
        return await handshake.accept(
            transport,
            self._reactor,
            answer,
            max_frame_bytes=limits.max_frame_bytes,
            outbox_bytes=limits.outbox_bytes,
        )

    def _why_not_ready(self) -> str:
        """Why nobody should come here now; empty where anybody may."""
        if self._stopping.is_set():
            return "the server is going away"
        try:
            self._engine.check_writable()
        except SignalError as exc:
            return exc.reason
        return ""

    async def _sweep_loop(self) -> None:
        while True:
            await trio.sleep(SWEEP_SECONDS)
            await self._engine.sweep(self._clock())
            silent_since = trio.current_time() - self.config.limits.silence_seconds
            silent = [it for it in self._connections if it.heard_at <= silent_since]
            for number, connection in enumerate(silent, 1):
                if connection.heard_at <= silent_since:
                    connection.end_silence()
                if number % ENDED_PER_TURN == 0:
                    await trio.lowlevel.checkpoint()
