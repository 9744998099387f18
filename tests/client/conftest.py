"""Fixtures of the client's tests: a scripted server, and a `Signal` that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from signal_sdk import Signal
from tests.client.fakes import FakeServer, Heard


@pytest.fixture
async def server(nursery: trio.Nursery) -> FakeServer:
    fake = FakeServer()
    nursery.start_soon(fake.run)
    return fake


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def signal(server: FakeServer) -> AsyncIterator[Signal]:
    """A `Signal` that is cancelled when the test is over: the fake answers no logout then."""
    with trio.CancelScope() as scope:
        async with Signal("app", server=server) as opened:
            yield opened
            scope.cancel()
