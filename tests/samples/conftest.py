"""A server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from signal_sdk.testing.server import LocalServer, local_server


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    """A server in dev mode on a port of its own."""
    async with local_server() as server:
        yield server
