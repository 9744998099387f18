"""The sliding window, against a list of all times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.rates import WINDOW_SECONDS, Rate, Rates


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
    assert rate.is_idle(0.0)


def test_a_limit_may_change_from_call_to_call() -> None:
    rate = Rate()
    assert all(rate.allows(10, 0.0) for _ in range(5))
    assert not rate.allows(3, 0.5)
    assert rate.allows(6, 0.5)
    assert not rate.allows(6, 0.5)


def test_a_rate_is_idle_a_second_after_the_last_count() -> None:
    rate = Rate()
    assert rate.is_idle(0.0)
    rate.allows(5, 1.0)
    assert not rate.is_idle(1.9)
    assert rate.is_idle(2.0)


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


def test_a_rate_has_no_room_for_stray_attributes() -> None:
    with pytest.raises(AttributeError):
        Rate().surprise = 1  # type: ignore[attr-defined]  # that it is refused is the test


def test_the_rates_of_many_are_forgotten_once_they_have_been_quiet_for_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signal_sdk.server.rates.MAX_IDLE_RATES", 10)
    rates: Rates[int] = Rates()
    busy = rates.of(0, 5.0)
    assert busy.allows(1, 5.0)
    for key in range(1, 100):
        rates.of(key, 5.5)
        assert len(rates) <= 11
    assert rates.of(0, 5.5) is busy
