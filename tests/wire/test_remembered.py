"""What pure functions remember, and that all of it is forgotten at once."""

from __future__ import annotations

from signal_sdk.wire import remembered

asked: list[int] = []


@remembered.remembered(2)
def double(number: int) -> int:
    asked.append(number)
    return 2 * number


@remembered.remembered(2)
def triple(number: int) -> int:
    asked.append(number)
    return 3 * number


def test_the_last_answers_are_remembered_until_all_are_forgotten() -> None:
    asked.clear()
    assert [double(1), double(2), double(1), triple(1), triple(1)] == [2, 4, 2, 3, 3]
    assert asked == [1, 2, 1]
    assert [double(3), double(2)] == [6, 4]
    assert asked == [1, 2, 1, 3, 2], "two are remembered, and 1 was asked for last"
    asked.clear()
    remembered.forget()
    assert [double(2), double(3), triple(1)] == [4, 6, 3]
    assert asked == [2, 3, 1]
