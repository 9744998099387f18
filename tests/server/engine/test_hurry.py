"""What is urgent is written soon, and batches are short meanwhile."""

from __future__ import annotations

from typing import cast

import trio
from hypothesis import assume, given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.server.engine.base import Entry
from signal_sdk.server.engine.commits import (
    FEW,
    RETRY_SECONDS,
    SLOW_SECONDS,
    STEP_SECONDS,
    JournalCommits,
)
from signal_sdk.server.engine.entry_log import EntryLog
from signal_sdk.server.engine.hurry import (
    BEHIND,
    BEHIND_CHARS,
    FULL_CHARS,
    GATHER_SECONDS,
    HURRIED_SECONDS,
    KEPT,
    MANY_TO_ONE,
    SHORT,
    Hurry,
)
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.noting import Alone, Commits
from signal_sdk.server.engine.statements import rows_per_step
from tests.server.engine.commit_kit import (
    Busy,
    FakeJournal,
    Threads,
    Told,
    attributes,
    be_busy,
    put,
)


async def test_what_is_urgent_is_written_at_once_and_told_first(
    fake_journal: FakeJournal, commits: JournalCommits, told: Told, autojump_clock: MockClock
) -> None:
    busy = Busy()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, busy)
        await be_busy(fake_journal, commits)
        await trio.sleep(1)
        busy.asked.clear()
        put(commits, 1)
        others = [f"{number}" for number in range(FEW)]
        for name in others:
            told.wait(name)
        told.wait("urgent", is_urgent=True)
        began = trio.current_time()
        await wait_all_tasks_blocked()
        assert trio.current_time() == began
        # When it was asked for, and when it was written; but nobody stands still for a thread.
        assert busy.asked == ["give way", "give way", "flush"]
        assert [name for name, _ in told.all] == ["urgent", *others]
        # But not as often as somebody wants that: batches would be small.
        for number in range(2):
            put(commits, 2 + number)
            told.wait(f"soon {number}", is_urgent=True)
            await wait_all_tasks_blocked()
        assert fake_journal.tries == 1
        await trio.sleep(2 * GATHER_SECONDS)
        nursery.cancel_scope.cancel()
    assert fake_journal.batches == [attributes(1), attributes(2, 3)]
    assert [name for name, _ in told.all[FEW + 1 :]] == ["soon 0", "soon 1"]


async def test_it_says_when_very_many_wait(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    put(commits, 1)
    for _ in range(BEHIND):
        commits.when_durable(lambda _: None)
    said = [commits.is_behind]
    commits.when_durable(lambda _: None)
    said.append(commits.is_behind)
    await commits.commit()
    assert len(fake_journal.batches) == 1
    said += [commits.is_behind, Commits().is_behind]
    assert said == [False, True, False, False]


async def test_it_says_when_there_is_very_much_in_the_batch(
    fake_journal: FakeJournal, commits: JournalCommits
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
    assert len(fake_journal.batches) == 1


# --- a hurry ---


def hurried(now: float = 10.0) -> Hurry:
    """Many waited, and one could not wait long."""
    hurry = Hurry()
    hurry.note(1, MANY_TO_ONE, now)
    return hurry


def test_where_one_cannot_wait_and_many_write_there_is_a_hurry_for_a_while() -> None:
    hurry = Hurry()
    said = []
    for urgent, waiting, now in (
        (0, 1000, 10.0),
        (1, 100, 10.5),
        (0, 100, 10.5 + HURRIED_SECONDS * 0.99),
        (0, 100, 10.5 + HURRIED_SECONDS),
    ):
        hurry.note(urgent, waiting, now)
        said.append(hurry.is_on)
    assert said == [False, True, True, False]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 200)), min_size=1))
def test_where_many_cannot_wait_there_is_none(batches: list[tuple[int, int]]) -> None:
    """Each would wait for the others' short batches."""
    hurry = Hurry()
    weights = [KEPT**age for age in reversed(range(len(batches)))]
    for urgent, others in batches:
        hurry.note(urgent, urgent + others, 10.0)
    weighed = sum(weight * it for weight, (it, _) in zip(weights, batches, strict=True))
    waiting = sum(weight * sum(it) for weight, it in zip(weights, batches, strict=True))
    assume(abs(weighed * MANY_TO_ONE - waiting) > 1e-6)
    assert hurry.is_on is (0 < weighed * MANY_TO_ONE < waiting)


def test_in_a_hurry_what_is_not_urgent_waits_longer_and_what_is_shorter() -> None:
    hurry, calm = hurried(), Hurry()
    assert hurry.gather_seconds > calm.gather_seconds == calm.least_seconds > hurry.least_seconds
    assert hurry.most_rows > calm.most_rows


async def in_a_hurry(commits: JournalCommits) -> None:
    put(commits, 0)
    for number in range(10 * MANY_TO_ONE):
        commits.when_durable(lambda _: None, is_urgent=not number)
    await commits.commit()


