"""What Prometheus and Grafana are given: it is as they read it, and asks for what a server says."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import msgspec
import pytest

from signal_sdk.server.config import AppConfig, HooksConfig
from signal_sdk.server.engine.redis.engine import RedisEngine
from signal_sdk.server.metrics.catalog import METRICS, table
from signal_sdk.server.metrics.metric import HISTOGRAM
from signal_sdk.testing.server import local_server
from tests.ops.files import (
    BOARD,
    PROMETHEUS,
    ROOT,
    board,
    board_expressions,
    metrics_in,
    promtool,
)
from tests.redis.servers import RedisServer
from tests.server.helpers import dev_config, journal_engine
from tests.server.hooks.backend import SECRET
from tests.server.metrics.scraping import scrape

ALERTS: Final = (PROMETHEUS / "alerts.yml").read_text()
DOCS: Final = (ROOT / "docs/monitoring.md").read_text()


def samples_of_the_catalog() -> set[str]:
    """The names that samples have."""
    found = set()
    for it in METRICS:
        ends = ("_bucket", "_count", "_sum") if it.kind == HISTOGRAM else ("",)
        found |= {it.name + end for end in ends}
    return found


# --- Prometheus


async def test_prometheus_reads_its_configuration() -> None:
    assert "1 rule files found" in await promtool("check", "config", "prometheus.yml")


async def test_each_alert_goes_off_where_it_should_and_else_none_does() -> None:
    await promtool("test", "rules", "alerts_test.yml")
    alerts = set(re.findall(r"- alert: (\w+)", ALERTS))
    tested = (PROMETHEUS / "alerts_test.yml").read_text()
    assert alerts == set(re.findall(r'alertname="(\w+)"', tested))
    assert len(alerts) > 10


def test_each_alert_says_what_to_do() -> None:
    for rule in ALERTS.split("- alert: ")[1:]:
        for word in ("severity: ", "summary: ", "action: "):
            assert word in rule, rule


def test_alerts_ask_for_metrics_that_there_are() -> None:
    assert metrics_in(ALERTS) <= samples_of_the_catalog()


# --- the board


async def test_prometheus_reads_each_expression_of_the_board(tmp_path: Path) -> None:
    rules = [
        {"record": f"asked_{number}", "expr": expr}
        for number, expr in enumerate(board_expressions())
    ]
    assert len(rules) > 30
    # What JSON is, YAML is, too.
    path = tmp_path / "rules.yml"
    path.write_bytes(msgspec.json.encode({"groups": [{"name": "board", "rules": rules}]}))
    assert f"{len(rules)} rules found" in await promtool("check", "rules", str(path))


def test_the_board_asks_for_metrics_that_there_are() -> None:
    named = metrics_in(BOARD.read_text())
    assert named <= samples_of_the_catalog()
    # What is worth counting is worth seeing.
    missing = samples_of_the_catalog() - named
    assert {it for it in missing if it.startswith("signal_sdk_") and "_bucket" not in it} <= {
        "signal_sdk_connections_max",
        "signal_sdk_connections_opened_total",
        "signal_sdk_kept_bytes",
        "signal_sdk_workers",
        "signal_sdk_journal_durable_seconds_count",
        "signal_sdk_journal_durable_seconds_sum",
        "signal_sdk_loop_lag_seconds_count",
        "signal_sdk_loop_lag_seconds_sum",
        "signal_sdk_redis_round_trip_seconds_count",
        "signal_sdk_redis_round_trip_seconds_sum",
    }


def test_the_board_s_panels_have_places_of_their_own() -> None:
    panels = board()["panels"]
    assert max(Counter(panel["id"] for panel in panels).values()) == 1
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in (
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ):
            assert taken.setdefault(cell, panel["title"]) == panel["title"]
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")


# --- the document


def test_the_document_has_each_metric_as_it_is() -> None:
    assert table() in DOCS


def test_the_document_names_metrics_that_there_are() -> None:
    known = samples_of_the_catalog() | {it.name for it in METRICS}
    assert metrics_in(DOCS) <= known
    assert set(re.findall(r"`(Signal[A-Z]\w+)`", DOCS)) == set(
        re.findall(r"- alert: (\w+)", ALERTS)
    )


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def test_each_metric_of_the_list_is_one_that_some_server_says(
    redis: RedisServer, tmp_path: Path
) -> None:
    config = dev_config()
    config = attrs.evolve(
        config,
        server=attrs.evolve(config.server, dev=False),
        apps=(AppConfig(id="app"),),
        # Nothing happens there that it is told of.
        hooks=HooksConfig(url="http://127.0.0.1:9/", secret=SECRET),
    )
    said: set[str] = set()
    for engine in (journal_engine(tmp_path), RedisEngine([redis.unix_url])):
        async with local_server(config, listens=False, engine=engine, clock=time.time) as server:
            said |= scrape(server.node).types.keys()
    assert said == {
        it.name.removesuffix("_total") if it.kind == "counter" else it.name for it in METRICS
    }
