"""While something is urgent, who asks seldom is read, and nobody else."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from signal_sdk.net.haste import MOST_SECONDS
from signal_sdk.net.reactor import SLICE_SECONDS
from signal_sdk.net.turns import STEP_SECONDS
from tests.net.costly import costly, passes


async def test_until_it_is_done_only_who_asks_seldom_is_read(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        busy = [sockets.add(reactor, STEP_SECONDS) for _ in range(20)]
        quiet = sockets.add(reactor, 0.0, once=True)
        await passes(200)
        assert {*busy, quiet} == set(sockets.order)
        sockets.order.clear()
        reactor.give_way(at_once=True)
        for count in range(1, 4):
            # Whoever waits for it is no reason to stay awake.
            await trio.sleep(MOST_SECONDS / 5)
            assert sockets.order == [quiet] * (count - 1)
            sockets.again(quiet)
            await passes(20)
            assert sockets.order == [quiet] * count
        reactor.haste.end()
        await passes(20)
        assert set(sockets.order) > {quiet}


async def test_it_ends_by_itself_after_some_milliseconds_however_often_it_is_said(
    autojump_clock: MockClock,
) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        for _ in range(20):
            sockets.add(reactor, STEP_SECONDS)
        await passes(100)
        sockets.order.clear()
        began = trio.current_time()
        reactor.give_way(at_once=True)
        while not sockets.order:
            await trio.sleep(MOST_SECONDS / 10)
            if not sockets.order:
                reactor.give_way(at_once=True)
        took = sockets.times[-len(sockets.order)] - began
        assert 0.99 * MOST_SECONDS < took < 2 * MOST_SECONDS


async def test_who_comes_with_it_over_finds_all_as_before(autojump_clock: MockClock) -> None:
    """And to say that it is over, where it is not on, is to say nothing."""
    async with costly(autojump_clock) as (reactor, sockets):
        reactor.haste.end()
        numbers = [sockets.add(reactor, SLICE_SECONDS / 10, once=True) for _ in range(3)]
        await passes(20)
        assert sorted(sockets.order) == numbers
        reactor.give_way(at_once=True)
        await trio.sleep(2 * MOST_SECONDS)
        for number in numbers:
            sockets.again(number)
        await passes(20)
        assert sorted(sockets.order) == sorted(2 * numbers)
