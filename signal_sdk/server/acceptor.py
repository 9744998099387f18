"""The acceptor: every connection, from when it is accepted until it is closed.

Owns: which transports are open, who is let in, in which task each is served, and how all are sent
away. Must not know how a socket is accepted, or what is said on a connection.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from signal_sdk.errors import LinkError, SignalError
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.connection import Connection
from signal_sdk.server.http import HEALTH_PATH, READY_PATH, Routes, unavailable
from signal_sdk.server.requests import Services
from signal_sdk.server.timers import Timer
from signal_sdk.websocket import handshake
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.reactor import Reactor
from signal_sdk.websocket.tls import TlsTransport
from signal_sdk.websocket.transport import Transport

logger = logging.getLogger("signal_sdk.server")

ENDED_PER_TURN: Final = 64
"""How many connections are closed for their silence before others run."""


class Acceptor:
    """A node's connections. `run` serves those that `accept` is given."""

    def __init__(self, services: Services, reactor: Reactor, routes: Routes) -> None:
        self._services = services
        self._reactor = reactor
        self._routes = routes
        self._nursery: trio.Nursery | None = None
        self._bounds = {
            "max_frame_bytes": services.limits.max_frame_bytes,
            "outbox_bytes": services.limits.outbox_bytes,
        }
        self._open: dict[Transport, Connection | None] = {}
        self._gone = trio.Event()

    @property
    def _limits(self) -> LimitsConfig:
        return self._services.limits

    def __len__(self) -> int:
        """How many transports are open, also those on which nothing was said yet."""
        return len(self._open)

    @property
    def connections(self) -> list[Connection]:
        """Those whose handshake is done."""
        return [connection for connection in self._open.values() if connection is not None]

    @property
    def is_running(self) -> bool:
        """Can `accept` serve anybody?"""
        return self._nursery is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve what `accept` is given, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                for transport, connection in list(self._open.items()):
                    if connection is None:
                        self._close(transport)
                    else:
                        # Who rests gets a task in which to end.
                        connection.wake()
                self._nursery = None

    def accept(self, transport: Transport, local_host: str) -> None:
        """Serve one connection, which came in at `local_host`, until it ends: without a task until
        it has to wait for something, since most of a server's connections are idle. It has
        `handshake_seconds` for all handshakes and the login together.
        """
        nursery = self._nursery
        if nursery is None:
            # It came in the moment in which the node was ended.
            transport.close()
            return
        patience = self._admit(transport)
        read = partial(self._read, nursery, transport, local_host, patience)
        try:
            if isinstance(transport, TlsTransport) or not transport.watch(self._reactor, read):
                serve = partial(self._serve, transport, local_host, patience)
                nursery.start_soon(self._run, transport, patience, serve)
        except LinkError as exc:
            self._fail(transport, patience, exc)

    async def serve(self, transport: Transport, local_host: str) -> None:
        """As `accept`, in the caller's task."""
        patience = self._admit(transport)
        await self._run(transport, patience, partial(self._serve, transport, local_host, patience))

    def _admit(self, transport: Transport) -> Timer:
        """Count the transport, which is closed when the timer rings."""
        self._open[transport] = None
        # A cancel scope takes three times as long.
        ends = trio.current_time() + self._limits.handshake_seconds
        return self._services.timers.ring_at(ends, partial(self._close, transport))

    async def _run(
        self, transport: Transport, patience: Timer, serve: Callable[[], Awaitable[None]]
    ) -> None:
        """`serve`, and close the transport behind it."""
        try:
            await serve()
        except Exception as exc:  # noqa: BLE001  `_fail` tells of it
            self._fail(transport, patience, exc)
        finally:
            patience.cancel()
            self._close(transport)

    def _close(self, transport: Transport) -> None:
        transport.close()
        self._open.pop(transport, None)
        self._gone.set()

    def _fail(self, transport: Transport, patience: Timer, exc: Exception) -> None:
        """Close the transport, and tell why. One connection's mistake must not end the others'."""
        if isinstance(exc, LinkError):
            logger.info("%s: %s", transport.peer, exc)
        else:
            logger.error("%s: the connection failed", transport.peer, exc_info=exc)
        patience.cancel()
        self._close(transport)

    # --- the handshake ---

    def _read(
        self, nursery: trio.Nursery, transport: Transport, local_host: str, patience: Timer
    ) -> None:
        """Take a client's opening request where that is plain. The reactor's."""
        try:
            data = transport.receive_nowait()
            if data is None:
                return
            answer = partial(self._answer, local_host)
            link = handshake.accept_plain(data, transport, self._reactor, answer, **self._bounds)
            if link is None:
                transport.unwatch()
                serve = partial(self._serve, transport, local_host, patience, data)
                nursery.start_soon(self._run, transport, patience, serve)
                return
            connection = Connection(link, self._services, patience)
            run = partial(nursery.start_soon, self._run, transport, patience, connection.run)
            if not connection.rest(run):
                transport.unwatch()
                run()
            self._open[transport] = connection
        except Exception as exc:  # noqa: BLE001  `_fail` tells of it
            self._fail(transport, patience, exc)

    async def _serve(
        self, transport: Transport, local_host: str, patience: Timer, data: bytes | None = None
    ) -> None:
        """Do the handshakes, of which `data` has been received, and all behind them. Raises
        `LinkError`.
        """
        if isinstance(transport, TlsTransport):
            await transport.handshake()
        answer = partial(self._answer, local_host)
        link = await handshake.accept(transport, self._reactor, answer, data=data, **self._bounds)
        if link is not None:
            self._open[transport] = connection = Connection(link, self._services, patience)
            await connection.run()

    def _answer(self, local_host: str, request: HttpRequest) -> HttpAnswer | None:
        """The answer to a request; None where it begins a link."""
        most = self._limits.max_connections
        # A server that is full serves: whoever restarts the sick must not think it one.
        if request.path != HEALTH_PATH and (why := self._why_not_ready()):
            return unavailable(why)
        if request.path not in (HEALTH_PATH, READY_PATH) and most and len(self) > most:
            return unavailable("no room for another connection")
        return self._routes.answer(request, local_host)

    def _why_not_ready(self) -> str:
        """Why nobody should come here now; empty where anybody may."""
        if self._services.is_draining():
            return "the server is going away"
        try:
            self._services.engine.check_writable()
        except SignalError as exc:
            return exc.reason
        return ""

    # --- sending away ---

    async def end_silent(self, since: float) -> None:
        """Close the connections of which nothing was heard since then, by trio's clock."""
        silent = [it for it in self.connections if it.heard_at <= since]
        for number, connection in enumerate(silent, 1):
            if connection.heard_at <= since:
                connection.end_silence()
            if number % ENDED_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    async def drain(self, window: float) -> None:
        """Send the clients away one by one, over `window` seconds: ours are told to come back when
        this node has gone, in the same order and over the same time.
        """
        start = trio.current_time()
        leaving = [it for it in self._open.items() if it[1] is not None]
        for number, (transport, connection) in enumerate(leaving):
            with trio.move_on_at(start + window * number / len(leaving)):
                await self.all_gone()
                return
            if connection is not None and transport in self._open:
                connection.go_away(delay=round(window, 1))

    async def all_gone(self) -> None:
        """Wait until no transport is open."""
        while self._open:
            self._gone = trio.Event()
            await self._gone.wait()