async def test_in_a_hurry_long_batches_are_written_where_the_server_runs(threads: Threads) -> None:
    commits = JournalCommits(cast("Journal", threads))
    await in_a_hurry(commits)
    for number in range(10 * SHORT):
        put(commits, number)
    await commits.commit()
    assert threads.is_here == [True, True]


async def test_in_a_hurry_what_is_long_is_written_at_once_in_short_steps(
    threads: Threads, autojump_clock: MockClock
) -> None:
    """And who asks all the time is not read before it is."""
    commits = JournalCommits(cast("Journal", threads))
    busy = Busy()
    half = "x" * (FULL_CHARS // 2)

    def note(count: int) -> None:
        for number in range(count):
            put(commits, number, half)
            commits.when_durable(lambda _: None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, busy)
        note(3)
        # Nobody is in a hurry yet.
        assert busy.urgently == []
        await trio.sleep(1)
        await in_a_hurry(commits)
        await trio.sleep(HURRIED_SECONDS / 2)
        busy.asked.clear()
        threads.rows_per_step.clear()
        note(2)
        assert busy.urgently == []
        note(3)
        assert busy.urgently == ["at once"]
        began = trio.current_time()
        while len(threads.rows_per_step) < 1:
            await trio.lowlevel.checkpoint()
        assert trio.current_time() == began
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert busy.urgently == ["at once", "flush"]
    assert all(threads.is_here)
    assert threads.rows_per_step == [rows_per_step(FULL_CHARS + 1)] < [rows_per_step(FULL_CHARS)]


async def test_what_is_urgent_while_a_batch_is_written_has_others_give_way(
    threads: Threads, autojump_clock: MockClock
) -> None:
    """And it is in the next batch, at whose end all are served again."""
    commits = JournalCommits(cast("Journal", threads))
    busy = Busy()
    told = Told(commits)

    async def ask() -> None:
        while commits.is_dirty:
            await trio.lowlevel.checkpoint()
        # The batch has been begun, and there are steps of it left.
        busy.asked.append("asked")
        put(commits, 2)
        told.wait("urgent", is_urgent=True)
        assert (busy.asked[-1], threads.is_here) == ("at once", [])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, busy)
        await wait_all_tasks_blocked()
        threads.steps, threads.step_seconds = 10, STEP_SECONDS
        put(commits, 1)
        for name in ("a", "b"):
            told.wait(name)
        busy.asked.clear()
        nursery.start_soon(ask)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert threads.is_here == [True, True]
    assert busy.urgently[:2] == ["asked", "at once"]
    assert busy.urgently[-1] == "flush"
    assert [name for name, _ in told.all] == ["a", "b", "urgent"]


async def test_what_is_urgent_too_soon_has_others_give_way_when_it_is_written(
    threads: Threads, autojump_clock: MockClock
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    busy = Busy()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, busy)
        await be_busy(threads, commits)
        put(commits, 1)
        commits.when_durable(lambda _: None, is_urgent=True)
        await trio.sleep(0.9 * GATHER_SECONDS)
        assert busy.urgently == []
        await trio.sleep(0.2 * GATHER_SECONDS)
        nursery.cancel_scope.cancel()
    assert busy.urgently == ["at once", "flush"]


async def test_where_the_disk_was_slow_just_now_nobody_stands_still_for_a_thread(
    threads: Threads, autojump_clock: MockClock
) -> None:
    commits = JournalCommits(cast("Journal", threads))
    busy = Busy()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, busy)
        threads.seconds = 2 * SLOW_SECONDS
        said: list[bool] = []
        for _ in range(2):
            busy.asked.clear()
            put(commits, 1)
            commits.when_durable(lambda _: None, is_urgent=True)
            await trio.sleep(RETRY_SECONDS / 4)
            said.append("at once" in busy.asked)
        nursery.cancel_scope.cancel()
    assert (threads.is_here, said) == ([True, False], [True, False])


async def test_where_the_disk_is_waited_for_nobody_has_to_give_way_at_once(
    fake_journal: FakeJournal, autojump_clock: MockClock
) -> None:
    """All would stand still for it."""
    fake_journal.waits_for_disk = True
    commits = JournalCommits(cast("Journal", fake_journal))
    busy = Busy()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, busy)
        await be_busy(fake_journal, commits)
        await trio.sleep(1)
        busy.asked.clear()
        put(commits, 1)
        commits.when_durable(lambda _: None, is_urgent=True)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert busy.asked
    assert "at once" not in busy.asked
    assert fake_journal.batches == [attributes(1)]


async def test_what_is_said_to_whom_it_was_urgent_goes_out_before_others_are_told(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
) -> None:
    told: list[str] = []

    class Writing(Alone):
        def flush(self) -> None:
            told.append("flush")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run, Writing())
        put(commits, 1)
        for name in ("a", "b"):
            commits.when_durable(lambda _, name=name: told.append(name))  # type: ignore[misc]
        commits.when_durable(lambda _: told.append("urgent"), is_urgent=True)
        await wait_all_tasks_blocked()
        put(commits, 2)
        commits.when_durable(lambda _: told.append("c"))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert told == ["urgent", "flush", "a", "b", "c"]
