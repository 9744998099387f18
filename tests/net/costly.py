"""Sockets that are always ready, of which reading one takes a while by the mock clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from signal_sdk.net.reactor import Reactor
from tests.net.pairs import TransportPair, running_reactor, socket_pair


class Costly:
    """Many sockets that are always ready, and what has been read of each: reading one takes a
    while, by the mock clock.
    """

    def __init__(self, clock: MockClock) -> None:
        self.order: list[int] = []
        self.times: list[float] = []
        self._clock = clock
        self._ends: list[TransportPair] = []

    def add(
        self,
        reactor: Reactor,
        seconds: float,
        *,
        once: bool = False,
        then: Callable[[], None] = lambda: None,
    ) -> int:
        """One more; `once`: it has something to be read once only; `then` is called when it is
        read.
        """
        near, far = socket_pair()
        number = len(self._ends)
        self._ends.append((near, far))

        def read() -> float | None:
            self.order.append(number)
            self.times.append(trio.current_time())
            self._clock.jump(seconds)
            then()
            if not once:
                return 0.0
            far.receive_nowait()
            return None

        near.send_nowait(b"x")
        far.watch(reactor, read)
        return number

    def again(self, number: int) -> None:
        """It has something to be read once more."""
        self._ends[number][0].send_nowait(b"x")

    def close(self) -> None:
        for near, far in self._ends:
            near.close()
            far.close()


@asynccontextmanager
async def costly(clock: MockClock, *, shares: bool = True) -> AsyncIterator[tuple[Reactor, Costly]]:
    async with running_reactor(shares=shares) as reactor:
        sockets = Costly(clock)
        try:
            yield reactor, sockets
        finally:
            sockets.close()


async def passes(count: int) -> None:
    for _ in range(count):
        await trio.lowlevel.checkpoint()
