"""A server that is started on a Redis that it cannot use ends with one line, which says what is
wrong and holds no password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.program import run
from tests.redis.clusters import RedisCluster
from tests.redis.servers import RedisServer, free_port, redis_6

SECRET = "hunter2"
ALL = "~* &* +@all"


def refused(*urls: str, code: int = 1) -> str:
    """The line with which a start there ends; the code is 2 where the URL itself is wrong."""
    flags = [flag for url in urls for flag in ("--redis", url)]
    ended = run("serve", "--dev", "--port", "0", "--no-native", *flags)
    assert ended.code == code, (ended.out, ended.err)
    assert ended.out == ""
    assert SECRET not in ended.err
    # What is only a warning (that this is root, or development) stands before it.
    *before, line = ended.err.splitlines()
    assert all("WARNING" in it or it.startswith("warning: ") for it in before), ended.err
    assert line.startswith("signal-sdk: ")
    return line


@contextmanager
def redis(**settings: Any) -> Iterator[RedisServer]:
    with RedisServer(**settings) as server:
        yield server


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1", "expected redis://HOST:PORT"),
        (f"redis://:{SECRET}@", "expected redis://HOST:PORT"),
        (f"redis://:{SECRET}@127.0.0.1:99999", "expected redis://HOST:PORT"),
        ("redis+sentinel://127.0.0.1", "a master by name"),
    ],
)
def test_a_url_that_is_none(url: str, why: str) -> None:
    assert why in refused(url, code=2)


def test_a_socket_that_is_not_there() -> None:
    assert "cannot be reached" in refused(f"unix://:{SECRET}@/nowhere/socket")


def test_nobody_listens_there() -> None:
    port = free_port()
    line = refused(f"redis://:{SECRET}@127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in line
    assert "cannot be reached" in line


def test_a_wrong_password() -> None:
    with redis(password="right") as server:
        line = refused(f"redis://:{SECRET}@127.0.0.1:{server.port}")
    assert "refuses this user and password" in line


def test_no_password_where_one_is_wanted() -> None:
    with redis(password="right") as server:
        assert "wants a password" in refused(f"redis://127.0.0.1:{server.port}")


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (f"{ALL} -function|load", "FUNCTION LOAD"),
        (f"{ALL} -fcall", "FCALL"),
        (f"{ALL} -ssubscribe", "SSUBSCRIBE"),
        ("~other:* &* +@all", "signal:"),
        ("~* &other:* +@all", "signal:"),
    ],
)
def test_a_user_who_may_not_do_what_is_needed(rules: str, what: str) -> None:
    with redis(users=[f"node on >{SECRET} {rules}"]) as server:
        assert what in refused(f"redis://node:{SECRET}@127.0.0.1:{server.port}")


def test_one_that_is_too_old() -> None:
    with redis(program=redis_6()) as server:
        line = refused(server.url)
    assert re.search(r"version 6\.\d+\.\d+; 7 or later is needed", line)


def test_one_that_throws_away_what_it_has() -> None:
    with redis(config=["maxmemory 1gb", "maxmemory-policy allkeys-lru"]) as server:
        line = refused(server.url)
    assert "maxmemory-policy allkeys-lru" in line
    assert "noeviction" in line


def test_a_replica() -> None:
    with redis() as master, redis(config=[f"replicaof 127.0.0.1 {master.port}"]) as replica:
        assert "is a replica" in refused(replica.url)


def test_data_of_a_newer_release() -> None:
    with redis() as server:
        server.command("SET", "signal:schema", "99")
        assert "99" in refused(server.url)


def test_a_sentinel_that_does_not_know_the_name() -> None:
    with redis(command=["--sentinel"]) as sentinel:
        line = refused(f"redis+sentinel://127.0.0.1:{sentinel.port}/nobody")
    assert "nobody" in line


@pytest.mark.xdist_group("redis-cluster")
def test_a_cluster_s_node_as_a_server_alone(shared_cluster: RedisCluster) -> None:
    assert "redis+cluster://" in refused(shared_cluster.urls[0])


def test_a_server_alone_as_a_cluster_s_node() -> None:
    with redis() as server:
        line = refused(server.url.replace("redis:", "redis+cluster:"))
    assert "cluster support disabled" in line
