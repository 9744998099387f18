"""In which order and in which turns those are told who have waited."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.commits import JournalCommits
from signal_sdk.server.engine.hurry import GATHER_SECONDS
from signal_sdk.server.engine.telling import TELL_SECONDS, TELLS_PER_LOOK
from tests.server.engine.commit_kit import FULL, FakeJournal, Told, attributes, put, running


async def test_what_is_urgent_does_not_wait_until_all_others_are_told(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
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
    assert fake_journal.batches == [attributes(1), attributes(2)]
    at = told.index("urgent")
    assert 0 < at <= (GATHER_SECONDS / TELL_SECONDS + 2) * TELLS_PER_LOOK
    assert [*told[:at], *told[at + 1 :]] == [*map(str, range(count)), "later"]


async def test_very_many_to_whom_it_is_urgent_are_told_in_turns_too(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
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
    fake_journal: FakeJournal, commits: JournalCommits, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    fake_journal.failure = FULL
    put(commits, 1)
    told.wait("a")
    told.wait("urgent", is_urgent=True)
    await commits.commit()
    assert told.all == [(name, ECode.GENERAL_E_FAILED) for name in ("urgent", "a")]
    caplog.clear()


async def test_what_is_urgent_and_was_cancelled_is_the_ends(
    fake_journal: FakeJournal, commits: JournalCommits, told: Told
) -> None:
    put(commits, 1)
    told.wait("a", is_urgent=True)
    with trio.CancelScope() as scope:
        scope.cancel()
        await commits.commit()
    assert told.all == []
    await commits.aclose()
    assert told.all == [("a", None)]


@pytest.mark.parametrize("others", [0, TELLS_PER_LOOK - 1, TELLS_PER_LOOK])
async def test_who_asks_while_others_are_told_is_told_behind_them(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock, others: int
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
    assert fake_journal.tries == 1


async def test_very_many_are_told_in_turns_and_in_order(
    fake_journal: FakeJournal, commits: JournalCommits, autojump_clock: MockClock
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
