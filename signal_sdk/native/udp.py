"""Datagrams: the socket on which a lookup is asked, and the asking.

Owns: UDP sockets, and that an answer leaves from the address that was asked. Must not know what a
datagram says.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.addresses import bind_all, plain_address, share
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.reactor import Reactor

__all__ = ["Answer", "ask", "listen", "serve", "tell_asked"]

DATAGRAM_BYTES: Final = 65535
ANSWERS_PER_TURN: Final = 64
"""How many datagrams are read before other tasks run."""

_HAS_PKTINFO: Final = sys.platform == "linux"
# Python has a name for it from 3.14 on; Linux has had the number always.
_IP_PKTINFO: Final = 8
_PKTINFO: Final = struct.Struct("=I4s4s")
_PKTINFO6: Final = struct.Struct("=16sI")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_PKTINFO6.size)

Answer = Callable[[bytes, str, str], bytes | None]
"""The answer to a datagram, given the asker's address and the one that was asked; None for none.
Neither waits nor raises.
"""
_Ancillary = list[tuple[int, int, bytes]]


def listen(host: str, port: int, *, is_shared: bool = False) -> list[socket.socket]:
    """Sockets that take datagrams, one for each address that `host` stands for, shared with other
    processes or not. Raises `ConfigError` where that cannot be.
    """
    prepare = _share_and_tell if is_shared else tell_asked
    return bind_all(host, port, socket.SOCK_DGRAM, prepare)


def _share_and_tell(sock: socket.socket) -> None:
    share(sock)
    tell_asked(sock)


def tell_asked(sock: socket.socket) -> None:
    """Have it told with each datagram on which of the machine's addresses that came in. Elsewhere
    than on Linux, a socket of all addresses does not know.
    """
    if _HAS_PKTINFO and sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif _HAS_PKTINFO:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


async def serve(sock: socket.socket, answer: Answer) -> None:
    """Answer datagrams until cancelled. An answer that cannot be sent at once is lost: the asker
    asks again.
    """
    while True:
        await trio.lowlevel.wait_readable(sock)
        for _ in range(ANSWERS_PER_TURN):
            try:
                data, ancillary, _, peer = sock.recvmsg(DATAGRAM_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:
                # What an earlier answer met: nobody listens there any more.
                continue
            asked, back = _asked(sock, ancillary)
            told = answer(data, plain_address(peer[0]), asked)
            if told is not None:
                _send(sock, told, back, peer)
        await trio.lowlevel.checkpoint()


def _send(sock: socket.socket, data: bytes, back: _Ancillary, peer: Any) -> None:
    try:
        sock.sendmsg([data], back, 0, peer)
    except OSError:
        # The asker's network, or ours, takes it not.
        return


def _asked(sock: socket.socket, ancillary: _Ancillary) -> tuple[str, _Ancillary]:
    """The address that a datagram was sent to, and what has an answer leave from there."""
    family = sock.family
    for level, kind, data in ancillary:
        if family == socket.AF_INET6 and (level, kind) == (
            socket.IPPROTO_IPV6,
            socket.IPV6_PKTINFO,
        ):
            packed, _ = _PKTINFO6.unpack(data[: _PKTINFO6.size])
            address = plain_address(str(ipaddress.IPv6Address(packed)))
            return address, [(level, kind, _PKTINFO6.pack(packed, 0))]
        if family == socket.AF_INET and (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, _, packed = _PKTINFO.unpack(data[: _PKTINFO.size])
            return socket.inet_ntoa(packed), [(level, kind, _PKTINFO.pack(0, packed, packed))]
    return plain_address(sock.getsockname()[0]), []


async def ask(reactor: Reactor, host: str, port: int, question: bytes, seconds: float) -> bytes:
    """Ask, and wait for the answer. Raises `LinkError` where there is none in `seconds`, by the
    reactor's patient clock.
    """
    where = f"udp {host}:{port}"
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        try:
            await sock.connect((host, port))
            with move_on_after(reactor, seconds):
                await sock.send(question)
                return await sock.recv(DATAGRAM_BYTES)
        except OSError as exc:
            raise LinkError(f"{where}: {exc.strerror or exc}") from None
    raise LinkError(f"{where}: no answer in {seconds:g} s")
