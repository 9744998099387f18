"""The listener: sockets in, transports out.

Owns: listening sockets and accepting, plain and TLS. Must not know what is said on a connection.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

import trio

from signal_sdk.errors import ConfigError
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import SocketTransport, Transport

logger: logging.Logger = logging.getLogger("signal_sdk.server")

BACKLOG: Final = 4096
ACCEPTS_PER_TURN: Final = 64
NO_ROOM_SECONDS: Final = 0.1
"""How long accepting pauses when the process has no file descriptors left."""
NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Accept = Callable[[Transport, str], None]
"""Takes over one connection, given its transport and the local address that it came in at. Neither
waits nor raises."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on one address. Raises `ConfigError` where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise ConfigError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as exc:
        listening.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from None
    return listening


def listen_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets that listen on a port and on the one after it; with port 0, on any such pair that is
    free.
    """
    for _ in range(50):
        plain = listen(host, port)
        try:
            return plain, listen(host, plain.getsockname()[1] + 1)
        except ConfigError:
            plain.close()
            if port:
                raise
    raise ConfigError(f"no two neighbouring ports are free on {host}")


def tls_context(cert: str, key: str) -> ssl.SSLContext:
    """The server's TLS settings from its certificate chain and key. Raises `ConfigError`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            f"cannot use the certificate {cert} with the key {key}: {exc.strerror or exc}"
        ) from None
    return context


async def accept_loop(
    listening: socket.socket, accept: Accept, context: ssl.SSLContext | None
) -> None:
    """Accept connections until cancelled, each handed to `accept`; with `context`, inside TLS."""
    while True:
        await trio.lowlevel.wait_readable(listening)
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _ = listening.accept()
            except BlockingIOError:
                break
            except OSError as exc:
                if exc.errno in NO_ROOM:
                    logger.warning("cannot accept: %s", exc.strerror)
                    await trio.sleep(NO_ROOM_SECONDS)
                # Otherwise the client has gone again already.
                break
            transport: Transport = SocketTransport(sock)
            if context is not None:
                transport = TlsTransport(transport, context, server_side=True)
            accept(transport, sock.getsockname()[0])
