"""A server and the web SDK, for each test its own.

A test that moves time takes `clock`, too, which then is the clock of both: pytest-trio sees only
what the test itself asks for.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest
from trio.testing import MockClock

from signal_sdk.net import patience
from signal_sdk.server.config import AppConfig, Config, LimitsConfig, ServerConfig
from signal_sdk.testing.server import LocalServer, local_server
from tests.redis.servers import RedisServer
from tests.two_nodes import ONE, TWO, two_nodes
from tests.web.web_peer import WebPeer, web_peer

GUARDED_APP = "guarded"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"

CONFIG = Config(
    server=ServerConfig(dev=True),
    apps=(AppConfig(id=GUARDED_APP, certificate=CERTIFICATE),),
    # Jumps of the clock must not look like silence: the SDK pings in real time.
    limits=LimitsConfig(silence_seconds=1_000_000),
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MockClock:
    """A clock at real speed that a test may move on by `jump`, which is no time in which the server
    stood still.
    """
    monkeypatch.setattr(patience, "LATE_SECONDS", math.inf)
    return MockClock(rate=1.0)


@pytest.fixture(params=[ONE, TWO])
async def server(
    request: pytest.FixtureRequest, shared_redis: RedisServer, redis_prefix: str
) -> AsyncIterator[LocalServer]:
    """A server in this process: any app id without tokens, and one that needs them. Once it is one
    node, and once two, which clients come to in turn.
    """
    if request.param == ONE:
        async with local_server(CONFIG) as one:
            yield one
    else:
        async with two_nodes(CONFIG, shared_redis.unix_url, redis_prefix) as two:
            yield two


@pytest.fixture
async def web(server: LocalServer) -> AsyncIterator[WebPeer]:
    """The web SDK, pointed at the server."""
    async with web_peer(server) as peer:
        yield peer
