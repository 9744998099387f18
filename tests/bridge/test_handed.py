"""What was handed to another thread: begun when it was taken, or else taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import trio
import trio.testing

from signal_sdk.bridge.handed import Handed
from signal_sdk.client.operation import Promise
from signal_sdk.errors import SignalError


class Turn:
    def __init__(self, number: int, told: list[str]) -> None:
        self._number = number
        self._told = told

    def begin(self) -> None:
        self._told.append(f"begin {self._number}")

    def end(self) -> None:
        self._told.append(f"end {self._number}")


def handed(count: int) -> tuple[Handed[int], list[str]]:
    told: list[str] = []
    return Handed([(number, Turn(number, told)) for number in range(count)]), told


def test_what_was_not_taken_has_not_begun() -> None:
    given, told = handed(3)
    entry = given.take()
    assert entry is not None
    assert entry[0] == 0
    assert [number for number, _ in given.take_back()] == [1, 2]
    assert told == ["begin 0"]
    assert given.take() is None
    given.end()
    given.settle()
    assert told == ["begin 0", "end 0"]


def test_turns_are_told_once_and_in_order() -> None:
    given, told = handed(3)
    for _ in range(2):
        given.take()
        given.end()
    given.take()
    given.settle()
    given.settle()
    assert told == ["begin 0", "begin 1", "begin 2", "end 0", "end 1"]


def test_one_report_is_enough_until_it_is_heard() -> None:
    given, told = handed(3)
    reports: list[Callable[[], object]] = []
    given.report(reports.append)
    assert not reports
    for _ in range(2):
        given.take()
        given.end()
        given.report(reports.append)
    assert len(reports) == 1
    reports[0]()
    assert told[-1] == "end 1"
    given.take()
    given.end()
    given.report(reports.append)
    assert len(reports) == 2


def test_each_entry_is_either_taken_or_taken_back() -> None:
    """Two threads at once, many times over."""
    for _ in range(200):
        given, _told = handed(50)
        taken: list[int] = []

        def take(given: Handed[int] = given, taken: list[int] = taken) -> None:
            while (entry := given.take()) is not None:
                taken.append(entry[0])

        thread = threading.Thread(target=take)
        thread.start()
        back = [number for number, _ in given.take_back()]
        thread.join()
        assert taken + back == list(range(50))


def test_an_operation_tells_whoever_asks_it_to() -> None:
    promise: Promise[int] = Promise()
    told: list[str] = []
    promise.tell(lambda: told.append("first"))
    promise.tell(lambda: told.append("second"))
    promise.succeed(5)
    promise.fail(SignalError.__new__(SignalError))
    assert told == ["first", "second"]
    promise.tell(lambda: told.append("late"))
    assert told[-1] == "late"
    assert promise.outcome() == 5


async def test_who_awaits_it_is_woken_beside_who_is_told() -> None:

    for tells_first in (True, False):
        promise: Promise[int] = Promise()
        told: list[int] = []
        results: list[int] = []

        async def wait(promise: Promise[int] = promise, results: list[int] = results) -> None:
            results.append(await promise)

        async with trio.open_nursery() as nursery:
            if tells_first:
                promise.tell(partial(told.append, 1))
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            if not tells_first:
                promise.tell(partial(told.append, 1))
            promise.succeed(3)
        assert (told, results) == ([1], [3])
