"""The sliding window, against a list of all times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.rates import (
    AGED,
    LET_GO,
    MAX_PACES,
    WINDOW_SECONDS,
    Pace,
    Paces,
    Rate,
    Rates,
)


def test_the_limit_is_allowed_and_one_more_is_not_until_a_second_has_passed() -> None:
    rate = Rate()
    assert [rate.allows(3, now) for now in (0.0, 0.5, 0.9, 0.95)] == [True, True, True, False]
    assert not rate.allows(3, 0.999)
    assert rate.allows(3, 1.0)
    assert not rate.allows(3, 1.4)
    assert rate.allows(3, 1.5)


def test_what_was_refused_does_not_count() -> None:
    rate = Rate()
    assert rate.allows(1, 0.0)
    assert not any(rate.allows(1, tenth / 10) for tenth in range(1, 10))
    assert rate.allows(1, 1.0)


def test_no_limit_allows_everything_and_counts_nothing() -> None:
    rate = Rate()
    assert all(rate.allows(0, 0.0) for _ in range(1000))
    assert rate.seconds_left(0, 0.0) == 0


def test_a_limit_may_change_from_call_to_call() -> None:
    rate = Rate()
    assert all(rate.allows(10, 0.0) for _ in range(5))
    assert not rate.allows(3, 0.5)
    assert rate.allows(6, 0.5)
    assert not rate.allows(6, 0.5)


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0]), max_size=40),
)
def test_no_second_holds_more_than_the_limit_and_nothing_is_refused_without_need(
    limit: int, steps: list[float]
) -> None:
    rate = Rate()
    now = 0.0
    allowed: list[float] = []
    for step in steps:
        now += step
        recent = [time for time in allowed if now - time < WINDOW_SECONDS]
        assert rate.allows(limit, now) is (len(recent) < limit)
        if len(recent) < limit:
            allowed.append(now)


@pytest.mark.parametrize("limit", [63, 64, 100, 150, 1000])
def test_times_that_are_over_are_let_go_of_many_together_and_count_no_more(limit: int) -> None:
    rate = Rate()
    allowed: list[float] = []
    for number in range(500):
        now = number / 128
        recent = [time for time in allowed if now - time < WINDOW_SECONDS]
        assert rate.allows(limit, now) is (len(recent) < limit)
        if len(recent) < limit:
            allowed.append(now)


def test_a_rate_has_no_room_for_stray_attributes() -> None:
    with pytest.raises(AttributeError):
        Rate().surprise = 1  # type: ignore[attr-defined]  # that it is refused is the test


def test_a_rate_says_when_one_more_is_allowed() -> None:
    rate = Rate()
    assert rate.seconds_left(2, 0.0) == 0
    for now in (0.0, 0.25):
        assert rate.allows(2, now)
    assert rate.seconds_left(2, 0.5) == 0.5
    assert rate.seconds_left(3, 0.5) == 0
    assert rate.seconds_left(1, 0.5) == 0.75
    assert rate.seconds_left(2, 1.0) == 0


def test_the_rates_of_many_are_forgotten_once_they_have_been_quiet_for_a_second() -> None:
    rates: Rates[int] = Rates()
    busy = rates.of(0, 5.0)
    for key in range(1, 1000):
        now = 5.0 + key / 10
        rates.of(key, now)
        assert rates.of(0, now) is busy
        assert len(rates) <= 22


def test_the_rates_of_very_many_are_let_go_of_some_at_a_time() -> None:
    """At once they would keep everybody waiting: 20,000 take 10 ms."""
    gone: list[int] = []

    class Key(int):
        def __del__(self) -> None:
            gone.append(int(self))

    rates: Rates[int] = Rates()
    for number in range(10_000):
        rates.of(Key(number), 5.0)
    most = 0
    for number in range(10_000):
        before = len(gone)
        rates.of(-1 - number, 7.5 + number / 1e6)
        most = max(most, len(gone) - before)
    assert most == LET_GO
    assert len(gone) == 10_000
    # Where nobody asks, whoever looks sees to it.
    rates = Rates()
    for number in range(AGED + 1):
        rates.of(Key(number), 20.0)
    gone.clear()
    rates.age(23.0)
    assert len(gone) == AGED
    rates.age(24.0)
    assert len(gone) == AGED + 1


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.125, 0.5, 0.875, 1.5]))))
def test_a_rate_that_was_asked_for_within_a_second_is_the_same(
    steps: list[tuple[int, float]],
) -> None:
    rates: Rates[int] = Rates()
    last: dict[int, tuple[float, Rate]] = {}
    now = 0.0
    for key, step in steps:
        now += step
        rate = rates.of(key, now)
        if key in last and now - last[key][0] < WINDOW_SECONDS:
            assert rate is last[key][1]
        last[key] = now, rate


def test_a_rate_that_somebody_holds_stays_and_is_forgotten_a_second_after_it_was_let_go() -> None:
    rates: Rates[str] = Rates()
    held = rates.hold("ann", 0.0)
    assert rates.of("ann", 100.0) is held
    known = id(held)
    del held
    assert id(rates.of("ann", 100.9)) == known
    rates.of("ann", 200.0)
    assert len(rates) == 1


def test_the_last_ones_are_forgotten_too_where_somebody_looks() -> None:
    rates: Rates[str] = Rates()
    rate = rates.of("ann", 0.5)
    rates.age(1.4)
    assert rates.of("ann", 1.4) is rate
    rates.age(2.3)
    assert rates.of("ann", 2.3) is rate
    rates.age(3.4)
    rates.age(4.5)
    assert len(rates) == 0


# --- a pace ---


def test_a_pace_allows_a_seconds_worth_at_once_and_then_one_by_one() -> None:
    pace = Pace()
    assert [pace.seconds_left(4, 0.0) for _ in range(5)] == [0, 0, 0, 0, 0.25]
    assert pace.seconds_left(4, 0.125) == 0.125
    assert pace.seconds_left(4, 0.25) == 0
    assert pace.seconds_left(4, 0.25) == 0.25
    assert [pace.seconds_left(4, 9.0) for _ in range(4)] == [0, 0, 0, 0]
    assert pace.seconds_left(4, 9.0) > 0


def test_what_costs_more_is_paid_for_by_waiting() -> None:
    pace = Pace()
    assert pace.seconds_left(10, 0.0) == 0
    pace.charge(29, 10, 0.0)
    assert pace.seconds_left(10, 0.0) == pytest.approx(2.1)
    assert pace.seconds_left(10, 2.1) == 0


def test_a_pace_without_a_limit_counts_nothing() -> None:
    pace = Pace()
    pace.charge(1000, 0, 0.0)
    assert not any(pace.seconds_left(0, 0.0) for _ in range(1000))
    assert pace.seconds_left(1, 0.0) == 0


@given(
    limit=st.integers(1, 8),
    steps=st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0]), max_size=60),
)
def test_no_time_holds_more_than_its_share_and_a_second(limit: int, steps: list[float]) -> None:
    pace = Pace()
    now = 0.0
    allowed: list[float] = []
    for step in steps:
        now += step
        seconds = pace.seconds_left(limit, now)
        if not seconds:
            allowed.append(now)
        else:
            assert 0 < seconds <= 1 / limit + 1e-6
        for index, start in enumerate(allowed):
            assert len(allowed) - index <= limit * (now - start) + limit + 1e-6


def test_a_pace_may_count_in_another_window() -> None:
    pace = Pace()
    assert [pace.seconds_left(3, 0.0, 60.0) for _ in range(3)] == [0, 0, 0]
    assert pace.seconds_left(3, 0.0, 60.0) == pytest.approx(20)
    assert not pace.is_idle(59.9)
    assert pace.seconds_left(3, 20.0, 60.0) == 0
    assert pace.seconds_left(3, 20.0, 60.0) == pytest.approx(20)
    assert pace.is_idle(80.0)


def test_the_paces_of_many_are_those_that_were_asked_for_last() -> None:
    paces: Paces[int] = Paces()
    first = paces.of(0)
    for key in range(1, MAX_PACES):
        paces.of(key)
    # It is asked for again, and so the next one is the oldest.
    assert paces.of(0) is first
    second, third = paces.of(2), paces.of(3)
    paces.of(MAX_PACES)
    assert len(paces) == MAX_PACES
    assert (paces.of(0), paces.of(2), paces.of(3)) == (first, second, third)
    assert paces.of(1).is_idle(0.0)
    assert len(paces) == MAX_PACES


def test_paces_that_are_used_up_are_forgotten_from_the_one_that_was_asked_for_longest() -> None:
    paces: Paces[int] = Paces()
    for key in range(AGED + 3):
        assert paces.of(key).seconds_left(1, 5.0) == 0
    paces.age(5.5)
    assert len(paces) == AGED + 3
    paces.of(AGED + 1).charge(9, 1, 5.0)
    paces.age(6.0)
    assert len(paces) == 3
    paces.age(6.0)
    assert len(paces) == 1
    # It is as it was.
    assert paces.of(AGED + 1).seconds_left(1, 6.0) > 0
    paces.age(99.0)
    assert len(paces) == 0
