"""How often and for how long `login2` tries again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk import ParameterError
from signal_sdk.client.backoff import Outage
from signal_sdk.flat.retries import RetryPolicy


def pauses(policy: RetryPolicy, each_takes: float = 0.0) -> list[float]:
    """The pauses before all tries, where each one fails after a while."""
    assert policy.backoff is not None
    tries, now, found = Outage(policy.backoff, 100.0, random.Random(1).uniform), 100.0, []
    while (pause := tries.next_pause(now)) is not None:
        found.append(pause)
        now += pause + each_takes
    assert tries.made == len(found)
    return found


def test_the_default_tries_three_times_with_growing_pauses() -> None:
    one, two, three = pauses(RetryPolicy(30, 3))
    assert 0.5 <= one <= 1
    assert 2 <= two <= 4
    assert 5 <= three <= 10


@given(seconds=st.floats(0.01, 1000), count=st.integers(1, 100), each=st.floats(0, 100))
def test_neither_bound_is_passed(seconds: float, count: int, each: float) -> None:
    found = pauses(RetryPolicy(seconds, count), each)
    assert len(found) <= count
    assert sum(found) + each * (len(found) - 1) <= seconds
    assert all(pause > 0 for pause in found)


@given(seconds=st.floats(0.01, 1000), count=st.integers(1, 100))
def test_where_tries_fail_at_once_all_are_made(seconds: float, count: int) -> None:
    assert len(pauses(RetryPolicy(seconds, count))) >= count - 1


@pytest.mark.parametrize(("seconds", "count"), [(0, 3), (30, 0), (0.0, 0)])
def test_a_bound_of_0_is_no_retries(seconds: float, count: int) -> None:
    assert RetryPolicy.checked(seconds, count).backoff is None


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        ("30", 3),
        (None, 3),
        (True, 3),
        (-1, 3),
        (float("nan"), 3),
        (float("inf"), 3),
        (30, -1),
        (30, 1.5),
        (30, "3"),
        (30, True),
    ],
)
def test_wrong_values_are_refused(seconds: Any, count: Any) -> None:
    with pytest.raises(ParameterError):
        RetryPolicy.checked(seconds, count)
