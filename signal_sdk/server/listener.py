"""The listener: sockets in, transports out.

Owns: listening sockets and accepting, plain and TLS. Must not know what is said on a connection.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable
from itertools import chain
from typing import Final

import trio

from signal_sdk.errors import ConfigError
from signal_sdk.net.addresses import bind_all, plain_address, share
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import RECEIVE_BYTES, SocketTransport, Transport
from signal_sdk.server.complaints import Complaint

logger: logging.Logger = logging.getLogger("signal_sdk.server.connections")

ACCEPTS_PER_TURN: Final = 16
"""How many are accepted before others are read. What is read in a turn takes about as long: with
more, those who come and go at once would be accepted sooner than it was seen that they have gone.
"""
REFUSED_PER_SHORTAGE: Final = 64
"""How many are refused at once for whom there are no descriptors."""
NO_ROOM_SECONDS: Final = 0.1
"""How long accepting pauses when the process has no file descriptors left."""
NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Accept = Callable[[Transport, str], None]
"""Takes over one connection, given its transport and the local address that it came in at. Neither
waits nor raises."""
MakeTransport = Callable[[socket.socket], Transport]


def listen(host: str, port: int, *, is_shared: bool = False) -> list[socket.socket]:
    """Sockets that listen, one for each address that `host` stands for, shared with other processes
    or not. Raises `ConfigError` where that cannot be.
    """
    return bind_all(host, port, socket.SOCK_STREAM, share if is_shared else _prepare)


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def listen_pair(
    host: str, *, is_shared: bool = False
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Sockets that listen on any port and on the one after it. Raises `ConfigError`."""
    plain, tls = listen_row(host, 0, 2, is_shared=is_shared)
    return plain, tls


def listen_row(
    host: str, port: int, count: int, *, is_shared: bool = False
) -> list[list[socket.socket]]:
    """Sockets that listen on `count` ports, one after the other, those of each port together; with
    port 0, on any such ports that are free. Raises `ConfigError`.
    """
    for _ in range(50):
        row = [listen(host, port, is_shared=is_shared)]
        first = row[0][0].getsockname()[1]
        try:
            row.extend(listen(host, first + more, is_shared=is_shared) for more in range(1, count))
        except (ConfigError, OverflowError):
            for sock in chain.from_iterable(row):
                sock.close()
            if port:
                raise
        else:
            return row
    raise ConfigError(f"no {count} neighbouring ports are free on {host}")


class Shortage:
    """What is done where the process has no descriptors left: one in reserve is there to take a
    connection with and refuse it, so that nobody waits for nothing, and `make_room` has some of
    those closed that can best be spared. The log is told once a minute.
    """

    def __init__(self, make_room: Callable[[], None]) -> None:
        self._make_room = make_room
        self._complaint = Complaint("cannot accept connections", logger)
        self._spare = _spare()

    def handle(self, listening: socket.socket, why: str, refusal: bytes) -> None:
        """There is no room, for this reason: refuse who waits, with these bytes."""
        self._complaint.tell(why)
        self.close()
        for _ in range(REFUSED_PER_SHORTAGE):
            try:
                sock, _ = listening.accept()
            except OSError:
                # Nobody waits any more, or somebody else has taken the one in reserve.
                break
            with sock:
                sock.setblocking(False)
                # What was sent is thrown away where something lies unread at the end.
                with contextlib.suppress(OSError):
                    sock.recv(RECEIVE_BYTES)
                with contextlib.suppress(OSError):
                    sock.send(refusal)
        self._make_room()
        self._spare = _spare()

    def close(self) -> None:
        """Give the one in reserve back."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def _spare() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


async def accept_loop(
    listening: socket.socket,
    accept: Accept,
    shortage: Shortage,
    context: Callable[[], ssl.SSLContext] | None = None,
    *,
    refusal: bytes = b"",
    make: MakeTransport = SocketTransport,
) -> None:
    """Accept connections until cancelled, each handed to `accept`; with `context`, inside TLS as
    that says at the moment. `refusal` is what those hear for whom there are no descriptors; `make`
    makes a transport of each.
    """
    while True:
        await trio.lowlevel.wait_readable(listening)
        try:
            accept_some(listening, accept, ACCEPTS_PER_TURN, context, make=make)
        except OSError as exc:
            if exc.errno in NO_ROOM:
                shortage.handle(listening, exc.strerror or str(exc), refusal)
                await trio.sleep(NO_ROOM_SECONDS)
            # Otherwise the client has gone again already.


def accept_some(
    listening: socket.socket,
    accept: Accept,
    most: int,
    context: Callable[[], ssl.SSLContext] | None = None,
    *,
    make: MakeTransport = SocketTransport,
) -> None:
    """Accept who waits, as `accept_loop` does, but not more than so many. Raises `OSError`."""
    for _ in range(most):
        try:
            sock, _ = listening.accept()
        except BlockingIOError:
            return
        transport = make(sock)
        if context is not None:
            transport = TlsTransport(transport, context(), server_side=True)
        accept(transport, plain_address(sock.getsockname()[0]))
