"""Appointments: in time, in order, cancelled, and failing, on the mock clock."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.net.alarms import MIN_CLEARED
from signal_sdk.net.reactor import Reactor
from signal_sdk.server.timers import Action, Timers


@pytest.fixture
async def timers(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Timers]:
    reactor = Reactor()
    timers = Timers(reactor)
    await nursery.start(reactor.run)
    await nursery.start(timers.run)
    yield timers
    nursery.cancel_scope.cancel()


class Diary:
    """Actions that write down when they ran."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, float]] = []

    def note(self, name: str) -> Action:
        async def action() -> None:
            self.entries.append((name, trio.current_time()))

        return action


async def test_actions_run_when_they_are_due_the_earliest_first(timers: Timers) -> None:
    diary = Diary()
    for seconds in (30, 10, 20):
        timers.after(seconds, diary.note(f"after {seconds}"))
    await trio.sleep(25)
    assert diary.entries == [("after 10", 10), ("after 20", 20)]
    await trio.sleep(25)
    assert diary.entries[2:] == [("after 30", 30)]


async def test_an_earlier_appointment_may_be_made_while_a_later_one_is_waited_for(
    timers: Timers,
) -> None:
    diary = Diary()
    timers.after(100, diary.note("late"))
    await trio.sleep(1)
    timers.after(5, diary.note("early"))
    await trio.sleep(10)
    assert diary.entries == [("early", 6)]


async def test_what_is_due_already_runs_now(timers: Timers) -> None:
    diary = Diary()
    timers.after(0, diary.note("now"))
    timers.after(-5, diary.note("yesterday"))
    await trio.sleep(0.001)
    assert {name for name, _ in diary.entries} == {"now", "yesterday"}


async def test_a_cancelled_action_never_runs_and_may_be_cancelled_again(timers: Timers) -> None:
    diary = Diary()
    timer = timers.after(10, diary.note("cancelled"))
    ran = timers.after(5, diary.note("ran"))
    timer.cancel()
    timer.cancel()
    await trio.sleep(20)
    ran.cancel()
    assert diary.entries == [("ran", 5)]


async def test_an_action_that_waits_keeps_no_other_from_running(timers: Timers) -> None:
    diary = Diary()
    timers.after(1, trio.sleep_forever)
    timers.after(2, diary.note("later"))
    await trio.sleep(3)
    assert diary.entries == [("later", 2)]


async def test_an_action_may_make_the_next_appointment(timers: Timers) -> None:
    diary = Diary()

    async def action() -> None:
        await diary.note("again")()
        timers.after(10, action)

    timers.after(10, action)
    await trio.sleep(35)
    assert diary.entries == [("again", 10), ("again", 20), ("again", 30)]


async def test_cancelled_appointments_do_not_pile_up(timers: Timers) -> None:
    """A token may be good for years, and its session's timer is cancelled within minutes."""
    diary = Diary()
    timers.after(50, diary.note("kept"))
    for number in range(MIN_CLEARED * 3):
        timers.after(10**9 + number, diary.note("never")).cancel()
    assert len(timers._reactor.alarms) <= MIN_CLEARED + 1
    await trio.sleep(60)
    assert diary.entries == [("kept", 50)]


async def test_clearing_away_keeps_the_order_of_what_is_left(timers: Timers) -> None:
    diary = Diary()
    kept = []
    for number in range(MIN_CLEARED):
        timer = timers.after(number % 97 + 1, diary.note(str(number)))
        if number % 10:
            timer.cancel()
        else:
            kept.append(str(number))
    for _ in range(MIN_CLEARED):
        timers.after(10**6, diary.note("never")).cancel()
    await trio.sleep(100)
    assert sorted(name for name, _ in diary.entries) == sorted(kept)
    assert [time for _, time in diary.entries] == sorted(time for _, time in diary.entries)


async def test_an_action_that_fails_is_logged_and_stops_no_other(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    diary = Diary()

    async def fail() -> None:
        raise ValueError("a mistake")

    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        timers = Timers(reactor)
        await nursery.start(reactor.run)
        await nursery.start(timers.run)
        timers.after(1, fail)
        timers.after(2, diary.note("goes on"))
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "a mistake" in str(record.exc_info[1])
    assert diary.entries == [("goes on", 2)]
    # This one was meant to be there.
    caplog.clear()
