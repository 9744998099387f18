"""Streams that are read in a loop: nothing is lost on the way, whoever cancels what when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import pytest

from signal_sdk.aio.crossing import Crossing
from signal_sdk.aio.stream import LoopStream
from signal_sdk.bridge.lodger import Lodger
from signal_sdk.streams import Readers, Stream


class Held:
    """In the place of a lodger: its calls are made when the test says so."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()

    def check(self) -> None:
        """It is always there."""

    def call(self, do: Callable[[], object]) -> bool:
        self._calls.append(do)
        return True

    def ask(self, do: Callable[[], object]) -> None:
        self._calls.append(do)

    def make_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()


async def a_moment() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_reader_that_is_cancelled_while_events_cross_loses_none() -> None:
    async def test() -> None:
        held, crossing = Held(), Crossing()
        crossing.bind(cast("Lodger", held))
        readers: Readers[str] = Readers()
        stream = LoopStream(crossing, Stream(readers))
        reading = asyncio.ensure_future(anext(stream))
        await a_moment()
        held.make_calls()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        reading = asyncio.ensure_future(anext(stream))
        await a_moment()
        # What the first has asked for crosses before the other's question has come.
        for word in ("one", "two"):
            readers.tell(word, is_heard=False)
        got = []
        for _ in range(2):
            held.make_calls()
            await a_moment()
            held.make_calls()
            got.append(await asyncio.wait_for(reading, 5))
            reading = asyncio.ensure_future(anext(stream))
        assert got == ["one", "two"]
        reading.cancel()

    asyncio.run(test())
