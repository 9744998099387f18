"""Fixtures of the client's tests: a scripted server, and a `Signal` that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from signal_sdk import Backoff, Signal
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
def reconnect() -> Backoff | None:
    """How the sessions of `signal` come back. Tests of their end say `parametrize("reconnect",
    [None])`.
    """
    return Backoff()


@pytest.fixture
async def signal(server: FakeServer, reconnect: Backoff | None) -> AsyncIterator[Signal]:
    """A `Signal` that is cancelled when the test is over: the fake answers no logout then."""
    with trio.CancelScope() as scope:
        async with Signal("app", server=server, reconnect=reconnect) as opened:
            yield opened
            scope.cancel()
