"""The sockets that a server listens on: which there are, where they are, and how they are shared.

Owns: opening all that a configuration names and that were not handed over, and closing them. Must
not know who comes in, nor what is said there.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from signal_sdk.errors import ConfigError
from signal_sdk.native import udp
from signal_sdk.net.addresses import bind_all, share, takes_ipv4
from signal_sdk.server import listener
from signal_sdk.server.config import Config
from signal_sdk.server.config_admin import admin_place
from signal_sdk.server.config_errors import shown
from signal_sdk.server.handed import Handed
from signal_sdk.wire.datagrams import LOOKUP_PORTS

__all__ = ["Address", "Addresses", "Sockets", "hold", "with_ports"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

Address: TypeAlias = tuple[str, int]


@attrs.frozen(kw_only=True)
class Addresses:
    """Where a node listens, as (host, port)."""

    plain: Sequence[Address] = ()
    tls: Sequence[Address] = ()
    native: Sequence[Address] = ()
    lookup: Sequence[Address] = ()
    """UDP, where native clients ask."""
    admin: Sequence[Address] = ()
    """Where those come who run the server."""


class Sockets:
    """Every socket that `config` names, open from the beginning. Each that is shared is listened on
    by other processes, too, and the system gives each of them its share of who comes; the admin
    address is never shared, but has so many ports, one behind the other. Where one was `handed`
    over for a port, it is used, wherever it listens, and none is opened.

    Raises `ConfigError` where one cannot be opened, or was handed over for a port that `config`
    does not name; without those for native clients, and without the admin address, a server goes on
    that has them by default only, and says so.
    """

    def __init__(
        self,
        config: Config,
        *,
        is_shared: bool = False,
        handed: Handed | None = None,
        admin_ports: int = 1,
    ) -> None:
        self.plain: list[socket.socket] = []
        self.tls: list[socket.socket] = []
        self.native: list[socket.socket] = []
        self.udp: list[socket.socket] = []
        self.admin: list[socket.socket] = []
        self._admin_places: list[Address] = []
        self._is_shared = is_shared
        self._handed = handed or Handed()
        try:
            self._open(config)
            if config.native.enabled:
                self._open_native(config)
            if config.has_admin:
                self._open_admin(config, admin_ports)
            self._handed.refuse_rest()
        except BaseException:
            self.close()
            raise

    def _open(self, config: Config) -> None:
        server = config.server
        if server.cert and server.port == 0:
            self.plain, self.tls = listener.listen_pair(server.host, is_shared=self._is_shared)
        else:
            self.plain = self._listen(server.host, server.port)
            if server.cert:
                self.tls = self._listen(server.host, server.port + 1)
        for port in server.also_listen:
            self.plain += self._listen(server.host, port)

    def _listen(self, host: str, port: int) -> list[socket.socket]:
        return self._handed.take(port) or listener.listen(host, port, is_shared=self._is_shared)

    def _listen_udp(self, host: str, port: int) -> list[socket.socket]:
        handed = self._handed.take(port, socket.SOCK_DGRAM)
        for sock in handed:
            udp.tell_asked(sock)
        return handed or udp.listen(host, port, is_shared=self._is_shared)

    def _open_native(self, config: Config) -> None:
        server, native = config.server, config.native
        any_port = server.port == 0
        try:
            for port in (native.port, *native.also_listen):
                self.native += self._listen(server.host, 0 if any_port else port)
            for port in native.lookup_ports:
                self.udp += self._listen_udp(server.host, 0 if any_port else port)
        except ConfigError as exc:
            if not config.native_by_default:
                raise
            self.close_native()
            logger.warning("native clients are not served: %s", exc)

    def _open_admin(self, config: Config, count: int) -> None:
        host, port = admin_place(config)
        try:
            self.admin = self._handed.take(port) or [
                sock for row in listener.listen_row(host, port, count) for sock in row
            ]
        except ConfigError as exc:
            if not config.admin_by_default:
                raise
            logger.warning("there is no admin address: %s", exc)
        self._admin_places = [_address(sock) for sock in self.admin]

    def take_admin(self) -> list[socket.socket]:
        """Those of the admin address, which are the caller's from here on."""
        taken, self.admin = self.admin, []
        return taken

    @property
    def addresses(self) -> Addresses:
        """Where they are."""
        return Addresses(
            plain=[_address(sock) for sock in self.plain],
            tls=[_address(sock) for sock in self.tls],
            native=[_address(sock) for sock in self.native],
            lookup=[_address(sock) for sock in self.udp],
            admin=self._admin_places,
        )

    def warn(self, config: Config) -> None:
        """Tell the log what native clients cannot reach."""
        if not self.native:
            return
        if config.server.port:
            _warn_of_lookup_ports(config.native.lookup_ports)
        if not any(map(takes_ipv4, self.native)):
            logger.warning(
                "[server] host %s stands for IPv6 addresses only, which native clients do not know:"
                " none of them can come; listen on an IPv4 address, too",
                shown(config.server.host),
            )

    def close_native(self) -> None:
        """Close those for native clients."""
        for sock in (*self.udp, *self.native):
            sock.close()
        self.udp = []
        self.native = []

    def close(self) -> None:
        """Close all that are open."""
        self.close_native()
        self._handed.close()
        for sock in (*self.plain, *self.tls, *self.admin):
            sock.close()
        self.plain = []
        self.tls = []
        self.admin = []


def with_ports(config: Config, found: Addresses) -> Config:
    """`config` with the ports that were `found` for it in place of those that may be any."""
    native = dict.fromkeys(port for _, port in found.native)
    first, *more = native or (config.native.port,)
    admin = config.admin
    if found.admin:
        host, port = admin_place(config)[0], found.admin[0][1]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        admin = attrs.evolve(admin, address=place)
    return attrs.evolve(
        config,
        server=attrs.evolve(config.server, port=found.plain[0][1]),
        native=attrs.evolve(
            config.native,
            enabled=bool(native),
            port=first,
            also_listen=tuple(more),
            lookup_ports=tuple(dict.fromkeys(port for _, port in found.lookup)),
        ),
        admin=admin,
    )


def hold(addresses: Addresses) -> list[socket.socket]:
    """Sockets that keep the TCP ports of `addresses` for those who share them, whether any of those
    is there or not. Nobody comes in by them. Raises `ConfigError`.
    """
    held = []
    try:
        for host, port in (*addresses.plain, *addresses.tls, *addresses.native):
            held += bind_all(host, port, socket.SOCK_STREAM, share, listens=False)
    except BaseException:
        for sock in held:
            sock.close()
        raise
    return held


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


def _address(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return host, port
