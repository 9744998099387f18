"""Group commit: what the engine has changed, gathered for a few milliseconds, written in one batch,
and only then acknowledged.

Owns: the batch that is being gathered, the one that is being written, who waits for which, and what
is done while the journal cannot be written. Must not know what a row means, or SQLite.

A row that was put and taken away again within one batch is never written. While writing fails
(a full disk), nothing is lost: the batch that failed is written with the next, once a second is
tried, and meanwhile nothing that changes anything is let in.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.base import Then
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.measures import Batches
from signal_sdk.server.engine.schema import CHUNKS, Batch, Row
from signal_sdk.server.engine.tables import Account, Channel

logger: logging.Logger = logging.getLogger("signal_sdk.server.engine")

GATHER_SECONDS: Final = 0.002
"""How long a batch is gathered, beside what comes while the one before it is written. Longer makes
acknowledgements late, and clients wait for them; shorter makes batches small.
"""
FEW: Final = 4
"""Where no more waited for the last batch, nothing is gathered for the next one but what one pass
of the scheduler brings: whoever comes alone, one change behind the other, waits for nobody.
"""
RETRY_SECONDS: Final = 1.0
BEHIND: Final = 2000
"""How many may wait for the batch that is being gathered before that is said to be large: a message
to an account is two. One of so many is written in some 2 ms, and they are told in some 10.
"""
BEHIND_CHARS: Final = 2 * 1024 * 1024
"""How many characters its rows may have before that is said, too: messages, attributes and replies
may be long. So many are written in some 10 ms.
"""
TELL_SECONDS: Final = 0.001
"""For how long those are told who have waited for a batch, before others run."""
TELLS_PER_LOOK: Final = 16
"""How many of them are told between two looks at the clock."""

InThread = Callable[[Callable[[Batch], None], Batch], Awaitable[None]]
"""Has a batch written while other tasks run."""


class Others(Protocol):
    """What else there is to be done: as `Delivery` has it."""

    def gather(self) -> AbstractContextManager[None]:
        """Within this, many are told in turns, between which others run."""

    def give_way(self) -> None:
        """Whoever is being woken comes before others. May be called in any thread."""


class Alone:
    """There is nothing else to be done."""

    def gather(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def give_way(self) -> None:
        pass


async def in_thread(write: Callable[[Batch], None], batch: Batch) -> None:
    """Write in a worker thread."""
    await trio.to_thread.run_sync(write, batch)


class Commits:
    """Where an engine notes its changes. This one is for state that lives as long as the process:
    nothing is noted, and all is durable at once.
    """

    batches: Batches | None = None
    """What was written, where there is a journal."""

    def account(self, account: Account) -> None:
        """The account's own row has changed."""

    def channel(self, channel: Channel) -> None:
        """The channel's own row has changed."""

    def put(self, table: str, key: Row, row: Row) -> None:
        """There is this row now, whatever was there before."""

    def drop(self, table: str, key: Row) -> None:
        """There is no such row any more."""

    def check(self) -> None:
        """Raise `SignalError` while nothing can be written."""

    def when_durable(self, then: Then) -> None:
        """Call `then` once all changes noted so far are durable."""
        then(None)

    @property
    def is_behind(self) -> bool:
        """Do very many wait for the batch that is being gathered, or is there very much in it?"""
        return False

    async def run(self, others: Others) -> None:  # noqa: ARG002  there is nothing to tell of
        """Commit until cancelled, beside others."""
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """Commit what there is, and close."""
        await trio.lowlevel.checkpoint()


class JournalCommits(Commits):
    """Changes on their way into a journal."""

    def __init__(self, journal: Journal, run_in_thread: InThread = in_thread) -> None:
        self._journal = journal
        self._in_thread = run_in_thread
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
        self._written_for: list[Then] | None = None
        self._wake = trio.Event()
        self._writer = trio.Lock()
        self._failed: StorageError | None = None
        self._waited = 0
        """How many waited for the last batch."""
        self._others: Others = Alone()
        self.batches: Batches = Batches()
        self._began_at: float | None = None
        """When the first change was found that is not written yet."""
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

    def when_durable(self, then: Then) -> None:
        if self._failed is not None:
            then(_refusal())
        elif self.is_dirty:
            self._waiting.append(then)
        elif self._written_for is not None:
            self._written_for.append(then)
        else:
            then(None)

    @property
    def is_behind(self) -> bool:
        return len(self._waiting) > BEHIND or self.chars > BEHIND_CHARS

    # --- committing ---

    @property
    def _is_quiet(self) -> bool:
        """Do few wait? To them it is late by whatever else is done first; of many, each waits for
        the others.
        """
        return self._waited <= FEW

    async def run(self, others: Others) -> None:
        # Of several nodes on one state, one writes at a time.
        async with self._writer:
            self._others = others
            while True:
                await self._wake.wait()
                if self._began_at is None:
                    self._began_at = trio.current_time()
                if self._failed is not None:
                    await trio.sleep(RETRY_SECONDS)
                elif self._is_quiet:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.sleep(GATHER_SECONDS)
                await self.commit()

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
        """Write what has been noted."""
        batch, waiting = self._take()
        self._written_for = waiting
        try:
            await self._in_thread(self._write, batch)
        except StorageError as exc:
            self._put_back(batch)
            self._fail(exc)
            told: SignalError | None = _refusal()
        except BaseException:
            # Cancelled before it began: it is the last batch's, which `aclose` writes.
            self._put_back(batch)
            self._waiting[:0] = waiting
            raise
        else:
            self._recover()
            self._count(batch)
            told = None
        try:
            # Who asks meanwhile, having changed nothing, is told behind these.
            with self._others.gather():
                await _tell(waiting, told)
        finally:
            self._written_for = None
        if told is not None:
            # Whoever came while the batch was on its way is no better off.
            waiting, self._waiting = self._waiting, []
            await _tell(waiting, told)

    def _write(self, batch: Batch) -> None:
        """In a thread."""
        try:
            self._journal.write(batch)
        finally:
            if self._is_quiet:
                self._others.give_way()

    def _take(self) -> tuple[Batch, list[Then]]:
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
        waiting, self._waiting = self._waiting, []
        self._waited = len(waiting)
        self._wake = trio.Event()
        return batch, waiting

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


async def _tell(waiting: list[Then], error: SignalError | None) -> None:
    """Tell all of them, those too that come meanwhile, in turns: very many take a while."""
    ends = trio.current_time() + TELL_SECONDS
    at = 0
    while some := waiting[at : at + TELLS_PER_LOOK]:
        at += len(some)
        for then in some:
            try:
                then(error)
            except Exception:
                # One client's reply must not take the others' away.
                logger.exception("what was to follow a commit failed")
        if trio.current_time() >= ends:
            await trio.lowlevel.cancel_shielded_checkpoint()
            ends = trio.current_time() + TELL_SECONDS
