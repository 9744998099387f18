"""Group commit: one batch for all that is gathered, and what becomes of it while it cannot be
written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.engine.commits import FEW, RETRY_SECONDS, JournalCommits
from signal_sdk.server.engine.hurry import GATHER_SECONDS
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.noting import Alone, Commits
from signal_sdk.server.engine.schema import CHUNKS
from signal_sdk.server.engine.tables import Account, Channel
from tests.server.engine.commit_kit import (
    FULL,
    FakeJournal,
    Told,
    append,
    attributes,
    be_busy,
    durable,
    put,
    running,
)

# --- gathering ---


@pytest.mark.parametrize("waiting", [FEW, FEW + 1])
async def test_who_comes_alone_waits_for_nobody(
    fake_journal: FakeJournal,
    commits: JournalCommits,
    waiting: int,
    autojump_clock: MockClock,
) -> None:
    await be_busy(fake_journal, commits, waiting)
    async with running(commits):
        for number in range(3):
            began = trio.current_time()
            put(commits, number)
            await durable(commits)
            is_gathered = waiting > FEW and number == 0
            assert (trio.current_time() - began >= GATHER_SECONDS) is is_gathered
    assert fake_journal.batches == [attributes(0), attributes(1), attributes(2)]


@pytest.mark.parametrize("waiting", [FEW, FEW + 1])
async def test_for_few_others_give_way_when_it_is_begun_and_when_it_is_written(
    fake_journal: FakeJournal,
    commits: JournalCommits,
    waiting: int,
    autojump_clock: MockClock,
) -> None:
    given: list[int] = []

    class Busy(Alone):
        def give_way(self, *, at_once: bool = False) -> None:
            given.append(len(fake_journal.batches))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, Busy())
        await be_busy(fake_journal, commits, waiting)
        await wait_all_tasks_blocked()
        given.clear()
        put(commits, 1)
        for _ in range(waiting - 1):
            commits.when_durable(lambda _: None)
        await durable(commits)
        nursery.cancel_scope.cancel()
    assert given == ([0, 1] if waiting <= FEW else [])


async def test_what_is_changed_within_a_moment_is_one_batch(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    await be_busy(fake_journal, commits)
    async with running(commits):
        put(commits, 1)
        await trio.sleep(GATHER_SECONDS / 2)
        put(commits, 2)
        put(commits, 1, "changed")
        await trio.sleep(GATHER_SECONDS * 2)
        assert fake_journal.batches == [
            {"user_attributes": {(1, 1): (1, 1, "changed"), (1, 2): (1, 2, "text")}}
        ]
        await trio.sleep(60)
        assert fake_journal.tries == 1
        put(commits, 3)
        await trio.sleep(GATHER_SECONDS * 2)
        assert fake_journal.batches[1:] == [attributes(3)]


async def test_what_comes_while_a_batch_is_written_is_the_next(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    fake_journal.seconds = 1
    async with running(commits):
        put(commits, 1)
        await trio.sleep(0.5)
        put(commits, 2)
        await trio.sleep(0.4)
        put(commits, 3)
        await trio.sleep(0.2)
        assert fake_journal.tries == 1
        await trio.sleep(1)
        assert fake_journal.batches == [attributes(1), attributes(2, 3)]


async def test_a_record_is_written_as_it_stands_when_the_batch_goes(
    fake_journal: FakeJournal, commits: JournalCommits
) -> None:
    account = Account(id=1, key=AccountKey("app", "ann"), uid=1)
    channel = Channel(id=5, key=ChannelKey("app", "room"))
    commits.account(account)
    commits.channel(channel)
    account.generation = 7
    channel.total = 3
    await commits.commit()
    assert fake_journal.batches == [
        {"accounts": {(1,): account.row()}, "channels": {(5,): channel.row()}}
    ]
    assert account.row()[4] == 7


async def test_an_entry_that_is_taken_out_before_its_batch_goes_is_never_written(
    fake_journal: FakeJournal, commits: JournalCommits
) -> None:
    append(commits, 1, b"a")
    append(commits, 2, b"b")
    del commits.entries[1]
    await commits.commit()
    assert fake_journal.batches == [{CHUNKS: {2: b"b"}}]
    assert commits.entries == {}


async def test_entries_that_could_not_be_written_are_before_those_that_came_since(
    fake_journal: FakeJournal, commits: JournalCommits, caplog: pytest.LogCaptureFixture
) -> None:
    """A chunk is called by its last number."""
    fake_journal.failure = FULL
    append(commits, 1, b"a")
    append(commits, 2, b"b")
    await commits.commit()
    append(commits, 3, b"c")
    del commits.entries[1]
    fake_journal.failure = None
    await commits.commit()
    (batch,) = fake_journal.batches
    assert list(batch[CHUNKS].items()) == [(2, b"b"), (3, b"c")]
    caplog.clear()


async def test_an_entry_wakes_whoever_commits(
    fake_journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    async with running(commits):
        for number in (1, 2):
            await trio.sleep(1)
            append(commits, number, b"%d" % number)
            told.wait(f"{number}")
            await trio.sleep(1)
    assert fake_journal.batches == [{CHUNKS: {number: b"%d" % number}} for number in (1, 2)]
    assert told.all == [("1", None), ("2", None)]


async def test_what_is_dropped_is_dropped_even_where_it_was_put_again(
    fake_journal: FakeJournal, commits: JournalCommits
) -> None:
    put(commits, 1)
    await commits.commit()
    put(commits, 1, "again")
    commits.drop("user_attributes", (1, 1))
    await commits.commit()
    assert fake_journal.batches[1:] == [{"user_attributes": {(1, 1): None}}]


async def test_a_channel_that_was_dropped_is_not_written_again(
    fake_journal: FakeJournal, commits: JournalCommits
) -> None:
    channel = Channel(id=5, key=ChannelKey("app", "room"))
    commits.channel(channel)
    commits.drop("channels", (5,))
    await commits.commit()
    assert fake_journal.batches == [{"channels": {(5,): None}}]


async def test_of_several_that_run_one_writes_and_another_goes_on_behind_it(
    fake_journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    """The journal takes one call at a time, however many nodes are on one state."""
    fake_journal.seconds = 1
    async with running(commits):
        async with running(commits):
            put(commits, 1)
            told.wait("a")
            await trio.sleep(GATHER_SECONDS + 0.5)
            put(commits, 2)
            told.wait("b")
            await trio.sleep(GATHER_SECONDS * 2)
            assert (fake_journal.tries, told.all) == (0, [])
        await trio.sleep(2)
        assert fake_journal.batches == [attributes(1), attributes(2)]
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
    fake_journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    fake_journal.seconds = 1
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
        assert fake_journal.batches == [attributes(1), attributes(2)]


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


async def test_a_failure_is_told_and_nothing_is_lost(
    fake_journal: FakeJournal,
    commits: JournalCommits,
    told: Told,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_journal.failure = FULL
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
        assert 3 <= fake_journal.tries - 1 <= 4
        assert is_refused(commits)
        fake_journal.failure = None
        await trio.sleep(RETRY_SECONDS * 1.1)
        assert not is_refused(commits)
        assert fake_journal.batches == [
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
    fake_journal: FakeJournal,
    commits: JournalCommits,
    told: Told,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_journal.failure, fake_journal.seconds = FULL, 1
    async with running(commits):
        put(commits, 1)
        told.wait("a")
        await trio.sleep(0.5)
        told.wait("b")
        put(commits, 2)
        told.wait("c")
        await trio.sleep(0.6)
        assert told.all == [(name, ECode.GENERAL_E_FAILED) for name in "abc"]
        fake_journal.failure = None
        await trio.sleep(RETRY_SECONDS + 1.1)
        assert fake_journal.batches == [attributes(1, 2)]
        assert len(told.all) == 3
    caplog.clear()


async def test_a_record_that_changes_while_it_cannot_be_written_is_written_as_it_is_then(
    fake_journal: FakeJournal, commits: JournalCommits, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(id=1, key=AccountKey("app", "ann"), uid=1)
    commits.account(account)
    fake_journal.failure = FULL
    await commits.commit()
    account.generation = 9
    commits.account(account)
    fake_journal.failure = None
    await commits.commit()
    assert fake_journal.batches == [{"accounts": {(1,): account.row()}}]
    assert account.row()[4] == 9
    caplog.clear()


# --- the end ---


async def test_the_end_writes_what_there_is_and_closes(
    fake_journal: FakeJournal, commits: JournalCommits, told: Told
) -> None:
    put(commits, 1)
    told.wait("a")
    await commits.aclose()
    assert fake_journal.batches == [attributes(1)]
    assert told.all == [("a", None)]
    assert fake_journal.is_closed


async def test_an_end_with_nothing_to_write_writes_nothing(
    fake_journal: FakeJournal, commits: JournalCommits
) -> None:
    await commits.aclose()
    assert (fake_journal.tries, fake_journal.is_closed) == (0, True)


async def test_an_end_that_cannot_write_closes_and_says_so(
    fake_journal: FakeJournal, commits: JournalCommits, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    fake_journal.failure = FULL
    put(commits, 1)
    told.wait("a")
    await commits.aclose()
    assert fake_journal.is_closed
    assert told.all == [("a", ECode.GENERAL_E_FAILED)]
    assert str(FULL) in caplog.text
    caplog.clear()


@pytest.mark.parametrize("seconds", [0, GATHER_SECONDS / 2, GATHER_SECONDS, 0.5, 1.5])
async def test_whenever_it_is_cancelled_the_end_writes_the_rest_once(
    fake_journal: FakeJournal,
    commits: JournalCommits,
    told: Told,
    autojump_clock: MockClock,
    seconds: float,
) -> None:
    fake_journal.seconds = 1
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
    for batch in fake_journal.batches:
        assert not rows.keys() & batch["user_attributes"].keys()
        rows.update(batch["user_attributes"])
    assert rows == attributes(*((1, 2) if seconds > 0.1 else (1,)))["user_attributes"]
    assert told.all == [(name, None) for name in ("ab" if seconds > 0.1 else "a")]


async def test_a_batch_that_was_cancelled_before_it_began_is_the_ends(
    fake_journal: FakeJournal, commits: JournalCommits, told: Told
) -> None:
    put(commits, 1)
    told.wait("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await commits.commit()
    assert scope.cancelled_caught
    assert (fake_journal.tries, told.all) == (0, [])
    put(commits, 2)
    told.wait("b")
    await commits.aclose()
    assert fake_journal.batches == [attributes(1, 2)]
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
