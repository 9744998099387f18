"""Every engine in turn, as the contract's tests see it (contract/harness.py), and what those of
commits are given (commit_kit.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from trio.testing import MockClock

from signal_sdk.server.engine.commits import JournalCommits
from tests.server.engine.commit_kit import FakeJournal, Threads, Told
from tests.server.engine.contract.harness import BACKENDS, LASTING, House, Node, open_house

if TYPE_CHECKING:
    from signal_sdk.server.engine.journal import Journal

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


@pytest.fixture
def fake_journal() -> FakeJournal:
    """Where `commits` writes."""
    return FakeJournal()


@pytest.fixture
def commits(fake_journal: FakeJournal) -> JournalCommits:
    """Those that are tested."""
    return JournalCommits(cast("Journal", fake_journal), fake_journal.in_thread)


@pytest.fixture
def told(commits: JournalCommits) -> Told:
    """Who hears of them."""
    return Told(commits)


@pytest.fixture
def threads(autojump_clock: MockClock) -> Threads:
    """A journal that notes where it is written to."""
    return Threads(autojump_clock)
