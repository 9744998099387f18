"""What a node says to whoever asks for its metrics: the forms, the names, and what is no label."""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from types import FrameType
from typing import Final

import attrs
import pytest
import trio
from prometheus_client import REGISTRY
from trio.testing import MockClock

from signal_sdk import LoginCallback, Signal
from signal_sdk.errors import ConfigError
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.engine.redis.engine import RedisEngine
from signal_sdk.server.metrics import exposition
from signal_sdk.server.metrics.catalog import METRICS
from signal_sdk.testing.server import LocalServer, local_server
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import until
from tests.server.helpers import LogIn, dev_config, dial, settle, vanishing_client
from tests.server.metrics.scraping import OPENMETRICS, scrape
from tests.wire_client import logged_in, wire_client


async def test_both_forms_say_the_same(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    plain, open_ = scrape(server.node), scrape(server.node, OPENMETRICS)
    # What goes on meanwhile is the process's own.
    steady = {it: value for it, value in plain.samples.items() if it[0].startswith("signal_sdk_")}
    assert steady
    assert {it: open_.samples[it] for it in steady} == steady
    assert plain.samples.keys() == open_.samples.keys()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_the_form_is_the_one_that_is_asked_for(
    server: LocalServer, accept: str, content_type: str
) -> None:
    found, data = exposition(server.node, accept)
    assert found.startswith(content_type)
    assert data.endswith(b"# EOF\n") is found.startswith("application/openmetrics-text")
    assert data.endswith(b"\n")


@pytest.mark.parametrize("accept", ["a" * 100_000, "application/openmetrics-text;version=x", ";,="])
async def test_a_strange_request_gets_an_answer(server: LocalServer, accept: str) -> None:
    assert exposition(server.node, accept)[1]


async def test_promtool_has_nothing_to_say_against_it(server: LocalServer, log_in: LogIn) -> None:
    await log_in("ann")
    _, data = exposition(server.node)
    checked = await trio.run_process(
        ["promtool", "check", "metrics"],
        stdin=data,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def test_without_the_library_it_says_what_to_install(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "signal_sdk.server.metrics.collector", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"^/metrics needs the extra"):
        exposition(server.node)


SECRETS: Final = ("s3cr3t-account", "s3cr3t-room", "s3cr3t-text", "s3cr3t-token", "s3cr3t-device")


async def test_nobody_and_nothing_is_named(server: LocalServer) -> None:
    account, room, text, token, device = SECRETS
    async with wire_client(server.connect()) as ann:
        await ann.login(account, app="s3cr3tapp", token=token, device=device)
        line = ann.line
        await ann.call("channel_join", name=room)
        await ann.call("channel_sendmsg", name=room, msg=text)
        await ann.call("channel_set_attr", channel=room, name="s3cr3t-name", value=text)
        await ann.call("user_sendmsg", peer=account, flag="v1:E:9", t="instant", content=text)
        await ann.call("s3cr3t-function", line=line)
        for accept in ("", OPENMETRICS):
            _, data = exposition(server.node, accept)
            assert b"s3cr3t" not in data
            assert line.encode() not in data


# --- apps


def configured(*apps: str, dev: bool = False) -> Config:
    """A server of these apps, whose users need no token."""
    config = dev_config()
    server = attrs.evolve(config.server, dev=dev)
    return attrs.evolve(config, server=server, apps=tuple(AppConfig(id=app) for app in apps))


@pytest.mark.parametrize("config", [configured("one", "two")])
async def test_apps_that_are_configured_have_numbers_of_their_own(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann", app="one")
    await log_in("bob", app="one")
    await ann.call("channel_join", name="room")
    await ann.call("user_sendmsg", peer="eve", flag="v1:E:9", t="instant", content="x")
    now = scrape(server.node)
    for name, of_one in (
        ("app_connections", 2),
        ("accounts", 3),
        ("accounts_online", 2),
        ("channels", 1),
        ("channel_members", 1),
        ("inbox_entries", 1),
    ):
        assert now(f"signal_sdk_{name}", app="one") == of_one, name
        assert now(f"signal_sdk_{name}", app="two") == 0, name
        assert now.labels(f"signal_sdk_{name}") == {(("app", "one"),), (("app", "two"),)}
    # One that is not configured any more keeps what it has, and has no name.
    server.node.reload(configured("two"))
    now = scrape(server.node)
    assert now("signal_sdk_accounts_online") == now("signal_sdk_app_connections") == 2
    assert now("signal_sdk_accounts_online", app="two") == 0
    assert now.labels("signal_sdk_accounts_online") == {(), (("app", "two"),)}


@pytest.mark.parametrize("config", [configured("one", dev=True)])
async def test_in_dev_mode_no_app_is_named(server: LocalServer, log_in: LogIn) -> None:
    """There any name is an app."""
    await log_in("ann", app="one")
    await log_in("ann", app="another")
    now = scrape(server.node)
    assert now("signal_sdk_accounts_online") == 2
    assert not any("app" in dict(labels) for _, labels in now.samples)
    assert math.isnan(now("signal_sdk_app_connections"))


# --- each node by itself


async def test_two_nodes_of_a_process_count_apart(server: LocalServer, log_in: LogIn) -> None:
    await log_in("ann")
    async with local_server(dev_config(), listens=False) as other:
        await settle()
        assert scrape(server.node)("signal_sdk_logins_total", kind="login", code="0") == 1
        assert scrape(other.node).labels("signal_sdk_logins_total") == set()
        assert scrape(other.node)("signal_sdk_accounts_online") == 0
    assert not any(it.name.startswith("signal_sdk") for it in REGISTRY.collect())


async def test_the_names_are_the_catalog_s(server: LocalServer) -> None:
    """Whatever is said is in the list, with its type and its labels."""
    now = scrape(server.node)
    known = {it.name: it for it in METRICS}
    assert len(known) == len(METRICS)
    for name, kind in now.types.items():
        metric = known.get(name) or known[f"{name}_total"]
        assert kind == metric.kind
        assert now.docs[name]
        for labels in now.labels(metric.name):
            assert {label for label, _ in labels} <= set(metric.labels)


# --- the loop, and what waits


async def test_the_loop_s_lag_is_measured(server: LocalServer, autojump_clock: MockClock) -> None:
    before = scrape(server.node)
    await trio.sleep(7)
    for _ in range(3):
        # Whoever was to be woken meanwhile is late by as much.
        autojump_clock.jump(2)
        await trio.sleep(0.001)
        await trio.sleep(1.4)
    now = scrape(server.node)

    def rise(name: str, **labels: str) -> float:
        name = f"signal_sdk_loop_lag_seconds_{name}"
        return now(name, **labels) - before(name, **labels)

    assert rise("count") >= 13
    assert rise("bucket", le="0.001") == rise("count") - 3
    assert rise("bucket", le="1.0") == rise("count") - 3
    assert rise("bucket", le="5.0") == rise("count")
    assert 3 < rise("sum") < 6


@pytest.mark.parametrize("config", [dev_config(user_messages_per_second=0, outbox_bytes=0)])
async def test_who_reads_slowly_is_counted_with_what_waits_for_him(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    args = {"peer": "eve", "flag": "v1:E:60", "t": "instant", "content": "x" * 8000}
    async with vanishing_client(server, "eve"):
        assert scrape(server.node)("signal_sdk_slow_readers") == 0
        for _ in range(20):
            assert (await ann.call("user_sendmsg", **args))["result"] == "ok"
        now = scrape(server.node)
        assert now("signal_sdk_slow_readers") == 1
        assert 8000 < now("signal_sdk_outbox_bytes") < 200_000
    await settle()
    now = scrape(server.node)
    assert now("signal_sdk_slow_readers") == now("signal_sdk_outbox_bytes") == 0


class Ear(LoginCallback):
    """Says when something was heard."""

    def __init__(self) -> None:
        self.heard = trio.Event()

    async def on_message_instant_receive(
        self, session: object, account: str, uid: int, msg: str
    ) -> None:
        self.heard.set()


async def test_what_bots_of_the_sdk_do_is_counted_with_their_bytes() -> None:
    async with (
        local_server(dev_config()) as server,
        Signal("app", server=server.address) as signal,
    ):
        before = scrape(server.node)
        ear = Ear()
        ann = await signal.login("ann", "_no_need_token")
        await signal.login("bob", "_no_need_token", ear)
        channel = await ann.channel_join("room")
        await channel.message_channel_send("y" * 3000)
        await ann.message_instant_send("bob", "x" * 5000)
        with trio.fail_after(10):
            await ear.heard.wait()
        now = scrape(server.node)
        assert now("signal_sdk_logins_total", kind="login", code="0") == 2
        assert now("signal_sdk_messages_received_total", kind="account") == 1
        assert now("signal_sdk_messages_received_total", kind="channel") == 1
        assert now("signal_sdk_messages_sent_total", kind="account") == 1
        received = now("signal_sdk_received_bytes_total") - before(
            "signal_sdk_received_bytes_total"
        )
        sent = now("signal_sdk_sent_bytes_total") - before("signal_sdk_sent_bytes_total")
        # Long messages may come compressed.
        assert 8000 < received < 20_000
        assert 300 < sent < 20_000
        assert now("signal_sdk_connections", wire="websocket", device="javasdk") == 2


# --- on Redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


async def test_a_node_on_redis_tells_of_that_and_leaves_out_what_it_does_not_know(
    redis: RedisServer,
) -> None:
    engine = RedisEngine([redis.unix_url])
    async with (
        local_server(engine=engine, clock=time.time) as server,
        wire_client(await dial(server.host, server.port)) as ann,
    ):
        await ann.login("ann")
        await ann.call("channel_join", name="room")
        await until(lambda: scrape(server.node)("signal_sdk_channel_members") == 1)
        now = scrape(server.node)
        assert now("signal_sdk_accounts_online") == now("signal_sdk_channels") == 1
        for state in ("inviting", "ringing", "accepted"):
            assert now("signal_sdk_calls", state=state) == 0
        for end in ("bye", "refused", "unanswered", "offline", "gone", "operator"):
            assert now("signal_sdk_calls_ended_total", end=end) == 0
        assert now("signal_sdk_inbox_entries") == now("signal_sdk_kept_bytes") == 0
        assert now("signal_sdk_inbox_oldest_entry_seconds") == 0
        assert now("signal_sdk_redis_commands_total") > 3
        assert now("signal_sdk_redis_round_trip_seconds_count") > 1
        assert 0 < now("signal_sdk_redis_round_trip_seconds_sum") < 10
        assert now("signal_sdk_redis_servers", state="up") == 1
        assert now("signal_sdk_redis_servers", state="down") == 0
        assert "signal_sdk_journal_batch_rows_count" not in now.names
        redis.kill()
        await until(lambda: scrape(server.node)("signal_sdk_redis_servers", state="down") == 1)
        now = scrape(server.node, OPENMETRICS)
        assert now("signal_sdk_ready") == now("signal_sdk_redis_pending_commands") == 0


# --- what it costs


def _calls(look: Callable[[], object]) -> int:
    """How many functions of Python's a look calls."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    # What it takes away may have functions of its own.
    gc.disable()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        look()
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


async def test_a_look_costs_as_much_however_many_are_connected(autojump_clock: MockClock) -> None:
    """Nothing is summed that grows with the connections."""
    costs = []
    for count in (5, 100):
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(local_server(dev_config(), listens=False))
            for number in range(count):
                client = await stack.enter_async_context(logged_in(server, f"a{number}"))
                await client.call("channel_join", name=f"room{number % 20}")
            scrape(server.node)
            costs.append(_calls(lambda server=server: exposition(server.node)))  # type: ignore[misc]
    assert costs[1] < costs[0] * 1.05, costs
