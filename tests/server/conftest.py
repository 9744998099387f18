"""A server on the mock clock, clients of it, and that no test leaves an error in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.abc import Clock, Instrument
from trio.testing import MockClock

from signal_sdk.server.config import Config
from signal_sdk.testing.server import LocalServer, local_server
from tests.clean_log import no_errors_in_the_log
from tests.server.helpers import LogIn, dev_config
from tests.wire_client import WireClient, logged_in

__all__ = ["no_errors_in_the_log"]


def _run(
    test: Callable[[], Awaitable[None]], *, clock: Clock | None, instruments: Sequence[Instrument]
) -> None:
    trio.run(test, clock=clock or MockClock(autojump_threshold=0), instruments=instruments)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a test on the mock clock where one of its fixtures asks for it: pytest-trio does so only
    where the test itself does.
    """
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and "autojump_clock" in item.fixturenames
            and item.path.is_relative_to(Path(__file__).parent)
        ):
            item.add_marker(pytest.mark.trio(run=_run), append=False)


@pytest.fixture
def config() -> Config:
    """What `server` is configured as; a test's own module or a parameter may say otherwise."""
    return dev_config()


@pytest.fixture
async def server(autojump_clock: MockClock, config: Config) -> AsyncIterator[LocalServer]:
    """A server in memory, on the mock clock: what takes hours takes no time."""
    async with local_server(config, listens=False) as server:
        yield server


@pytest.fixture
async def log_in(server: LocalServer, nursery: trio.Nursery) -> LogIn:
    """Logs accounts in; their connections last as long as the test."""

    async def hold(
        account: Any, more: dict[str, Any], task_status: trio.TaskStatus[WireClient]
    ) -> None:
        async with logged_in(server, account, **more) as client:
            task_status.started(client)
            await trio.sleep_forever()

    async def log_in(account: Any, **more: Any) -> WireClient:
        client: WireClient = await nursery.start(hold, account, more)
        return client

    return log_in
