"""`signal-sdk bench`: what is counted, whose servers it goes to, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result
from trio.testing import MockClock

from signal_sdk import Signal
from signal_sdk.cli import bots as bots_module
from signal_sdk.cli.bots import Bots, Plan
from signal_sdk.cli.main import cli
from signal_sdk.server.config import AppConfig, Config, LimitsConfig, ServerConfig
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire.names import NO_TOKEN
from tests.cli.program import Ended, one_line_of, program, run
from tests.cli.serves import CERTIFICATE, write_config
from tests.cli.terminal import terminal

APP = "app"


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server() as running:
        yield running


@pytest.fixture
async def memory(autojump_clock: MockClock) -> AsyncIterator[LocalServer]:
    """One in memory, on trio's clock."""
    async with local_server(listens=False) as running:
        yield running


def plan(**more: Any) -> Plan:
    wanted: dict[str, Any] = {
        "connections": 5,
        "rate": 100.0,
        "messages": 200,
        "size": 64,
        "login_rate": 1000.0,
        "in_channel": False,
    }
    return Plan(**wanted | more)


async def measured(server: LocalServer, **more: Any) -> Bots:
    async with Signal(APP, server=server) as door:
        bots = Bots(door=door, plan=plan(**more), token_of=lambda _: NO_TOKEN)
        await bots.log_in(lambda _: None)
        await bots.talk(lambda _: None)
    return bots


# --- What is counted


@pytest.mark.parametrize("in_channel", [False, True])
async def test_every_message_is_sent_in_its_time_and_heard(
    memory: LocalServer, autojump_clock: MockClock, in_channel: bool
) -> None:
    began = trio.current_time()
    bots = await measured(memory, in_channel=in_channel, rate=1000.0)
    assert len(bots.sessions) == bots.logins.count == 5
    assert (bots.sent, bots.acknowledged, bots.held_back) == (200, 200, 0)
    assert bots.deliveries.count == bots.expected == (1000 if in_channel else 200)
    assert (bots.missing, bots.refused, bots.refused_logins) == (0, {}, {})
    assert 0.19 <= bots.seconds <= trio.current_time() - began
    assert bots.answers.count == 200


