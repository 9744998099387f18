"""The flusher: when what waits in outboxes is sent, once a scheduler pass.

Owns: which outboxes have something to send, in which order and how many at once, and the task that
does it. Must not know what the bytes mean.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import trio

from signal_sdk.net.outbox import Outbox
from signal_sdk.net.sleeper import Sleeper

GATHER_SECONDS = 0.01
"""For how long what goes out is gathered at most while there is no time for all."""
QUIET_SECONDS = 0.05
"""Who was written to twice in less than this waits for more; all others are written to at once all
the same: a lone answer, also one to what has just come.
"""
FEW_QUIET = 8
"""Where very many are to be flushed, so many at most come first since they were not written to just
now: where these are many, too, that would make all others late.
"""
FEW_TOLD = 32
"""How many outboxes are flushed at once since what they have is urgent, at most."""
FLUSHES_PER_TURN = 128
"""How many outboxes are flushed before other tasks run, at most."""
TURN_SECONDS = 0.001
"""For how long they are: what is long takes long to send."""
FLUSH_SECONDS = 0.0005
"""For how long late ones are flushed before other tasks run."""
FLUSHES_PER_LOOK = 8
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
        self.others_wait: bool = False
        """Did others wait when it was released last? Then it has to be once more."""
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
        While `others_wait`, whoever called this calls it again, also where none does any more, and
        as long as `is_gathering`.
        """
        self.is_held = False
        self.others_wait = others_wait
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
        if self.others_wait or self._gatherers:
            self._gather(now)
        else:
            self.ready += self._gathered
            self._gathered = []
        if len(self.ready) > FLUSHES_PER_TURN:
            quiet, busy = self._by_quiet(0, now)
            if len(quiet) <= FEW_QUIET:
                self.ready = quiet + busy
                self.put_off(len(quiet))
            else:
                self.put_off(0)
        ready, self.ready = self.ready, []
        ends = now + TURN_SECONDS
        for number, outbox in enumerate(ready, 1):
            outbox.flush(now)
            if number % FLUSHES_PER_LOOK == 0 and trio.current_time() >= ends:
                self.ready = ready[number:] + self.ready
                self.put_off(0)
                break

    def flush_few(self, first: int = 0) -> None:
        """All to whom it is urgent are told, from the `first` that is ready on: where they are few,
        they wait for no more, also who was written to just now.
        """
        ready = self.ready[first:]
        if len(ready) <= FEW_TOLD:
            del self.ready[first:]
            now = trio.current_time()
            for outbox in ready:
                outbox.flush(now)

    def _by_quiet(self, first: int, now: float) -> tuple[list[Outbox], list[Outbox]]:
        """Of those that are ready, from the `first` on, who was not written to just now, and who
        was.
        """
        quiet: list[Outbox] = []
        busy: list[Outbox] = []
        before = now - QUIET_SECONDS
        for outbox in self.ready[first:]:
            (quiet if outbox.flushed_before < before else busy).append(outbox)
        return quiet, busy

    def _gather(self, now: float) -> None:
        """There is no time for all: to send costs most, and more will be said soon to whom
        something was said just now.
        """
        if not self._gathered:
            self._gathered_until = now + GATHER_SECONDS
        self.ready, busy = self._by_quiet(0, now)
        self._gathered += busy
        if now >= self._gathered_until:
            self.ready += self._gathered
            self._gathered = []

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
