"""`signal-sdk status`: what is told, and the exit codes."""

from __future__ import annotations

import errno
import json
import os
import re
import time

import attrs
import pytest
import trio

from signal_sdk.cli.group import Look
from signal_sdk.cli.status import _facts, duration, shown_bytes
from signal_sdk.cli.top import _line
from signal_sdk.server.node import Node
from signal_sdk.testing.server import LocalServer, local_server
from tests.cli.program import Ended, one_line_of, run
from tests.cli.test_samples import made
from tests.server.admin.helpers import KEY, WRONG_KEY
from tests.server.admin.test_admin_node import real_config
from tests.wire_client import logged_in


async def status(server: LocalServer, *args: str, key: str = KEY) -> Ended:
    where = ("--admin", f"http://127.0.0.1:{server.admin_port}")
    environment = {"SIGNAL_SDK_OPERATOR_KEY": key}
    return await trio.to_thread.run_sync(
        lambda: run("status", *where, *args, environment=environment)
    )


async def test_a_server_that_is_well_is_told_of() -> None:
    async with (
        local_server(real_config(), clock=time.time) as server,
        logged_in(server, "ann"),
    ):
        people, programs = await status(server), await status(server, "--json")
    assert (people.code, people.err) == (0, "")
    lines = dict(line.split(": ", 1) for line in people.out.splitlines())
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", lines["version"])
    assert re.fullmatch(r"(\d+ min )?\d+ s, since [-\d]+ [:\d]+ UTC \(\d+\)", lines["running"])
    assert (lines["ready"], lines["logged in here"]) == ("yes", "1")
    assert lines["connections"] == "1 of 20000"
    assert lines["messages"] == "0 received, 0 sent"
    assert (lines["logins"], lines["refusals"]) == ("1", "0")
    assert lines["memory"].endswith("iB")
    assert lines["engine"] == "accounts: 1, online: 1, channels: 0, calls: 0"
    assert (programs.code, programs.err) == (0, "")
    told = json.loads(programs.out)
    assert (told["ready"], told["why_not_ready"], told["sessions"]) == (True, "", 1)
    assert (told["version"], told["counters"]["logins"]) == (lines["version"], 1)


async def test_one_that_lets_nobody_in_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "why_not_ready", lambda _: "it goes away")
    async with local_server(real_config()) as server:
        people, programs = await status(server), await status(server, "--json")
    assert (people.code, people.err, programs.code) == (1, "", 1)
    assert "ready: warning: it goes away\n" in people.out
    assert json.loads(programs.out)["why_not_ready"] == "it goes away"


async def test_a_wrong_key_is_one_line() -> None:
    async with local_server(real_config()) as server:
        ended = await status(server, key=WRONG_KEY)
    assert ended.code == 1
    assert one_line_of(ended).startswith("signal-sdk: 401: ")
    assert WRONG_KEY not in ended.err


def test_nobody_there_is_one_line() -> None:
    environment = {"SIGNAL_SDK_OPERATOR_KEY": KEY}
    ended = run("status", "--admin", "http://127.0.0.1:1", environment=environment)
    assert ended.code == 1
    assert one_line_of(ended) == f"signal-sdk: no answer: {os.strerror(errno.ECONNREFUSED)}"


def test_that_it_is_one_of_several_workers_is_told() -> None:
    found = made(1.0, received=1.0)
    several = attrs.evolve(found, gauges={**found.gauges, "workers": 4.0})
    assert "worker" not in dict(_facts(Look(found=found)))
    assert dict(_facts(Look(found=several)))["worker"].startswith("one of 4: ")
    assert " worker: one of 4, " in _line(Look(found=several))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90061, "1 d 1 h"),
    ],
)
def test_a_duration_is_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (52682752, "50.2 MiB"), (3 << 30, "3 GiB")],
)
def test_bytes_are_in_their_unit(count: int, text: str) -> None:
    assert shown_bytes(count) == text
