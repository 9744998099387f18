"""Outboxes: what goes out on each connection.

Owns: the bytes that wait to be sent, and their bound. Must not know what the bytes mean, nor when
they are sent: whoever flushes it does (flusher.py). Appending never waits, so that no peer is
awaited while others wait.

An outbox that grows over its bound breaks its connection: a reader that slow is better served by a
new connection.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, Protocol

import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.transport import Transport


class Flushing(Protocol):
    """Whoever flushes outboxes, as they know him."""

    ready: list[Outbox]
    """What has something that was not late yet."""
    is_held: bool
    """Is what is added to `ready` flushed without a word?"""

    def schedule(self, outbox: Outbox) -> None:
        """Have `outbox` flushed in the next pass."""

    def wait_for(self, outbox: Outbox) -> None:
        """Give `outbox`, whose transport would block, a task of its own until it is empty."""


class Outbox:
    """The bytes on their way out of one connection, at most `max_bytes` of them (0: no bound).

    `on_broken(reason)` is called once, from whichever call finds the transport broken or the bound
    passed.
    """

    __slots__ = (
        "_chunks",
        "_closed",
        "_drained",
        "_eof",
        "_flushed_at",
        "_flusher",
        "_max_bytes",
        "_on_broken",
        "_scheduled",
        "_transport",
        "_waiting",
        "broken",
        "flushed_before",
        "has_sent",
        "is_overrun",
        "size",
        "wire",
    )

    def __init__(
        self,
        transport: Transport,
        flusher: Flushing,
        on_broken: Callable[[str], None],
        *,
        max_bytes: int = 0,
    ) -> None:
        self._transport = transport
        self._flusher = flusher
        self._on_broken = on_broken
        self._chunks: list[bytes | memoryview] = []
        self._scheduled = False
        self._waiting = False
        self._eof = False
        self._closed = False
        self._drained: trio.Event | None = None
        self.broken: bool = False
        self.is_overrun: bool = False
        """Has it broken since more waited than may?"""
        self._flushed_at = -math.inf
        self.flushed_before: float = -math.inf
        """When it was flushed the last time but one."""
        self.has_sent: bool = False
        """Has anything gone out, since whoever wants to know set this to False?"""
        self.wire: Any = None
        """For whoever encodes for many: how those are spoken to that read from here."""
        self._max_bytes = max_bytes or sys.maxsize
        self.size: int = 0

    def bound(self, max_bytes: int) -> None:
        """From here on at most so many bytes may wait (0: no bound)."""
        self._max_bytes = max_bytes or sys.maxsize

    def append(self, data: bytes) -> None:
        """Put `data` behind what waits. The same bytes may go into any number of outboxes. Never
        waits, never raises.
        """
        if self._closed:
            return
        self._chunks.append(data)
        self.size += len(data)
        if self.size > self._max_bytes:
            self.is_overrun = True
            self._break(
                f"the client reads too slowly: more than {self._max_bytes} bytes wait for it"
            )
        elif not self._scheduled:
            self._scheduled = True
            flusher = self._flusher
            if flusher.is_held:
                flusher.ready.append(self)
            else:
                flusher.schedule(self)

    def send_now(self, data: bytes, now: float) -> None:
        """As `append`, but where nothing waits, send it here: of little that is said to few, to
        pass it on costs more than to send it.
        """
        sent = 0
        if not (self._chunks or self._waiting or self._closed):
            self.flushed_before, self._flushed_at = self._flushed_at, now
            try:
                sent = self._transport.send_nowait(data)
            except LinkError as exc:
                self._break(str(exc))
                return
            self.has_sent = True
            if sent == len(data) and not self._transport.has_unsent:
                return
        self.append(data[sent:])

    def let_go(self) -> None:
        """The transport is closed: drop what waits, and know nobody any more."""
        self._closed = self.broken = True
        self._chunks = []
        self.size = 0
        self._tell_drained()
        self._on_broken = _nobody

    def append_eof(self) -> None:
        """End the stream once all that waits has gone out; later appends are dropped."""
        if self._closed:
            return
        self._closed = self._eof = True
        if not self._scheduled:
            self._scheduled = True
            self._flusher.schedule(self)

    async def drained(self) -> None:
        """Wait until nothing waits any more, or the connection is broken."""
        while (self._chunks or self._scheduled or self._waiting) and not self.broken:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    def flush(self, now: float) -> None:
        """Send what can be sent at once; what cannot gets a task that waits. The flusher's."""
        self._scheduled = False
        self.flushed_before, self._flushed_at = self._flushed_at, now
        if not self._waiting and not self.broken and not self._send():
            self._waiting = True
            self._flusher.wait_for(self)

    async def drain_loop(self) -> None:
        """Send as the transport takes it, until nothing waits. Run by the flusher's nursery."""
        try:
            while not self.broken:
                await self._transport.wait_writable()
                if self._send():
                    break
        except LinkError as exc:
            self._break(str(exc))
        finally:
            self._waiting = False
            self._tell_drained()

    def _send(self) -> bool:
        """Send without waiting. Is everything out?"""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        try:
            sent = self._transport.send_nowait(data)
        except LinkError as exc:
            self._break(str(exc))
            return True
        self.has_sent = True
        self.size -= sent
        if sent < len(data):
            self._chunks = [memoryview(data)[sent:]]
            return False
        self._chunks = []
        if self._transport.has_unsent:
            return False
        if self._eof:
            self._transport.send_eof()
        if self._drained is not None:
            self._tell_drained()
        return True

    def _tell_drained(self) -> None:
        if self._drained is not None and (self.broken or not self._chunks):
            self._drained.set()
            self._drained = None

    def _break(self, reason: str) -> None:
        if self.broken:
            return
        self._closed = self.broken = True
        self._chunks = []
        self.size = 0
        self._transport.close()
        self._tell_drained()
        self._on_broken(reason)


def _nobody(_: str) -> None:
    """Whom to tell that an outbox is broken which nobody has any more."""
