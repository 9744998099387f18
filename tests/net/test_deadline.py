"""Deadlines: what has arrived is read before anybody is judged, and a process that stood still
gives the others time. On the mock clock, a jump is such a time.
"""

from __future__ import annotations

import math

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk.net.deadline import Deadline, move_on_after
from signal_sdk.net.patience import GRACE_SECONDS
from signal_sdk.net.reactor import READS_PER_POLL
from tests.net.pairs import running_reactor, socket_pair

MANY = READS_PER_POLL + 50


async def test_it_rings_in_time_and_once(autojump_clock: MockClock) -> None:
    async with running_reactor() as reactor:
        rung: list[float] = []
        deadline = Deadline(reactor, lambda: rung.append(trio.current_time()))
        deadline.set_after(5)
        await trio.sleep(20)
        assert (rung, deadline.time) == ([5], math.inf)
        deadline.set_after(5)
        await trio.sleep(4)
        deadline.cancel()
        await trio.sleep(20)
        assert rung == [5]


async def test_what_was_set_last_counts_also_while_the_sockets_are_read(
    autojump_clock: MockClock,
) -> None:
    async with running_reactor() as reactor:
        rung: list[float] = []
        deadline = Deadline(reactor, lambda: rung.append(trio.current_time()))
        deadline.set_after(5)
        reactor_asked = reactor.after_catching_up

        def put_off(judge: object) -> None:
            reactor_asked(judge)  # type: ignore[arg-type]
            deadline.set(12)

        reactor.after_catching_up = put_off  # type: ignore[method-assign]
        await trio.sleep(6)
        reactor.after_catching_up = reactor_asked  # type: ignore[method-assign]
        await trio.sleep(20)
        assert rung == [12]


async def test_all_sockets_are_read_before_it_rings() -> None:
    """A process that was busy for long finds its sockets full, however many they are."""
    async with running_reactor() as reactor:
        pairs = [socket_pair() for _ in range(MANY)]
        heard: list[bytes | None] = []
        at_the_end: list[int] = []
        for _, far in pairs:
            far.watch(reactor, lambda far=far: heard.append(far.receive_nowait()))  # type: ignore[misc]
        await wait_all_tasks_blocked()
        # All is there, and nothing was read, when the time is over.
        deadline = Deadline(reactor, lambda: at_the_end.append(heard.count(b"x")))
        deadline.set(trio.current_time() - 1)
        for near, _ in pairs:
            near.send_nowait(b"x")
        with trio.fail_after(5):
            while not at_the_end:  # noqa: ASYNC110  the kernel sets no event
                await trio.sleep(0.001)
        assert at_the_end == [MANY]
        for near, far in pairs:
            near.close()
            far.close()


async def test_a_process_that_stood_still_gives_the_others_time(autojump_clock: MockClock) -> None:
    async with running_reactor() as reactor:
        rung: list[float] = []
        deadline = Deadline(reactor, lambda: rung.append(trio.current_time()))
        deadline.set_after(5)
        await trio.sleep(1)
        reactor.clock.time()
        autojump_clock.jump(100)
        await trio.sleep(GRACE_SECONDS)
        assert rung == []
        await trio.sleep(10)
        assert rung == [101 + GRACE_SECONDS + 4]


async def test_a_block_is_bounded_in_the_same_way(autojump_clock: MockClock) -> None:
    async with running_reactor() as reactor:
        with move_on_after(reactor, 5) as scope:
            await trio.sleep(1000)
        assert (scope.cancelled_caught, trio.current_time()) == (True, 5)
        with move_on_after(reactor, 5):
            await trio.sleep(1)
            reactor.clock.time()
            autojump_clock.jump(100)
            await trio.sleep(5)
            assert trio.current_time() == 111
        with move_on_after(reactor, 1000):
            await trio.sleep(1)
        await trio.sleep(2000)
