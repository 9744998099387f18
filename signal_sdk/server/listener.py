"""The listener: sockets in, transports out.

Owns: listening sockets and accepting, plain and TLS. Must not know what is said on a connection.
"""

from __future__ import annotations

import errno
import logging
import math
import socket
import ssl
from collections.abc import Callable
from typing import Final

import trio

from signal_sdk.errors import ConfigError
from signal_sdk.net.addresses import bind_all, plain_address
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport

logger: logging.Logger = logging.getLogger("signal_sdk.server")

ACCEPTS_PER_TURN: Final = 64
NO_ROOM_SECONDS: Final = 0.1
"""How long accepting pauses when the process has no file descriptors left."""
SHORTAGE_SECONDS: Final = 60.0
"""Between two lines in the log that say so."""
NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Accept = Callable[[Transport, str], None]
"""Takes over one connection, given its transport and the local address that it came in at. Neither
waits nor raises."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen, one for each address that `host` stands for. Raises `ConfigError` where
    that cannot be.
    """
    return bind_all(host, port, socket.SOCK_STREAM, _prepare)


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def listen_pair(host: str, port: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """Sockets that listen on a port and on the one after it; with port 0, on any such pair that is
    free.
    """
    for _ in range(50):
        plain = listen(host, port)
        try:
            return plain, listen(host, plain[0].getsockname()[1] + 1)
        except ConfigError:
            for sock in plain:
                sock.close()
            if port:
                raise
    raise ConfigError(f"no two neighbouring ports are free on {host}")


class Shortage:
    """Tells the log that no connection can be accepted, once a minute at most."""

    def __init__(self) -> None:
        self._told_at = -math.inf

    def tell(self, why: str) -> None:
        """There is no room, for this reason."""
        now = trio.current_time()
        if now - self._told_at >= SHORTAGE_SECONDS:
            self._told_at = now
            logger.warning("cannot accept connections: %s", why)


async def accept_loop(
    listening: socket.socket,
    accept: Accept,
    shortage: Shortage,
    context: Callable[[], ssl.SSLContext] | None = None,
) -> None:
    """Accept connections until cancelled, each handed to `accept`; with `context`, inside TLS as
    that says at the moment.
    """
    while True:
        await trio.lowlevel.wait_readable(listening)
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _ = listening.accept()
            except BlockingIOError:
                break
            except OSError as exc:
                if exc.errno in NO_ROOM:
                    shortage.tell(exc.strerror or str(exc))
                    await trio.sleep(NO_ROOM_SECONDS)
                # Otherwise the client has gone again already.
                break
            transport: Transport = SocketTransport(sock)
            if context is not None:
                transport = TlsTransport(transport, context(), server_side=True)
            accept(transport, plain_address(sock.getsockname()[0]))
