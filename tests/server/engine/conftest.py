"""Every engine in turn, and what it delivers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from tests.server.engine.contract import BOUNDS, ENGINES, Delivered
from tests.server.helpers import journal_engine, kept_by


@pytest.fixture
def delivered() -> Delivered:
    return Delivered()


@pytest.fixture(params=ENGINES)
async def engine(
    request: pytest.FixtureRequest, delivered: Delivered, tmp_path: Path
) -> AsyncIterator[Engine]:
    engine = ENGINES[request.param](tmp_path)
    engine.attach(delivered)
    yield engine
    await engine.aclose()
    if request.param == "journaled":
        assert isinstance(engine, EmbeddedEngine)
        again = journal_engine(tmp_path, bounds=BOUNDS)
        assert kept_by(again) == kept_by(engine)
        await again.aclose()
