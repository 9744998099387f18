"""The delay line: what is put in comes out a fixed time later, in order, by one alarm."""

from __future__ import annotations

from functools import partial

import trio
from trio.testing import MockClock

from signal_sdk.net.delay import DelayLine
from tests.net.pairs import running_reactor


async def test_what_is_put_in_is_done_no_sooner_in_order_and_together(
    autojump_clock: MockClock,
) -> None:
    done: list[tuple[float, str]] = []

    def do(what: str) -> None:
        done.append((trio.current_time(), what))

    async with running_reactor() as reactor:
        line = DelayLine(reactor, 0.005, 0.005)
        line.put(partial(do, "a"))
        line.put(partial(do, "b"))
        await trio.sleep(0.003)
        line.put(partial(do, "c"))
        await trio.sleep(0.001)
        line.put(partial(do, "d"))
        assert (done, len(line)) == ([], 4)
        await trio.sleep(0.002)
        assert [what for _, what in done] == ["a", "b"]
        await trio.sleep(0.01)
        assert [what for _, what in done] == ["a", "b", "c", "d"]
        assert [round(time, 3) for time, _ in done] == [0.005, 0.005, 0.01, 0.01]
        assert len(line) == 0
        line.put(partial(do, "e"))
        await trio.sleep(0.01)
        assert done[-1][1] == "e"


async def test_of_much_what_comes_within_a_while_is_done_together(
    autojump_clock: MockClock,
) -> None:
    done: list[float] = []

    def tell(put_at: float) -> None:
        done.append(trio.current_time() - put_at)

    async with running_reactor() as reactor:
        line = DelayLine(reactor, 0.005, 0.025)
        for _ in range(60):
            line.put(partial(tell, trio.current_time()))
            await trio.sleep(0.001)
        await trio.sleep(0.03)
        assert len(done) == 60
        assert min(done) >= 0.005
        assert max(done) <= 0.030 + 1e-9
        # The first is not made to wait for others.
        assert done[0] == 0.005
        rings = {round(number * 0.001 + late, 6) for number, late in enumerate(done)}
        assert len(rings) == 4


async def test_all_that_waits_has_one_alarm(autojump_clock: MockClock) -> None:
    async with running_reactor() as reactor:
        line = DelayLine(reactor, 1, 1)
        for _ in range(1000):
            line.put(lambda: None)
        assert (len(line), len(reactor.alarms)) == (1000, 1)
        await trio.sleep(2)
        assert (len(line), len(reactor.alarms)) == (0, 0)
