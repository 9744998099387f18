"""What the tests of commits are made of: a journal that keeps what is written, and who is told."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from trio.testing import MockClock

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.commits import FEW, JournalCommits
from signal_sdk.server.engine.noting import Alone, Commits
from signal_sdk.server.engine.schema import Batch

FULL = StorageError("signal.db: the disk is full")


class FakeJournal:
    """Keeps what is written, unless it is told to fail; a write takes `seconds`."""

    def __init__(self) -> None:
        self.path = Path("signal.db")
        self.batches: list[Batch] = []
        self.failure: Exception | None = None
        self.seconds = 0.0
        self.is_closed = False
        self.tries = 0
        self.waits_for_disk = False
        self.is_due = False
        self.is_overgrown = False
        self.upkeep: list[str] = []
        self.steps = 0
        self.rows_per_step: list[int] = []

    def writing(self, batch: Batch, rows_per_step: int) -> Iterator[None]:
        self.rows_per_step.append(rows_per_step)
        for _ in range(self.steps):
            yield
        self.write(batch)

    def write(self, batch: Batch) -> None:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        self.batches.append({table: dict(rows) for table, rows in batch.items() if rows})

    def empty_log(self) -> None:
        self.upkeep.append("emptied")
        self.is_due = False

    def look_after(self) -> None:
        self.upkeep.append("looked after")
        self.is_overgrown = False

    def close(self) -> None:
        self.is_closed = True

    async def in_thread(self, write: Callable[[Batch], None], batch: Batch) -> None:
        """As a thread's work: what has begun cannot be cancelled."""
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            await trio.sleep(self.seconds)
        write(batch)


class Threads(FakeJournal):
    """Notes in which thread it is written to, and takes `seconds` by the mock clock."""

    def __init__(self, clock: MockClock) -> None:
        super().__init__()
        self._clock = clock
        self.is_here: list[bool] = []
        self._here = threading.get_ident()
        self.step_seconds = 0.0
        """What each step takes, where it is written in steps."""

    def writing(self, batch: Batch, rows_per_step: int) -> Iterator[None]:
        for _ in FakeJournal.writing(self, batch, rows_per_step):
            self._clock.jump(self.step_seconds)
            yield

    def write(self, batch: Batch) -> None:
        is_here = threading.get_ident() == self._here
        self.is_here.append(is_here)
        if is_here:
            self._clock.jump(self.seconds)
        FakeJournal.write(self, batch)


@asynccontextmanager
async def running(commits: Commits) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, Alone())
        yield
        nursery.cancel_scope.cancel()


class Busy(Alone):
    """Notes what others are asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def give_way(self, *, at_once: bool = False) -> None:
        self.asked.append("at once" if at_once else "give way")

    def flush(self) -> None:
        self.asked.append("flush")

    @property
    def urgently(self) -> list[str]:
        return [it for it in self.asked if it != "give way"]


class Told:
    """Who was told that it is durable, in order."""

    def __init__(self, commits: Commits) -> None:
        self.commits = commits
        self.all: list[tuple[str, ECode | None]] = []

    def wait(self, name: str, *, is_urgent: bool = False) -> None:
        def then(error: SignalError | None) -> None:
            self.all.append((name, error.ecode if error else None))

        self.commits.when_durable(then, is_urgent=is_urgent)


def put(commits: Commits, number: int, text: str = "text") -> None:
    commits.put("user_attributes", (1, number), (1, number, text))


def append(commits: JournalCommits, number: int, packed: bytes) -> None:
    commits.entries[number] = packed
    if not commits.is_dirty:
        commits.changed()


def attributes(*numbers: int, text: str = "text") -> Batch:
    return {"user_attributes": {(1, number): (1, number, text) for number in numbers}}


async def be_busy(journal: FakeJournal, commits: JournalCommits, waiting: int = FEW + 1) -> None:
    """So many have waited for the batch before."""
    put(commits, 0)
    for _ in range(waiting):
        commits.when_durable(lambda _: None)
    await commits.commit()
    journal.batches.clear()
    journal.tries = 0


async def durable(commits: JournalCommits) -> None:
    """Wait until all that was noted is."""
    done = trio.Event()
    commits.when_durable(lambda _: done.set())
    await done.wait()
