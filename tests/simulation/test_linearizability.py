"""The checker of histories: it takes what one server could have answered, and refuses all else."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.linearizability import (
    FREE,
    Acquire,
    Cas,
    Done,
    Gone,
    Over,
    Read,
    Refused,
    Release,
    Step,
    Write,
    is_linearizable,
    lock,
    register,
)

NEVER = math.inf


def is_register(*history: Done) -> bool:
    return is_linearizable(history, register, (0,))


def is_lock(*history: Done) -> bool:
    return is_linearizable(history, lock, FREE)


# --- a register


def test_what_was_written_is_read() -> None:
    assert is_register(Done(0, 1, Write(1)), Done(2, 3, Read(1)))
    assert not is_register(Done(0, 1, Write(1)), Done(2, 3, Read(0)))
    assert not is_register(Done(0, 1, Read(1)), Done(2, 3, Write(1)))


def test_what_overlaps_may_be_done_in_either_order() -> None:
    for read in (0, 1):
        assert is_register(Done(0, 10, Write(1)), Done(2, 3, Read(read)))
    # But not in both.
    both = [Done(0, 10, Write(1)), Done(2, 3, Read(1)), Done(4, 5, Read(0))]
    assert not is_register(*both)
    assert is_register(both[0], both[2], Done(6, 7, Read(1)))


def test_what_was_not_answered_may_have_been_done_late_or_never() -> None:
    lost = Done(0, NEVER, Write(1))
    for read in (0, 1):
        assert is_register(lost, Done(100, 101, Read(read)))
    assert not is_register(lost, Done(100, 101, Read(1)), Done(102, 103, Read(0)))
    assert not is_register(Done(0, 1, Read(1)), Done(2, NEVER, Write(1)))


def test_one_of_two_who_compare_and_set_wins() -> None:
    won, lost = Done(0, 5, Cas(0, 1, True)), Done(0, 5, Cas(0, 2, False))
    assert is_register(won, lost, Done(6, 7, Read(1)))
    assert not is_register(won, Done(0, 5, Cas(0, 2, True)))
    assert not is_register(Done(0, 5, Cas(0, 1, False)))
    for read in (1, 2):
        assert is_register(won, Done(0, NEVER, Cas(1, 2, None)), Done(8, 9, Read(read)))
    assert not is_register(won, Done(0, NEVER, Cas(0, 2, None)), Done(8, 9, Read(2)))


# --- a lock


def test_one_has_a_lock_at_a_time() -> None:
    one, two = Done(0, 1, Acquire(1, 5)), Done(2, 3, Acquire(2, 6))
    assert not is_lock(one, two)
    assert is_lock(one, Done(1, 2, Release(1, True)), two)
    assert is_lock(one, Done(1, NEVER, Release(1)), two)
    # An end that came too late.
    assert not is_lock(one, Done(4, 5, Release(1, True)), two)


def test_a_lease_ends_not_before_its_time() -> None:
    one, two = Done(0, 1, Acquire(1, 5)), Done(12, 13, Acquire(2, 6))
    assert is_lock(one, Done(10, NEVER, Over(1)), two)
    assert not is_lock(one, Done(14, NEVER, Over(1)), two)
    assert is_lock(one, Done(10, NEVER, Over(1)), Done(11, 12, Gone(1)))
    assert not is_lock(one, Done(13, NEVER, Over(1)), Done(11, 12, Gone(1)))


def test_numbers_rise_in_the_order_of_holding() -> None:
    one, free = Done(0, 1, Acquire(1, 5)), Done(2, 3, Release(1, True))
    for fence in (5, 4):
        assert not is_lock(one, free, Done(4, 5, Acquire(2, fence)))
    assert is_lock(one, free, Done(4, 5, Acquire(2, 100)))


def test_who_is_refused_was_refused_for_somebody() -> None:
    one, free = Done(0, 1, Acquire(1, 5)), Done(2, 3, Release(1, True))
    assert is_lock(one, Done(1.5, 2.5, Refused(frozenset({1}))), free)
    assert not is_lock(one, Done(1.5, 2.5, Refused(frozenset({2}))), free)
    assert not is_lock(one, free, Done(4, 5, Refused(frozenset({1, 2}))))


def test_what_was_given_up_was_held_or_not() -> None:
    one = Done(0, 1, Acquire(1, 5))
    assert not is_lock(one, Done(2, 3, Release(1, False)))
    assert is_lock(one, Done(0, NEVER, Over(1)), Done(2, 3, Release(1, False)))
    assert not is_lock(Done(0, 1, Release(1, True)))
    # Nobody knows whether it was got, and then it was not to be had.
    unknown = Done(0, NEVER, Acquire(1))
    assert is_lock(unknown, Done(5, 6, Acquire(2, 7)))
    assert is_lock(unknown, Done(5, 6, Refused(frozenset({1}))))
    assert not is_lock(unknown, Done(5, 6, Refused(frozenset({1}))), Done(7, 8, Acquire(2, 7)))


# --- any history


def played(seed: int, step: Step, state: Any, calls: Sequence[Any]) -> list[Done]:
    """A history that one server could have made of some of these calls: each is done at a moment of
    its own, and seen between two others around it.
    """
    draw, history, now = random.Random(seed), [], 0.0
    for call in calls:
        after = step(state, call)
        if after is None:
            continue
        state, now = after, now + draw.uniform(0.1, 1)
        ends = now + draw.expovariate(1) if draw.random() < 0.8 else NEVER
        history.append(Done(now - draw.expovariate(1), ends, call))
    draw.shuffle(history)
    return history


VALUES = st.integers(0, 2)
CALLS = st.lists(
    st.one_of(
        st.builds(Read, VALUES),
        st.builds(Write, VALUES),
        st.builds(Cas, VALUES, VALUES, st.booleans()),
    ),
    max_size=10,
)


@given(st.integers(0, 2**32), CALLS)
def test_what_one_register_has_done_is_linearizable(seed: int, calls: list[Any]) -> None:
    assert is_linearizable(played(seed, register, (0,), calls), register, (0,))


def is_by_trial(history: Sequence[Done], step: Step, first: Any) -> bool:
    """The same question, answered by trying every order of every choice of what was done."""
    needed = [it for it in history if it.ends < NEVER]
    others = [it for it in history if it.ends == NEVER]
    for count in range(len(others) + 1):
        for chosen in itertools.combinations(others, count):
            for order in itertools.permutations([*needed, *chosen]):
                if any(
                    later.ends < earlier.began
                    for earlier, later in itertools.combinations(order, 2)
                ):
                    continue
                state = first
                for call in order:
                    state = step(state, call.what)
                    if state is None:
                        break
                else:
                    return True
    return False


@given(st.integers(0, 2**32), CALLS.map(lambda calls: calls[:6]), st.booleans())
def test_the_search_finds_what_trying_all_finds(
    seed: int, calls: list[Any], is_wrong: bool
) -> None:
    if is_wrong:
        # Whatever was answered.
        draw = random.Random(seed)
        history = []
        for call in calls:
            began = draw.uniform(0, 5)
            ends = began + draw.uniform(0, 3) if draw.random() < 0.8 else NEVER
            history.append(Done(began, ends, call))
    else:
        history = played(seed, register, (0,), calls)
    assert is_linearizable(history, register, (0,)) == is_by_trial(history, register, (0,))


@pytest.mark.parametrize("model", [register, lock])
def test_a_call_of_no_model_is_a_mistake(model: Step) -> None:
    with pytest.raises(TypeError):
        model((0,) if model is register else FREE, "call")
