"""A server in memory on the mock clock, original Java clients of it, and that no test leaves an
error in the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import attrs
import pytest
import trio
from trio.abc import Clock, Instrument
from trio.testing import MockClock

from signal_sdk.server import config as configs
from signal_sdk.server.config import AppConfig, Config, ServerConfig
from signal_sdk.testing.server import LocalServer, local_server
from tests.clean_log import no_errors_in_the_log
from tests.peers.helpers import CERTIFICATE, GUARDED_APP, Javas

MOCK_SECONDS = 100_000
"""How long a test may take by its clock: what is waited for in vain must not be waited for ever."""

__all__ = ["no_errors_in_the_log"]


async def _bounded(test: Callable[[], Awaitable[None]]) -> None:
    with trio.fail_after(MOCK_SECONDS):
        await test()


def _run(
    test: Callable[[], Awaitable[None]], *, clock: Clock | None, instruments: Sequence[Instrument]
) -> None:
    clock = clock or MockClock(autojump_threshold=0)
    trio.run(_bounded, test, clock=clock, instruments=instruments)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a test on the mock clock where one of its fixtures asks for it: pytest-trio does so only
    where the test itself does.
    """
    for item in items:
        is_ours = item.path.is_relative_to(Path(__file__).parent)
        if is_ours and isinstance(item, pytest.Function) and "autojump_clock" in item.fixturenames:
            item.add_marker(pytest.mark.trio(run=_run), append=False)


@pytest.fixture
def config() -> Config:
    """A server in dev mode with its own limits, whose clients must ping, and an
    app that needs tokens.
    """
    apps = (AppConfig(id=GUARDED_APP, certificate=CERTIFICATE),)
    return attrs.evolve(
        configs.dev(), server=ServerConfig(dev=True, advertise=("192.0.2.7:8001",)), apps=apps
    )


@pytest.fixture
async def server(autojump_clock: MockClock, config: Config) -> AsyncIterator[LocalServer]:
    """A server in memory, on the mock clock: what takes hours takes no time."""
    async with local_server(config, listens=False) as server:
        yield server


@pytest.fixture
async def java(server: LocalServer) -> AsyncIterator[Javas]:
    """Java clients of the server; none may have come upon what it could not read."""
    async with trio.open_nursery() as nursery:
        javas = Javas(server, nursery)
        yield javas
        for peer in javas.peers:
            assert peer.errors == []
        nursery.cancel_scope.cancel()
