"""The cluster as its user runs it: everything comes and goes together. What is said over its nodes
is in tests/browser/test_cluster_page.py.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from uuid import uuid4

import pytest

from samples.cluster import PORTS
from samples.programs import ADMIN_UP, PAGE_PORT, free_node_port
from signal_sdk.server.config_admin import PORTS_UP
from tests.redis.servers import RedisServer
from tests.samples.programs import MARK, marked, program

CLUSTER = ("-m", "samples.cluster", "--port", "0", "0", "--page-port", "0")


@pytest.mark.parametrize("moment", ["ready to accept", "listening on"])
async def test_a_signal_ends_everything_at_any_moment(moment: str) -> None:
    mark = uuid4().hex
    async with program(*CLUSTER, env={MARK: mark}) as cluster:
        directory = Path((await cluster.expect(r"ready to accept connections at (\S+)"))[1]).parent
        if moment != "ready to accept":
            await cluster.expect(moment)
        cluster.send(signal.SIGINT)
        assert await cluster.end() == 0
    assert marked(mark) == []
    assert not directory.exists()
    assert not any("Traceback" in line for line in cluster.written)


async def test_another_redis_is_used_under_names_of_its_own_and_left_alone() -> None:
    mark = uuid4().hex
    with RedisServer() as redis:
        command = (*CLUSTER, "--redis", redis.url)
        async with program(*command, env={MARK: mark}) as cluster:
            await cluster.expect("echo is online, and in lobby")
            assert redis.keys("cluster:")
            assert redis.keys() == redis.keys("cluster:")
            assert not any("redis |" in line for line in cluster.written)
            cluster.send(signal.SIGTERM)
            assert await cluster.end() == 0
        assert redis.is_running
    assert marked(mark) == []


def test_the_usual_ports_leave_the_admin_addresses_theirs() -> None:
    assert ADMIN_UP == PORTS_UP
    admin = [port + ADMIN_UP for port in PORTS]
    assert len({*PORTS, *admin, PAGE_PORT}) == 2 * len(PORTS) + 1


def test_a_port_whose_admin_address_is_taken_is_not_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert free_node_port(taken.getsockname()[1] - ADMIN_UP) == 0


async def test_without_a_redis_server_one_line_says_what_to_do(tmp_path: Path) -> None:
    async with program(*CLUSTER, env={"PATH": str(tmp_path)}) as cluster:
        assert await cluster.end() == 1
    assert cluster.written == [
        "error: there is no redis-server: install it, or name a Redis by --redis"
    ]
