"""A result that comes later: who hears of it, and work of several steps over such results."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import trio
import trio.testing

from signal_sdk.server.engine.pending import Pending, after, drive, settled, waited


def _answer(pending: Pending[int]) -> int | Pending[int]:
    """As an operation's result is declared."""
    return pending


async def _sum(*answers: int | Pending[int]) -> int:
    total = 0
    for answer in answers:
        total += await settled(answer)
    return total


def test_work_over_what_is_there_is_done_at_once() -> None:
    assert drive(_sum(1, 2, 3)) == 6


def test_work_goes_on_when_what_it_waits_for_is_there() -> None:
    first: Pending[int] = Pending()
    second: Pending[int] = Pending()
    outcome = drive(_sum(first, 1, second))
    assert isinstance(outcome, Pending)
    second.resolve(20)
    assert not outcome.is_done
    first.resolve(300)
    assert outcome.result() == 321


def test_a_failure_reaches_the_work_and_whoever_asked_for_it() -> None:
    heard = []

    async def work(answer: Pending[int]) -> int:
        try:
            return await answer
        except ValueError as exc:
            heard.append(str(exc))
            raise KeyError("made of it") from None

    pending: Pending[int] = Pending()
    outcome = drive(work(pending))
    pending.fail(ValueError("why"))
    assert heard == ["why"]
    assert isinstance(outcome, Pending)
    with pytest.raises(KeyError, match="made of it"):
        outcome.result()


def test_what_fails_before_it_waits_raises_at_once() -> None:
    async def work() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        drive(work())


class _Other:
    """What is none of ours."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def test_work_that_waits_for_something_else_is_ended() -> None:
    async def work() -> None:
        await _Other()

    outcome = drive(work())
    assert isinstance(outcome, Pending)
    with pytest.raises(RuntimeError, match="something else"):
        outcome.result()


def test_a_function_is_called_on_the_result_now_or_later() -> None:
    assert after(1, str) == "1"
    pending: Pending[int] = Pending()
    mapped = after(_answer(pending), lambda number: 1 / number)
    assert isinstance(mapped, Pending)
    pending.resolve(0)
    with pytest.raises(ZeroDivisionError):
        mapped.result()


def test_who_asks_is_called_in_order_and_whoever_comes_late_at_once() -> None:
    pending: Pending[str] = Pending()
    heard = []
    pending.when_done(lambda: heard.append(1))
    pending.when_done(lambda: heard.append(2))
    with pytest.raises(RuntimeError, match="pending"):
        pending.result()
    pending.resolve("")
    pending.when_done(lambda: heard.append(3))
    assert heard == [1, 2, 3]
    with pytest.raises(RuntimeError, match="twice"):
        pending.resolve("")


async def test_a_task_waits_and_what_was_begun_goes_on_without_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pending: Pending[int] = Pending()
    with trio.move_on_after(1) as scope:
        await waited(_answer(pending))
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_resolve_late, pending)
        assert await waited(_answer(pending)) == 7
    assert await waited(_answer(pending)) == 7
    assert await waited(8) == 8


async def _resolve_late(pending: Pending[int]) -> None:
    await trio.sleep(1)
    pending.resolve(7)
