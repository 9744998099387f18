"""What `make ops` starts, as its user runs it: Prometheus has what the server has sent."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import trio

from tests.browser.console import Console, browser
from tests.samples.programs import MARK, Program, marked, program

OPS = ("-m", "samples.ops", "--port", "0", "--prometheus-port", "0")
CONSOLE = r"^     ops \| the console is at (http://\S+/)#app=ops, its key is above"
PROMETHEUS = r"^     ops \| Prometheus is at (http://\S+/)"
ASKED_SECONDS = 40
KINDS = {"login", "logout", "join", "leave", "call"}
"""What a round of the visitor's brings."""


KEY = r"^  server \| admin address: \S+ \(key (\S+)\)"


async def addresses(ops: Program) -> tuple[str, str]:
    console = await ops.expect(CONSOLE)
    return console[1], (await ops.expect(PROMETHEUS))[1]


async def value_of(client: httpx.AsyncClient, url: str, expr: str) -> float:
    """What Prometheus has for an expression; waits until it has anything."""
    with trio.fail_after(ASKED_SECONDS):
        while True:
            answer = await client.get(f"{url}api/v1/query", params={"query": expr})
            answer.raise_for_status()
            if found := answer.json()["data"]["result"]:
                (only,) = found
                return float(only["value"][1])
            await trio.sleep(0.2)


async def test_prometheus_has_what_the_server_counts() -> None:
    mark = uuid4().hex
    async with program(*OPS, env={MARK: mark}) as ops, httpx.AsyncClient(trust_env=False) as client:
        console, prometheus = await addresses(ops)
        await ops.expect(r"^ visitor \| visitor has done all")
        asked = 'sum(signal_sdk_messages_received_total{job="signal_sdk"}) > 3'
        assert await value_of(client, prometheus, asked) > 3
        assert await value_of(client, prometheus, "sum(signal_sdk_logins_total{code='0'}) > 3") > 3
        assert await value_of(client, prometheus, "signal_sdk_ready") == 1
        rules = (await client.get(f"{prometheus}api/v1/rules")).json()["data"]["groups"]
        assert len(rules[0]["rules"]) > 10
        assert {rule["health"] for rule in rules[0]["rules"]} <= {"ok", "unknown"}
        firing = (await client.get(f"{prometheus}api/v1/alerts")).json()["data"]["alerts"]
        assert [it for it in firing if it["state"] == "firing"] == []
        assert "<title>Console</title>" in (await client.get(console)).text
        assert (await client.get(f"{console}metrics")).text.startswith("# HELP signal_sdk_info")
        ops.send(signal.SIGINT)
        assert await ops.end() == 0
    assert marked(mark) == []
    assert not any("Traceback" in line for line in ops.written)


async def test_it_ends_by_itself_when_the_time_is_over() -> None:
    mark = uuid4().hex
    async with program(*OPS, "--seconds", "5", env={MARK: mark}) as ops:
        await ops.expect("all has ended")
        assert await ops.end() == 0
    assert marked(mark) == []


def kinds(console: Console) -> set[str]:
    """Of which kinds events are told."""
    return {event.partition(" ")[0] for event in console.events()}


@pytest.mark.xdist_group("browser")
async def test_the_console_shows_what_the_bots_do(tmp_path: Path) -> None:
    """A screenshot of it is kept as an artefact."""

    def look(url: str, key: str) -> None:
        with browser(url, tmp_path / "profile") as console:
            console.resize(1600, 1000)
            console.open(key, "ops")
            console.wait(lambda: len(console.rows()) >= 3, "the bots are not there")
            console.wait(lambda: kinds(console) >= KINDS, "too little is told")
            console.keep_screenshot("console_under_load")
            assert console.errors() == []

    async with program(*OPS) as ops:
        key = (await ops.expect(KEY))[1]
        console, _ = await addresses(ops)
        await trio.to_thread.run_sync(look, console, key)
        ops.send(signal.SIGINT)
        assert await ops.end() == 0
