"""`signal-sdk replay`: what was said is said again, when it was, and by nobody else's words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock

from signal_sdk import ChannelCallback, LoginCallback, LoginSession, Signal
from signal_sdk.channel import Channel
from signal_sdk.cli import recording, replay
from signal_sdk.cli.ears import Printer
from signal_sdk.cli.main import cli
from signal_sdk.errors import SignalError
from signal_sdk.testing.server import LocalServer, local_server
from tests.cli.program import Ended, run

HEADER = '{"signal_sdk_recording": 1, "app": "x", "account": "y", "began": 5}'
TALK = (
    {"at": 0.0, "direction": "in", "event": "login", "account": "y", "uid": 3},
    {"at": 0.5, "direction": "out", "event": "joining", "channel": "room"},
    {"at": 1.0, "direction": "out", "event": "sent", "to": "b", "msg": "first"},
    {"at": 2.0, "direction": "in", "event": "channel_message", "channel": "room", "msg": "heard"},
    {"at": 2.5, "direction": "in", "event": "message", "account": "b", "msg": "not said"},
    {"at": 3.0, "direction": "out", "event": "channel_sent", "channel": "room", "msg": "second"},
    {"at": 4.0, "direction": "out", "event": "channel_sent", "channel": "other", "msg": "third"},
)


class Ears(LoginCallback, ChannelCallback):
    """Collects what it hears, and when."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, str, str | bytes]] = []

    def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        self.heard.append((round(trio.current_time(), 1), account, msg))

    def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        self.heard.append((round(trio.current_time(), 1), channel.name, msg))

    def on_message_instant_receive_bytes(
        self, session: LoginSession, account: str, uid: int, data: bytes
    ) -> None:
        self.heard.append((round(trio.current_time(), 1), account, data))

    def on_message_channel_receive_bytes(
        self, session: LoginSession, channel: Channel, account: str, uid: int, data: bytes
    ) -> None:
        self.heard.append((round(trio.current_time(), 1), channel.name, data))


def write(folder: Path, *lines: str | dict[str, Any]) -> str:
    path = folder / "talk.jsonl"
    path.write_text("".join(f"{it if isinstance(it, str) else json.dumps(it)}\n" for it in lines))
    return str(path)


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server() as running:
        yield running


@asynccontextmanager
async def ears(server: LocalServer, *, takes_bytes: bool = False) -> AsyncIterator[dict[str, Ears]]:
    """One who hears messages, and one in each channel."""
    async with Signal("app", server=server) as app:
        found = {name: Ears() for name in ("b", "room", "other")}
        for name, ear in found.items():
            session = await app.login(name, "_no_need_token", ear, takes_bytes=takes_bytes)
            if name != "b":
                await session.channel_join(name, ear)
        yield found


async def said(server: LocalServer, file: str, *args: str) -> Ended:
    whose = ("--app", "app", "--account", "a", "--server", server.address)
    return await trio.to_thread.run_sync(partial(run, "replay", file, *whose, *args))


@pytest.mark.parametrize("heard", [(), ("--heard",)])
async def test_what_was_said_is_said_again(
    server: LocalServer, tmp_path: Path, heard: tuple[str, ...]
) -> None:
    file = write(tmp_path, HEADER, *TALK)
    async with ears(server) as hears:
        ended = await said(server, file, "--speed", "20", "--json", *heard)
        assert (ended.code, ended.err) == (0, "")
    texts = {name: [msg for _, _, msg in ear.heard] for name, ear in hears.items()}
    again = ["heard"] if heard else []
    assert texts == {"b": ["first"], "room": [*again, "second"], "other": ["third"]}
    told = [json.loads(line) for line in ended.out.splitlines()]
    spoken = [it["event"] for it in told if it["event"] in ("joining", "sent", "channel_sent")]
    assert spoken == ["joining", "sent", *["channel_sent"] * (2 + len(again))]


IN_MANY = '{"signal_sdk_recording":1,"app":"x","account":"y","began":5,"many_channels":true}'
BYTES = (
    {"at": 0.0, "direction": "out", "event": "joining", "channel": "room"},
    {"at": 0.0, "direction": "out", "event": "joining", "channel": "other"},
    {"at": 0.1, "direction": "out", "event": "bytes_sent", "to": "b", "data": "AP8="},
    {"at": 0.2, "direction": "in", "event": "channel_bytes", "channel": "other", "data": "AA=="},
    {"at": 0.3, "direction": "in", "event": "channel_bytes", "channel": "other", "size": 3},
    {"at": 0.4, "direction": "out", "event": "channel_bytes_sent", "channel": "room", "data": ""},
)


