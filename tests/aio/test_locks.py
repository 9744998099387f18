"""Locks in asyncio: one at a time, and a task that is cut off where its lock is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

import signal_sdk
from signal_sdk import LockLostError, SignalError
from signal_sdk.aio import Signal
from tests.aio.conftest import Run, soon

NO_TOKEN = "_no_need_token"
Make = Callable[[], Signal]


def test_one_at_a_time_in_order(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann, bob = [await signal.login(who, NO_TOKEN) for who in ("ann", "bob")]
            rooms = [await who.channel("room") for who in (ann, bob)]
            order: list[int] = []

            async def work(number: int) -> None:
                async with rooms[number % 2].lock("door") as lock:
                    assert isinstance(lock, signal_sdk.Lock)
                    assert lock.is_held
                    order.append(lock.fence)
                    await asyncio.sleep(0.01)

            await soon(asyncio.gather(*map(work, range(6))))
            assert order == sorted(set(order))
            assert len(order) == 6
            assert (await rooms[0].query_lock("door")).holder == ""

    run(test)


def test_a_lock_that_is_lost_cuts_its_block_off(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal, make() as other:
            ann = await signal.login("ann", NO_TOKEN)
            room = await ann.channel("room")

            async def hold() -> None:
                async with room.lock("door"):
                    await other.login("ann", NO_TOKEN)
                    await asyncio.sleep(60)

            task = asyncio.ensure_future(hold())
            with pytest.raises(LockLostError, match="not in the channel 'room' any more"):
                await soon(task)
            assert not task.cancelled()
            assert task.cancelling() == 0

    run(test)


def stand_still_until(is_so: Callable[[], bool]) -> None:
    """Keep the loop from going on until something is so in the trio thread."""
    while not is_so():
        time.sleep(0.001)


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_a_block_that_ends_before_it_notices_leaves_no_cancellation(
    run: Run, make: Make, error: type[Exception] | None
) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            room = await ann.channel("room")
            lock = room.lock("door")
            noticed: list[type[Exception]] = []

            async def hold() -> None:
                try:
                    async with lock:
                        if error is not None:
                            raise error
                except (LockLostError, ZeroDivisionError) as exc:
                    await asyncio.sleep(0.001)
                    noticed.append(type(exc))

            task = asyncio.ensure_future(hold())
            await asyncio.sleep(0)
            # It is got, and lost, before the loop comes to it.
            stand_still_until(lambda: lock.is_held)
            room.channel_leave()
            stand_still_until(lambda: not lock.is_held)
            await soon(task)
            assert noticed == [error or LockLostError]

    run(test)


def test_a_cancellation_of_somebody_s_own_is_one(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            room = await ann.channel("room")
            async with room.lock("door"):
                with pytest.raises(TimeoutError):
                    # While it waits.
                    await asyncio.wait_for(room.lock("door").__aenter__(), 0.05)
                assert (await room.query_lock("door")).waiting == 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05), room.lock("door"):
                    await asyncio.sleep(60)
            with pytest.raises(ZeroDivisionError):
                async with room.lock("door"):
                    raise ZeroDivisionError
            async with room.lock("door", wait=1) as lock:
                with pytest.raises(SignalError, match="is held by 'ann'"):
                    await room.lock("door", wait=0).__aenter__()
                with pytest.raises(RuntimeError, match="entered once"):
                    await lock.__aenter__()

    run(test)


def test_a_lock_behind_the_end_of_the_block_is_refused(run: Run, make: Make) -> None:
    async def test() -> None:
        async with make() as signal:
            ann = await signal.login("ann", NO_TOKEN)
            room = await ann.channel("room")
        with pytest.raises(SignalError, match="not in the channel 'room' any more"):
            await room.lock("door").__aenter__()

    run(test)
