"""What a server has to be, by what it says of itself."""

from __future__ import annotations

import pytest

from signal_sdk.server.engine.redis.library import unfit

ALONE = {"role": "master", "cluster_enabled": "0", "maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    "version",
    [
        {"redis_version": "7.0.0"},
        {"redis_version": "10.2.1"},
        # Valkey says both: whose commands it has, and its own.
        {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"},
    ],
)
def test_redis_7_and_valkey_are_fit(version: dict[str, str]) -> None:
    assert unfit(ALONE | version, is_cluster=False) == ""
    assert unfit(ALONE | version | {"cluster_enabled": "1"}, is_cluster=True) == ""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"redis_version": "6.2.14"}, "is version 6.2.14; 7 or later is needed"),
        ({}, "is version ; 7 or later is needed"),
        ({"redis_version": "7.2.4", "role": "slave"}, "is a replica"),
        ({"redis_version": "7.2.4", "maxmemory_policy": "volatile-ttl"}, "set it to noeviction"),
        ({"redis_version": "7.2.4", "cluster_enabled": "1"}, "redis+cluster://"),
    ],
)
def test_what_is_not_is_said(said: dict[str, str], why: str) -> None:
    assert why in unfit(ALONE | said, is_cluster=False)
