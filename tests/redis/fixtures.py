"""The Redis that tests share, and a prefix for each of them; tests/conftest.py hands both out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import pytest

from tests.redis.clusters import RedisCluster
from tests.redis.servers import RedisServer, valkey

_NUMBERS: Final = itertools.count(1)


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A server for all tests of this worker that want nothing but their own keys of it: nobody may
    stop it, configure it or FLUSHALL it.
    """
    with RedisServer() as redis:
        yield redis


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[RedisServer]:
    """As `shared_redis`, a Valkey."""
    with RedisServer(program=valkey()) as server:
        yield server


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[RedisCluster]:
    """As `shared_redis`, a Cluster; its slots may be moved. It takes 2 s to be ready: tests that
    ask for it name the xdist_group `redis-cluster`, so that one worker has it.
    """
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_prefix() -> str:
    """What the names of this test's keys begin with, and no other's."""
    return f"test{next(_NUMBERS)}"
