"""Sockets that a process is started with: whoever starts it has opened them already, and keeps them
while it is not there (`LISTEN_FDS`, as systemd's socket units do it).

Owns: finding them, and that each is used once, where the configuration names its port. Must not
know who comes in by which.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, MutableMapping
from typing import Final

from signal_sdk.errors import ConfigError

__all__ = ["Handed", "handed_over"]

FIRST_DESCRIPTOR: Final = 3
"""They begin behind stdin, stdout and stderr."""
NAMES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
KINDS: Final = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}


class Handed:
    """Sockets that are bound, and listen where they are of TCP."""

    def __init__(self, socks: Iterable[socket.socket] = ()) -> None:
        self._left = list(socks)

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self, port: int, kind: int = socket.SOCK_STREAM) -> list[socket.socket]:
        """Those of this port, which are the caller's from here on."""
        taken = [it for it in self._left if it.type == kind and it.getsockname()[1] == port]
        self._left = [sock for sock in self._left if sock not in taken]
        return taken

    def refuse_rest(self) -> None:
        """Close what nobody has taken. Raises `ConfigError` where there is any."""
        places = [_place(sock) for sock in self._left]
        self.close()
        if places:
            raise ConfigError(
                f"LISTEN_FDS hands over {' and '.join(places)}, but the configuration listens at"
                " no such port: set port in [server] or [native], or change the socket unit"
            )

    def close(self) -> None:
        """Close what nobody has taken."""
        for sock in self._left:
            sock.close()
        self._left = []


def handed_over(environment: MutableMapping[str, str]) -> Handed:
    """What this process was started with, by its `environment`; the variables are removed there, so
    that a process which it starts takes nothing for its own. Raises `ConfigError` where a
    descriptor is no socket that a server can listen on.
    """
    pid, count, _ = (environment.pop(name, "") for name in NAMES)
    # They are for the process of that id alone, which one that it has started is not.
    if pid != str(os.getpid()):
        return Handed()
    if not count.isascii() or not count.isdecimal():
        raise ConfigError(f"LISTEN_FDS is {count!r}: it is the number of sockets that follow")
    found: list[socket.socket] = []
    try:
        numbers = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
        found.extend(_socket(number) for number in numbers)
    except BaseException:
        for sock in found:
            sock.close()
        raise
    return Handed(found)


def _socket(number: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=number)
    except OSError as exc:
        raise ConfigError(f"LISTEN_FDS: descriptor {number}: {exc.strerror or exc}") from None
    sock.set_inheritable(False)
    sock.setblocking(False)
    listens = sock.type == socket.SOCK_DGRAM or (
        sock.type == socket.SOCK_STREAM
        and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    )
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or not listens:
        sock.close()
        raise ConfigError(
            f"LISTEN_FDS: descriptor {number} is neither a listening TCP socket nor a UDP socket"
        )
    return sock


def _place(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{KINDS[sock.type]} {f'[{host}]' if ':' in host else host}:{port}"
