"""`signal-sdk record`: what is heard and said is in the file, and nothing secret is."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from signal_sdk import LoginSession, Signal
from signal_sdk.cli import recording
from signal_sdk.cli.main import cli
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import tokens
from tests.cli.program import Program, full_disk, program
from tests.cli.serves import CERTIFICATE

TOKENS = {account: tokens.make_token("app", CERTIFICATE, account, 10**11) for account in "ab"}


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    config = Config(apps=(AppConfig(id="app", certificate=CERTIFICATE),))
    async with local_server(config) as running:
        yield running


@asynccontextmanager
async def recording_of(
    server: LocalServer, file: Path, *more: str
) -> AsyncIterator[tuple[Program, LoginSession]]:
    """`record --json` of the account a, once it is logged in, and the account b."""
    whose = ("--app", "app", "--account", "a", "--server", server.address)
    environment = {"SIGNAL_SDK_TOKEN": TOKENS["a"]}
    async with (
        Signal("app", server=server.address) as app,
        program(
            *("record", str(file), *whose, "--json", *more),
            environment=environment,
            stdin=subprocess.PIPE,
        ) as running,
    ):
        assert json.loads(await running.out.next())["event"] == "login"
        yield running, await app.login("b", TOKENS["b"])


def names_in(folder: Path) -> list[str]:
    return [it.name for it in folder.iterdir()]


async def until(running: Program, name: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(await running.out.next())
        if event["event"] == name:
            return event


def read(file: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    header, *rest = map(json.loads, file.read_text().splitlines())
    times = [it.pop("at") for it in rest]
    assert times == sorted(times)
    assert times[0] == 0.0
    return header, rest


async def test_what_is_heard_and_said_is_written_down(server: LocalServer, tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    async with recording_of(server, file, "--channel", "room") as (running, bob):
        await until(running, "users")
        room = await bob.channel_join("room")
        await until(running, "user_joined")
        await room.message_channel_send("to all\u2028")
        await until(running, "channel_message")
        await bob.message_instant_send("a", "to a")
        await until(running, "message")
        await running.say("hello\n\nagain\n")
        sent = [await until(running, "channel_sent") for _ in range(2)]
        assert [it["msg"] for it in sent] == ["hello", "again"]
        await until(running, "channel_message")
        line: str = bob._client._line
        ended = await running.end(signal.SIGTERM)
    assert (ended.code, ended.err) == (0, "")
    header, entries = read(file)
    assert header.pop("began") > 1.7e12
    assert header == {"signal_sdk_recording": 1, "app": "app", "account": "a"}
    said = [it for it in entries if it["direction"] == "out"]
    assert said == [
        {"direction": "out", "event": "joining", "channel": "room"},
        {"direction": "out", "event": "channel_sent", "channel": "room", "msg": "hello"},
        {"direction": "out", "event": "channel_sent", "channel": "room", "msg": "again"},
    ]
    assert {"direction": "in", "event": "message", "account": "b", "msg": "to a"} in entries
    heard = [it for it in entries if it["event"] == "channel_message"]
    assert heard[0] == {
        "direction": "in",
        "event": "channel_message",
        "channel": "room",
        "account": "b",
        "uid": heard[0]["uid"],
        "msg": "to all\u2028",
    }
    assert entries[-1]["event"] == "logout"
    text = file.read_text()
    assert "line" not in {key for it in entries for key in it}
    assert [it for it in (*TOKENS.values(), CERTIFICATE, line) if it in text] == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_several_channels_and_bytes_are_written_down(
    server: LocalServer, tmp_path: Path
) -> None:
    file = tmp_path / "talk.jsonl"
    many = ("--channel", "room", "--channel", "bar")
    async with recording_of(server, file, *many, "--to", "b") as (running, bob):
        for _ in many[::2]:
            await until(running, "users")
        for name in ("room", "bar"):
            await bob.message_channel_send_force(name, name.encode())
        await bob.message_instant_send("a", b"\0\xff")
        await until(running, "bytes")
        await running.say("hello\n")
        await until(running, "sent")
        ended = await running.end(signal.SIGTERM)
    assert (ended.code, ended.err) == (0, "")
    header, entries = read(file)
    assert header["many_channels"] is True
    heard = [(it["channel"], it["data"]) for it in entries if it["event"] == "channel_bytes"]
    assert heard == [("room", "cm9vbQ=="), ("bar", "YmFy")]
    assert [it["data"] for it in entries if it["event"] == "bytes"] == ["AP8="]
    said = [it.event for it in recording.entries(str(file)) if it.direction == "out"]
    assert said == ["joining", "joining", "sent"]
    assert recording.is_in_many(str(file))


async def test_lines_go_to_an_account_and_one_that_is_refused_is_told(
    server: LocalServer, tmp_path: Path
) -> None:
    file = tmp_path / "talk.jsonl"
    async with recording_of(server, file, "--to", "b") as (running, _):
        await running.say(f"hi\n{'x' * 8193}\nlast")
        await running.close_stdin()
        assert (await until(running, "error"))["ecode"] == 1005
        assert (await until(running, "sent"))["msg"] == "last"
        ended = await running.end(signal.SIGINT)
    assert ended.code == 0
    _, entries = read(file)
    first, *names, last = [it["event"] for it in entries]
    assert (first, last) == ("login", "logout")
    # What is refused here may be told before what the server has to answer; and the last
    # line may not have been asked for when the signal comes, which is told as an error too.
    assert sorted(names[:4]) == ["error", "sent", "sent", "sent"]
    unanswered = [(it["event"], it.get("reason")) for it in entries[5:-1]]
    assert unanswered in ([], [("error", "not logged in: the session is logging out")])


async def test_however_the_session_ends_what_was_written_stays(
    server: LocalServer, tmp_path: Path
) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text("before")
    async with recording_of(server, file, "--force") as (running, bob):
        await bob.message_instant_send("a", "hi")
        await until(running, "message")
        assert file.read_text() == "before"
        async with Signal("app", server=server.address) as app:
            await app.login("a", TOKENS["a"])
            ended = await running.end()
    assert ended.code == 1
    assert ended.err.endswith("(103 LOGOUT_E_KICKED)\n")
    _, entries = read(file)
    assert [it["event"] for it in entries] == ["login", "message", "logout"]
    assert names_in(tmp_path) == [file.name]


async def test_a_login_that_fails_leaves_no_file(server: LocalServer, tmp_path: Path) -> None:
    whose = ("--app", "app", "--account", "a", "--server", server.address)
    async with program("record", str(tmp_path / "f"), *whose) as running:
        ended = await running.end()
    assert ended.code == 1
    assert ended.err.endswith("(206 LOGIN_E_TOKENWRONG)\n")
    assert names_in(tmp_path) == []


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("mine")
    result = CliRunner().invoke(cli, ["record", str(file), "--app", "a", "--account", "a"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"signal-sdk: {file}: it is there already; --force replaces it\n"
    assert file.read_text() == "mine"


async def test_a_full_disk_is_a_failure_that_the_printer_tells() -> None:
    with full_disk() as full:
        recorder = recording.Recorder(full.fileno(), app="a", account="b", is_json=True)
        with pytest.raises(OSError, match="No space left"):
            await recorder.write({"event": "login", "ts": 1})


def test_times_are_after_the_first_event(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    async def write(fd: int) -> None:
        recorder = recording.Recorder(fd, app="a", account="b", is_json=True)
        begun = [recorder.has_begun]
        await recorder.write({"event": "login", "ts": 1000})
        assert [*begun, recorder.has_begun] == [False, True]
        await trio.sleep(1.5)
        await recorder.write({"event": "sent", "ts": 2500, "to": "c", "msg": "d"})

    file = tmp_path / "f"
    fd = os.open(file, os.O_WRONLY | os.O_CREAT)
    trio.run(write, fd, clock=trio.testing.MockClock(autojump_threshold=0.05))
    os.close(fd)
    header, first, second = map(json.loads, file.read_text().splitlines())
    assert header["began"] == 1000
    assert (first["at"], first["direction"]) == (0.0, "in")
    assert (round(second["at"], 1), second["direction"]) == (1.5, "out")
