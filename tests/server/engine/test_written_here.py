"""Where a batch is written: in a thread, or where the server runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.engine.commits import (
    RETRY_SECONDS,
    SLOW_SECONDS,
    STEP_SECONDS,
    JournalCommits,
)
from signal_sdk.server.engine.database import LOG_BYTES
from signal_sdk.server.engine.hurry import SHORT, SHORT_CHARS
from signal_sdk.server.engine.journal import LONG_LOG_PAGES, Journal
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.engine.tables import Account, Channel
from tests.server.engine.commit_kit import (
    FULL,
    FakeJournal,
    Threads,
    Told,
    append,
    attributes,
    be_busy,
    durable,
    put,
    running,
)


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


async def test_between_the_steps_of_a_batch_others_run_and_their_time_is_not_the_disks(
    threads: Threads, autojump_clock: MockClock
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while not threads.is_here:
            await trio.lowlevel.checkpoint()
            turns += 1
            autojump_clock.jump(2 * SLOW_SECONDS)

    threads.steps, threads.step_seconds = 10, 2 * STEP_SECONDS
    async with trio.open_nursery() as nursery:
        put(commits, 1)
        nursery.start_soon(others)
        await commits.commit()
    assert turns > threads.steps / 2
    put(commits, 2)
    await commits.commit()
    assert threads.is_here == [True, True]


async def test_a_batch_that_was_begun_is_written_though_whoever_writes_is_cancelled(
    threads: Threads, autojump_clock: MockClock
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    told = Told(commits)
    threads.steps, threads.step_seconds = 10, STEP_SECONDS
    put(commits, 1)
    told.wait("ann")
    with trio.CancelScope() as scope:
        scope.cancel()
        await commits.commit()
    assert (threads.batches, told.all) == ([attributes(1)], [("ann", None)])


async def test_what_waits_for_the_disk_is_written_in_a_thread(threads: Threads) -> None:
    threads.waits_for_disk = True
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


# --- looking after the file ---


class Slow(FakeJournal):
    """In which looking after the file goes on until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = trio.Event()

    async def in_thread(self, write: Callable[[Batch], None], batch: Batch) -> None:
        write(batch)
        if not batch:
            await self.may_go_on.wait()


async def test_while_the_log_is_put_into_the_file_batches_are_written(
    autojump_clock: MockClock,
) -> None:
    journal = Slow()
    commits = JournalCommits(cast("Journal", journal), journal.in_thread)
    async with running(commits):
        journal.is_due = True
        put(commits, 1)
        await durable(commits)
        await wait_all_tasks_blocked()
        assert journal.upkeep == ["emptied"]
        for number in (2, 3):
            put(commits, number)
            await durable(commits)
        assert journal.batches == [attributes(1), attributes(2), attributes(3)]
        journal.may_go_on.set()
        await wait_all_tasks_blocked()
        # And no more, until it is due again.
        put(commits, 4)
        await durable(commits)
        await wait_all_tasks_blocked()
        assert journal.upkeep == ["emptied"]
        journal.is_due = True
        put(commits, 5)
        await wait_all_tasks_blocked()
        assert journal.upkeep == 2 * ["emptied"]
    # To look after it is no batch.
    assert journal.tries == 5


async def test_where_the_log_is_too_long_all_the_same_nothing_is_written_for_a_while(
    autojump_clock: MockClock,
) -> None:
    journal = Slow()
    commits = JournalCommits(cast("Journal", journal), journal.in_thread)
    async with running(commits):
        journal.is_due = True
        put(commits, 1)
        await durable(commits)
        await wait_all_tasks_blocked()
        # As it is found to be, once it was put into the file.
        journal.is_overgrown = True
        emptied, journal.may_go_on = journal.may_go_on, trio.Event()
        emptied.set()
        await wait_all_tasks_blocked()
        assert journal.upkeep == ["emptied", "looked after"]
        put(commits, 2)
        await wait_all_tasks_blocked()
        assert journal.batches == [attributes(1)]
        journal.may_go_on.set()
        await durable(commits)
        assert journal.batches == [attributes(1), attributes(2)]
    assert journal.upkeep == ["emptied", "looked after"]


@pytest.mark.parametrize(
    ("what", "upkeep"), [("is_due", "emptied"), ("is_overgrown", "looked after")]
)
async def test_who_waits_is_told_before_the_file_is_looked_after(
    autojump_clock: MockClock, what: str, upkeep: str
) -> None:
    journal = Slow()
    journal.may_go_on.set()
    commits = JournalCommits(cast("Journal", journal), journal.in_thread)
    async with running(commits):
        setattr(journal, what, True)
        put(commits, 1)
        commits.when_durable(lambda _: journal.upkeep.append("told"))
        await wait_all_tasks_blocked()
    assert journal.upkeep == ["told", upkeep]


async def test_a_real_file_is_looked_after_in_threads(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The log does not grow for ever, though nothing waits for it."""
    journal = Journal.open(tmp_path)
    log = tmp_path / f"{journal.path.name}-wal"
    commits = JournalCommits(journal)
    sizes = []
    async with running(commits):
        # Three times as much as it may have; a row is 50 pages.
        for number in range(3 * LONG_LOG_PAGES // 50):
            row = (1, number % 10, 1, None, "x" * 200_000)
            commits.put("user_attributes", row[:2], row)
            await durable(commits)
            while journal.is_due:
                await trio.lowlevel.checkpoint()
            sizes.append(log.stat().st_size)
    await commits.aclose()
    # It has begun anew.
    assert max(sizes) < 1.5 * LOG_BYTES
