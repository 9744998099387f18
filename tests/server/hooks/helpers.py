"""Servers with hooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs

from signal_sdk.server.config import Config, HooksConfig
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.hooks.counts import HookCounts
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import dev_config
from tests.server.hooks.backend import SECRET, Backend
from tests.wire_client import WireClient, logged_in


def hooked(backend: Backend, **keys: Any) -> Config:
    """A configuration whose hooks go there."""
    keys = {"url": backend.url, "secret": SECRET, **keys}
    return attrs.evolve(dev_config(), hooks=HooksConfig(**keys))


def counts(server: LocalServer) -> HookCounts:
    assert server.node.hooks is not None
    return server.node.hooks.counts


@asynccontextmanager
async def served(
    backend: Backend, engine: Engine | None = None, **keys: Any
) -> AsyncIterator[LocalServer]:
    """A server in memory."""
    async with local_server(hooked(backend, **keys), listens=False, engine=engine) as server:
        yield server


class Clients(AsyncExitStack):
    """Clients of a server, for as long as the block lasts."""

    def __init__(self, server: LocalServer) -> None:
        super().__init__()
        self.server = server

    async def log_in(self, account: str, **more: Any) -> WireClient:
        return await self.enter_async_context(logged_in(self.server, account, **more))
