"""Group commit: one batch for all that is gathered, and what becomes of it while it cannot be
written.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.base import AccountKey, ChannelKey, Entry
from signal_sdk.server.engine.commits import (
    BEHIND,
    BEHIND_CHARS,
    FEW,
    GATHER_SECONDS,
    RETRY_SECONDS,
    SHORT,
    SHORT_CHARS,
    SLOW_SECONDS,
    JournalCommits,
)
from signal_sdk.server.engine.entry_log import EntryLog
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.noting import Alone, Commits
from signal_sdk.server.engine.schema import CHUNKS, Batch
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.engine.telling import TELL_SECONDS, TELLS_PER_LOOK


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

    def write(self, batch: Batch) -> None:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        self.batches.append({table: dict(rows) for table, rows in batch.items() if rows})

    def close(self) -> None:
        self.is_closed = True

    async def in_thread(self, write: Callable[[Batch], None], batch: Batch) -> None:
        """As a thread's work: what has begun cannot be cancelled."""
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            await trio.sleep(self.seconds)
        write(batch)


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture
def commits(journal: FakeJournal) -> JournalCommits:
    return JournalCommits(cast("Journal", journal), journal.in_thread)


@asynccontextmanager
async def running(commits: Commits) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, Alone())
        yield
        nursery.cancel_scope.cancel()


class Told:
    """Who was told that it is durable, in order."""

    def __init__(self, commits: Commits) -> None:
        self.commits = commits
        self.all: list[tuple[str, ECode | None]] = []

    def wait(self, name: str, *, is_urgent: bool = False) -> None:
        def then(error: SignalError | None) -> None:
            self.all.append((name, error.ecode if error else None))

        self.commits.when_durable(then, is_urgent=is_urgent)


@pytest.fixture
def told(commits: JournalCommits) -> Told:
    return Told(commits)


def put(commits: Commits, number: int, text: str = "text") -> None:
    commits.put("user_attributes", (1, number), (1, number, text))


def append(commits: JournalCommits, number: int, packed: bytes) -> None:
    commits.entries[number] = packed
    if not commits.is_dirty:
        commits.changed()


def attributes(*numbers: int, text: str = "text") -> Batch:
    return {"user_attributes": {(1, number): (1, number, text) for number in numbers}}


# --- gathering ---


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


@pytest.mark.parametrize("waiting", [FEW, FEW + 1])
async def test_who_comes_alone_waits_for_nobody(
    journal: FakeJournal,
    commits: JournalCommits,
    waiting: int,
    autojump_clock: MockClock,
) -> None:
    await be_busy(journal, commits, waiting)
    async with running(commits):
        for number in range(3):
            began = trio.current_time()
            put(commits, number)
            await durable(commits)
            is_gathered = waiting > FEW and number == 0
            assert (trio.current_time() - began >= GATHER_SECONDS) is is_gathered
    assert journal.batches == [attributes(0), attributes(1), attributes(2)]


@pytest.mark.parametrize("waiting", [FEW, FEW + 1])
async def test_for_few_others_give_way_when_it_is_begun_and_when_it_is_written(
    journal: FakeJournal,
    commits: JournalCommits,
    waiting: int,
    autojump_clock: MockClock,
) -> None:
    given: list[int] = []

    class Busy(Alone):
        def give_way(self, *, at_once: bool = False) -> None:
            given.append(len(journal.batches))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, Busy())
        await be_busy(journal, commits, waiting)
        await wait_all_tasks_blocked()
        given.clear()
        put(commits, 1)
        for _ in range(waiting - 1):
            commits.when_durable(lambda _: None)
        await durable(commits)
        nursery.cancel_scope.cancel()
    assert given == ([0, 1] if waiting <= FEW else [])


