"""Addresses: how one is written, and the sockets that listen on all that a name stands for.

Owns: resolving and binding, and what is said where that cannot be. Must not know what is listened
for.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from signal_sdk.errors import ConfigError, InUseError
from signal_sdk.net import holders

__all__ = ["bind_all", "is_in_use", "plain_address", "share", "takes_ipv4"]

TRIES: Final = 50
"""How often another free port is looked for, where it has to be free on all addresses."""
BACKLOG: Final = 4096
"""How many connections may wait to be accepted."""
NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""A name may stand for more than this machine has: `localhost` for ::1 where there is no IPv6."""

Prepare = Callable[[socket.socket], None]
"""Sets a socket's options, before it is bound."""
_Place = tuple[socket.AddressFamily, Any]


def plain_address(host: str) -> str:
    """An address as its own family writes it: not as IPv6 has one of IPv4."""
    if not host.startswith("::ffff:"):
        return host
    mapped = ipaddress.IPv6Address(host).ipv4_mapped
    return str(mapped) if mapped is not None else host


def takes_ipv4(sock: socket.socket) -> bool:
    """Do those reach this bound socket who know no IPv6? One of all addresses may be of both."""
    if sock.family == socket.AF_INET:
        return True
    if sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return False
    host = ipaddress.IPv6Address(sock.getsockname()[0].partition("%")[0])
    return host.is_unspecified or host.ipv4_mapped is not None


def is_in_use(error: OSError) -> bool:
    """Did binding fail because somebody has the port?"""
    return error.errno == errno.EADDRINUSE


def share(sock: socket.socket) -> None:
    """Let other processes of this user, which do the same, be bound to the socket's port, too.
    Raises `ConfigError` where the system has no such thing.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError("this system lets no two processes listen on one port: workers = 1")
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def bind_all(
    host: str, port: int, kind: socket.SocketKind, prepare: Prepare, *, listens: bool = True
) -> list[socket.socket]:
    """Sockets of `kind`, bound to `port` of every address that `host` stands for; 0 is any port
    that is free on all of them. Those of TCP listen, if they are to. Raises `ConfigError`.
    """
    where = f"{'udp ' if kind is socket.SOCK_DGRAM else ''}{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
        places = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        for tries in range(TRIES, 0, -1):
            try:
                return _bind_each(places, kind, prepare, listens=listens)
            except OSError as exc:
                if port or tries == 1 or not is_in_use(exc):
                    raise
    except OSError as exc:
        if is_in_use(exc):
            holder = holders.of_port(port, kind)
            raise InUseError(f"cannot listen on {where}: {holder} is using it") from None
        raise ConfigError(f"cannot listen on {where}: {exc.strerror or exc}") from None
    raise AssertionError("the last try returns or raises")


def _bind_each(
    places: Sequence[_Place], kind: socket.SocketKind, prepare: Prepare, *, listens: bool
) -> list[socket.socket]:
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in places:
            port = bound[0].getsockname()[1] if bound else address[1]
            place = (address[0], port, *address[2:])
            try:
                sock = _bind(family, place, kind, prepare, is_one_of_many=len(places) > 1)
                bound.append(sock)
                if listens and kind is socket.SOCK_STREAM:
                    sock.listen(BACKLOG)
            except OSError as exc:
                if exc.errno not in NOT_HERE:
                    raise
                missing = exc
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    if not bound and missing is not None:
        raise missing
    return bound


def _bind(
    family: socket.AddressFamily,
    address: Any,
    kind: socket.SocketKind,
    prepare: Prepare,
    *,
    is_one_of_many: bool,
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if is_one_of_many and family == socket.AF_INET6:
            # The name's IPv4 addresses have sockets of their own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        prepare(sock)
        sock.bind(address)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