async def test_of_a_channel_that_fills_nobody_is_told(
    memory: LocalServer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a thousand bots, that would be half a million events before the first message."""
    joined: list[str] = []

    def note(_: Bots, session: object, channel: object, account: str, uid: int) -> None:
        joined.append(account)

    monkeypatch.setattr(Bots, "on_channel_user_joined", note)
    bots = await measured(memory, in_channel=True, messages=10)
    assert (bots.deliveries.count, joined) == (50, [])


async def test_what_the_server_refuses_is_counted_by_its_code(autojump_clock: MockClock) -> None:
    limits = LimitsConfig(user_messages_per_second=10)
    config = Config(server=ServerConfig(dev=True), limits=limits)
    async with local_server(config, listens=False) as server:
        bots = await measured(server, connections=1, rate=10_000.0, messages=30)
    assert bots.refused.keys() == {400}
    assert bots.refused.total() + bots.acknowledged == bots.sent == 30
    assert bots.deliveries.count == bots.acknowledged < 30


async def test_logins_that_are_refused_are_counted_and_others_go_on(
    autojump_clock: MockClock,
) -> None:
    config = Config(apps=(AppConfig(id=APP, certificate=CERTIFICATE),))
    async with local_server(config, listens=False) as server, Signal(APP, server=server) as door:
        bots = Bots(door=door, plan=plan(), token_of=lambda _: "wrong")
        await bots.log_in(lambda _: None)
        await bots.talk(lambda _: None)
    assert bots.refused_logins == {206: 5}
    assert bots.first_refusal is not None
    assert (bots.sent, bots.seconds) == (0, 0.0)


async def test_what_a_slow_server_has_not_answered_is_bounded(
    memory: LocalServer, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bots_module, "MAX_WAITING", 3)
    monkeypatch.setattr(Bots, "_waiting", property(lambda bots: bots.sent))
    monkeypatch.setattr(bots_module, "GRACE_SECONDS", 0.0)
    bots = await measured(memory, rate=10_000.0, messages=10)
    assert (bots.sent, bots.held_back) == (3, 7)


async def test_who_stops_hears_of_what_was_measured(
    memory: LocalServer, autojump_clock: MockClock
) -> None:
    async with Signal(APP, server=memory) as door:
        bots = Bots(door=door, plan=plan(messages=10**6), token_of=lambda _: NO_TOKEN)
        await bots.log_in(lambda _: None)

        def tell(count: int) -> None:
            if count == 3:
                bots.stop()

        await bots.talk(tell)
    assert bots.is_stopped
    assert bots.sent == 3
    assert bots.seconds > 0


async def test_who_stops_before_all_are_logged_in_begins_nothing(
    memory: LocalServer, autojump_clock: MockClock
) -> None:
    async with Signal(APP, server=memory) as door:
        bots = Bots(door=door, plan=plan(login_rate=5.0), token_of=lambda _: NO_TOKEN)
        await bots.log_in(lambda tried: bots.stop() if tried == 2 else None)
        await bots.talk(lambda _: None)
    assert len(bots.sessions) == 2
    assert bots.sent == 0


# --- The command


def bench(server: LocalServer, *args: str, **environment: str) -> Ended:
    where = ("--app", APP, "--server", f"127.0.0.1:{server.port}")
    few = ("--connections", "3", "--rate", "200", "--messages", "40", "--login-rate", "100")
    return run("bench", *where, *few, *args, environment=environment)


async def ended(server: LocalServer, *args: str, **environment: str) -> Ended:
    return await trio.to_thread.run_sync(partial(bench, server, *args, **environment))


async def test_people_read_lines_and_bars(server: LocalServer) -> None:
    done = await ended(server)
    assert (done.code, done.err) == (0, "")
    logins, sent, delivered, *bars = done.out.splitlines()
    time = r"[\d.]+ (µs|ms|s)"
    times = f"p50 {time}, p90 {time}, p99 {time}, max {time}"
    assert re.fullmatch(f"logins: 3, {times}", logins)
    assert re.fullmatch(rf"sent: 40 in [\d.]+ s \([\d.]+/s\), answered in {times}", sent)
    assert re.fullmatch(rf"delivered: 40 \([\d.]+/s\), {times}", delivered)
    counts = [re.fullmatch(rf" *{time} +(\d+)( #+)?", bar) for bar in bars]
    assert sum(int(found[2]) for found in counts if found) == 40
    assert all(counts)


async def test_programs_read_one_object(server: LocalServer) -> None:
    done = await ended(server, "--json", "--to", "channel", "--size", "8192")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["ok"] is True
    assert (told["connections"], told["sent"], told["delivered"]) == (3, 40, 120)
    assert (told["missing"], told["refused"], told["refused_logins"]) == (0, {}, {})
    assert told["delivery_ms"]["count"] == sum(it["count"] for it in told["histogram"]) == 120
    assert (
        0 < told["delivery_ms"]["p50"] <= told["delivery_ms"]["p99"] <= told["delivery_ms"]["max"]
    )


@pytest.mark.parametrize("allows_old", [True, False])
async def test_bots_have_tokens_where_the_app_needs_them(tmp_path: Path, allows_old: bool) -> None:
    app = AppConfig(id=APP, certificate=CERTIFICATE, allow_old_tokens=allows_old)
    async with local_server(Config(apps=(app,)), clock=time.time) as server:
        refused = await ended(server)
        assert refused.code == 1
        assert one_line_of(refused).endswith("(206 LOGIN_E_TOKENWRONG)")
        path = write_config(
            tmp_path,
            f'[[apps]]\nid = "{APP}"\ncertificate = "{CERTIFICATE}"\n'
            f"allow_old_tokens = {str(allows_old).lower()}\n",
        )
        done = await ended(server, "--config", path)
        assert (done.code, done.err) == (0, "")
        if allows_old:
            done = await ended(server, SIGNAL_SDK_CERTIFICATE=CERTIFICATE)
            assert (done.code, done.err) == (0, "")


async def test_what_is_refused_is_a_failure_with_its_reason() -> None:
    limits = LimitsConfig(user_messages_per_second=1)
    async with local_server(Config(server=ServerConfig(dev=True), limits=limits)) as server:
        done = await ended(server)
    assert done.code == 1
    assert re.search(r"refused: \d+ by 400 ", done.out)


async def test_a_signal_ends_it_with_what_was_measured(server: LocalServer) -> None:
    where = ("--app", APP, "--server", f"127.0.0.1:{server.port}", "--connections", "1")
    async with program("bench", *where, "--seconds", "3600", "--json") as running:
        with trio.fail_after(60):
            while not len(server.node._hub):  # noqa: ASYNC110  nothing else tells of it
                await trio.sleep(0.01)
        done = await running.end(signal.SIGINT)
    assert (done.code, done.err) == (1, "")
    assert json.loads(done.out)["ok"] is False


async def test_somebody_at_a_terminal_sees_how_far_it_is(server: LocalServer) -> None:
    where = ("--app", APP, "--server", f"127.0.0.1:{server.port}", "--connections", "2")
    async with terminal("bench", *where, "--messages", "100") as running:
        await running.until("messages")
        assert await running.end() == 0
    assert "100%" in running.text
    assert "delivered: 100 " in running.text


# --- Whose server it is


def refused(*args: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["bench", "--app", "a", *args], env=environ)


@pytest.mark.parametrize(
    "server",
    [
        "example.com",
        "192.168.1.5:8001",
        "https://127.0.0.1.example.com",
        "wss://[2001:db8::1]:1/",
        "localhost.example.com",
        "//127.0.0.1@example.com",
        "::1",
    ],
)
def test_servers_elsewhere_are_not_flooded(server: str) -> None:
    for result in (refused("--server", server), refused(SIGNAL_SDK_SERVER=server)):
        assert (result.exit_code, result.stdout) == (2, "")
        assert "that server is not on this machine" in result.stderr
        assert "give --yes-i-run-it" in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--server", "ws://127.0.0.1:1"), 1),
        (("--server", "ws://[::1]:1"), 1),
        (("--server", "ws://localhost:1"), 1),
        (("--server", "ws://127.8.8.8:1"), 1),
        # Whoever says so is believed; nothing is there.
        (("--server", "ws://0.0.0.0:1", "--yes-i-run-it"), 1),
    ],
)
def test_servers_here_are(args: tuple[str, ...], code: int) -> None:
    result = refused(*args, "--connections", "1")
    assert result.exit_code == code
    assert result.stderr.endswith("(201 LOGIN_E_NET)\n")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--connections", "10001"), "'--connections'"),
        (("--rate", "0"), "'--rate'"),
        (("--rate", "nan"), "'--rate'"),
        (("--seconds", "nan"), "'--seconds'"),
        (("--seconds", "3601"), "'--seconds'"),
        (("--size", "31"), "'--size'"),
        (("--size", "8193"), "'--size'"),
        (("--login-rate", "1001"), "'--login-rate'"),
    ],
)
def test_all_is_bounded(args: tuple[str, ...], text: str) -> None:
    result = refused(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr
