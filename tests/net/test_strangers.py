"""Strangers: what one may cost, and the room that all share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.net.strangers import Pool, Tab


def test_an_allowance_is_used_up_once_for_all() -> None:
    tab = Tab(100)
    found = [(tab.affords(cost), tab.is_over) for cost in (60, 40, 1, 0)]
    assert found == [(True, False), (True, False), (False, True), (False, True)]
    ended = Tab(100)
    ended.end()
    assert ended.is_over
    assert not ended.affords(0)


def test_what_is_over_one_s_own_is_the_pool_s_until_it_is_let_go() -> None:
    pool = Pool(50)
    one, other = Tab(1000, 10, pool), Tab(1000, 10, pool)
    assert one.keeps(10)
    assert pool.left == 50
    assert one.keeps(40)
    assert other.keeps(30)
    assert pool.left == 0
    assert not one.keeps(41)
    assert other.keeps(30)
    assert one.keeps(20)
    assert pool.left == 20
    one.let_go()
    other.end()
    assert pool.left == 50
    assert Tab(0).keeps(10**9)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100))))
def test_a_pool_is_never_overdrawn_and_has_everything_back(steps: list[tuple[int, int]]) -> None:
    pool = Pool(120)
    tabs = [Tab(0, 10, pool) for _ in range(4)]
    kept = [0] * 4
    for who, size in steps:
        if tabs[who].keeps(size):
            kept[who] = size
        assert pool.left == 120 - sum(max(0, it - 10) for it in kept)
        assert pool.left >= 0
    for tab in tabs:
        tab.let_go()
    assert pool.left == 120


@pytest.mark.parametrize("size", [0, 5])
def test_a_pool_that_was_made_smaller_takes_back_all_the_same(size: int) -> None:
    pool = Pool(100)
    tab = Tab(0, 0, pool)
    assert tab.keeps(80)
    pool.left = -30
    assert tab.keeps(size)
    assert pool.left == 50 - size
