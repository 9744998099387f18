"""A server in memory on the mock clock, native clients of it, and that no test leaves an error in
the log.

Tests that need sockets make their own server, and run in real time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.abc import Clock, Instrument
from trio.testing import MockClock

from signal_sdk.server.config import Config
from signal_sdk.testing.server import LocalServer, local_server
from tests.clean_log import no_errors_in_the_log
from tests.native.helpers import Natives, dev_config

MOCK_SECONDS = 3600
REAL_SECONDS = 60
"""How long a test may take by its clock: what is waited for in vain must not be waited for ever."""

__all__ = ["no_errors_in_the_log"]


async def _bounded(test: Callable[[], Awaitable[None]], seconds: float) -> None:
    with trio.fail_after(seconds):
        await test()


def _run(
    test: Callable[[], Awaitable[None]],
    *,
    clock: Clock | None,
    instruments: Sequence[Instrument],
    is_mocked: bool,
) -> None:
    if is_mocked:
        clock = clock or MockClock(autojump_threshold=0)
    seconds = MOCK_SECONDS if is_mocked else REAL_SECONDS
    trio.run(_bounded, test, seconds, clock=clock, instruments=instruments)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a test on the mock clock where one of its fixtures asks for it: pytest-trio does so only
    where the test itself does.
    """
    for item in items:
        is_ours = item.path.is_relative_to(Path(__file__).parent)
        if is_ours and isinstance(item, pytest.Function) and "trio" in item.keywords:
            run = partial(_run, is_mocked="autojump_clock" in item.fixturenames)
            item.add_marker(pytest.mark.trio(run=run), append=False)


@pytest.fixture
def config() -> Config:
    """What `server` is configured as; a test's parameter may say otherwise."""
    return dev_config()


@pytest.fixture
async def server(autojump_clock: MockClock, config: Config) -> AsyncIterator[LocalServer]:
    """A server in memory, on the mock clock: what takes hours takes no time."""
    async with local_server(config, listens=False) as server:
        yield server


@pytest.fixture
async def native(server: LocalServer, nursery: trio.Nursery) -> Natives:
    """Native clients of the server."""
    return Natives(server, nursery)
