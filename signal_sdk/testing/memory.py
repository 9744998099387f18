"""A byte stream in memory: what two ends of a connection need where there is to be no network.

Owns: a pair of transports (the contract of `signal_sdk.net.transport`) with bounded buffers.
Must not know what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.transport import OnReadable

__all__ = ["MemoryTransport", "memory_transport_pair"]

BUFFER_BYTES: Final = 64 * 1024
"""What one direction holds before its writer has to wait: about what a socket's buffers do."""


class _CallSoon(Protocol):
    """What calls back: a reactor, mostly."""

    def call_soon(self, on_readable: OnReadable) -> None:
        """Call it."""


class _Pipe:
    """One direction: bytes that were written and not read yet."""

    def __init__(self, limit: int) -> None:
        self.data: bytearray = bytearray()
        self.limit = limit
        self.is_ended: bool = False
        self.is_broken: bool = False
        self.readers: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self.writers: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self.watcher: Callable[[], None] | None = None

    @property
    def room(self) -> int:
        return self.limit - len(self.data)

    def tell_readers(self) -> None:
        """There is something to read, or the end."""
        if self.readers:
            self.readers.unpark_all()
        if self.watcher is not None:
            self.watcher()

    @property
    def is_readable(self) -> bool:
        """Is there something to read, or the end?"""
        return bool(self.data) or self.is_ended

    def end(self) -> None:
        """The writer writes no more."""
        self.is_ended = True
        self.tell_readers()
        self.writers.unpark_all()

    def break_off(self) -> None:
        """The reader reads no more."""
        self.is_broken = True
        self.data.clear()
        self.readers.unpark_all()
        self.writers.unpark_all()


class _Watcher:
    """Has a pipe's reader read, in the reactor's turn."""

    def __init__(self, pipe: _Pipe, reactor: _CallSoon, on_readable: OnReadable) -> None:
        self._pipe = pipe
        self._reactor = reactor
        self._on_readable = on_readable
        self._is_due = False
        self._is_behind = False
        """Does the reader have something that it has not taken apart yet?"""

    def __call__(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._reactor.call_soon(self._read)

    def _read(self) -> float | None:
        self._is_due = False
        if self._pipe.watcher is not self or not (self._pipe.is_readable or self._is_behind):
            return None
        seconds = self._on_readable()
        self._is_behind = seconds is not None
        if seconds is not None:
            self._is_due = True
        elif self._pipe.watcher is self and self._pipe.is_readable:
            # As a socket, it is told of again until it is read: the end may be behind it.
            self()
        return seconds


class MemoryTransport:
    """One end of a connection in memory; made by `memory_transport_pair`."""

    has_unsent = False

    def __init__(self, incoming: _Pipe, outgoing: _Pipe, peer: str) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._is_closed = False
        self.peer: str = peer
        self.host: str = ""

    def _check_open(self) -> None:
        if self._is_closed:
            raise LinkError(f"the connection to {self.peer} is closed")

    def _check_writable(self) -> None:
        self._check_open()
        if self._outgoing.is_broken or self._outgoing.is_ended:
            raise LinkError(f"sending to {self.peer} failed: broken pipe")

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send what the other end's buffer has room for, and return how many bytes that is."""
        self._check_writable()
        taken = data[: self._outgoing.room]
        self._outgoing.data += taken
        if taken:
            self._outgoing.tell_readers()
        return len(taken)

    async def wait_writable(self) -> None:
        """Wait until the other end's buffer has room. Raises `LinkError`."""
        await trio.lowlevel.checkpoint()
        self._check_writable()
        while not self._outgoing.room:
            await self._outgoing.writers.park()
            self._check_writable()

    async def receive_some(self) -> bytes:
        """Wait for bytes; empty once the other end writes no more. Raises `LinkError`."""
        # A checkpoint either way, and one only: simulations read a thousand times each.
        if self._is_closed or self._is_readable:
            await trio.lowlevel.checkpoint()
        self._check_open()
        while not self._is_readable:
            await self._incoming.readers.park()
            self._check_open()
        return self._take()

    def _take(self) -> bytes:
        data = bytes(self._incoming.data)
        self._incoming.data.clear()
        if self._incoming.writers:
            self._incoming.writers.unpark_all()
        return data

    async def receive_exactly(self, count: int) -> bytes:
        """Wait for so many bytes, and take no more. Raises `LinkError`."""
        data = b""
        while len(data) < count:
            while not self._is_readable:
                self._check_open()
                await self._incoming.readers.park()
            await trio.lowlevel.checkpoint()
            self._check_open()
            taken = bytes(self._incoming.data[: count - len(data)])
            if not taken:
                raise LinkError(f"{self.peer} went after {len(data)} bytes of {count}")
            del self._incoming.data[: len(taken)]
            data += taken
        return data

    def pass_for(self, host: str) -> None:
        """Be the connection of `host`, for which a proxy has connected."""
        self.peer = f"{host} (by {self.peer})"
        self.host = host

    def receive_nowait(self) -> bytes | None:
        """The bytes that there are; empty once the other end writes no more, None where there is
        nothing yet. Raises `LinkError`.
        """
        self._check_open()
        return self._take() if self._is_readable else None

    @property
    def _is_readable(self) -> bool:
        return self._incoming.is_readable

    def watch(self, reactor: _CallSoon, on_readable: OnReadable) -> bool:
        """Have `reactor` call `on_readable` when there is something to receive, until `unwatch` or
        `close`.
        """
        self._check_open()
        self._incoming.watcher = watcher = _Watcher(self._incoming, reactor, on_readable)
        if self._is_readable:
            watcher()
        return True

    def unwatch(self) -> None:
        """Have it called no more."""
        self._incoming.watcher = None

    def send_eof(self) -> None:
        """Tell the other end that nothing more comes."""
        self._outgoing.end()

    def close(self) -> None:
        """Close this end at once: the other reads what was sent, then the end of the stream."""
        self._is_closed = True
        self.unwatch()
        self._outgoing.end()
        self._incoming.break_off()


def memory_transport_pair(
    *, buffer_bytes: int = BUFFER_BYTES
) -> tuple[MemoryTransport, MemoryTransport]:
    """Make both ends of a connection in memory, each direction holding `buffer_bytes` at most."""
    there, back = _Pipe(buffer_bytes), _Pipe(buffer_bytes)
    return MemoryTransport(back, there, "memory:server"), MemoryTransport(
        there, back, "memory:client"
    )
