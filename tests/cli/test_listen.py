"""`signal-sdk listen`: what it prints, and how it ends; against a server of its own."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from signal_sdk import LoginSession, Signal
from signal_sdk.cli.events import as_text
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.main import cli
from signal_sdk.testing.server import local_server
from tests.cli.program import Program, dev_server, full_disk, one_line_of, program, run

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


class Listening:
    """`signal-sdk listen --json` that has begun to listen."""

    def __init__(self, running: Program) -> None:
        self.running = running

    async def event(self) -> dict[str, Any]:
        """The next event, without its time."""
        event: dict[str, Any] = json.loads(await self.running.out.next())
        assert isinstance(event.pop("ts"), int)
        return event

    async def events(self, *names: str) -> list[dict[str, Any]]:
        """The next events, which have these names."""
        events = [await self.event() for _ in names]
        assert [event.pop("event") for event in events] == list(names)
        return events


@asynccontextmanager
async def listening(address: str, *args: str, account: str = "ear") -> AsyncIterator[Listening]:
    whose = ("--app", "app", "--account", account, "--server", address)
    async with program("listen", *whose, "--json", *args) as running:
        heard = Listening(running)
        await heard.events("login")
        yield heard


@asynccontextmanager
async def logged_in(address: str, account: str) -> AsyncIterator[LoginSession]:
    async with Signal("app", server=address) as app:
        yield await app.login(account, "_no_need_token")


# --- What it prints


async def test_messages_and_invitations_are_printed_as_they_come() -> None:
    async with (
        dev_server() as (_, address),
        listening(address) as heard,
        logged_in(address, "bob") as bob,
    ):
        await bob.message_instant_send("ear", "hello\n👋")
        assert await heard.event() == {"event": "message", "account": "bob", "msg": "hello\n👋"}
        await bob.channel_invite_user2("room", "ear", '{"a": 1}')
        assert await heard.event() == {
            "event": "invitation",
            "account": "bob",
            "channel": "room",
            "extra": '{"a": 1}',
        }


async def test_bytes_are_printed_as_how_many_there_are_and_in_base64() -> None:
    async with (
        dev_server() as (_, address),
        Signal("app", server=address) as signal,
        listening(address, "--channel", "lobby") as heard,
        signal.login("bob", "_no_need_token", takes_bytes=True) as bob,
    ):
        await heard.events("joined", "users")
        await bob.message_instant_send("ear", b"\0\xff")
        shown = {"account": "bob", "size": 2, "data": "AP8="}
        assert await heard.event() == {"event": "bytes", **shown}
        await bob.message_channel_send_force("lobby", b"\0\xff")
        in_lobby = {"channel": "lobby", "uid": bob.uid, **shown}
        assert await heard.event() == {"event": "channel_bytes", **in_lobby}
    text = as_text({"event": "bytes", "ts": 0, **shown})
    assert text.endswith(" bob: 2 bytes")


async def test_a_channel_is_printed_from_who_is_there_to_who_leaves() -> None:
    async with dev_server() as (_, address), logged_in(address, "bob") as bob:
        lobby = await bob.channel_join("lobby")
        await lobby.channel_set_attr("colour", "red")
        async with listening(address, "--channel", "lobby") as heard:
            joined, users, attribute = await heard.events("joined", "users", "attribute")
            assert joined == {"channel": "lobby"}
            assert users["accounts"] == ["bob", "ear"]
            red = {"channel": "lobby", "name": "colour", "value": "red", "type": "update"}
            assert attribute == red
            await lobby.message_channel_send("hello")
            await lobby.channel_leave()
            message, left = await heard.events("channel_message", "user_left")
            assert message == {
                "channel": "lobby",
                "account": "bob",
                "uid": bob.uid,
                "msg": "hello",
            }
            assert left == {"channel": "lobby", "account": "bob", "uid": bob.uid}
            await bob.channel_join("lobby")
            assert (await heard.events("user_joined"))[0]["account"] == "bob"


async def test_users_of_the_whole_app_are_printed() -> None:
    async with dev_server() as (_, address), listening(address, "--users") as heard:
        await heard.events("joined")
        async with logged_in(address, "bob") as bob:
            [online] = await heard.events("online")
            assert online == {"channel": "_agora_user_online", "account": "bob", "uid": bob.uid}
        [offline] = await heard.events("offline")
        assert offline["account"] == "bob"


async def test_channels_of_the_whole_app_are_printed() -> None:
    async with (
        dev_server() as (_, address),
        listening(address, "--channels") as heard,
        logged_in(address, "bob") as bob,
    ):
        await heard.events("joined")
        async with bob.channel_join("lobby"):
            [join] = await heard.events("join")
            assert join == {"channel": "lobby", "account": "bob", "uid": bob.uid}
        await heard.events("leave")


async def test_several_channels_are_printed_side_by_side() -> None:
    async with (
        local_server() as server,
        listening(
            server.address, "--channel", "lobby", "--channel", "stage", "--users", "--channels"
        ) as heard,
        logged_in(server.address, "bob") as bob,
    ):
        joined = list[str]()
        # Bob may come before it has joined all: that is told in between.
        while len(joined) < 4:
            event = await heard.event()
            if event["event"] == "joined":
                joined.append(event["channel"])
        assert joined == ["lobby", "stage", "_agora_user_online", "_agora_channel_event"]
        for name in ("stage", "lobby"):
            await bob.message_channel_send_force(name, "hello")
        told = list[str]()
        while len(told) < 2:
            event = await heard.event()
            if event["event"] == "channel_message":
                told.append(event["channel"])
        assert told == ["stage", "lobby"]


async def test_people_read_lines_that_move_nothing_on_their_screen() -> None:
    async with dev_server() as (_, address):
        args = ("--app", "app", "--account", "ear", "--server", address, "--channel", "lobby")
        async with program("listen", *args) as heard, logged_in(address, "bob") as bob:
            assert (await heard.out.next()).endswith(" logged in as ear")
            assert (await heard.out.next()).endswith(" [lobby] joined")
            assert (await heard.out.next()).endswith(" [lobby] here are: ear")
            await bob.message_instant_send("ear", "two\nlines \x1b[2J")
            assert (await heard.out.next()).endswith(r" bob: two\nlines \x1b[2J")


# --- How it ends


@SIGNALS
async def test_a_signal_logs_it_out(number: signal.Signals) -> None:
    async with dev_server() as (_, address), logged_in(address, "bob") as bob:
        async with listening(address, "--channel", "lobby") as heard:
            await heard.events("joined", "users")
            heard.running.process.send_signal(number)
            left, logout = await heard.events("left", "logout")
            assert left == {"channel": "lobby", "ecode": 603}
            assert logout["ecode"] == 101
            ended = await heard.running.end()
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        assert not await bob.query_user_status("ear")


async def test_a_signal_during_the_login_ends_it_as_well() -> None:
    async def say_nothing(stream: trio.SocketStream) -> None:
        asked.set()
        await trio.sleep_forever()

    asked = trio.Event()
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, say_nothing, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        whose = ("--app", "app", "--account", "ear", "--server", f"ws://127.0.0.1:{port}")
        async with program("listen", *whose) as running:
            await asked.wait()
            ended = await running.end(signal.SIGTERM)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        nursery.cancel_scope.cancel()


async def test_another_login_of_the_account_ends_it() -> None:
    async with (
        dev_server() as (_, address),
        listening(address) as heard,
        logged_in(address, "ear"),
    ):
        [logout] = await heard.events("logout")
        assert logout["ecode"] == 103
        ended = await heard.running.end()
    assert ended.code == 1
    assert one_line_of(ended).startswith("signal-sdk: ")
    assert one_line_of(ended).endswith("(103 LOGOUT_E_KICKED)")


async def test_it_goes_on_at_a_server_that_is_started_again(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    async with dev_server(*data) as (server, address), listening(address) as heard:
        await server.end(signal.SIGINT)
        port = address.rpartition(":")[2]
        async with program("serve", "--dev", "--port", port, *data) as again:
            await again.out.next()
            async with logged_in(address, "bob") as bob:
                await bob.message_instant_send("ear", "still there?")
                for attempt in count(1):
                    event = await heard.event()
                    if event == {"event": "reconnected"}:
                        break
                    assert event == {"event": "reconnecting", "attempt": attempt}
                assert attempt > 1
                (message,) = await heard.events("message")
            assert message == {"account": "bob", "msg": "still there?"}
            ended = await heard.running.end(signal.SIGTERM)
    assert (ended.code, ended.err) == (0, "")


async def test_its_terminal_may_go() -> None:
    async with (
        dev_server() as (_, address),
        logged_in(address, "bob") as bob,
        listening(address) as heard,
    ):
        heard.running.process.send_signal(signal.SIGHUP)
        await bob.message_instant_send("ear", "still there?")
        (message,) = await heard.events("message")
        assert message == {"account": "bob", "msg": "still there?"}


def test_a_hangup_means_again_what_it_did_once_nobody_sends_or_listens() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with hangup_ignored():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is before


async def test_a_reader_that_goes_ends_it_quietly_and_logs_it_out() -> None:
    async with (
        dev_server() as (_, address),
        logged_in(address, "bob") as bob,
        listening(address) as heard,
    ):
        await heard.running.close_stdout()
        await bob.message_instant_send("ear", "is anybody there?")
        ended = await heard.running.end(reads=False)
        assert (ended.code, ended.err) == (0, "")
        assert not await bob.query_user_status("ear")


async def test_a_reader_that_does_not_read_does_not_keep_it_from_ending() -> None:
    async with (
        dev_server() as (_, address),
        logged_in(address, "bob") as bob,
        listening(address) as heard,
    ):
        for _ in range(20):
            # More than a pipe holds.
            await bob.message_instant_send("ear", "x" * 8000)
        heard.running.process.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await heard.running.process.wait() == 0


def test_a_login_that_fails_is_one_line() -> None:
    whose = ("--app", "app", "--account", "ear", "--server", "ws://127.0.0.1:1")
    ended = run("listen", *whose)
    assert ended.code == 1
    assert one_line_of(ended).endswith("(201 LOGIN_E_NET)")


async def test_a_full_disk_ends_it_with_one_line() -> None:
    async with dev_server() as (_, address):
        whose = ("--app", "app", "--account", "ear", "--server", address)
        with full_disk() as full:
            ended = await trio.to_thread.run_sync(lambda: run("listen", *whose, stdout=full))
    assert (ended.code, ended.err) == (1, "signal-sdk: No space left on device\n")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--account", "a"), "signal-sdk listen: missing option '--app'"),
        (("--app", "a"), "signal-sdk listen: missing option '--account'"),
        (("--app", "a", "--account", "a", "--server", "ftp://x"), "signal-sdk: server 'ftp://x'"),
        (("--app", "", "--account", "a"), "signal-sdk: app id '' is empty"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(args: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(cli, ["listen", *args])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(text)
    assert result.stderr.count("\n") == 1


def test_a_token_in_the_environment_is_not_in_the_help() -> None:
    result = CliRunner().invoke(cli, ["listen", "--help"], env={"SIGNAL_SDK_TOKEN": "s3cret"})
    assert "$SIGNAL_SDK_TOKEN" in result.stdout
    assert "s3cret" not in result.stdout
