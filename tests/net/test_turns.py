"""Turns: who has used least is next, nobody waits for ever, and all is forgotten soon."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.net.turns import (
    ANY,
    ELDEST_EVERY,
    MOST_AT_ONCE_SECONDS,
    REMEMBERED_SECONDS,
    SELDOM_STEPS,
    STEP_SECONDS,
    STEPS,
    Line,
    Turns,
)

NOW = 1000.0


@pytest.fixture
def turns() -> Turns[str]:
    turns: Turns[str] = Turns()
    turns.count(NOW)
    return turns


def wait(turns: Turns[str], names: str) -> None:
    for name in names:
        turns.add(name)


def use_much(turns: Turns[str], name: str, times: int) -> None:
    for _ in range(times):
        turns.charge(name, MOST_AT_ONCE_SECONDS, NOW)


def popped(turns: Turns[str]) -> str:
    names = ""
    while (name := turns.pop()) is not None:
        names += name
    return names


def test_who_has_used_nothing_is_next_and_of_those_who_waits_longest(turns: Turns[str]) -> None:
    turns.charge("a", 0.002, NOW)
    turns.charge("b", 0.001, NOW)
    wait(turns, "abcd")
    assert len(turns) == 4
    assert popped(turns) == "cdba"
    assert len(turns) == 0


def test_each_waits_once(turns: Turns[str]) -> None:
    wait(turns, "aabab")
    assert popped(turns) == "ab"
    wait(turns, "a")
    assert popped(turns) == "a"


def test_those_who_have_used_little_can_be_asked_for_alone(turns: Turns[str]) -> None:
    turns.charge("a", 2.5 * STEP_SECONDS, NOW)
    turns.charge("b", 0.5 * STEP_SECONDS, NOW)
    wait(turns, "ab")
    assert turns.waits(1)
    assert turns.pop(2) == "b"
    assert turns.pop(2) is None
    assert not turns.waits(2)
    wait(turns, "c")
    assert turns.waits(0)
    assert [turns.pop(2), turns.pop(2), turns.waits(3), turns.pop(3)] == ["c", None, True, "a"]
    assert not turns.waits(ANY)


def test_who_has_used_very_much_takes_turns_with_others_like_it(turns: Turns[str]) -> None:
    use_much(turns, "a", 100)
    use_much(turns, "b", 5)
    wait(turns, "ab")
    assert popped(turns) == "ab"


def test_one_turn_in_which_all_stood_still_does_not_make_anybody_wait(turns: Turns[str]) -> None:
    turns.charge("quiet", 1.0, NOW)
    use_much(turns, "busy", 2)
    turns.add("busy")
    turns.add("quiet")
    assert turns.pop() == "quiet"


def test_what_was_used_is_forgotten_in_two_seconds(turns: Turns[str]) -> None:
    turns.charge("a", 0.002, NOW)
    turns.charge("b", 0.0, NOW + REMEMBERED_SECONDS)
    wait(turns, "ac")
    assert popped(turns) == "ca"
    turns.charge("b", 0.0, NOW + 2 * REMEMBERED_SECONDS)
    wait(turns, "ac")
    assert popped(turns) == "ac"
    assert turns.step == 0
    wait(turns, "b")
    assert popped(turns) == "b"
    assert turns.step == 1


def test_nobody_waits_for_ever(turns: Turns[str]) -> None:
    """New ones that have used nothing come all the time: whoever has used much is before them once
    that is forgotten.
    """
    use_much(turns, "a", 5)
    wait(turns, "a")
    now, number = NOW, 0
    while True:
        number += 1
        turns.add(f"new{number}")
        if (key := turns.pop()) == "a":
            break
        assert key is not None
        now += 0.01
        turns.charge(key, 0.001, now)
        assert now - NOW < 3 * REMEMBERED_SECONDS
    assert now - NOW >= REMEMBERED_SECONDS


@pytest.mark.parametrize(("seconds", "waits"), [(1.9 * STEP_SECONDS, False), (0.1, True)])
def test_newcomers_do_not_keep_those_waiting_who_ask_seldom(
    turns: Turns[str], seconds: float, waits: bool
) -> None:
    turns.charge("a", seconds, NOW)
    wait(turns, "a")
    first: list[str | None] = []
    for number in range(2 * ELDEST_EVERY):
        wait(turns, f"{number}"[-1:] if number < ELDEST_EVERY else "xyz"[number % 3])
        first.append(turns.pop())
    assert ("a" in first[:ELDEST_EVERY]) != waits
    assert ("a" in first) != waits


KEYS = st.integers(0, 9)


@given(
    st.lists(st.integers(0, 5), max_size=10),
    st.lists(
        st.tuples(KEYS, st.none() | KEYS, st.sampled_from([0, 1, SELDOM_STEPS, 7, ANY, ANY, ANY])),
        max_size=40,
    ),
)
def test_turns_are_as_a_plain_list_says(
    first: list[int], steps: list[tuple[int, int | None, int]]
) -> None:
    """Whose turn it is, and whether anybody waits, found by looking at all of them. At `first` some
    have used so much, and wait; then one comes, one may go, and one has his turn, which he uses.
    """
    turns: Turns[int] = Turns()
    waiting: dict[int, int] = {}
    used: Counter[int] = Counter()

    def use(key: int, times: int) -> None:
        for _ in range(times):
            turns.charge(key, 0.59 * STEP_SECONDS, NOW)
        used[key] += times

    def come(key: int) -> None:
        turns.add(key)
        # What it has used when it comes is what counts.
        steps = min(int(used[key] * 0.59), STEPS) + 1 if used[key] else 0
        waiting.setdefault(key, steps)

    for key, times in enumerate(first):
        use(key, times)
        come(key)
    pops = 0
    for comes, goes, most in steps:
        come(comes)
        if goes is not None:
            turns.forget(goes)
            waiting.pop(goes, None)
            used.pop(goes, None)
        few = [key for key, step in waiting.items() if step <= most]
        assert turns.waits(most) == bool(few)
        pops += bool(waiting)
        expected = min(few, key=waiting.__getitem__, default=None)
        seldom = [key for key in few if waiting[key] <= SELDOM_STEPS]
        if pops % ELDEST_EVERY == 0 and seldom:
            expected = seldom[0]
        assert turns.pop(most) == expected
        if expected is not None:
            assert turns.step == waiting.pop(expected)
            use(expected, 1)
        assert len(turns) == len(waiting)


def test_who_is_gone_has_no_turn_and_leaves_nothing_to_the_next(turns: Turns[str]) -> None:
    turns.charge("a", 0.002, NOW)
    wait(turns, "ab")
    turns.forget("a")
    assert popped(turns) == "b"
    wait(turns, "a")
    assert popped(turns) == "a"
    assert turns.step == 0


def test_it_tells_since_when_somebody_waits(turns: Turns[str]) -> None:
    assert turns.eldest == math.inf
    turns.charge("a", 0.002, NOW)
    wait(turns, "a")
    first = turns.number
    wait(turns, "b")
    assert turns.pop() == "b"
    assert turns.eldest == first
    assert turns.pop() == "a"
    assert turns.eldest == math.inf


def test_while_there_is_time_for_all_nothing_is_kept(turns: Turns[str]) -> None:
    turns.charge("a", 0.002, NOW)
    assert not turns.is_calm(NOW + REMEMBERED_SECONDS)
    wait(turns, "a")
    assert not turns.is_calm(NOW + 3 * REMEMBERED_SECONDS)
    assert turns.pop() == "a"
    assert turns.step == 5
    assert turns.is_calm(NOW + 3 * REMEMBERED_SECONDS)
    wait(turns, "a")
    assert turns.pop() == "a"
    assert turns.step == 0


# --- in line ---


@given(st.lists(st.one_of(st.none(), st.tuples(st.booleans(), st.integers(0, 4)))))
def test_in_line_each_waits_once_in_the_order_in_which_all_came(
    steps: list[tuple[bool, int] | None],
) -> None:
    """However much anybody has used. What a step says: add one, forget one, or pop."""
    line: Line[int] = Line()
    waiting: dict[int, int] = {}
    added = 0
    for step in steps:
        if step is None:
            first = next(iter(waiting), None)
            assert line.pop() == first
            if first is not None:
                del waiting[first]
                line.charge(first, 1.0, NOW)
        elif step[0]:
            added += step[1] not in waiting
            waiting.setdefault(step[1], added)
            line.add(step[1])
        else:
            waiting.pop(step[1], None)
            line.forget(step[1])
        assert len(line) == len(waiting)
        assert line.is_calm(NOW) is (not waiting)
        assert line.eldest == next(iter(waiting.values()), math.inf)
        assert line.number == added
        assert line.step > STEPS
