"""The wheel: whoever is put in is taken out in the second of its time, once."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.wheel import NEVER, Wheel


def test_each_is_taken_out_within_a_second_of_its_time() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.put("a", 10.2)
    wheel.put("b", 11.0)
    wheel.put("c", 12.5)
    assert wheel.turn(10.1) == []
    assert wheel.turn(11.0) == ["a", "b"]
    assert wheel.turn(12.9) == []
    assert wheel.turn(13.0) == ["c"]
    assert wheel.turn(100) == []


def test_who_is_late_already_is_next() -> None:
    wheel: Wheel[str] = Wheel()
    assert wheel.turn(10.0) == []
    wheel.put("a", 3.0)
    assert wheel.turn(10.9) == []
    assert wheel.turn(11.0) == ["a"]


def test_who_is_taken_out_is_not_looked_at() -> None:
    wheel: Wheel[str] = Wheel()
    place = wheel.put("a", 1.5)
    other = wheel.put("b", 1.7)
    wheel.take_out("a", place)
    assert wheel.turn(2) == ["b"]
    wheel.take_out("b", other)
    wheel.take_out("a", NEVER)
    assert wheel.put("c", math.inf) == NEVER
    assert wheel.turn(10**9) == []


@given(st.lists(st.tuples(st.floats(0, 50), st.booleans())), st.lists(st.floats(0, 5)))
def test_nobody_is_missed_nor_looked_at_twice(
    times: list[tuple[float, bool]], steps: list[float]
) -> None:
    wheel: Wheel[int] = Wheel()
    places = {number: wheel.put(number, time) for number, (time, _) in enumerate(times)}
    for number, (_, goes) in enumerate(times):
        if goes:
            wheel.take_out(number, places[number])
    expected = {number: time for number, (time, goes) in enumerate(times) if not goes}
    now = 0.0
    for step in [*steps, 60.0]:
        now += step
        for number in wheel.turn(now):
            assert now >= expected.pop(number)
        assert all(now < math.ceil(time) for time in expected.values())
    assert not expected
