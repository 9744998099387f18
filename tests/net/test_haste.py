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


async def test_between_two_of_them_all_are_read(autojump_clock: MockClock) -> None:
    """Also where somebody to whom it is urgent comes as soon as one is over: he is read first."""
    async with costly(autojump_clock) as (reactor, sockets):
        busy = {sockets.add(reactor, STEP_SECONDS) for _ in range(20)}
        await passes(200)
        quiet = [
            sockets.add(reactor, 0.0, once=True, then=lambda: reactor.give_way(at_once=True))
            for _ in range(5)
        ]
        await passes(200)
        reactor.haste.end()
        for count in range(50):
            await passes(6)
            reactor.give_way(at_once=True)
            assert reactor.haste.is_on
            sockets.order.clear()
            reactor.haste.end()
            sockets.again(quiet[count % len(quiet)])
            await passes(6)
            assert len(busy & set(sockets.order)) > 1


async def test_who_is_judged_is_read_before_whatever_is_urgent(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        busy = {sockets.add(reactor, STEP_SECONDS) for _ in range(20)}
        await passes(200)
        reactor.give_way(at_once=True)
        sockets.order.clear()
        began = trio.current_time()
        judged: list[int] = []
        reactor.after_catching_up(lambda: judged.extend(sockets.order))
        while not judged:
            await trio.lowlevel.checkpoint()
            assert trio.current_time() < began + 1
        assert set(judged) == busy


async def test_to_end_what_is_not_on_is_to_say_nothing(autojump_clock: MockClock) -> None:
    async with costly(autojump_clock) as (reactor, sockets):
        reactor.haste.end()
        numbers = [sockets.add(reactor, SLICE_SECONDS / 10, once=True) for _ in range(3)]
        await passes(20)
        assert sorted(sockets.order) == numbers
