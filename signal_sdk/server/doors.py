"""The doors: every socket that a node listens on.

Owns: which there are, from their opening to their closing, and which kind of client comes in where.
Must not know what is said on a connection, nor who is let in.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final, TypeAlias

import attrs
import trio

from signal_sdk.errors import ConfigError
from signal_sdk.native import udp
from signal_sdk.net.addresses import takes_ipv4
from signal_sdk.server import listener
from signal_sdk.server.acceptor import NO_ROOM, Acceptor
from signal_sdk.server.certificate import Certificate
from signal_sdk.server.config import Config
from signal_sdk.server.config_checks import shown
from signal_sdk.server.http import Routes, unavailable
from signal_sdk.server.native_lookup import NativeLookup
from signal_sdk.websocket.handshake import encode_answer
from signal_sdk.wire.datagrams import LOOKUP_PORTS

logger: logging.Logger = logging.getLogger("signal_sdk.server")

FULL: Final = encode_answer(unavailable(NO_ROOM))
"""What HTTP clients hear for whom there are no descriptors."""
Address: TypeAlias = tuple[str, int]


@attrs.frozen(kw_only=True)
class Addresses:
    """Where a node listens, as (host, port)."""

    plain: Sequence[Address] = ()
    tls: Sequence[Address] = ()
    native: Sequence[Address] = ()
    lookup: Sequence[Address] = ()
    """UDP, where native clients ask."""


class Doors:
    """A node's listening sockets, which are open from the beginning. `serve` takes who comes.

    Raises `ConfigError` where one cannot be opened; without those for native clients a server goes
    on that serves them by default only, and says so.
    """

    def __init__(
        self, config: Config, acceptor: Acceptor, routes: Routes, lookup: NativeLookup
    ) -> None:
        self._acceptor = acceptor
        self._lookup = lookup
        self._plain: list[socket.socket] = []
        self._tls: list[socket.socket] = []
        self._shortage = listener.Shortage(acceptor.shed)
        self._certificate: Certificate | None = None
        self._native: list[socket.socket] = []
        self._udp: list[socket.socket] = []
        self._native_scope = trio.CancelScope()
        self._has_closed_native = trio.Event()
        try:
            self._open(config)
            if config.native.enabled:
                self._open_native(config)
        except BaseException:
            self.close()
            raise
        routes.port = lookup.http_port = self._plain[0].getsockname()[1]
        if self._native:
            lookup.tcp_port = self._native[0].getsockname()[1]

    def _open(self, config: Config) -> None:
        server = config.server
        if server.cert:
            self._certificate = Certificate(server.cert, server.key)
            self._plain, self._tls = listener.listen_pair(server.host, server.port)
        else:
            self._plain = listener.listen(server.host, server.port)
        for port in server.also_listen:
            self._plain += listener.listen(server.host, port)

    def _open_native(self, config: Config) -> None:
        server, native = config.server, config.native
        any_port = server.port == 0
        try:
            for port in (native.port, *native.also_listen):
                socks = listener.listen(server.host, 0 if any_port else port)
                self._native += socks
                for sock in socks:
                    _end_the_dead(sock, config.limits.silence_seconds)
            for port in native.lookup_ports:
                self._udp += udp.listen(server.host, 0 if any_port else port)
        except ConfigError as exc:
            if not config.native_by_default:
                raise
            self._close_native()
            logger.warning("native clients are not served: %s", exc)
            return
        if server.port:
            _warn_of_lookup_ports(native.lookup_ports)
        if not any(map(takes_ipv4, self._native)):
            logger.warning(
                "[server] host %s stands for IPv6 addresses only, which native clients do not know:"
                " none of them can come; listen on an IPv4 address, too",
                shown(server.host),
            )

    @property
    def addresses(self) -> Addresses:
        """Where they are."""
        return Addresses(
            plain=[_address(sock) for sock in self._plain],
            tls=[_address(sock) for sock in self._tls],
            native=[_address(sock) for sock in self._native],
            lookup=[_address(sock) for sock in self._udp],
        )

    async def serve(self) -> None:
        """Hand who comes to the acceptor, until cancelled."""
        accept, shortage, certificate = self._acceptor.accept, self._shortage, self._certificate
        async with trio.open_nursery() as nursery:
            for sock in self._plain:
                nursery.start_soon(
                    partial(listener.accept_loop, sock, accept, shortage, refusal=FULL)
                )
            if certificate is not None:
                nursery.start_soon(certificate.watch_loop)
                for sock in self._tls:
                    nursery.start_soon(
                        listener.accept_loop, sock, accept, shortage, certificate.context
                    )
            with self._native_scope:
                await self._serve_native()

    async def _serve_native(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for sock in self._udp:
                    nursery.start_soon(udp.serve, sock, self._lookup.answer)
                for sock in self._native:
                    nursery.start_soon(
                        listener.accept_loop, sock, self._acceptor.accept_native, self._shortage
                    )
        finally:
            self._close_native()
            self._has_closed_native.set()

    def reload(self, config: Config) -> None:
        """Take the certificate, where TLS is on, and the limits from here on. Raises `ConfigError`,
        and changes nothing, where the certificate cannot be used.
        """
        if self._certificate is not None and config.server.cert:
            self._certificate.renew(config.server.cert, config.server.key)
        for sock in self._native:
            _end_the_dead(sock, config.limits.silence_seconds)

    async def close_native(self) -> None:
        """Let no native client in any more. It counts a connection that is made and then closed as
        one of its few tries, and a server that does not answer as none. Only while `serve` runs.
        """
        self._native_scope.cancel()
        await self._has_closed_native.wait()

    def _close_native(self) -> None:
        for sock in (*self._udp, *self._native):
            sock.close()
        self._udp = []
        self._native = []

    def close(self) -> None:
        """Close all that are open."""
        self._close_native()
        for sock in (*self._plain, *self._tls):
            sock.close()
        self._shortage.close()


def _warn_of_lookup_ports(ports: Sequence[int]) -> None:
    """Nobody asks elsewhere than at the ports that are built into the clients, unless the network
    leads there.
    """
    if strange := [str(port) for port in ports if port not in LOOKUP_PORTS]:
        logger.warning(
            "[native] lookup_ports has %s, but native clients ask at UDP %s only: listen there, or"
            " have the network map those ports",
            ", ".join(strange),
            " and ".join(map(str, LOOKUP_PORTS)),
        )


def _end_the_dead(sock: socket.socket, seconds: int) -> None:
    """Have connections of this port end that acknowledge nothing for so long (0: for as long as the
    system likes): a native client that is always told something says nothing itself. Elsewhere than
    on Linux, their outboxes overrun.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Those that are accepted inherit it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(seconds, 2**20) * 1000)


def _address(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return host, port
