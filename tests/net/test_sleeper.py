"""The sleeper: woken once for each sleep, and never by what came before."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from signal_sdk.net.sleeper import Sleeper


async def test_a_sleep_ends_with_the_next_wake() -> None:
    sleeper, woken = Sleeper(), 0
    asleep: list[bool] = []

    async def sleep_loop() -> None:
        nonlocal woken
        while True:
            await sleeper.sleep()
            woken += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep_loop)
        for number in range(3):
            await wait_all_tasks_blocked()
            assert woken == number
            asleep.append(sleeper.is_asleep)
            sleeper.wake()
            asleep.append(sleeper.is_asleep)
            # Once is enough.
            sleeper.wake()
        nursery.cancel_scope.cancel()
    assert asleep == [True, False] * 3


async def test_a_wake_that_finds_nobody_asleep_is_forgotten() -> None:
    sleeper = Sleeper()
    sleeper.wake()
    with trio.move_on_after(0) as scope:
        await sleeper.sleep()
    assert scope.cancelled_caught
    assert not sleeper.is_asleep


async def test_a_sleep_that_was_cancelled_is_over() -> None:
    sleeper = Sleeper()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    asleep = [sleeper.is_asleep]
    # Nobody is there to be woken, and the place is free for the next.
    sleeper.wake()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep)
        await wait_all_tasks_blocked()
        asleep.append(sleeper.is_asleep)
        sleeper.wake()
    assert [*asleep, sleeper.is_asleep] == [False, True, False]


async def test_two_tasks_do_not_sleep_in_one_place() -> None:
    sleeper = Sleeper()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.sleep)
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="another task sleeps here"):
            await sleeper.sleep()
        sleeper.wake()
