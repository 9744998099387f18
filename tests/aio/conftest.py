"""What the tests of asyncio's side share: a server, an app of their own, and both event loops."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeAlias

import pytest
import uvloop

from signal_sdk.aio import Signal
from tests.threads import threaded_server

WAIT_SECONDS = 20

Run: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with threaded_server() as server:
        yield server.address


@pytest.fixture
def make(address: str) -> Callable[[], Signal]:
    """Makes a `Signal` of an app that no other test has."""
    return partial(Signal, f"app-{uuid.uuid4().hex}", server=address)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test in a loop: asyncio's own, or uvloop's."""

    def run_in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(test(), 2 * WAIT_SECONDS))

    return run_in_loop


async def soon(awaitable: Awaitable[Any]) -> Any:
    """What it comes to, within the time that a test has."""
    return await asyncio.wait_for(awaitable, WAIT_SECONDS)
