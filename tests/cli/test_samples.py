"""What a server says of itself, and how much happened between two samples."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from signal_sdk.admin import AdminError, AsyncAdminClient
from signal_sdk.admin import Node as NodeFacts
from signal_sdk.admin.results import Statistics
from signal_sdk.cli.samples import COUNTERS, GAUGES, Sample, rates, sample
from signal_sdk.server.config import AdminKeyConfig
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.admin.helpers import KEY, WRONG_KEY, admin_config
from tests.server.admin.test_admin_node import real_config
from tests.wire_client import logged_in

STATISTICS = Statistics(accounts=1, online=1, channels=2, calls=3, due=0, listening=0, rated=0)
NODE = NodeFacts(version="1", since=5.0, sessions=1, why_not_ready="", engine=STATISTICS)


def client(server: LocalServer, key: str = KEY) -> AsyncAdminClient:
    return AsyncAdminClient(f"http://127.0.0.1:{server.admin_port}", key)


def made(at: float, **counters: float) -> Sample:
    return Sample(at=at, node=NODE, gauges={}, counters=counters)


async def test_a_server_that_does_something_says_so() -> None:
    async with local_server(real_config()) as server, client(server) as admin:
        before = await sample(admin)
        assert before.node.sessions == before.gauges["connections"] == 0
        assert before.counters.keys() == COUNTERS.keys()
        assert before.counters["logins"] == before.counters["received"] == 0
        async with logged_in(server, "ann") as ann:
            await ann.call("user_sendmsg", peer="ann", content="hi", t="instant", flag="v1:E:5")
            after = await sample(admin)
    assert after.node.sessions == after.gauges["connections"] == 1
    assert after.counters["logins"] == after.counters["received"] == 1
    assert after.counters["requests"] == 1
    assert after.gauges["memory_bytes"] > 0
    found = rates(before, after)
    assert found["received"] == pytest.approx(1 / (after.at - before.at), rel=0.01)
    assert json.loads(json.dumps(after.facts))["gauges"]["connections"] == 1


async def test_every_figure_is_one_that_a_server_has() -> None:
    """A metric that is called otherwise would be nothing, silently."""
    async with (
        local_server(real_config()) as server,
        client(server) as admin,
        logged_in(server, "ann") as ann,
    ):
        await ann.call("channel_join", name="room")
        await ann.call("no_such_function")
        lines = (await admin.metrics()).splitlines()
    names = {line.partition("{")[0].partition(" ")[0] for line in lines}
    assert {*GAUGES.values(), *COUNTERS.values()} - names == set()


async def test_a_key_without_metrics_hears_what_it_may() -> None:
    reader = AdminKeyConfig(name="r", key=KEY, app="*", rights=("read",))
    config = admin_config(reader)
    config = attrs.evolve(config, server=attrs.evolve(config.server, port=0))
    async with local_server(config) as server, client(server) as admin:
        found = await sample(admin)
    assert (found.gauges, found.counters) == ({}, {})
    assert found.node.version


async def test_a_wrong_key_is_a_failure() -> None:
    async with local_server(real_config()) as server, client(server, WRONG_KEY) as admin:
        with pytest.raises(AdminError, match="401"):
            await sample(admin)


def test_rates_are_what_was_more_in_a_second() -> None:
    before, after = made(10.0, logins=5.0, received=100.0), made(12.0, logins=5.0, received=140.0)
    assert rates(before, after) == {"logins": 0.0, "received": 20.0}


def test_of_a_server_that_was_started_anew_all_is_new() -> None:
    assert rates(made(1.0, received=1000.0), made(2.0, received=30.0)) == {"received": 30.0}


def test_lag_is_how_late_a_task_was() -> None:
    before = made(1.0, lag_seconds=1.0, lag_looks=10.0)
    after = made(2.0, lag_seconds=1.5, lag_looks=12.0)
    assert rates(before, after) == {"lag_ms": 250.0}
    assert rates(after, attrs.evolve(after, at=3.0)) == {}


def test_two_samples_at_once_are_no_division_by_nothing() -> None:
    assert rates(made(1.0, logins=0.0), made(1.0, logins=1.0)) == {"logins": 1000.0}


def test_what_is_no_number_is_null_for_programs() -> None:
    found: Any = attrs.evolve(made(1.0, logins=1.0), gauges={"outbox_bytes": float("nan")})
    assert found.facts["gauges"] == {"outbox_bytes": None}
    assert found.facts["counters"] == {"logins": 1}
