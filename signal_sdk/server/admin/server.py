"""The admin address's connections: who comes in, how many may, and that whatever goes wrong on one
of them ends that one alone.

Owns: accepting, hypercorn's settings, and the end. Must not know what is asked. hypercorn's own
server is not used: that would end for all where one client makes it fail, and takes any number of
them.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from signal_sdk.net.reactor import Reactor
from signal_sdk.raised import type_name
from signal_sdk.server.admin.connections import App, Connection
from signal_sdk.server.admin.shares import Shares
from signal_sdk.server.complaints import Complaint
from signal_sdk.server.listener import NO_ROOM, NO_ROOM_SECONDS
from signal_sdk.server.turnstile import Turnstile

__all__ = ["MAX_CONNECTIONS", "AdminServer"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.admin")

MAX_CONNECTIONS: Final = 128
"""Over this, one has to go that has no request with a right key under way: the first that never
had any, or else the one whose last was over first.
"""
MAX_HEADER_BYTES: Final = 16 * 1024
NO_PLACE: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
"""What hears who comes while none has to go."""
QUEUE_MESSAGES: Final = 2
"""How many parts of a body, of 64 KiB at most, wait to be read."""


def _settings() -> Config:
    settings = Config()
    settings.accesslog = None
    settings.errorlog = logger
    settings.include_server_header = False
    settings.h11_max_incomplete_size = MAX_HEADER_BYTES
    settings.max_app_queue_size = QUEUE_MESSAGES
    return settings


class AdminServer:
    """Answers by `app` who comes in by `sockets`, which listen and are its own from here on.

    `run` serves until it is cancelled; `stop` lets what is under way end; `close` ends it.
    """

    def __init__(self, app: App, sockets: Sequence[socket.socket], reactor: Reactor) -> None:
        self._app = app
        self._sockets = sockets
        self._reactor = reactor
        self._settings = _settings()
        self._context = WorkerContext(None)
        self._turns = Turnstile()
        self._shares = Shares(MAX_CONNECTIONS)
        self._connections: dict[Connection, None] = {}
        """In the order in which they came."""
        self._all_gone = trio.Event()
        self._told_short = Complaint("cannot accept connections to the admin address", logger)
        self._told_full = Complaint("the admin address has as many connections as it may", logger)
        self._told_failed = Complaint("a connection to the admin address failed", logger)

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            for sock in self._sockets:
                nursery.start_soon(self._accept_loop, sock, nursery)
            try:
                await trio.sleep_forever()
            finally:
                self._close_connections()

    async def stop(self) -> None:
        """Let nobody in any more, and wait until what is under way has been answered."""
        self._leave()
        await self._context.terminated.set()
        for connection in self._connections:
            connection.leave()
        if self._connections:
            await self._all_gone.wait()

    def close(self) -> None:
        """Close all that are open, at once."""
        self._leave()
        self._close_connections()

    def _close_connections(self) -> None:
        for connection in self._connections:
            connection.close()

    def _leave(self) -> None:
        for sock in self._sockets:
            if sock.fileno() >= 0:
                trio.lowlevel.notify_closing(sock)
                sock.close()

    async def _accept_loop(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        while listening.fileno() >= 0:
            try:
                await trio.lowlevel.wait_readable(listening)
                sock, _ = listening.accept()
            except trio.ClosedResourceError:
                return
            except OSError as exc:
                if exc.errno in NO_ROOM:
                    self._told_short.tell(exc.strerror or str(exc))
                    await trio.sleep(NO_ROOM_SECONDS)
                # Otherwise the client has gone again already.
                continue
            self._take(sock, nursery)

    def _take(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            self._told_full.tell(f"{MAX_CONNECTIONS} are open")
            spare = min(
                (it for it in self._connections if not it.holder),
                key=attrgetter("known_at"),
                default=None,
            )
            if spare is None:
                _turn_away(sock)
                return
            del self._connections[spare]
            spare.close()
        connection = Connection(
            trio.socket.from_stdlib_socket(sock),
            self._app,
            self._settings,
            self._context,
            self._reactor,
            self._turns,
            self._shares,
        )
        self._connections[connection] = None
        nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.run()
        except Exception as exc:  # noqa: BLE001  it is one client's, and ends with it
            self._fail(exc)
        except BaseExceptionGroup as group:
            ended, failed = group.split(trio.Cancelled)
            if failed is not None:
                self._fail(failed)
            if ended is not None:
                raise ended from None
        finally:
            connection.close()
            self._connections.pop(connection, None)
            if not self._connections:
                self._all_gone.set()
                self._all_gone = trio.Event()

    def _fail(self, exc: BaseException) -> None:
        while isinstance(exc, BaseExceptionGroup):
            exc = exc.exceptions[0]
        self._told_failed.tell(type_name(exc))
        logger.debug("a connection failed", exc_info=exc)


def _turn_away(sock: socket.socket) -> None:
    """Say so, as far as that can be heard by somebody who has not been listened to."""
    with sock, contextlib.suppress(OSError):
        sock.send(NO_PLACE)
        sock.shutdown(socket.SHUT_WR)
