"""Times in classes: what they say of shares is right to within a class."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.cli.histogram import Histogram

times = st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=200)


def filled(seconds: list[float]) -> Histogram:
    histogram = Histogram()
    for it in seconds:
        histogram.add(it)
    return histogram


@given(times, st.sampled_from([0, 50, 90, 99, 100]))
def test_a_share_is_within_a_class(seconds: list[float], percent: int) -> None:
    exact = sorted(seconds)[max(0, -(-len(seconds) * percent // 100) - 1)]
    told = filled(seconds).at(percent)
    assert exact * 0.999999 <= told <= exact * 1.0443 + 1e-12
    assert told <= max(seconds)


@given(times)
def test_every_time_is_in_one_bar(seconds: list[float]) -> None:
    bars = list(filled(seconds).bars())
    assert sum(count for _, count in bars) == len(seconds)
    assert bars[0][1] > 0
    assert bars[-1][1] > 0
    ends = [end for end, _ in bars]
    assert ends == sorted(ends)
    assert ends[-1] >= max(seconds) * 0.95


def test_what_is_out_of_bounds_counts_as_the_bound() -> None:
    histogram = filled([0.0, -1.0, 1e-9, 1e6])
    assert histogram.count == 4
    assert histogram.at(50) == pytest.approx(1e-6)
    assert histogram.largest == 1e6
    assert histogram.at(100) == pytest.approx(134, rel=0.01)


def test_of_nothing_there_is_nothing_to_say() -> None:
    histogram = Histogram()
    assert histogram.summary() == {"count": 0, "p50": 0, "p90": 0, "p99": 0, "max": 0}
    assert list(histogram.bars()) == []
