"""Histograms of plain ints, and what a refusal counts as."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.counts import FUNCTIONS, UNKNOWN, Histogram, Tallies, device_of

BOUNDS = (0.5, 1, 2.5)


@given(values=st.lists(st.sampled_from([0, 0.4, 0.5, 0.6, 1, 2, 2.5, 3, 1e9])))
def test_each_value_counts_within_the_least_bound_that_holds_it(values: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.add(value)
    assert histogram.count == len(values)
    # From Python 3.12 on, `sum` makes up for what each addition has rounded away.
    assert math.isclose(histogram.sum, sum(values))
    for number, bound in enumerate(BOUNDS, 1):
        assert sum(histogram.counts[:number]) == sum(value <= bound for value in values)


@given(function=st.text())
def test_whatever_a_client_calls_a_function_there_are_only_so_many_names(function: str) -> None:
    tallies = Tallies()
    tallies.refuse(function, SignalError(ECode.GENERAL_E_FAILED, "no"))
    ((name, ecode),) = tallies.refused
    assert name == (function if function in FUNCTIONS else UNKNOWN)
    assert ecode is ECode.GENERAL_E_FAILED


@given(said=st.text())
def test_whatever_a_client_says_it_is_there_are_only_so_many_devices(said: str) -> None:
    assert device_of(said) in {"websdk", "javasdk", "none", "other"}
