"""Alarms: they ring in time, once, and when they were set last, on the mock clock."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from signal_sdk.net.alarms import MIN_CLEARED, RINGS_PER_TURN, Alarm, Alarms


@pytest.fixture
async def alarms(autojump_clock: MockClock, nursery: trio.Nursery) -> AsyncIterator[Alarms]:
    alarms = Alarms()
    await nursery.start(alarms.run)
    yield alarms
    nursery.cancel_scope.cancel()


class Diary:
    """When what rang."""

    def __init__(self) -> None:
        self.begun = trio.current_time()
        self.entries: list[tuple[str, int]] = []

    def at(self, seconds: float) -> float:
        """That long after the diary was begun."""
        return self.begun + seconds

    def note(self, name: str) -> Callable[[], None]:
        return lambda: self.entries.append((name, round(trio.current_time() - self.begun)))


async def test_they_ring_in_time_and_once(autojump_clock: MockClock, alarms: Alarms) -> None:
    diary = Diary()
    late, early = (Alarm(alarms, diary.note(name)) for name in ("late", "early"))
    late.set(diary.at(20))
    early.set(diary.at(10))
    assert (late.time, early.time) == (diary.at(20), diary.at(10))
    await trio.sleep(100)
    assert diary.entries == [("early", 10), ("late", 20)]
    assert late.time == math.inf
    late.set(diary.at(5))
    await trio.sleep(1)
    assert diary.entries[2:] == [("late", 100)]


async def test_what_was_set_last_counts(autojump_clock: MockClock, alarms: Alarms) -> None:
    diary = Diary()
    alarm = Alarm(alarms, diary.note("it"))
    for time in (10, 30, 30, 20):
        alarm.set(diary.at(time))
    await trio.sleep(100)
    assert diary.entries == [("it", 20)]


async def test_a_cancelled_one_does_not_ring_unless_it_is_set_again(
    autojump_clock: MockClock, alarms: Alarms
) -> None:
    diary = Diary()
    alarm = Alarm(alarms, diary.note("it"))
    alarm.cancel()
    alarm.set(diary.at(10))
    alarm.cancel()
    alarm.cancel()
    await trio.sleep(20)
    alarm.set(math.inf)
    await trio.sleep(20)
    assert diary.entries == []
    alarm.set(diary.at(50))
    await trio.sleep(20)
    assert diary.entries == [("it", 50)]


async def test_one_that_rings_may_cancel_or_set_the_next_or_itself(
    autojump_clock: MockClock, alarms: Alarms
) -> None:
    diary = Diary()
    cancelled = Alarm(alarms, diary.note("cancelled"))
    put_off = Alarm(alarms, diary.note("put off"))
    times = iter((20.0, 30.0, math.inf))

    def ring() -> None:
        diary.note("first")()
        cancelled.cancel()
        put_off.set(diary.at(15))
        first.set(diary.at(next(times)))

    first = Alarm(alarms, ring)
    for alarm in (first, cancelled, put_off):
        alarm.set(diary.at(10))
    await trio.sleep(100)
    assert diary.entries == [
        *(("first", 10), ("put off", 15)),
        *(("first", 20), ("put off", 20)),
        *(("first", 30), ("put off", 30)),
    ]


async def test_one_that_is_always_due_leaves_room_for_others(
    autojump_clock: MockClock, alarms: Alarms
) -> None:
    rings = 0

    def ring() -> None:
        nonlocal rings
        rings += 1
        alarm.set(0)

    alarm = Alarm(alarms, ring)
    alarm.set(0)
    for _ in range(100):
        await trio.lowlevel.checkpoint()
    assert 10 <= rings <= 110
    alarm.cancel()


async def test_very_many_that_are_due_leave_room_for_others(
    autojump_clock: MockClock, alarms: Alarms
) -> None:
    diary = Diary()
    for _ in range(10 * RINGS_PER_TURN):
        Alarm(alarms, diary.note("it")).set(0)
    turns = 0
    while len(diary.entries) < 10 * RINGS_PER_TURN:
        await trio.lowlevel.checkpoint()
        turns += 1
    assert turns >= 5


async def test_appointments_that_were_changed_do_not_pile_up(
    autojump_clock: MockClock, alarms: Alarms
) -> None:
    diary = Diary()
    alarm = Alarm(alarms, diary.note("it"))
    for number in range(10 * MIN_CLEARED):
        alarm.set(diary.at(100 + number))
    assert len(alarms) <= 2 * MIN_CLEARED
    await trio.sleep(100 + 10 * MIN_CLEARED)
    assert len(diary.entries) == 1


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.one_of(st.just(math.inf), st.integers(0, 30).map(lambda it: it + 0.25)),
            st.integers(0, 5),
        ),
        max_size=30,
    )
)
def test_each_rings_at_the_first_time_after_it_was_set_last(
    steps: list[tuple[int, float, int]],
) -> None:
    """As a plain list of times would."""

    async def run() -> None:
        alarms, rung = Alarms(), list[tuple[int, float]]()
        expected: list[tuple[int, float]] = []
        times = [math.inf] * 4

        def elapse(until: float) -> None:
            for number, due in enumerate(times):
                if due <= until:
                    expected.append((number, max(due, trio.current_time())))
                    times[number] = math.inf

        def note(number: int) -> None:
            rung.append((number, trio.current_time()))

        async with trio.open_nursery() as nursery:
            await nursery.start(alarms.run)
            each = [Alarm(alarms, partial(note, number)) for number in range(4)]
            for number, time, pause in steps:
                each[number].set(time)
                times[number] = time
                until = trio.current_time() + pause + 0.5
                elapse(until)
                await trio.sleep_until(until)
            nursery.cancel_scope.cancel()
        assert sorted(rung) == sorted(expected)

    trio.run(run, clock=MockClock(autojump_threshold=0))
