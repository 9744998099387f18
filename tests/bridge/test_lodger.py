"""What another thread asks of the trio thread, and gives up."""

from __future__ import annotations

import threading
from typing import Final

import pytest
import trio

from signal_sdk.bridge.lodger import Lodger

SECONDS: Final = 30


class Quiet:
    """A block in which nothing happens."""

    async def enter(self) -> None:
        await trio.lowlevel.checkpoint()

    async def leave(self, exc: BaseException | None) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("tasks", [0, 1, 2])
def test_what_is_given_up_is_cancelled_whatever_tasks_it_has(tasks: int) -> None:
    """Nobody is handed a `Cancelled` of trio's, be it in a group."""
    lodger, has_begun = Lodger(Quiet()), threading.Event()

    async def ask() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(trio.sleep_forever)
            has_begun.set()
            await trio.sleep_forever()

    lodger.start()
    lodger.wait(lodger.entered, SECONDS)
    answer, give_up = lodger.spawn(ask)
    assert has_begun.wait(SECONDS)
    give_up()
    with pytest.raises(TimeoutError):
        answer.result(SECONDS)
    lodger.leave(None)
    lodger.wait(lodger.ended, SECONDS)
