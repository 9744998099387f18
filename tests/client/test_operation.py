"""Operations: awaited by anybody, any number of times, or by nobody."""

from __future__ import annotations

import gc
import warnings

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.client.operation import Operation, Promise, done
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError


def failed() -> Promise[int]:
    promise: Promise[int] = Promise()
    promise.fail(LoginError(ECode.LOGIN_E_NET, "no server"))
    return promise


async def test_an_outcome_can_be_awaited_before_and_after_it_is_there() -> None:
    promise: Promise[int] = Promise()
    results = []

    async def wait() -> None:
        results.append(await promise)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        promise.succeed(3)
    results.append(await promise)
    assert results == [3, 3, 3]


async def test_each_awaiter_gets_an_exception_of_its_own() -> None:
    """One exception raised in many tasks would gather all their tracebacks."""
    promise = failed()
    raised = []
    for _ in range(2):
        with pytest.raises(LoginError, match="no server") as caught:
            await promise
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert raised[0].ecode is ECode.LOGIN_E_NET
    assert raised[0].reason == "no server"


def test_the_first_outcome_counts() -> None:
    promise: Promise[int] = Promise()
    promise.succeed(1)
    promise.succeed(2)
    promise.fail(SignalError(ECode.GENERAL_E))

    async def main() -> int:
        return await promise

    assert trio.run(main) == 1


async def test_awaiting_is_always_a_checkpoint() -> None:
    for operation in (done(1), failed()):
        with trio.CancelScope() as scope:
            scope.cancel()
            await operation
        assert scope.cancelled_caught


async def test_nobody_is_told_that_it_was_never_awaited() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        failed()
        gc.collect()


async def test_cancelling_an_awaiter_leaves_the_operation_alone(autojump_clock: MockClock) -> None:
    promise: Promise[int] = Promise()
    with trio.move_on_after(1):
        await promise
    assert not promise.is_done
    promise.succeed(4)
    assert await promise == 4


async def test_it_knows_whether_anybody_awaited() -> None:
    operation: Operation[int] = done(1)
    assert not operation.is_awaited
    await operation
    assert operation.is_awaited


def test_its_repr_says_how_it_stands() -> None:
    assert repr(Promise()) == "<Promise under way>"
    assert repr(done(1)) == "<Promise done>"
    assert repr(failed()) == "<Promise failed: no server (201 LOGIN_E_NET)>"


def test_very_many_are_told() -> None:
    promise: Promise[int] = Promise()
    told: list[int] = []
    for _ in range(2000):
        promise.tell(lambda: told.append(promise.outcome()))
    promise.succeed(3)
    assert told == [3] * 2000