async def test_what_is_changed_within_a_moment_is_one_batch(
    journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    await be_busy(journal, commits)
    async with running(commits):
        put(commits, 1)
        await trio.sleep(GATHER_SECONDS / 2)
        put(commits, 2)
        put(commits, 1, "changed")
        await trio.sleep(GATHER_SECONDS * 2)
        assert journal.batches == [
            {"user_attributes": {(1, 1): (1, 1, "changed"), (1, 2): (1, 2, "text")}}
        ]
        await trio.sleep(60)
        assert journal.tries == 1
        put(commits, 3)
        await trio.sleep(GATHER_SECONDS * 2)
        assert journal.batches[1:] == [attributes(3)]


async def test_what_comes_while_a_batch_is_written_is_the_next(
    journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    journal.seconds = 1
    async with running(commits):
        put(commits, 1)
        await trio.sleep(0.5)
        put(commits, 2)
        await trio.sleep(0.4)
        put(commits, 3)
        await trio.sleep(0.2)
        assert journal.tries == 1
        await trio.sleep(1)
        assert journal.batches == [attributes(1), attributes(2, 3)]


async def test_a_record_is_written_as_it_stands_when_the_batch_goes(
    journal: FakeJournal, commits: JournalCommits
) -> None:
    account = Account(id=1, key=AccountKey("app", "ann"), uid=1)
    channel = Channel(id=5, key=ChannelKey("app", "room"))
    commits.account(account)
    commits.channel(channel)
    account.generation = 7
    channel.total = 3
    await commits.commit()
    assert journal.batches == [
        {"accounts": {(1,): account.row()}, "channels": {(5,): channel.row()}}
    ]
    assert account.row()[4] == 7


async def test_an_entry_that_is_taken_out_before_its_batch_goes_is_never_written(
    journal: FakeJournal, commits: JournalCommits
) -> None:
    append(commits, 1, b"a")
    append(commits, 2, b"b")
    del commits.entries[1]
    await commits.commit()
    assert journal.batches == [{CHUNKS: {2: b"b"}}]
    assert commits.entries == {}


async def test_entries_that_could_not_be_written_are_before_those_that_came_since(
    journal: FakeJournal, commits: JournalCommits, caplog: pytest.LogCaptureFixture
) -> None:
    """A chunk is called by its last number."""
    journal.failure = FULL
    append(commits, 1, b"a")
    append(commits, 2, b"b")
    await commits.commit()
    append(commits, 3, b"c")
    del commits.entries[1]
    journal.failure = None
    await commits.commit()
    (batch,) = journal.batches
    assert list(batch[CHUNKS].items()) == [(2, b"b"), (3, b"c")]
    caplog.clear()


async def test_an_entry_wakes_whoever_commits(
    journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    async with running(commits):
        for number in (1, 2):
            await trio.sleep(1)
            append(commits, number, b"%d" % number)
            told.wait(f"{number}")
            await trio.sleep(1)
    assert journal.batches == [{CHUNKS: {number: b"%d" % number}} for number in (1, 2)]
    assert told.all == [("1", None), ("2", None)]


async def test_what_is_dropped_is_dropped_even_where_it_was_put_again(
    journal: FakeJournal, commits: JournalCommits
) -> None:
    put(commits, 1)
    await commits.commit()
    put(commits, 1, "again")
    commits.drop("user_attributes", (1, 1))
    await commits.commit()
    assert journal.batches[1:] == [{"user_attributes": {(1, 1): None}}]


async def test_a_channel_that_was_dropped_is_not_written_again(
    journal: FakeJournal, commits: JournalCommits
) -> None:
    channel = Channel(id=5, key=ChannelKey("app", "room"))
    commits.channel(channel)
    commits.drop("channels", (5,))
    await commits.commit()
    assert journal.batches == [{"channels": {(5,): None}}]


async def test_of_several_that_run_one_writes_and_another_goes_on_behind_it(
    journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    """The journal takes one call at a time, however many nodes are on one state."""
    journal.seconds = 1
    async with running(commits):
        async with running(commits):
            put(commits, 1)
            told.wait("a")
            await trio.sleep(GATHER_SECONDS + 0.5)
            put(commits, 2)
            told.wait("b")
            await trio.sleep(GATHER_SECONDS * 2)
            assert (journal.tries, told.all) == (0, [])
        await trio.sleep(2)
        assert journal.batches == [attributes(1), attributes(2)]
        assert told.all == [("a", None), ("b", None)]


# --- durable ---


async def test_where_nothing_is_to_be_written_it_is_durable_at_once(
    told: Told, commits: JournalCommits
) -> None:
    told.wait("now")
    assert told.all == [("now", None)]
    commits.check()


async def test_without_a_journal_all_is_durable_at_once(autojump_clock: MockClock) -> None:
    commits = Commits()
    told = Told(commits)
    async with running(commits):
        put(commits, 1)
        told.wait("now")
        assert told.all == [("now", None)]
        commits.check()
    await commits.aclose()


async def test_each_hears_of_its_own_batch_in_the_order_of_asking(
    journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    journal.seconds = 1
    async with running(commits):
        put(commits, 1)
        told.wait("a")
        told.wait("b")
        await trio.sleep(0.5)
        # The batch is on its way. Nothing has changed since: this one waits for it, too.
        told.wait("c")
        put(commits, 2)
        told.wait("d")
        assert told.all == []
        await trio.sleep(0.6)
        assert told.all == [("a", None), ("b", None), ("c", None)]
        told.wait("e")
        await trio.sleep(1.1)
        assert told.all[3:] == [("d", None), ("e", None)]
        assert journal.batches == [attributes(1), attributes(2)]


async def test_one_that_fails_takes_nothing_from_the_others(
    commits: JournalCommits, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: SignalError | None) -> None:
        raise ZeroDivisionError

    put(commits, 1)
    told.wait("a")
    commits.when_durable(fail)
    told.wait("b")
    await commits.commit()
    assert told.all == [("a", None), ("b", None)]
    assert "what was to follow a commit failed" in caplog.text
    caplog.clear()


# --- what cannot be written ---


def is_refused(commits: Commits) -> bool:
    try:
        commits.check()
    except SignalError as exc:
        # Where the server keeps its files is none of its users' business.
        return exc.ecode is ECode.GENERAL_E_FAILED and "signal.db" not in exc.reason
    return False


FULL = StorageError("signal.db: the disk is full")


async def test_a_failure_is_told_and_nothing_is_lost(
    journal: FakeJournal,
    commits: JournalCommits,
    told: Told,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal.failure = FULL
    async with running(commits):
        put(commits, 1, "old")
        put(commits, 2)
        told.wait("a")
        await trio.sleep(GATHER_SECONDS * 2)
        assert told.all == [("a", ECode.GENERAL_E_FAILED)]
        assert is_refused(commits)
        told.wait("b")
        assert told.all[1:] == [("b", ECode.GENERAL_E_FAILED)]
        # What still happens by itself is kept, and has precedence.
        put(commits, 1, "new")
        commits.drop("user_attributes", (1, 2))
        put(commits, 3)
        await trio.sleep(RETRY_SECONDS * 3.5)
        assert 3 <= journal.tries - 1 <= 4
        assert is_refused(commits)
        journal.failure = None
        await trio.sleep(RETRY_SECONDS * 1.1)
        assert not is_refused(commits)
        assert journal.batches == [
            {"user_attributes": {(1, 1): (1, 1, "new"), (1, 2): None, (1, 3): (1, 3, "text")}}
        ]
        put(commits, 4)
        told.wait("c")
        await trio.sleep(GATHER_SECONDS * 2)
        assert told.all[2:] == [("c", None)]
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [f"{FULL}; until it can be written, whatever changes anything is refused"]
    assert caplog.records[-1].message == "signal.db can be written again"
    caplog.clear()


async def test_who_came_while_the_failing_batch_was_on_its_way_hears_of_it(
    journal: FakeJournal,
    commits: JournalCommits,
    told: Told,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal.failure, journal.seconds = FULL, 1
    async with running(commits):
        put(commits, 1)
        told.wait("a")
        await trio.sleep(0.5)
        told.wait("b")
        put(commits, 2)
        told.wait("c")
        await trio.sleep(0.6)
        assert told.all == [(name, ECode.GENERAL_E_FAILED) for name in "abc"]
        journal.failure = None
        await trio.sleep(RETRY_SECONDS + 1.1)
        assert journal.batches == [attributes(1, 2)]
        assert len(told.all) == 3
    caplog.clear()


async def test_a_record_that_changes_while_it_cannot_be_written_is_written_as_it_is_then(
    journal: FakeJournal, commits: JournalCommits, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(id=1, key=AccountKey("app", "ann"), uid=1)
    commits.account(account)
    journal.failure = FULL
    await commits.commit()
    account.generation = 9
    commits.account(account)
    journal.failure = None
    await commits.commit()
    assert journal.batches == [{"accounts": {(1,): account.row()}}]
    assert account.row()[4] == 9
    caplog.clear()


# --- the end ---


async def test_the_end_writes_what_there_is_and_closes(
    journal: FakeJournal, commits: JournalCommits, told: Told
) -> None:
    put(commits, 1)
    told.wait("a")
    await commits.aclose()
    assert journal.batches == [attributes(1)]
    assert told.all == [("a", None)]
    assert journal.is_closed


async def test_an_end_with_nothing_to_write_writes_nothing(
    journal: FakeJournal, commits: JournalCommits
) -> None:
    await commits.aclose()
    assert (journal.tries, journal.is_closed) == (0, True)


async def test_an_end_that_cannot_write_closes_and_says_so(
    journal: FakeJournal, commits: JournalCommits, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    journal.failure = FULL
    put(commits, 1)
    told.wait("a")
    await commits.aclose()
    assert journal.is_closed
    assert told.all == [("a", ECode.GENERAL_E_FAILED)]
    assert str(FULL) in caplog.text
    caplog.clear()


@pytest.mark.parametrize("seconds", [0, GATHER_SECONDS / 2, GATHER_SECONDS, 0.5, 1.5])
async def test_whenever_it_is_cancelled_the_end_writes_the_rest_once(
    journal: FakeJournal,
    commits: JournalCommits,
    told: Told,
    autojump_clock: MockClock,
    seconds: float,
) -> None:
    journal.seconds = 1
    with trio.move_on_after(seconds):
        async with running(commits):
            put(commits, 1)
            told.wait("a")
            await trio.sleep(GATHER_SECONDS + 0.1)
            put(commits, 2)
            told.wait("b")
            await trio.sleep_forever()
    await wait_all_tasks_blocked()
    await commits.aclose()
    rows: dict[Any, Any] = {}
    for batch in journal.batches:
        assert not rows.keys() & batch["user_attributes"].keys()
        rows.update(batch["user_attributes"])
    assert rows == attributes(*((1, 2) if seconds > 0.1 else (1,)))["user_attributes"]
    assert told.all == [(name, None) for name in ("ab" if seconds > 0.1 else "a")]


async def test_a_batch_that_was_cancelled_before_it_began_is_the_ends(
    journal: FakeJournal, commits: JournalCommits, told: Told
) -> None:
    put(commits, 1)
    told.wait("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await commits.commit()
    assert scope.cancelled_caught
    assert (journal.tries, told.all) == (0, [])
    put(commits, 2)
    told.wait("b")
    await commits.aclose()
    assert journal.batches == [attributes(1, 2)]
    assert told.all == [("a", None), ("b", None)]


# --- where it is written ---


async def test_what_was_written_is_there_for_the_next(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    commits = JournalCommits(journal)
    durable = trio.Event()

    def then(error: SignalError | None) -> None:
        assert error is None
        durable.set()

    with trio.fail_after(10):
        async with running(commits):
            commits.put("user_attributes", (1, "a"), (1, "a", 1, None, "text"))
            commits.when_durable(then)
            assert not durable.is_set()
            await durable.wait()
        commits.put("user_attributes", (1, "b"), (1, "b", 2, None, "text"))
        await commits.aclose()
    again = Journal.open(tmp_path)
    assert [row[1] for row in again.rows("user_attributes")] == ["a", "b"]
    again.close()


class Threads(FakeJournal):
    """Notes in which thread it is written to, and takes `seconds` by the mock clock."""

    def __init__(self, clock: MockClock) -> None:
        super().__init__()
        self._clock = clock
        self.is_here: list[bool] = []
        self._here = threading.get_ident()

    def write_short(self, batch: Batch) -> None:
        assert threading.get_ident() == self._here
        self.is_here.append(True)
        self._clock.jump(self.seconds)
        FakeJournal.write(self, batch)

    def write(self, batch: Batch) -> None:
        assert threading.get_ident() != self._here
        self.is_here.append(False)
        FakeJournal.write(self, batch)


@pytest.fixture
def threads(autojump_clock: MockClock) -> Threads:
    return Threads(autojump_clock)


@pytest.mark.parametrize(("rows", "is_here"), [(SHORT, True), (SHORT + 1, False)])
async def test_a_batch_of_few_rows_is_written_where_the_server_runs(
    threads: Threads, rows: int, is_here: bool
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    kinds = 4
    for number in range(rows // kinds):
        append(commits, number, b"x")
        put(commits, number)
        commits.account(Account(id=number, key=AccountKey("app", f"{number}"), uid=1))
        commits.channel(Channel(id=number, key=ChannelKey("app", f"{number}")))
    for number in range(rows % kinds):
        put(commits, -1 - number)
    await commits.commit()
    assert threads.is_here == [is_here]


@pytest.mark.parametrize(("chars", "is_here"), [(SHORT_CHARS, True), (SHORT_CHARS + 1, False)])
async def test_a_batch_of_few_characters_is_written_where_the_server_runs(
    threads: Threads, chars: int, is_here: bool
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    put(commits, 1, "x" * chars)
    await commits.commit()
    assert threads.is_here == [is_here]


@pytest.mark.parametrize("is_urgent", [False, True])
async def test_a_batch_for_which_many_wait_is_written_in_a_thread_unless_it_is_urgent(
    threads: Threads, *, is_urgent: bool
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    await be_busy(threads, commits)
    put(commits, 1)
    commits.when_durable(lambda _: None, is_urgent=is_urgent)
    await commits.commit()
    assert threads.is_here == [True, is_urgent]


@pytest.mark.parametrize("why", ["waits_for_disk", "is_due"])
async def test_what_waits_for_the_disk_is_written_in_a_thread(threads: Threads, why: str) -> None:
    setattr(threads, why, True)
    commits = JournalCommits(cast("Journal", threads))
    put(commits, 1)
    await commits.commit()
    assert threads.is_here == [False]


async def test_a_disk_that_is_slow_is_left_to_a_thread_for_a_while(
    threads: Threads, autojump_clock: MockClock
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    for seconds in (SLOW_SECONDS * 0.9, SLOW_SECONDS * 1.1, 0, 0):
        threads.seconds = seconds
        put(commits, 1)
        await commits.commit()
    autojump_clock.jump(RETRY_SECONDS)
    put(commits, 1)
    await commits.commit()
    assert threads.is_here == [True, True, False, False, True]


async def test_what_cannot_be_written_where_the_server_runs_is_not_lost(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    told = Told(commits)
    threads.failure = FULL
    put(commits, 1)
    told.wait("a")
    await commits.commit()
    assert told.all == [("a", ECode.GENERAL_E_FAILED)]
    threads.failure = None
    await commits.commit()
    assert threads.batches == [attributes(1)]
    caplog.clear()


# --- what is urgent ---


async def test_what_is_urgent_is_written_at_once_and_told_first(
    journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    given: list[bool] = []

    class Busy(Alone):
        def give_way(self, *, at_once: bool = False) -> None:
            given.append(at_once)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, Busy())
        await be_busy(journal, commits)
        await trio.sleep(1)
        given.clear()
        put(commits, 1)
        others = [f"{number}" for number in range(FEW)]
        for name in others:
            told.wait(name)
        told.wait("urgent", is_urgent=True)
        began = trio.current_time()
        await wait_all_tasks_blocked()
        assert trio.current_time() == began
        # When it was asked for, and when it was written.
        assert given == [True, False]
        assert [name for name, _ in told.all] == ["urgent", *others]
        # But not as often as somebody wants that: batches would be small.
        for number in range(2):
            put(commits, 2 + number)
            told.wait(f"soon {number}", is_urgent=True)
            await wait_all_tasks_blocked()
        assert journal.tries == 1
        await trio.sleep(2 * GATHER_SECONDS)
        nursery.cancel_scope.cancel()
    assert journal.batches == [attributes(1), attributes(2, 3)]
    assert [name for name, _ in told.all[FEW + 1 :]] == ["soon 0", "soon 1"]


async def test_what_is_urgent_does_not_wait_until_all_others_are_told(
    journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    count = 10 * TELLS_PER_LOOK
    told: list[str] = []

    def tell(name: str) -> None:
        told.append(name)
        autojump_clock.jump(TELL_SECONDS / TELLS_PER_LOOK)
        if len(told) == 1:
            put(commits, 2)
            commits.when_durable(lambda _: told.append("later"))
            commits.when_durable(lambda _: told.append("urgent"), is_urgent=True)

    put(commits, 1)
    for number in range(count):
        commits.when_durable(lambda _, number=number: tell(f"{number}"))  # type: ignore[misc]
    await commits.commit()
    assert journal.batches == [attributes(1), attributes(2)]
    at = told.index("urgent")
    assert 0 < at <= (GATHER_SECONDS / TELL_SECONDS + 2) * TELLS_PER_LOOK
    assert [*told[:at], *told[at + 1 :]] == [*map(str, range(count)), "later"]


async def test_very_many_to_whom_it_is_urgent_are_told_in_turns_too(
    journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    """After a disk that has stood still there may be."""
    told: list[int] = []
    count = 10 * TELLS_PER_LOOK

    def tell(number: int) -> None:
        told.append(number)
        autojump_clock.jump(TELL_SECONDS / TELLS_PER_LOOK)

    put(commits, 1)
    for number in range(count):
        commits.when_durable(lambda _, number=number: tell(number), is_urgent=True)  # type: ignore[misc]
    turns = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.commit)
        while len(told) < count:
            await trio.lowlevel.checkpoint()
            turns += 1
    assert told == list(range(count))
    assert turns >= 8


async def test_what_is_urgent_hears_of_a_failure_too(
    journal: FakeJournal, commits: JournalCommits, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    journal.failure = FULL
    put(commits, 1)
    told.wait("a")
    told.wait("urgent", is_urgent=True)
    await commits.commit()
    assert told.all == [(name, ECode.GENERAL_E_FAILED) for name in ("urgent", "a")]
    caplog.clear()


async def test_what_is_urgent_and_was_cancelled_is_the_ends(
    journal: FakeJournal, commits: JournalCommits, told: Told
) -> None:
    put(commits, 1)
    told.wait("a", is_urgent=True)
    with trio.CancelScope() as scope:
        scope.cancel()
        await commits.commit()
    assert told.all == []
    await commits.aclose()
    assert told.all == [("a", None)]


# --- very many who wait ---


@pytest.mark.parametrize("others", [0, TELLS_PER_LOOK - 1, TELLS_PER_LOOK])
async def test_who_asks_while_others_are_told_is_told_behind_them(
    journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock, others: int
) -> None:
    """Having changed nothing, however many were told before."""
    told: list[object] = []

    def ask(_: object) -> None:
        commits.when_durable(told.append)

    async with running(commits):
        commits.put("members", (1, 1), (1, 1, 1))
        commits.when_durable(ask)
        for _ in range(others):
            commits.when_durable(lambda _: None)
        await trio.sleep(1)
    assert told == [None]
    assert journal.tries == 1


async def test_very_many_are_told_in_turns_and_in_order(
    journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    """What is asked meanwhile, and has nothing to wait for, is told behind them."""
    told: list[int] = []
    first = trio.Event()
    count = 10 * TELLS_PER_LOOK

    def tell(number: int) -> None:
        first.set()
        told.append(number)
        autojump_clock.jump(TELL_SECONDS / TELLS_PER_LOOK)

    put(commits, 1)
    for number in range(count):
        commits.when_durable(lambda _, number=number: tell(number))  # type: ignore[misc]
    assert not commits.is_behind
    async with running(commits):
        turns = 0
        with trio.fail_after(1):
            await first.wait()
        commits.when_durable(lambda _: tell(count))
        while len(told) <= count:
            await trio.lowlevel.checkpoint()
            turns += 1
    assert told == list(range(count + 1))
    assert turns >= 8


async def test_it_says_when_very_many_wait(
    journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    put(commits, 1)
    for _ in range(BEHIND):
        commits.when_durable(lambda _: None)
    said = [commits.is_behind]
    commits.when_durable(lambda _: None)
    said.append(commits.is_behind)
    await commits.commit()
    assert len(journal.batches) == 1
    said += [commits.is_behind, Commits().is_behind]
    assert said == [False, True, False, False]


async def test_it_says_when_there_is_very_much_in_the_batch(
    journal: FakeJournal, commits: JournalCommits
) -> None:
    """However few wait: what is long takes as long to write as what are many."""
    half = "x" * (BEHIND_CHARS // 2)
    said = []
    put(commits, 1, half)
    put(commits, 2, half)
    said.append(commits.is_behind)
    put(commits, 3, "x")
    said.append(commits.is_behind)
    await commits.commit()
    said.append(commits.is_behind)
    log = EntryLog(commits, [])
    for version in range(3):
        log.append(1, Entry(version, "ann", 5.0, half))
        said.append(commits.is_behind)
    assert said == [False, True, False, False, False, True]
    assert len(journal.batches) == 1
