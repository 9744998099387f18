"""The back-off: how pauses grow, how they are drawn, and when the tries end."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk import Backoff, ParameterError
from signal_sdk.client.backoff import Outage


class Longest(random.Random):
    """Draws the longest pause each time."""

    def uniform(self, a: float, b: float) -> float:
        return b


def pauses(backoff: Backoff, count: int, rng: random.Random | None = None) -> list[float | None]:
    outage = Outage(backoff, 0.0, (rng or Longest()).uniform)
    return [outage.next_pause(0.0) for _ in range(count)]


def test_pauses_double_up_to_half_a_minute_and_never_end() -> None:
    assert pauses(Backoff(), 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert pauses(Backoff(), 5000)[-1] == 30


def test_they_grow_as_they_are_told_to() -> None:
    backoff = Backoff(first_seconds=1, factor=3, max_seconds=10)
    assert pauses(backoff, 4) == [1, 3, 9, 10]


def test_a_number_of_tries_is_a_bound() -> None:
    outage = Outage(Backoff(attempts=2), 0.0, Longest().uniform)
    assert [outage.next_pause(0.0) for _ in range(3)] == [0.5, 1, None]
    assert outage.made == 2


def test_a_time_is_a_bound_that_no_try_oversteps() -> None:
    outage = Outage(Backoff(seconds=10), 100.0, Longest().uniform)
    assert outage.next_pause(109.0) == 0.5
    assert outage.next_pause(109.0) is None
    assert outage.next_pause(109.5) is None
    assert outage.made == 1


def test_what_the_server_asks_for_is_the_least() -> None:
    outage = Outage(Backoff(), 0.0, Longest().uniform)
    assert outage.next_pause(0.0, 7.0) == 7
    assert outage.next_pause(0.0, 0.1) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_seconds": 0},
        {"first_seconds": math.nan},
        {"first_seconds": "1"},
        {"factor": 0.5},
        {"factor": math.inf},
        {"max_seconds": 0.1},
        {"attempts": 0},
        {"attempts": 1.5},
        {"seconds": 0},
        {"seconds": True},
    ],
    ids=str,
)
def test_what_is_no_back_off(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        Backoff(**wrong)


@given(
    st.floats(0.01, 10),
    st.floats(1, 10),
    st.floats(10, 100),
    st.integers(0, 2**32),
    st.integers(1, 60),
)
def test_each_pause_is_a_random_part_of_one_that_grows(
    first: float, factor: float, most: float, seed: int, count: int
) -> None:
    backoff = Backoff(first_seconds=first, factor=factor, max_seconds=most)
    whole = pauses(backoff, count)
    drawn = pauses(backoff, count, random.Random(seed))
    for longest, pause in zip(whole, drawn, strict=True):
        assert longest is not None
        assert pause is not None
        assert longest / 2 <= pause <= longest <= most


def test_clients_do_not_come_at_once() -> None:
    assert len({pauses(Backoff(), 1, random.Random(seed))[0] for seed in range(50)}) == 50
