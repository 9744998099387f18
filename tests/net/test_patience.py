"""The patient clock: it does not count the time in which the process stood still. On the mock
clock, a jump is such a time: nothing of the process runs meanwhile.
"""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from signal_sdk.net.alarms import Alarms
from signal_sdk.net.patience import (
    BEAT_SECONDS,
    GRACE_EVERY_SECONDS,
    GRACE_SECONDS,
    LATE_SECONDS,
    PatientClock,
)

STILL = 100.0


@pytest.fixture
async def patient(autojump_clock: MockClock, nursery: trio.Nursery) -> PatientClock:
    alarms = Alarms()
    await nursery.start(alarms.run)
    return alarms.clock


async def test_it_is_trio_s_clock_while_the_process_runs(
    autojump_clock: MockClock, patient: PatientClock
) -> None:
    for seconds in (0.5, 3, 1000):
        await trio.sleep(seconds)
        assert patient.time() == trio.current_time()
        assert patient.when(patient.time() + 5) == trio.current_time() + 5


async def test_time_in_which_the_process_stood_still_does_not_count_nor_does_a_grace_after_it(
    autojump_clock: MockClock, patient: PatientClock
) -> None:
    await trio.sleep(5)
    patient.time()
    autojump_clock.jump(STILL)
    assert patient.time() == 5
    assert patient.when(5) == trio.current_time()
    await trio.sleep(GRACE_SECONDS - 1)
    assert patient.time() == 5
    await trio.sleep(3)
    assert patient.time() == 7
    assert patient.when(9) == trio.current_time() + 2


async def test_a_pause_that_is_shorter_than_a_beat_and_a_little_counts(
    autojump_clock: MockClock, patient: PatientClock
) -> None:
    await trio.sleep(5)
    autojump_clock.jump(BEAT_SECONDS)
    assert patient.time() == 5 + BEAT_SECONDS


async def test_who_stands_still_again_and_again_has_one_grace_in_a_minute(
    autojump_clock: MockClock, patient: PatientClock
) -> None:
    """Else a bot whose callbacks block would never notice that its server has gone."""
    await trio.sleep(1)
    began = patient.time()
    for _ in range(20):
        autojump_clock.jump(BEAT_SECONDS + LATE_SECONDS + 1)
        patient.time()
        await trio.sleep(2)
        patient.time()
    assert patient.time() - began == pytest.approx(20 * 2 - GRACE_SECONDS)
    await trio.sleep(GRACE_EVERY_SECONDS)
    before = patient.time()
    autojump_clock.jump(STILL)
    patient.time()
    await trio.sleep(GRACE_SECONDS)
    assert patient.time() == pytest.approx(before)


async def test_standing_still_within_a_grace_does_not_shorten_it(
    autojump_clock: MockClock, patient: PatientClock
) -> None:
    await trio.sleep(5)
    patient.time()
    autojump_clock.jump(STILL)
    patient.time()
    await trio.sleep(GRACE_SECONDS / 2)
    patient.time()
    autojump_clock.jump(STILL)
    assert patient.time() == 5
    await trio.sleep(GRACE_SECONDS / 2 - 0.5)
    assert patient.time() == 5
    await trio.sleep(1.5)
    assert patient.time() == pytest.approx(6)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(min_value=0, max_value=100, allow_nan=False)),
        max_size=20,
    )
)
def test_it_never_goes_backwards_and_never_faster_than_trio_s(
    steps: list[tuple[bool, float]],
) -> None:
    clock = MockClock()

    async def run() -> None:
        patient = PatientClock()
        patient.start()
        shown, real = patient.time(), trio.current_time()
        for is_standstill, seconds in steps:
            for part in [seconds] if is_standstill else [seconds / 100] * 100:
                clock.jump(part)
                earlier, shown = shown, patient.time()
                before, real = real, trio.current_time()
                assert 0 <= shown - earlier <= real - before + 1e-6

    trio.run(run, clock=clock)
