"""`signal-sdk top`: a line for each look in a pipe, a table at a terminal, and how it ends."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator

import pytest
import trio

from signal_sdk.admin import AdminError
from signal_sdk.admin.errors import Problem
from signal_sdk.cli import group, top
from signal_sdk.cli.admin_access import Access
from signal_sdk.cli.group import Look, looking
from signal_sdk.cli.samples import Sample
from signal_sdk.testing.server import LocalServer, local_server
from tests.cli.program import one_line_of, program, run
from tests.cli.terminal import terminal
from tests.cli.test_samples import made
from tests.server.admin.helpers import KEY
from tests.server.admin.test_admin_node import real_config
from tests.wire_client import logged_in

ENVIRONMENT = {"SIGNAL_SDK_OPERATOR_KEY": KEY}


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(real_config()) as running:
        yield running


def args(server: LocalServer, *more: str) -> tuple[str, ...]:
    return ("top", "--admin", f"http://127.0.0.1:{server.admin_port}", *more)


async def test_each_look_is_a_line_in_a_pipe(server: LocalServer) -> None:
    async with logged_in(server, "ann"), program(*args(server), environment=ENVIRONMENT) as seen:
        first, second = await seen.out.next(), await seen.out.next()
        ended = await seen.end(signal.SIGINT)
    assert (ended.code, ended.err) == (0, "")
    assert "logged in: 1, memory: " in first
    assert "/s" not in first
    for said in (" in: 0/s", " out: ", " lag: ", " cpu: ", " online: 1", " calls: 0"):
        assert said in second


async def test_each_look_is_an_object_for_programs(server: LocalServer) -> None:
    command = args(server, "--json", "--seconds", "0.5")
    async with program(*command, environment=ENVIRONMENT) as seen:
        ended = await seen.end()
    assert (ended.code, ended.err) == (0, "")
    first, second = map(json.loads, ended.out.splitlines())
    assert (first["event"], first["rates"]) == ("look", {})
    assert (second["sessions"], second["rates"]["received"]) == (0, 0.0)
    assert second["ts"] > first["ts"]


async def test_somebody_at_a_terminal_sees_a_table(server: LocalServer) -> None:
    async with terminal(*args(server), environment=ENVIRONMENT) as seen:
        await seen.until("cpu")
        seen.press("\x03")
        assert await seen.end() == 0
    assert "signal-sdk " in seen.text
    assert "up " in seen.text
    assert any(line.split() == ["logged", "in", "0"] for line in seen.text.splitlines())


def test_nobody_there_at_the_first_look_is_a_failure() -> None:
    ended = run("top", "--admin", "http://127.0.0.1:1", environment=ENVIRONMENT)
    assert ended.code == 1
    assert one_line_of(ended).startswith("signal-sdk: no answer: ")


async def test_a_server_that_goes_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Sample | AdminError] = [
        made(1.0, received=10.0),
        AdminError(0, Problem(detail="gone\n\x1b")),
        made(3.0, received=20.0),
    ]

    async def sample(_: object) -> Sample:
        answer = answers.pop(0)
        if isinstance(answer, AdminError):
            raise answer
        return answer

    monkeypatch.setattr(group, "sample", sample)
    monkeypatch.setattr(top, "LOOK_SECONDS", 0.0)
    looks: list[Look] = []

    def show(look: Look) -> None:
        looks.append(look)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with pytest.raises(BaseExceptionGroup):
        await top._watch(looking(Access(url="http://127.0.0.1:1", key=KEY)), None, show)
    assert [look.rates for look in looks] == [{}, {}, {"received": 5.0}]
    told = top._event(looks[1])
    assert told["event"] == "no_answer"
    assert told["reason"] == "gone\n\x1b"
    assert top._line(looks[1]).endswith(r" no answer: gone\n\x1b")
    await trio.lowlevel.checkpoint()
