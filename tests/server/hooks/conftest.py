"""A backend, and servers that tell and ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from trio.testing import MockClock

from tests.server.hooks.backend import Backend, running


@pytest.fixture
async def backend(autojump_clock: MockClock) -> AsyncIterator[Backend]:
    """One that answers 200, unless a test says otherwise."""
    async with running(Backend()) as backend:
        yield backend
