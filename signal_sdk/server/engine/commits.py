"""Group commit: what the engine has changed, gathered for a few milliseconds, written in one batch,
and only then acknowledged.

Owns: the batch that is being gathered, the one that is being written, who waits for which, and what
is done while the journal cannot be written. Must not know what a row means, or SQLite, nor in which
turns those are told who have waited (telling.py).

A short batch for which few wait, or somebody to whom it is urgent, is written where the server
runs: that takes less than a thread of its own would take to get the interpreter from a busy server,
and to be heard. All others, and where the disk is slow, are written in a thread, in which the file
is looked after, too, behind what was told.

A row that was put and taken away again within one batch is never written. While writing fails
(a full disk), nothing is lost: the batch that failed is written with the next, once a second is
tried, and meanwhile nothing that changes anything is let in.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.base import Then
from signal_sdk.server.engine.hurry import BEHIND, BEHIND_CHARS, Hurry
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.measures import Batches
from signal_sdk.server.engine.noting import Alone, Commits, Others
from signal_sdk.server.engine.schema import CHUNKS, Batch, Row
from signal_sdk.server.engine.statements import rows_per_step
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.engine.telling import Telling

logger: logging.Logger = logging.getLogger("signal_sdk.server.engine")

FEW: Final = 4
"""Where no more waited for the last batch, nothing is gathered for the next one but what one pass
of the scheduler brings: whoever comes alone, one change behind the other, waits for nobody.
"""
RETRY_SECONDS: Final = 1.0
STEP_SECONDS: Final = 0.0004
"""For how long it is written before others run, and once more behind the last of these steps."""
SLOW_SECONDS: Final = 0.01
"""A disk that takes longer for a short batch is left to a thread for `RETRY_SECONDS`."""

InThread = Callable[[Callable[[Batch], None], Batch], Awaitable[None]]
"""Has a batch written while other tasks run."""


async def in_thread(write: Callable[[Batch], None], batch: Batch) -> None:
    """Write in a worker thread."""
    await trio.to_thread.run_sync(write, batch)


class JournalCommits(Commits):
    """Changes on their way into a journal."""

    def __init__(self, journal: Journal, run_in_thread: InThread | None = None) -> None:
        self._journal = journal
        self._in_thread = run_in_thread or in_thread
        self._writes_short_here = run_in_thread is None and not journal.waits_for_disk
        self._slow_until = -math.inf
        self._accounts: dict[int, Account] = {}
        self._channels: dict[int, Channel] = {}
        self.entries: dict[int, bytes] = {}
        """The inbox entries of the batch that is being gathered, packed, by their numbers, which
        rise: one that is taken out of here is never written. Whoever puts the first there says so
        by `changed`."""
        self._rows: Batch = {}
        self.chars: int = 0
        """How many characters are in these, of texts that may be long; whoever adds entries counts
        theirs here."""
        self.is_dirty: bool = False
        self._waiting: list[Then] = []
        self._urgent: list[Then] = []
        self._written_for: list[Then] | None = None
        self._telling = Telling()
        self._wake = trio.Event()
        self._hurried = trio.Event()
        self._taken_at = -math.inf
        """When the last batch was."""
        self._is_writing_here = False
        self._writer = trio.Lock()
        self._failed: StorageError | None = None
        self._waited = 0
        """How many waited for the last batch."""
        self._is_hurried = False
        """Did somebody wait for it who could not wait long?"""
        self._hurry = Hurry()
        self._others: Others = Alone()
        self.batches: Batches = Batches()
        self._began_at: float | None = None
        """When the first change was found that is not written yet."""
        self._due = trio.Event()
        """Is what the file's log has to be put into the file?"""
        self._is_closed = False

    # --- noting ---

    def changed(self) -> None:
        """There is something to be written: whoever commits is woken."""
        self.is_dirty = True
        self._wake.set()
        if self._is_quiet:
            self._others.give_way()

    def account(self, account: Account) -> None:
        self._accounts[account.id] = account
        self.changed()

    def channel(self, channel: Channel) -> None:
        self._channels[channel.id] = channel
        self.changed()

    def put(self, table: str, key: Row, row: Row) -> None:
        rows = self._rows.get(table)
        if rows is None:
            rows = self._rows[table] = {}
        rows[key] = row
        if type(row[-1]) is str:
            self.chars += len(row[-1])
        if not self.is_dirty:
            self.changed()

    def drop(self, table: str, key: Row) -> None:
        if table == "channels":
            self._channels.pop(key[0], None)
        elif table == "accounts":
            self._accounts.pop(key[0], None)
        self._rows.setdefault(table, {})[key] = None
        self.changed()

    def check(self) -> None:
        if self._failed is not None:
            raise _refusal()

    def when_durable(self, then: Then, *, is_urgent: bool = False) -> None:
        if self._failed is not None:
            then(_refusal())
        elif self.is_dirty:
            if is_urgent:
                self._urgent.append(then)
                self._hurried.set()
                if self._may_hurry or self._is_writing_here:
                    self._others.give_way(at_once=self._writes_here)
            else:
                self._waiting.append(then)
                if self._hurry.is_full(self.chars) and not self._hurried.is_set():
                    self._hurried.set()
                    self._others.give_way(at_once=self._writes_here)
        elif self._written_for is not None:
            self._written_for.append(then)
        elif self._telling:
            self._telling.add_behind(then)
        else:
            then(None)

    @property
    def is_behind(self) -> bool:
        return len(self._waiting) > BEHIND or self.chars > BEHIND_CHARS

    # --- committing ---

    @property
    def _may_hurry(self) -> bool:
        """May a batch be written now since that is urgent?"""
        return trio.current_time() >= self._taken_at + self._hurry.least_seconds

    @property
    def _is_quiet(self) -> bool:
        """Do few wait? To them it is late by whatever else is done first; of many, each waits for
        the others.
        """
        return self._waited <= FEW

    async def run(self, others: Others) -> None:
        # Of several nodes on one state, one writes at a time.
        async with self._writer, trio.open_nursery() as nursery:
            self._others = others
            nursery.start_soon(self._upkeep_loop)
            while True:
                if not self.is_dirty:
                    await self._wake.wait()
                if self.is_dirty:
                    await self._gather()
                    await self.commit()
                else:
                    self._wake = trio.Event()
                if self._journal.is_overgrown:
                    # Nobody waits for it but who comes meanwhile.
                    await self._in_thread(self._look_after, {})
                if self._journal.is_due:
                    self._due.set()

    async def _gather(self) -> None:
        """Let others change something, before it is written what there is."""
        if self._began_at is None:
            self._began_at = trio.current_time()
        if self._failed is not None:
            await trio.sleep(RETRY_SECONDS)
        elif self._is_quiet:
            await trio.lowlevel.checkpoint()
        else:
            with trio.move_on_after(self._hurry.gather_seconds):
                await self._hurried.wait()
                if not self._may_hurry:
                    await trio.sleep_until(self._taken_at + self._hurry.least_seconds)

    async def _upkeep_loop(self) -> None:
        """What the file's log has is put into the file while batches are written. Where it has
        become long all the same, these wait for the rest, which is little then.
        """
        while True:
            await self._due.wait()
            await self._in_thread(self._empty_log, {})
            self._due = trio.Event()
            self._wake.set()

    async def aclose(self) -> None:
        """Commit what there is, and close. What cannot be written is nothing that was
        acknowledged. Of several nodes on one state, one that was taken for dead may come last, and
        has nothing to add.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self.is_dirty:
            await self.commit()
        self._journal.close()

    async def commit(self) -> None:
        """Write what has been noted, and tell all who wait for it, in turns, between which others
        run, and for whom that is urgent, what they have changed is written.
        """
        await self._write_some()
        with self._others.gather():
            try:
                self._telling.tell_some()
                while self._telling:
                    if self._urgent and self._may_hurry:
                        await self._write_some()
                    else:
                        await trio.lowlevel.cancel_shielded_checkpoint()
                    self._telling.tell_some()
            finally:
                while self._telling:
                    self._telling.tell_some()

    async def _write_some(self) -> None:
        """Write what has been noted. Who waits for it is to be told next, or, of whom it is urgent
        to, before all others.
        """
        is_short = self._writes_here and self._is_short
        rows, is_full = rows_per_step(self.chars), self._hurry.is_full(self.chars)
        batch, urgent, waiting = self._take()
        if urgent and is_short:
            self._others.give_way(at_once=True)
        # Who asks meanwhile, having changed nothing, is told behind these.
        self._written_for = waiting
        try:
            if is_short:
                await self._write_here(batch, rows)
            else:
                await self._in_thread(self._write, batch)
        except StorageError as exc:
            self._put_back(batch)
            self._fail(exc)
            told: SignalError | None = _refusal()
        except BaseException:
            # Cancelled before it began: it is the last batch's, which `aclose` writes.
            self._put_back(batch)
            self._waiting[:0] = waiting
            self._urgent[:0] = urgent
            raise
        else:
            self._recover()
            self._count(batch)
            told = None
        finally:
            self._written_for = None
        self._telling.add(waiting, told)
        if urgent:
            self._telling.add_first(urgent, told, self._others.flush)
        elif is_full:
            self._others.flush()
        if told is not None:
            # Whoever came while the batch was on its way is no better off.
            later, self._waiting, self._urgent = self._urgent + self._waiting, [], []
            self._telling.add(later, told)

    @property
    def _writes_here(self) -> bool:
        """May anything be written here, where all stands still for it?"""
        return self._writes_short_here and trio.current_time() >= self._slow_until

    @property
    def _is_short(self) -> bool:
        """May what was noted be written here, for who cannot wait for a thread?"""
        kinds = (*self._rows.values(), self.entries, self._accounts, self._channels)
        count = sum(map(len, kinds))
        may_be = self._is_quiet or self._hurry.is_on or bool(self._urgent)
        return may_be and count <= self._hurry.most_rows and self.chars <= self._hurry.most_chars

    def _look_after(self, _: Batch) -> None:
        """In a thread."""
        self._journal.look_after()

    def _empty_log(self, _: Batch) -> None:
        """In a thread, beside another."""
        self._journal.empty_log()

    async def _write_here(self, batch: Batch, rows_per_step: int) -> None:
        """In steps, between which others run."""
        self._is_writing_here = True
        began = trio.current_time()
        try:
            for _ in self._journal.writing(batch, rows_per_step):
                if trio.current_time() - began >= STEP_SECONDS:
                    self._note_slowness(began)
                    await trio.lowlevel.cancel_shielded_checkpoint()
                    began = trio.current_time()
            self._note_slowness(began)
        finally:
            self._is_writing_here = False

    def _note_slowness(self, began: float) -> None:
        """What was begun then, and is done now, waited for the disk if it took very long."""
        if (now := trio.current_time()) - began > SLOW_SECONDS:
            self._slow_until = now + RETRY_SECONDS

    def _write(self, batch: Batch) -> None:
        """In a thread."""
        try:
            self._journal.write(batch)
        finally:
            if self._is_quiet or self._is_hurried:
                self._others.give_way()

    def _take(self) -> tuple[Batch, list[Then], list[Then]]:
        batch, self._rows = self._rows, {}
        if self.entries:
            batch[CHUNKS], self.entries = self.entries, {}
        for table, records in (("accounts", self._accounts), ("channels", self._channels)):
            if records:
                rows = batch.setdefault(table, {})
                rows.update({(number,): record.row() for number, record in records.items()})
        self._accounts, self._channels = {}, {}
        self.is_dirty = False
        self.chars = 0
        urgent, self._urgent = self._urgent, []
        waiting, self._waiting = self._waiting, []
        self._waited = len(urgent) + len(waiting)
        self._is_hurried = bool(urgent)
        self._taken_at = now = trio.current_time()
        self._wake = trio.Event()
        if self._hurried.is_set():
            self._hurried = trio.Event()
        self._hurry.note(len(urgent), self._waited, now)
        return batch, urgent, waiting

    def _count(self, batch: Batch) -> None:
        """A batch was written."""
        began_at, self._began_at = self._began_at, None
        self.batches.rows.add(sum(map(len, batch.values())))
        if began_at is not None:
            self.batches.seconds.add(trio.current_time() - began_at)

    def _put_back(self, batch: Batch) -> None:
        """A batch was not written: what has been noted since has precedence over it."""
        self.entries = batch.pop(CHUNKS, {}) | self.entries
        for table, rows in batch.items():
            self._rows[table] = {**rows, **self._rows.get(table, {})}
        self.changed()

    def _fail(self, exc: StorageError) -> None:
        if self._failed is None:
            logger.error("%s; until it can be written, whatever changes anything is refused", exc)
        self._failed = exc
        self.batches.failed += 1

    def _recover(self) -> None:
        if self._failed is not None:
            logger.warning("%s can be written again", self._journal.path)
        self._failed = None


def _refusal() -> SignalError:
    # Not the reason's text: where the server keeps its files is none of its users' business.
    return SignalError(ECode.GENERAL_E_FAILED, "the server cannot store anything at the moment")
