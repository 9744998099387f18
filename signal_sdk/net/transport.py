"""Transports: a byte stream as the outbox and the link need it, over a plain socket.

Owns: the non-blocking send and the waiting, and how a socket's errors become `LinkError`.
Must not know what the bytes mean. TLS is the same contract around another transport (tls.py).
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Protocol

import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.addresses import plain_address

RECEIVE_BYTES = 64 * 1024
"""The most that one read takes: enough for many frames, and a bound on what is handled before
others run.
"""

OnReadable = Callable[[], float | None]
"""Reads what there is to read, without waiting. Must not raise. Returns in how many seconds it is
to be called again (0: when it is its turn), whatever arrives meanwhile; None where it has read all
that there was, and that is when something more arrives.
"""


class Traffic:
    """How many bytes have come in and gone out by some transports, as they were on their sockets:
    those of TLS encrypted.
    """

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received: int = 0
        self.sent: int = 0


class NothingSaid(LinkError):
    """The other side has gone without a byte, as whoever only looks whether a port is open does."""

    def __init__(self, transport: Transport, exc: LinkError | None = None) -> None:
        super().__init__(str(exc) if exc else f"{transport.peer} has closed without a byte")


class Watcher(Protocol):
    """What tells when there is something to receive: a reactor."""

    @property
    def can_watch(self) -> bool:
        """Are there sockets to be watched here?"""

    def watch(self, fileno: int, on_readable: OnReadable) -> None:
        """Call `on_readable` whenever the socket has something to read, until `unwatch`."""

    def unwatch(self, fileno: int) -> None:
        """Call it no more."""

    def read_again(self, fileno: int) -> None:
        """There may be more to read than was read just now."""

    def call_soon(self, on_readable: OnReadable) -> None:
        """Call `on_readable` once, soon: for what no socket tells."""


class Transport(Protocol):
    """A byte stream. Every method but the two waiting ones returns at once."""

    @property
    def peer(self) -> str:
        """The other side's address, for logs."""

    @property
    def host(self) -> str:
        """The other side's IP address; empty where it has none."""

    @property
    def has_unsent(self) -> bool:
        """Does the transport itself still hold bytes that it took and could not send?"""

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send what can be sent without waiting, and return how many bytes were taken. Raises
        `LinkError`.
        """

    async def wait_writable(self) -> None:
        """Wait until `send_nowait` would take something. Raises `LinkError`."""

    async def receive_some(self) -> bytes:
        """Wait for bytes; empty at the end of the stream. Raises `LinkError`."""

    def receive_nowait(self) -> bytes | None:
        """The bytes that there are; empty at the end of the stream, None where there is nothing
        yet. Raises `LinkError`.
        """

    async def receive_exactly(self, count: int) -> bytes:
        """Wait for so many bytes, and take no more: what stands before all else, TLS included.
        Raises `LinkError`.
        """

    def pass_for(self, host: str) -> None:
        """Be the connection of `host`, for which a proxy has connected."""

    def watch(self, reactor: Watcher, on_readable: OnReadable) -> bool:
        """Have `reactor` call `on_readable` when there is something to receive, until `unwatch` or
        `close`; instead of what it called before. False where that cannot be, and `receive_some`
        has to wait. Raises `LinkError`.
        """

    def unwatch(self) -> None:
        """Have it called no more. Does nothing where it is not."""

    def send_eof(self) -> None:
        """Tell the other side that nothing more comes."""

    def close(self) -> None:
        """Close at once; whoever waits on the transport gets a `LinkError`. May be called again."""


async def receive_first(transport: Transport) -> bytes:
    """Wait for a connection's first bytes. Raises `NothingSaid` where none come."""
    try:
        data = await transport.receive_some()
    except LinkError as exc:
        raise NothingSaid(transport, exc) from None
    if not data:
        raise NothingSaid(transport)
    return data


def receive_first_nowait(transport: Transport) -> bytes | None:
    """As `receive_first`; None where there is nothing yet."""
    try:
        data = transport.receive_nowait()
    except LinkError as exc:
        raise NothingSaid(transport, exc) from None
    if data == b"":
        raise NothingSaid(transport)
    return data


class SocketTransport:
    """A connected, non-blocking stream socket. What comes and goes counts in `traffic`."""

    __slots__ = ("_reactor", "_socket", "_traffic", "host", "peer")

    has_unsent = False

    def __init__(self, sock: socket.socket, traffic: Traffic | None = None) -> None:
        self._socket = sock
        self._traffic = traffic or Traffic()
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # A notification that waits for the acknowledgement of the one before it is late.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host: str
        self.peer: str
        self.host, self.peer = _address(sock)
        self._reactor: Watcher | None = None

    def _check_open(self) -> None:
        """Closed sockets are all one to trio, and one task at a time may wait for it."""
        if self._socket.fileno() == -1:
            raise LinkError(f"the connection to {self.peer} is closed")

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise LinkError(f"sending to {self.peer} failed: {exc.strerror or exc}") from None
        self._traffic.sent += sent
        return sent

    async def wait_writable(self) -> None:
        self._check_open()
        try:
            await trio.lowlevel.wait_writable(self._socket)
        except (trio.ClosedResourceError, OSError, ValueError):
            raise LinkError(f"the connection to {self.peer} is closed") from None

    async def receive_some(self) -> bytes:
        while True:
            self._check_open()
            try:
                await trio.lowlevel.wait_readable(self._socket)
            except (trio.ClosedResourceError, OSError, ValueError):
                raise LinkError(f"the connection to {self.peer} is closed") from None
            data = self.receive_nowait()
            if data is not None:
                return data

    def receive_nowait(self) -> bytes | None:
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise LinkError(f"receiving from {self.peer} failed: {exc.strerror or exc}") from None
        size = len(data)
        self._traffic.received += size
        if size == RECEIVE_BYTES and self._reactor is not None:
            self._reactor.read_again(self._socket.fileno())
        return data

    async def receive_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            self._check_open()
            try:
                await trio.lowlevel.wait_readable(self._socket)
                got = self._socket.recv(count - len(data))
            except BlockingIOError:
                continue
            except (trio.ClosedResourceError, OSError, ValueError):
                raise LinkError(f"the connection to {self.peer} is closed") from None
            if not got:
                raise LinkError(f"{self.peer} went after {len(data)} bytes of {count}")
            self._traffic.received += len(got)
            data += got
        return data

    def pass_for(self, host: str) -> None:
        self.peer = f"{host} (by {self.peer})"
        self.host = host

    def watch(self, reactor: Watcher, on_readable: OnReadable) -> bool:
        if not reactor.can_watch:
            return False
        if self._socket.fileno() == -1:
            raise LinkError(f"the connection to {self.peer} is closed")
        reactor.watch(self._socket.fileno(), on_readable)
        self._reactor = reactor
        return True

    def unwatch(self) -> None:
        if self._reactor is not None:
            self._reactor.unwatch(self._socket.fileno())
            self._reactor = None

    def send_eof(self) -> None:
        # The other side may have been quicker: then there is nobody left to tell.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._socket.fileno() != -1:
            self.unwatch()
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


def _address(sock: socket.socket) -> tuple[str, str]:
    """The other side's IP address, and how it is called in logs."""
    try:
        name = sock.getpeername()
    except OSError:
        return "", "nobody"
    if not isinstance(name, tuple) or len(name) < 2:
        return "", "a local socket"
    # Most of a server's connections are from few addresses, or are not many.
    host = sys.intern(plain_address(name[0]))
    return host, f"{host}:{name[1]}"
