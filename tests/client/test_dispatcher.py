"""The dispatcher: in order, one at a time, bounded, and going on whatever a callback does."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.client import dispatcher as dispatchers
from signal_sdk.client.crew import Crew
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.ecodes import ECode


class Log:
    """What was called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def slow(self, name: str, seconds: float = 1) -> None:
        self.calls.append(("begin", name))
        await trio.sleep(seconds)
        self.calls.append(("end", name))

    def plain(self, name: str) -> None:
        self.calls.append(name)

    async def on_error(self, ecode: ECode, reason: str) -> None:
        self.calls.append((ecode, reason))


@pytest.fixture
def crew() -> Crew:
    return Crew()


async def run(dispatcher: Dispatcher, crew: Crew) -> None:
    dispatcher.finish()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crew.run)
        await dispatcher.ended()
        nursery.cancel_scope.cancel()


async def test_callbacks_run_one_at_a_time_in_order(crew: Crew, autojump_clock: MockClock) -> None:
    log, dispatcher = Log(), Dispatcher(crew)
    dispatcher.put(partial(log.slow, "a"))
    dispatcher.put(partial(log.plain, "b"))
    dispatcher.put(partial(log.slow, "c"))
    await run(dispatcher, crew)
    assert log.calls == [("begin", "a"), ("end", "a"), "b", ("begin", "c"), ("end", "c")]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_callback_that_raises_is_logged_and_reported(
    crew: Crew, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    dispatcher = Dispatcher(crew, log.on_error)

    def plain() -> None:
        raise ValueError("two\nlines")

    async def coroutine() -> None:
        plain()

    dispatcher.put(coroutine if is_async else plain)
    dispatcher.put(partial(log.plain, "next"))
    await run(dispatcher, crew)
    reason = "a callback raised ValueError: two lines"
    assert log.calls == [(ECode.GENERAL_E_UNKNOWN, reason), "next"]
    [record] = [record for record in caplog.records if record.name == "signal_sdk"]
    assert record.exc_info is not None
    assert "def plain" not in record.getMessage()
    assert "in plain" in caplog.text


async def test_the_log_says_whose_callback_has_raised_and_nothing_that_looks_like_another_line(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    def on_error(ecode: ECode, reason: str) -> None:
        assert reason == "a callback raised ZeroDivisionError: division by zero"
        raise KeyError("worse")

    dispatcher = Dispatcher(crew, on_error, label="ann\x1b[2J\nERROR bob")
    dispatcher.put(lambda: 1 / 0)
    await run(dispatcher, crew)
    whose = "ann\\x1b[2J\\nERROR bob: "
    assert [record.getMessage() for record in caplog.records if record.name == "signal_sdk"] == [
        f"{whose}a callback raised ZeroDivisionError",
        f"{whose}on_error itself raised",
    ]


async def test_on_error_that_raises_is_only_logged(
    crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()

    def on_error(ecode: ECode, reason: str) -> None:
        raise RuntimeError("worse")

    def callback() -> None:
        raise ValueError("bad")

    dispatcher = Dispatcher(crew, on_error)
    dispatcher.put(callback)
    dispatcher.put(partial(log.plain, "next"))
    await run(dispatcher, crew)
    assert log.calls == ["next"]
    assert "on_error itself raised" in caplog.text
    assert "worse" in caplog.text


class UnshowableError(Exception):
    """Refuses to be shown."""

    def fail(self, *_: object) -> Any:
        raise RuntimeError("unshowable")

    __str__ = __repr__ = __bool__ = fail


async def test_an_exception_that_cannot_be_shown_is_told_by_its_type(
    crew: Crew,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log()

    def callback() -> None:
        raise UnshowableError

    dispatcher = Dispatcher(crew, log.on_error)
    dispatcher.put(callback)
    dispatcher.put(partial(log.plain, "next"))
    await run(dispatcher, crew)
    reason = "a callback raised UnshowableError: (its text cannot be shown: RuntimeError)"
    assert log.calls == [(ECode.GENERAL_E_UNKNOWN, reason), "next"]
    assert "a callback raised UnshowableError" in caplog.text


async def test_on_error_that_raises_what_cannot_be_shown_is_only_logged(
    crew: Crew,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log()

    def on_error(ecode: ECode, reason: str) -> None:
        raise UnshowableError

    dispatcher = Dispatcher(crew, on_error)
    dispatcher.put(lambda: 1 / 0)
    dispatcher.put(partial(log.plain, "next"))
    await run(dispatcher, crew)
    assert log.calls == ["next"]
    assert "on_error itself raised" in caplog.text


async def test_cancelling_is_never_swallowed(crew: Crew, autojump_clock: MockClock) -> None:
    log, dispatcher = Log(), Dispatcher(crew, Log().on_error)
    dispatcher.put(partial(log.slow, "a", 5))
    dispatcher.put(partial(log.plain, "b"))
    with trio.move_on_after(1) as scope:
        await crew.run()
    assert scope.cancelled_caught
    assert log.calls == [("begin", "a")]


async def test_what_is_no_exception_ends_the_crew(crew: Crew) -> None:
    dispatcher = Dispatcher(crew, Log().on_error)

    def leave() -> None:
        raise SystemExit(3)

    dispatcher.put(leave)
    with pytest.RaisesGroup(SystemExit):
        await crew.run()


async def test_it_waits_for_callbacks_until_it_is_finished(
    crew: Crew, nursery: trio.Nursery
) -> None:
    log, dispatcher = Log(), Dispatcher(crew)
    nursery.start_soon(crew.run)
    await wait_all_tasks_blocked()
    dispatcher.put(partial(log.plain, "a"))
    await wait_all_tasks_blocked()
    assert log.calls == ["a"]
    dispatcher.put(partial(log.plain, "b"))
    dispatcher.finish()
    await wait_all_tasks_blocked()
    assert log.calls == ["a", "b"]


async def test_what_comes_after_its_end_goes_to_the_spare(crew: Crew) -> None:
    log, spare_crew = Log(), Crew()
    spare = Dispatcher(spare_crew)
    dispatcher = Dispatcher(crew, spare=spare)
    await run(dispatcher, crew)
    dispatcher.put(partial(log.plain, "late"))
    assert log.calls == []
    await run(spare, spare_crew)
    assert log.calls == ["late"]
    spare.put(partial(log.plain, "never"))
    assert len(spare) == 0


class Turn:
    def __init__(self, log: Log) -> None:
        self.log = log

    def begin(self) -> None:
        self.log.calls.append("turn begins")

    def end(self) -> None:
        self.log.calls.append("turn ends")


async def test_a_turn_hears_of_its_begin_and_end_even_if_the_callback_raises(crew: Crew) -> None:
    log, dispatcher = Log(), Dispatcher(crew)
    dispatcher.put(partial(log.plain, "a"), Turn(log))
    dispatcher.put(lambda: 1 / 0, Turn(log))
    await run(dispatcher, crew)
    turn = ["turn begins", "turn ends"]
    assert log.calls == ["turn begins", "a", "turn ends", *turn]


async def test_turns_that_have_not_begun_can_be_withdrawn(
    crew: Crew, autojump_clock: MockClock
) -> None:
    log, dispatcher = Log(), Dispatcher(crew)
    dispatcher.put(partial(log.slow, "begun"), Turn(log))
    dispatcher.put(partial(log.plain, "waiting"), Turn(log))
    dispatcher.put(partial(log.plain, "other"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crew.run)
        await wait_all_tasks_blocked()
        dispatcher.withdraw_turns()
        dispatcher.finish()
        await dispatcher.ended()
        nursery.cancel_scope.cancel()
    assert log.calls == [
        "turn begins",
        ("begin", "begun"),
        ("end", "begun"),
        "turn ends",
        "other",
    ]


async def test_events_over_the_bound_are_dropped_counted_and_reported_once(
    crew: Crew,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatchers, "MAX_QUEUED_CALLBACKS", 4)
    log = Log()
    dispatcher = Dispatcher(crew, log.on_error)
    for number in range(7):
        dispatcher.put_event(partial(log.plain, str(number)))
    assert dispatcher.is_full()
    dispatcher.put(partial(log.plain, "never dropped"))
    await run(dispatcher, crew)
    reason = "3 channel events were dropped because callbacks fell behind"
    # Where they are missing: behind what came before them, and before what comes after.
    assert log.calls == ["0", "1", "2", "3", (ECode.GENERAL_E, reason), "never dropped"]


async def test_outcomes_are_dropped_only_at_twice_the_bound(
    crew: Crew,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatchers, "MAX_QUEUED_CALLBACKS", 2)
    log = Log()
    dispatcher = Dispatcher(crew, log.on_error)
    for number in range(6):
        dispatcher.put_outcome(partial(log.plain, str(number)))
    await run(dispatcher, crew)
    reason = "2 outcomes of refused calls were dropped because callbacks fell behind"
    assert log.calls == ["0", "1", "2", "3", (ECode.GENERAL_E, reason)]


async def test_callbacks_that_never_wait_let_others_run(crew: Crew) -> None:
    log, dispatcher = Log(), Dispatcher(crew)
    for number in range(200):
        dispatcher.put(partial(log.plain, str(number)))

    async def other() -> None:
        for _ in range(3):
            log.calls.append("other")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, dispatcher, crew)
        nursery.start_soon(other)
    assert "other" in log.calls[:150]
    assert len(log.calls) == 203
