"""The doors: every socket that a node listens on, and who comes in.

Owns: which kind of client comes in where, from when until when. Must not know what is said on a
connection, nor who is let in.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from signal_sdk.native import udp
from signal_sdk.net.addresses import BACKLOG
from signal_sdk.net.transport import SocketTransport
from signal_sdk.server import listener
from signal_sdk.server.acceptor import Acceptor
from signal_sdk.server.admission import NO_ROOM
from signal_sdk.server.certificate import Certificate
from signal_sdk.server.config import Config
from signal_sdk.server.handed import Handed
from signal_sdk.server.http import unavailable
from signal_sdk.server.native_lookup import NativeLookup
from signal_sdk.server.places import Places
from signal_sdk.server.sockets import Addresses, Sockets
from signal_sdk.websocket.handshake import encode_answer

logger: logging.Logger = logging.getLogger("signal_sdk.server.connections")

FULL: Final = encode_answer(unavailable(NO_ROOM))
"""What HTTP clients hear for whom there are no descriptors."""
_Context = Callable[[], ssl.SSLContext]


class Doors:
    """A node's listening sockets, which are open from the beginning. `serve` takes who comes. They
    are shared with other processes, or not, and those that were `handed` over are used.

    Raises `ConfigError` where one cannot be opened; without those for native clients a server goes
    on that serves them by default only, and says so.
    """

    def __init__(
        self,
        config: Config,
        acceptor: Acceptor,
        places: Places,
        lookup: NativeLookup,
        *,
        is_shared: bool = False,
        handed: Handed | None = None,
    ) -> None:
        self._acceptor = acceptor
        self._lookup = lookup
        self._certificate: Certificate | None = None
        server = config.server
        if server.cert:
            self._certificate = Certificate(server.cert, server.key)
        self._sockets = sockets = Sockets(config, is_shared=is_shared, handed=handed)
        self._ways: list[tuple[socket.socket, _Context | None]] = [
            (sock, None) for sock in sockets.plain
        ]
        if self._certificate is not None:
            self._ways += [(sock, self._certificate.context) for sock in sockets.tls]
        self._make = partial(SocketTransport, traffic=acceptor.traffic)
        self._shortage = listener.Shortage(acceptor.shed)
        self._scope = trio.CancelScope()
        self._native_scope = trio.CancelScope()
        self._has_left = trio.Event()
        self._has_closed_native = trio.Event()
        self._end_the_dead(config)
        if not is_shared:
            sockets.warn(config)
        places.web_port = sockets.plain[0].getsockname()[1]
        places.serves_native = bool(sockets.native)
        if sockets.native:
            places.native_port = sockets.native[0].getsockname()[1]

    @property
    def addresses(self) -> Addresses:
        """Where they are."""
        return self._sockets.addresses

    def take_admin(self) -> list[socket.socket]:
        """The sockets of the admin address, which are the caller's from here on."""
        return self._sockets.take_admin()

    async def serve(self) -> None:
        """Hand who comes to the acceptor, until cancelled, or closed for good."""
        async with trio.open_nursery() as nursery:
            if self._certificate is not None:
                nursery.start_soon(self._certificate.watch_loop)
            nursery.start_soon(self._serve_native)
            await self._serve_web()

    async def _serve_web(self) -> None:
        loop = partial(
            listener.accept_loop,
            accept=self._acceptor.accept,
            shortage=self._shortage,
            make=self._make,
        )
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for sock, context in self._ways:
                        refusal = FULL if context is None else b""
                        nursery.start_soon(partial(loop, sock, context=context, refusal=refusal))
        finally:
            self._has_left.set()

    async def _serve_native(self) -> None:
        try:
            with self._native_scope:
                async with trio.open_nursery() as nursery:
                    for sock in self._sockets.udp:
                        nursery.start_soon(udp.serve, sock, self._lookup.answer)
                    for sock in self._sockets.native:
                        loop = partial(listener.accept_loop, sock, make=self._make)
                        nursery.start_soon(loop, self._acceptor.accept_native, self._shortage)
        finally:
            self._sockets.close_native()
            self._has_closed_native.set()

    def reload(self, config: Config) -> None:
        """Take the certificate, where TLS is on, and the limits from here on. Raises `ConfigError`,
        and changes nothing, where the certificate cannot be used.
        """
        if self._certificate is not None and config.server.cert:
            self._certificate.renew(config.server.cert, config.server.key)
        self._end_the_dead(config)

    def _end_the_dead(self, config: Config) -> None:
        for sock in self._sockets.native:
            _end_the_dead(sock, config.limits.silence_seconds)

    async def close_native(self) -> None:
        """Let no native client in any more. It counts a connection that is made and then closed as
        one of its few tries, and a server that does not answer as none. Only while `serve` runs.
        """
        self._native_scope.cancel()
        await self._has_closed_native.wait()

    async def leave(self) -> None:
        """As `close_native`, and nobody else either: who comes from here on comes to those who
        share the sockets. Who waits to be let in is, and hears what the acceptor has to say.
        """
        await self.close_native()
        self._scope.cancel()
        await self._has_left.wait()
        for sock, context in self._ways:
            try:
                listener.accept_some(sock, self._acceptor.accept, BACKLOG, context, make=self._make)
            except OSError as exc:
                # One of them has gone already, or there are no descriptors left for them.
                logger.debug("who waited was not let in: %s", exc.strerror or exc)
        self._sockets.close()

    def close(self) -> None:
        """Close all that are open."""
        self._sockets.close()
        self._shortage.close()


def _end_the_dead(sock: socket.socket, seconds: int) -> None:
    """Have connections of this port end that acknowledge nothing for so long (0: for as long as the
    system likes): a native client that is always told something says nothing itself. Elsewhere than
    on Linux, their outboxes overrun.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Those that are accepted inherit it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(seconds, 2**20) * 1000)
