"""Every engine in turn, as the contract's tests see it (contract/harness.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.server.engine.contract.harness import BACKENDS, LASTING, House, Node, open_house

KINDS = [
    # One worker has the Cluster, which takes a while to begin.
    pytest.param(
        name, marks=[pytest.mark.xdist_group("redis-cluster")] if name == "cluster" else []
    )
    for name in BACKENDS
]


@pytest.fixture(params=KINDS)
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, autojump_clock: MockClock
) -> AsyncIterator[House]:
    """A state with one node, of every engine in turn."""
    backend = BACKENDS[request.param](tmp_path / "data")
    backend.begin(request)
    async with open_house(backend) as house:
        yield house


@pytest.fixture
def node(house: House) -> Node:
    """The first node."""
    return house.node


@pytest.fixture(params=LASTING)
async def lasting(
    request: pytest.FixtureRequest, tmp_path: Path, autojump_clock: MockClock
) -> AsyncIterator[House]:
    """As `house`, of every engine whose state is there after all of its nodes."""
    backend = BACKENDS[request.param](tmp_path / "data")
    backend.begin(request)
    async with open_house(backend) as house:
        yield house
