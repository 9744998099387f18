"""The workers of a server: who begins, who is replaced and when, and how all end."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory

import attrs
import pytest
import trio
from trio import socket
from trio.testing import wait_all_tasks_blocked

from signal_sdk.cli import workers as module
from signal_sdk.cli.settings import Settings
from signal_sdk.cli.workers import Workers
from signal_sdk.server import node
from signal_sdk.server.engine.redis import engine

WORKER = """
import os, signal, socket, sys, time
number, line = int(sys.argv[1]), sys.stdin.readline().rstrip()
place, _, manner = line.partition(" ")
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.connect(place)
say = lambda what: told.send(f"{number} {os.getpid()} {what}".encode())
seen = []
def note(signum, _):
    seen.append(signum)
    say(signal.Signals(signum).name)
for it in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(it, note)
say("begins")
if manner == "fail":
    sys.exit(2)
if manner == "crash":
    os.kill(os.getpid(), signal.SIGKILL)
if manner == "late" and number == 2:
    while not seen:
        time.sleep(0.01)
print("serves", flush=True)
say("serves")
if number == 2 and manner == "brief":
    sys.exit(3)
while signal.SIGTERM not in seen and signal.SIGINT not in seen or manner == "stubborn":
    time.sleep(0.01)
sys.exit(5 if manner == "sorry" else 0)
"""
"""A worker that does one thing or another, and tells of it."""
PATIENCE_SECONDS = 30
Told = tuple[socket.SocketType, str]
SERVING = ["1 begins", "1 serves", "2 begins", "2 serves", "3 begins", "3 serves"]


@attrs.define(eq=False)
class Crew:
    """Three workers, and what they have told."""

    workers: Workers
    told: socket.SocketType
    is_serving: trio.Event = attrs.field(factory=trio.Event)
    pids: dict[int, int] = attrs.field(factory=dict)
    """The latest of each."""
    has_ended: trio.Event = attrs.field(factory=trio.Event)
    code: int = -1

    async def run(self) -> None:
        self.code = await self.workers.run(self.is_serving.set)
        self.has_ended.set()

    async def end(self) -> int:
        """The exit code, once all have ended."""
        await self.has_ended.wait()
        return self.code

    async def hear(self) -> str:
        """The next thing that one of them tells: `NUMBER WHAT`."""
        number, pid, what = (await self.told.recv(1000)).decode().split(" ", 2)
        self.pids[int(number)] = int(pid)
        # What it has said to its supervisor before has been heard by then.
        await wait_all_tasks_blocked(0.01)
        return f"{number} {what}"

    async def hear_all(self, *expected: str) -> None:
        """All that they tell next, in any order."""
        assert sorted([await self.hear() for _ in expected]) == sorted(expected)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.04)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    # A socket's path has to be short.
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        place = f"{folder}/told"
        await sock.bind(place)
        yield sock, place


@asynccontextmanager
async def crew(told: Told, manner: str = "", count: int = 3) -> AsyncIterator[Crew]:
    """Workers of this manner, while the block runs; all that have begun have ended after it."""
    sock, place = told
    command = (sys.executable, "-S", "-c", WORKER)
    made = Crew(Workers(count, f"{place} {manner}".encode(), command), sock)
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            yield made
            nursery.cancel_scope.cancel()
    for pid in made.pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_the_first_serves_before_the_others_begin(told: Told) -> None:
    async with crew(told) as it:
        assert [await it.hear(), await it.hear()] == SERVING[:2]
        await it.is_serving.wait()
        await it.hear_all(*SERVING[2:])
        assert len(set(it.pids.values())) == 3


@pytest.mark.parametrize(
    ("manner", "code", "line"),
    [
        ("fail", 2, ""),
        ("crash", 1, r"signal-sdk: worker 1 \(pid \d+\) has ended by SIGKILL before it served\n"),
    ],
)
async def test_where_the_first_cannot_serve_nobody_does(
    told: Told, capfd: pytest.CaptureFixture[str], manner: str, code: int, line: str
) -> None:
    """It has said why, if it could."""
    async with crew(told, manner) as it:
        assert await it.hear() == "1 begins"
        assert await it.end() == code
        assert not it.is_serving.is_set()
    assert re.fullmatch(line, capfd.readouterr().err)


async def test_one_that_dies_is_replaced_and_the_log_says_which_and_why(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    async with crew(told) as it:
        await it.hear_all(*SERVING)
        before = dict(it.pids)
        os.kill(it.pids[2], signal.SIGKILL)
        await it.hear_all("2 begins", "2 serves")
        assert it.pids[2] != before.pop(2)
        assert {number: it.pids[number] for number in before} == before
    (line,) = [it for it in caplog.records if it.levelno == logging.WARNING]
    assert re.fullmatch(
        r"worker 2 \(pid \d+\) has ended by SIGKILL: another in 0.01 s", line.getMessage()
    )


async def test_one_that_is_sent_away_alone_is_replaced_without_a_warning(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    """As an operator does who has installed a new version."""
    async with crew(told) as it:
        await it.hear_all(*SERVING)
        os.kill(it.pids[3], signal.SIGTERM)
        await it.hear_all("3 SIGTERM", "3 begins", "3 serves")
    assert [it for it in caplog.records if it.levelno == logging.WARNING] == []


def pauses(caplog: pytest.LogCaptureFixture) -> list[str]:
    return re.findall(r"with exit code 3: another in (\S+) s", caplog.text)


async def test_one_that_fails_again_and_again_is_begun_ever_more_seldom(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    async with crew(told, "brief") as it:
        while len(pauses(caplog)) < 5:
            await it.hear()
    assert pauses(caplog)[:5] == ["0.01", "0.02", "0.04", "0.04", "0.04"]


async def test_one_that_has_lasted_is_begun_at_once(
    told: Told, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LASTING_SECONDS", 0)
    async with crew(told, "brief") as it:
        while len(pauses(caplog)) < 3:
            await it.hear()
    assert pauses(caplog)[:3] == ["0.01"] * 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_sends_all_of_them_away(told: Told, number: signal.Signals) -> None:
    async with crew(told) as it:
        await it.hear_all(*SERVING)
        it.workers.stop(number, PATIENCE_SECONDS)
        await it.hear_all(*(f"{worker} {number.name}" for worker in (1, 2, 3)))
        assert await it.end() == 0


async def test_one_that_ends_badly_is_told(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    async with crew(told, "sorry", 1) as it:
        await it.hear_all(*SERVING[:2])
        it.workers.stop(signal.SIGTERM, PATIENCE_SECONDS)
        assert await it.end() == 1
    assert "with exit code 5" in caplog.text


async def test_one_that_does_not_end_is_killed(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    async with crew(told, "stubborn", 2) as it:
        await it.hear_all(*SERVING[:4])
        it.workers.stop(signal.SIGTERM, PATIENCE_SECONDS)
        await it.hear_all("1 SIGTERM", "2 SIGTERM")
        it.workers.stop(signal.SIGTERM, 0)
        assert await it.end() == 1
    assert caplog.text.count(": it is killed") == 2


async def test_one_that_does_not_serve_yet_is_sent_away_as_any_program(told: Told) -> None:
    """What SIGINT means to it, it may not know yet."""
    async with crew(told, "late", 2) as it:
        await it.hear_all(*SERVING[:3])
        it.workers.stop(signal.SIGINT, PATIENCE_SECONDS)
        await it.hear_all("1 SIGINT", "2 SIGTERM", "2 serves")
        assert await it.end() == 0


async def test_all_that_serve_hear_of_a_new_configuration_and_who_does_not_later(
    told: Told,
) -> None:
    async with crew(told, "late", 2) as it:
        await it.hear_all(*SERVING[:3])
        it.workers.hang_up()
        assert await it.hear() == "1 SIGHUP"
        os.kill(it.pids[2], signal.SIGUSR1)
        await it.hear_all("2 SIGUSR1", "2 serves", "2 SIGHUP")


async def test_settings_go_to_a_worker_as_they_are() -> None:
    settings = Settings(
        config="a.toml",
        dev=True,
        server={"redis": ("redis://:secret@h",), "port": 5},
        native={"lookup_ports": (1, 2), "enabled": True},
        verbose=2,
        admin={"address": "[::1]:8011"},
        dev_key="a secret key",
    )
    assert Settings.decode(settings.encode()) == settings
    assert "secret" not in repr(settings)
    assert settings.of_worker(1) == settings
    assert settings.of_worker(3).admin == {"address": "[::1]:8013"}
    assert Settings().of_worker(3) == Settings()


def test_no_worker_is_killed_for_what_it_waits_for() -> None:
    """The other nodes hear that it goes, its clients take their farewell, and Redis is told."""
    assert module.END_SECONDS > node.STOP_SECONDS * 2 + engine.FAREWELL_SECONDS + 5