@pytest.mark.parametrize("header", [HEADER, IN_MANY])
async def test_bytes_are_said_again_in_the_channels_that_it_is_in(
    tmp_path: Path, autojump_clock: MockClock, header: str
) -> None:
    file = write(tmp_path, header, *BYTES)
    async with (
        local_server(listens=False) as server,
        ears(server, takes_bytes=True) as hears,
        Signal("app", server=server) as app,
    ):
        is_in_many = recording.is_in_many(file)
        assert is_in_many == (header is IN_MANY)
        session = await app.login("a", "_no_need_token", many_channels=is_in_many, takes_bytes=True)
        refused: list[SignalError] = []
        speaker = replay._Speaker(Silent(is_json=True), is_in_many=is_in_many)
        await replay._say_all(replay._chosen(file, heard=True), speaker, refused, 1.0, session)
        await trio.sleep(0.1)
        there = [name for name in ("room", "other") if await is_in(session, name)]
        assert there == (["room", "other"] if is_in_many else ["other"])
    assert refused == []
    said = {name: [msg for _, _, msg in ear.heard] for name, ear in hears.items()}
    assert said == {"b": [b"\0\xff"], "room": [b""], "other": [b"\0"]}


async def is_in(session: LoginSession, channel: str) -> bool:
    users = await session.channel_query_user_list(channel)
    return session.account in [account for account, _ in users]


class Silent(Printer):
    """Prints nothing."""

    async def write(self, told: object) -> None:
        pass


@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_each_is_said_in_its_time(
    tmp_path: Path, autojump_clock: MockClock, speed: float
) -> None:
    file = write(tmp_path, HEADER, *TALK)
    async with (
        local_server(listens=False) as server,
        ears(server) as hears,
        Signal("app", server=server) as app,
    ):
        session = await app.login("a", "_no_need_token")
        began = trio.current_time()
        refused: list[SignalError] = []
        chosen = replay._chosen(file, heard=True)
        speaker = replay._Speaker(Silent(is_json=True), is_in_many=False)
        await replay._say_all(chosen, speaker, refused, speed, session)
        await trio.sleep(0.1)
    assert refused == []
    times = [at - began for ear in hears.values() for at, _, _ in ear.heard]
    assert times == pytest.approx([1.0 / speed, 2.0 / speed, 3.0 / speed, 4.0 / speed], abs=0.1)


async def test_what_is_refused_is_told_and_the_rest_is_said(
    server: LocalServer, tmp_path: Path
) -> None:
    wrong = {"at": 0.0, "direction": "out", "event": "sent", "to": "no such name", "msg": "x"}
    file = write(tmp_path, HEADER, wrong, wrong, TALK[2])
    async with ears(server) as hears:
        ended = await said(server, file, "--speed", "1000")
        assert ended.code == 1
        assert ended.err.startswith("signal-sdk: a message was refused, and 1 more: ")
        assert ended.err.endswith("(1004 GENERAL_E_WRONG_PARAM)\n")
        assert ended.err.count("\n") == 1
    assert [msg for _, _, msg in hears["b"].heard] == ["first"]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ((), ": it is empty"),
        (("no JSON",), ":1: not a line of a recording: "),
        ((TALK[1],), ":1: not a line of a recording: "),
        (('{"signal_sdk_recording": 2, "app": "", "account": "", "began": 1}',), ":1: a recording"),
        ((HEADER,), ": nothing in it was said; --heard says what was heard in channels"),
        ((HEADER, TALK[0], TALK[3]), ": nothing in it was said; --heard says"),
        ((HEADER, TALK[1], '{"at": "soon"}'), ":3: not a line of a recording: "),
        ((HEADER, TALK[1], {**TALK[1], "direction": "up"}), ":3: not a line of a recording: "),
        ((HEADER, TALK[1], {**TALK[2], "msg": 5}), ":3: not a line of a recording: Expected"),
        ((HEADER, {"at": 1, "direction": "out", "event": "sent"}), ":2: 'sent' needs 'to'"),
        ((HEADER, {**BYTES[2], "data": None}), ":2: 'bytes_sent' needs 'data'"),
        ((HEADER, {**BYTES[2], "data": "A"}), ":2: not a line of a recording: Invalid base64"),
        ((HEADER, TALK[1], "[" * 100_000), ":3: not a line of a recording: "),
    ],
)
def test_what_is_no_recording_is_refused_before_anything_is_said(
    tmp_path: Path, lines: tuple[str | dict[str, Any], ...], text: str
) -> None:
    file = write(tmp_path, *lines)
    whose = ["--app", "a", "--account", "a", "--server", "ws://127.0.0.1:1"]
    result = CliRunner().invoke(cli, ["replay", file, *whose])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"signal-sdk: {file}{text}")
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_and_a_wrong_speed_are_one_line(tmp_path: Path) -> None:
    whose = ["--app", "a", "--account", "a"]
    result = CliRunner().invoke(cli, ["replay", "/no/such", *whose])
    assert (result.exit_code, result.stderr) == (
        2,
        "signal-sdk: /no/such: No such file or directory\n",
    )
    for speed in ("0", "1001", "nan", "fast"):
        result = CliRunner().invoke(cli, ["replay", "f", *whose, "--speed", speed])
        assert result.exit_code == 2
        assert "'--speed'" in result.stderr
