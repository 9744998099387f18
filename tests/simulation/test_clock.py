"""Simulated time goes as trio's own clock for tests does, and only faster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio._core import _run as trio_run
from trio.testing import MockClock

from tests.simulation.clock import SimulatedClock

Deed: TypeAlias = tuple[str, float, float]
Heard: TypeAlias = list[tuple[float, int, str]]

SECONDS = st.integers(0, 12).map(lambda quarters: quarters / 4)
LIMITS = SECONDS.map(lambda seconds: seconds + 0.125)
"""Never that of a sleep: which of two comes first that end at one moment is for neither to say."""
DEEDS = st.tuples(
    st.sampled_from(["sleep", "until", "limit", "yield", "event", "cancel"]), SECONDS, LIMITS
)
PROGRAMS = st.lists(st.lists(DEEDS, max_size=6), min_size=1, max_size=5)


async def live(number: int, deeds: list[Deed], event: trio.Event, heard: Heard) -> None:
    for what, seconds, limit in deeds:
        scope = trio.CancelScope()
        match what:
            case "sleep":
                await trio.sleep(seconds)
            case "until":
                # Which may be over.
                await trio.sleep_until(seconds)
            case "limit":
                with trio.move_on_after(limit) as scope:
                    await trio.sleep(seconds)
            case "yield":
                await trio.lowlevel.checkpoint()
            case "event":
                event.set()
            case "cancel":
                # A sleep that somebody ends, with others beside it.
                with scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(trio.sleep, 100)
                        await trio.sleep(seconds)
                        scope.cancel()
        heard.append((trio.current_time(), number, f"{what} {scope.cancelled_caught}"))


async def live_all(programs: list[list[Deed]], heard: Heard) -> None:
    event = trio.Event()
    async with trio.open_nursery() as nursery:
        for number, deeds in enumerate(programs):
            nursery.start_soon(live, number, deeds, event, heard)
        with trio.move_on_after(3):
            await event.wait()
        heard.append((trio.current_time(), -1, "event"))


def heard_with(clock: trio.abc.Clock, programs: list[list[Deed]]) -> Heard:
    heard: Heard = []
    ends: AbstractContextManager[None] = nullcontext()
    if isinstance(clock, SimulatedClock):
        ends = clock.ends_sleeps()
    with pytest.MonkeyPatch.context() as patch, ends:
        patch.setattr(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        trio_run._r.seed(1)
        trio.run(live_all, programs, heard, clock=clock)
    return heard


@given(PROGRAMS)
def test_it_runs_the_same_in_the_same_order_at_the_same_times(programs: list[list[Deed]]) -> None:
    mock = MockClock(autojump_threshold=0)
    assert heard_with(SimulatedClock(), programs) == heard_with(mock, programs)


def test_no_sleep_is_kept_that_has_ended() -> None:
    clock = SimulatedClock()

    async def main() -> None:
        for _ in range(3):
            with trio.move_on_after(1):
                await trio.sleep(5)
        await trio.sleep(10)

    with clock.ends_sleeps():
        trio.run(main, clock=clock)
    assert clock.current_time() == 13
    assert clock.sleeps == 0


def test_nobody_sleeps_for_less_than_nothing() -> None:
    clock = SimulatedClock()
    with clock.ends_sleeps():
        for seconds in (-1, float("nan")):
            with pytest.raises(ValueError, match="nobody sleeps for"):
                trio.run(trio.sleep, seconds, clock=clock)


def test_trio_has_its_own_sleep_back() -> None:
    sleep, sleep_until = trio.sleep, trio.sleep_until
    with SimulatedClock().ends_sleeps():
        assert trio.sleep is not sleep
        assert trio.sleep_until is not sleep_until
    assert trio.sleep is sleep
    assert trio.sleep_until is sleep_until
