"""Message ids in a series: made, and told from any other."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.wire.message_ids import MARK, new_series, parse_message_id


def test_a_series_counts_from_one() -> None:
    ids = list(islice(new_series(), 1000))
    parsed = [parse_message_id(it) for it in ids]
    assert all(parsed)
    assert [it[1] for it in parsed if it] == list(range(1, 1001))
    assert len({it[0] for it in parsed if it}) == 1


def test_no_two_series_are_the_same() -> None:
    assert len({next(new_series()) for _ in range(1000)}) == 1000


@given(st.text(max_size=128))
def test_an_id_of_any_other_form_is_of_no_series(text: str) -> None:
    if not text.startswith(MARK):
        assert parse_message_id(text) is None
    parsed = parse_message_id(MARK + text)
    if parsed is not None:
        series, number = parsed
        assert series.startswith(MARK)
        head, _, digits = (MARK + text).rpartition(".")
        assert (head, int(digits)) == (series, number)


@pytest.mark.parametrize(
    "message_id",
    [
        "",
        "a.1",
        "~",
        "~.",
        "~a",
        "~a.",
        "~a.-1",
        "~a.+1",
        "~a.1_0",
        "~a.²",
        "~a.\u0661",
        f"~a.{'9' * 16}",
    ],
)
def test_what_is_nearly_of_a_series_is_not(message_id: str) -> None:
    assert parse_message_id(message_id) is None
