"""What is due, and when: in order, once, by alarms of several nodes."""

from __future__ import annotations

import math

from signal_sdk.server.engine.dues import MIN_CLEARED, PER_RING, RING_SECONDS, Dues
from tests.server.engine.hand import HandClock


def made(node: HandClock) -> tuple[Dues[tuple[str, int]], list[tuple[str, int, float]]]:
    dues: Dues[tuple[str, int]] = Dues()
    done: list[tuple[str, int, float]] = []
    dues.do = lambda key: done.append((*key, node.now))
    dues.use(node.ticker)
    dues.start()
    return dues, done


def test_what_is_due_is_done_in_order_and_once() -> None:
    node = HandClock()
    dues, done = made(node)
    for number, seconds in enumerate((5, 1, 3, -1)):
        dues.set(("a", number), seconds)
    assert len(dues) == 4
    node.advance(10)
    assert done == [("a", 3, 0.0), ("a", 1, 1.0), ("a", 2, 3.0), ("a", 0, 5.0)]
    assert len(dues) == 0
    node.advance(100)
    assert len(done) == 4


def test_what_is_set_anew_is_due_then_and_what_is_cancelled_never() -> None:
    node = HandClock()
    dues, done = made(node)
    dues.set(("a", 1), 1)
    dues.set(("a", 1), 5)
    dues.set(("a", 2), 9)
    dues.set(("a", 2), 2)
    dues.set(("a", 3), 3)
    dues.cancel(("a", 3))
    dues.cancel(("a", 4))
    node.advance(20)
    assert done == [("a", 2, 2.0), ("a", 1, 5.0)]


def test_what_is_done_may_set_more() -> None:
    node = HandClock()
    dues, done = made(node)
    tell = dues.do

    def again(key: tuple[str, int]) -> None:
        tell(key)
        if node.now < 3:
            dues.set(key, 1)

    dues.do = again
    dues.set(("a", 1), 1)
    node.advance(10)
    assert [time for *_, time in done] == [1.0, 2.0, 3.0]
    assert len(dues) == 0


def test_an_appointment_that_is_set_anew_while_old_ones_are_cleared_away_is_kept() -> None:
    """Its key is an equal one then, and not the same."""
    node = HandClock()
    dues, done = made(node)
    dues.set(("a", int("0")), 500)
    for _ in range(MIN_CLEARED + 2):
        dues.set(("a", int("1")), 900)
    # The one that has what is of no use cleared away is the earliest.
    for seconds in range(100, 0, -1):
        dues.set(("a", int("1")), seconds)
        assert node.alarms[0].time <= seconds
    node.advance(2)
    assert done == [("a", 1, 1.0)]


def test_many_that_are_due_at_once_are_done_in_several_turns() -> None:
    node = HandClock()
    dues, done = made(node)
    for number in range(PER_RING + 10):
        dues.set(("a", number), 1)
    node.now = 1
    node.alarms[0].ring()
    assert len(done) == PER_RING
    node.advance(0)
    assert [number for _, number, _ in done] == [*range(PER_RING + 10)]


def test_of_what_takes_long_little_is_done_in_one_turn() -> None:
    node = HandClock()
    dues, done = made(node)
    tell = dues.do

    def slowly(key: tuple[str, int]) -> None:
        tell(key)
        node.now += RING_SECONDS / 4

    dues.do = slowly
    for number in range(10):
        dues.set(("a", number), 1)
    node.now = 1
    turns = []
    while len(done) < 10:
        before = len(done)
        assert node.alarms[0].time <= node.now
        node.alarms[0].ring()
        turns.append(len(done) - before)
    assert turns == [4, 4, 2]
    assert [number for _, number, _ in done] == [*range(10)]


def test_the_alarms_of_all_nodes_ring_and_each_is_done_once() -> None:
    node = HandClock()
    dues, done = made(node)
    dues.use(node.ticker)
    dues.start()
    dues.set(("a", 1), 1)
    assert [it.time for it in node.alarms] == [1.0, 1.0]
    node.advance(5)
    assert done == [("a", 1, 1.0)]


def test_where_the_first_node_leaves_the_times_are_another_s() -> None:
    """The clock of a node that has gone stands still: nobody looks at it any more."""
    first, second = HandClock(100), HandClock(7)
    dues, done = made(first)
    other = dues.use(second.ticker)
    dues.set(("a", 1), 10)
    dues.set(("a", 2), 20)
    first.now += 4
    second.now += 4
    dues.leave(first.alarms[0])
    assert first.alarms[0].time == math.inf
    second.advance(5.9)
    assert done == []
    second.advance(0.2)
    assert [number for _, number, _ in done] == [1]
    dues.set(("a", 3), 1)
    second.advance(1.1)
    assert [number for _, number, _ in done] == [1, 3]
    dues.leave(other)
    assert len(dues) == 1
