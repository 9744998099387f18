"""Rests: each is woken when its rest is over, and not before, and nobody who is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from signal_sdk.net.alarms import Alarms
from signal_sdk.net.rests import STEP_SECONDS, Rests

LATE = 2 * STEP_SECONDS


@asynccontextmanager
async def running(woken: list[tuple[float, str]]) -> AsyncIterator[Rests[str]]:
    """Rests that note who is woken, and when."""
    alarms = Alarms()

    def wake(keys: list[str]) -> None:
        woken.extend((trio.current_time(), key) for key in keys)

    async with trio.open_nursery() as nursery:
        await nursery.start(alarms.run)
        yield Rests(alarms, wake)
        nursery.cancel_scope.cancel()


async def test_who_rests_is_woken_and_those_who_end_it_together_in_their_order(
    autojump_clock: MockClock,
) -> None:
    woken: list[tuple[float, str]] = []
    async with running(woken) as rests:
        began = trio.current_time()
        for key, seconds in (("slow", 2.0), ("a", 1.0), ("b", 1.0 + STEP_SECONDS / 10)):
            rests.begin(key, seconds)
        assert ("slow" in rests.resting, "other" in rests.resting) == (True, False)
        await trio.sleep(1.0 + LATE)
        assert [key for _, key in woken] == ["a", "b"]
        assert 1.0 <= woken[0][0] - began <= 1.0 + LATE
        assert ("slow" in rests.resting, "a" in rests.resting) == (True, False)
        await trio.sleep(1.0)
        assert [key for _, key in woken] == ["a", "b", "slow"]


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(1, 40)), st.integers(0, 20))
)
"""Who begins to rest for how many hundredths, or is gone (None); how long until the next step."""


@given(STEPS)
def test_each_rest_has_one_end_of_which_who_is_gone_does_not_hear(
    steps: list[tuple[str, int | None, int]],
) -> None:
    woken: list[tuple[float, str]] = []
    due: dict[str, float] = {}
    ends: list[tuple[float, str]] = []

    def note_ended(rests: Rests[str]) -> None:
        now = trio.current_time()
        for key, end in list(due.items()):
            # Just at its end it may rest or not.
            assert end - 1e-6 <= now or key in rests.resting
            assert now <= end + STEP_SECONDS or key not in rests.resting
            if key not in rests.resting:
                ends.append((due.pop(key), key))

    async def main() -> None:
        async with running(woken) as rests:
            for key, hundredths, pause in steps:
                if hundredths is None:
                    assert rests.forget(key) == (due.pop(key, None) is not None)
                else:
                    rests.begin(key, hundredths / 100)
                    due[key] = trio.current_time() + hundredths / 100
                await trio.sleep(pause / 100)
                note_ended(rests)
            await trio.sleep(1.0)
            note_ended(rests)
            assert not due

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert sorted(key for _, key in woken) == sorted(key for _, key in ends)
    for name in "abc":
        pairs = zip(
            *([at for at, key in some if key == name] for some in (woken, ends)), strict=True
        )
        assert all(end - 1e-6 <= at <= end + LATE for at, end in pairs)
