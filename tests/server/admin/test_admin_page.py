"""docs/admin.md: every operation is in it, and each of its lines does what it says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

import attrs
import httpx
import pytest
import trio

from signal_sdk.admin import asks
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.server.admin import asked, connections, idempotency, problems, server, stream
from signal_sdk.server.admin.routes import OPERATIONS
from signal_sdk.server.config import AppConfig, loads
from signal_sdk.server.config_admin import RIGHTS
from signal_sdk.server.feed import WAITING
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.admin.helpers import KEY
from tests.server.admin.test_admin_node import real_config
from tests.server.configs import ADMIN_KEY, SECRET
from tests.wire_client import logged_in

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = (ROOT / "docs" / "admin.md").read_text()
URL: Final = "http://127.0.0.1:8011"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@attrs.frozen
class Line:
    """A command of the page: a request."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None


def lines() -> Iterator[Line]:
    for block in blocks("sh"):
        for command in block.replace("\\\n", " ").splitlines():
            name, *words = shlex.split(command.replace("$KEY", KEY))
            assert name == "curl"
            method, headers, body = "GET", {}, None
            while words:
                match words.pop(0):
                    case "-X":
                        method = words.pop(0)
                    case "-H":
                        key, _, value = words.pop(0).partition(": ")
                        headers[key] = value
                    case "-d":
                        body = words.pop(0)
                    case "-N":
                        pass
                    case url:
                        assert not words
                        yield Line(method, url, headers, body)


def operation_of(line: Line) -> str:
    path = line.url.removeprefix(URL).partition("?")[0]
    found = [
        it.name
        for it in OPERATIONS
        if it.method == line.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", it.path), path)
    ]
    assert len(found) == 1, line
    return found[0]


@asynccontextmanager
async def lively() -> AsyncIterator[LocalServer]:
    """A node at which Alice and Bob are in the lobby, and call each other; she has an attribute."""
    config = real_config()
    apps = (AppConfig(id="demo", certificate=SECRET, allow_no_token=True),)
    keys = tuple(attrs.evolve(key, app="*", rights=RIGHTS) for key in config.admin_keys)
    async with (
        local_server(attrs.evolve(config, apps=apps, admin_keys=keys)) as node,
        logged_in(node, "alice", vid="demo") as alice,
        logged_in(node, "bob", vid="demo") as bob,
    ):
        for client in (alice, bob):
            assert (await client.call("channel_join", name="lobby"))["result"] == "ok"
        operator = node.node.operator
        await operator.set_user_attribute("demo", "alice", "mood", "fine")
        await operator.set_channel_attribute("demo", "lobby", "about", "tea")
        await alice.call("voip_invite", channelName="room", peer="bob", peeruid=0, extra="")
        yield node


def test_the_table_has_every_operation() -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/v1\S*)` \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (it.method, it.path, f"`{it.right}`" if it.right else "any key", it.summary)
        for it in OPERATIONS
    ]


def test_every_operation_has_a_line() -> None:
    assert {operation_of(line) for line in lines()} == {it.name for it in OPERATIONS}


@pytest.mark.parametrize("line", [pytest.param(it, id=operation_of(it)) for it in lines()])
async def test_a_line_does_what_it_says(line: Line) -> None:
    async with lively() as node, httpx.AsyncClient() as client:
        request = client.build_request(
            line.method,
            line.url.replace(URL, f"http://127.0.0.1:{node.admin_port}"),
            headers=line.headers,
            content=line.body,
        )
        answer = await client.send(request, stream=True)
        if operation_of(line) == "events":
            assert answer.headers["content-type"] == "text/event-stream"
        else:
            await answer.aread()
        await answer.aclose()
    assert answer.status_code in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}, answer.text


def test_the_configuration_is_one(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(ADMIN_KEY)
    [text] = blocks("toml")
    config = loads(text.replace("/etc/signal-sdk/admin.key", str(tmp_path / "key")))
    assert config.admin_keys[0].key == ADMIN_KEY


async def test_the_program_runs_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    [program] = blocks("python")
    async with lively() as node, trio.open_nursery() as nursery:
        program = program.replace(URL, f"http://127.0.0.1:{node.admin_port}").replace("KEY", KEY)

        async def come() -> None:
            while not node.node.feed:  # noqa: ASYNC110  nobody tells
                await trio.sleep(0.01)
            async with logged_in(node, "eve", vid="demo"):
                await trio.sleep_forever()

        nursery.start_soon(come)
        await trio.to_thread.run_sync(exec, program, {})
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().out == "alice\nbob\nlogin eve\n"


def test_the_failures_are_those_that_there_are() -> None:
    section = PAGE.split("## What goes wrong")[1]
    kinds = set(
        re.findall(
            r"`([a-z-]+)`", "".join(re.findall(r"^\| \d+ \| (.*?) \|", section, re.MULTILINE))
        )
    )
    said: set[str] = set()
    for path in (ROOT / "signal_sdk/server/admin").glob("*.py"):
        text = path.read_text()
        said |= set(re.findall(r'HTTPStatus\.[A-Z_]+,\s+"([a-z-]+)"', text))
    assert kinds == said | {"bad-field"}
    [problem] = blocks("json")
    assert json.loads(problem)["type"].startswith(problems.TYPES)


def test_which_failures_have_a_place_is_told() -> None:
    told = dict(re.findall(r"^\| 422 \| `([a-z-]+)` \| (.*) \|$", PAGE, re.MULTILINE))
    refused = problems.problem_of(ParameterError(ECode.GENERAL_E_WRONG_PARAM, "bad")).problem
    assert refused.type.endswith("refused-value")
    assert refused.place is None
    assert "without a `place`" in told["refused-value"]
    assert "`place` says which" in told["bad-field"]


def test_its_numbers_are_those_of_the_code() -> None:
    flat = " ".join(PAGE.split())
    assert asked.MAX_BODY_BYTES == 1024**2
    for text in (
        f"{server.MAX_CONNECTIONS} connections of HTTP/1.1 are held",
        f"a header has {server.MAX_HEADER_BYTES // 1024} KiB and {connections.IDLE_SECONDS:g} s",
        f"the body took longer than {asked.BODY_SECONDS:g} s",
        f"remembers the last {idempotency.MAX_KEPT:,} answers for ten minutes",
        f"A comment comes every {stream.BEAT_SECONDS:g} s",
        f"of {WAITING:,} events that wait",
        f"reads nothing for {connections.SEND_SECONDS:g} s is hung up on",
        f"A node has {stream.MAX_STREAMS} readers at most",
    ):
        assert text in flat
    assert idempotency.KEPT_SECONDS == 600
    assert asks.DAY_SECONDS == 24 * 3600
