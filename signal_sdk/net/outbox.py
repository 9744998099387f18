"""Outboxes and the flusher: what goes out on each connection, written once per scheduler pass.

Owns: the bytes that wait to be sent, their bound, and the one task that sends them. Must not know
what the bytes mean. Appending never waits, so that no peer is awaited while others wait.

An outbox that grows over its bound breaks its connection: a reader that slow is better served by a
new connection.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.net.transport import Transport

GATHER_SECONDS = 0.01
"""For how long what goes out is gathered at most while there is no time for all."""
QUIET_SECONDS = 0.05
"""Who was written to twice in less than this waits for more; all others are written to at once all
the same: a lone answer, also one to what has just come.
"""
FLUSHES_PER_TURN = 128
"""How many outboxes are flushed before other tasks run, at most."""
FLUSH_SECONDS = 0.0005
"""For how long late ones are flushed before other tasks run."""
FLUSHES_PER_LOOK = 16
"""How many of them are flushed between two looks at the clock."""


class Flusher:
    """The task that writes the outboxes that have something to write. One serves all connections of
    its owner.
    """

    def __init__(self) -> None:
        self.ready: list[Outbox] = []
        """What has something that was not late yet."""
        self._late: list[Outbox] = []
        """Very many, which must not keep those waiting that come after them; the last is next."""
        self._gathered: list[Outbox] = []
        """Of those who were written to just now, what waits for more."""
        self._gathered_until = 0.0
        self._gatherers = 0
        self._others_wait = False
        self._sleeper = Sleeper()
        self.is_held: bool = False
        """Is whoever schedules about to `release`?"""
        self._together = _Together(self)
        self._nursery: trio.Nursery | None = None
        self._slow: set[Outbox] = set()

    @property
    def slow(self) -> int:
        """How many outboxes have more than their transports take at once."""
        return len(self._slow)

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be sent, in all of them."""
        waiting = {*self._slow, *self.ready, *self._late, *self._gathered}
        return sum(outbox.size for outbox in waiting)

    def schedule(self, outbox: Outbox) -> None:
        """Have `outbox` flushed in the next pass."""
        if not self.ready and not self.is_held:
            self._sleeper.wake()
        self.ready.append(outbox)

    def hold(self) -> None:
        """Whoever calls this is about to schedule much, and `release` flushes it."""
        self.is_held = True

    def release(self, *, others_wait: bool = False) -> None:
        """Flush now, without a task's turn in between; but of very much, leave the rest to it.
        While `others_wait`, whoever called this calls it again, and as long as `is_gathering`.
        """
        self.is_held = False
        self._others_wait = others_wait
        self.flush_ready()

    @property
    def is_gathering(self) -> bool:
        """Does something wait for more?"""
        return bool(self._gathered)

    @property
    def together(self) -> AbstractContextManager[None]:
        """Within it, which does not wait, all that is said goes out at its end."""
        return self._together

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """Within it much is said in turns, between which others run: who was written to just now
        is so again at its end, or when `GATHER_SECONDS` are over.
        """
        self._gatherers += 1
        try:
            yield
        finally:
            self._gatherers -= 1
            if not self.is_held:
                self.flush_ready()

    def put_off(self, count: int) -> None:
        """All but the first `count` are late: others come before them."""
        late = self.ready[count:]
        del self.ready[count:]
        late.reverse()
        self._late[:0] = late
        self._sleeper.wake()

    def flush_ready(self) -> None:
        """Flush what is ready, but for what others come before, or what waits for more."""
        if not self.ready and not self._gathered:
            return
        now = trio.current_time()
        if self._others_wait or self._gatherers:
            self._gather(now)
        else:
            self.ready += self._gathered
            self._gathered = []
        if len(self.ready) > FLUSHES_PER_TURN:
            self.put_off(0)
        ready, self.ready = self.ready, []
        for outbox in ready:
            outbox.flush(now)

    def _gather(self, now: float) -> None:
        """There is no time for all: to send costs most, and more will be said soon to whom
        something was said just now.
        """
        gathered, quiet = self._gathered, now - QUIET_SECONDS
        if not gathered:
            self._gathered_until = now + GATHER_SECONDS
        first: list[Outbox] = []
        for outbox in self.ready:
            (first if outbox.flushed_before < quiet else gathered).append(outbox)
        if now >= self._gathered_until:
            first += gathered
            self._gathered = []
        self.ready = first

    def _flush_late(self) -> None:
        late = self._late
        now = trio.current_time()
        ends = now + FLUSH_SECONDS
        for number in range(1, min(FLUSHES_PER_TURN, len(late)) + 1):
            late.pop().flush(now)
            if number % FLUSHES_PER_LOOK == 0 and trio.current_time() >= ends:
                break

    def wait_for(self, outbox: Outbox) -> None:
        """Give `outbox`, whose transport would block, a task of its own until it is empty."""
        if self._nursery is None:
            raise RuntimeError("the flusher is not running")
        self._slow.add(outbox)
        self._nursery.start_soon(self._drain, outbox)

    async def _drain(self, outbox: Outbox) -> None:
        try:
            await outbox.drain_loop()
        finally:
            self._slow.discard(outbox)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Flush until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                while True:
                    if self.ready or self._late or (self._gathered and self._gatherers):
                        await trio.lowlevel.checkpoint()
                    else:
                        await self._sleeper.sleep()
                    self.flush_ready()
                    self._flush_late()
            finally:
                self._nursery = None


class _Together:
    """What is said within goes out at its end."""

    __slots__ = ("_flusher",)

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher

    def __enter__(self) -> None:
        self._flusher.is_held = True

    def __exit__(self, *_: object) -> None:
        self._flusher.is_held = False
        self._flusher.flush_ready()


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
        flusher: Flusher,
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
