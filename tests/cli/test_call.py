"""`signal-sdk call`: placed and answered, dialled by keys and by lines, and how it ends."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from trio.lowlevel import FdStream

from signal_sdk import Call, CallCallback, LoginCallback, LoginSession, Signal
from signal_sdk.cli.main import cli
from signal_sdk.testing.server import LocalServer, local_server
from tests.cli.program import Ended, Program, program
from tests.cli.terminal import terminal


class Peer(LoginCallback, CallCallback):
    """Does with calls what it is told, and collects what it hears of them."""

    def __init__(self, does: str = "accept") -> None:
        self._does = does
        self.call: Call | None = None
        self._send, self._receive = trio.open_memory_channel[tuple[str, str]](100)

    async def heard(self) -> tuple[str, str]:
        return await self._receive.receive()

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        call.cb = self
        self.call = call
        self._send.send_nowait(("invited", call.extra))
        if self._does == "accept":
            await call.channel_invite_accept('{"hello": 1}')
        elif self._does == "refuse":
            await call.channel_invite_refuse("busy")

    async def on_invite_accepted_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        self._send.send_nowait(("accepted", extra))

    async def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> None:
        self._send.send_nowait(("msg", extra))
        await call.channel_invite_dtmf("99")

    async def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        self._send.send_nowait(("ended", extra))

    async def on_invite_refused_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        self._send.send_nowait(("refused", extra))


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server() as running:
        yield running


@asynccontextmanager
async def logged_in(server: LocalServer, account: str, cb: Peer) -> AsyncIterator[LoginSession]:
    async with Signal("app", server=f"127.0.0.1:{server.port}") as app:
        yield await app.login(account, "_no_need_token", cb)


def args(server: LocalServer, *more: str) -> tuple[str, ...]:
    whose = ("--app", "app", "--account", "ann", "--server", f"127.0.0.1:{server.port}")
    return ("call", *whose, *more)


async def next_event(running: Program) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(await running.out.next())
    assert isinstance(event.pop("ts"), int)
    return event


async def until(running: Program, name: str) -> dict[str, Any]:
    while (event := await next_event(running))["event"] != name:
        pass
    return event


def events(ended: Ended) -> list[str]:
    return [json.loads(line)["event"] for line in ended.out.splitlines()]


# --- Placing one


async def test_lines_are_dialled_once_the_call_is_accepted(server: LocalServer) -> None:
    bob = Peer()
    command = args(server, "--to", "bob", "--extra", "hi", "--channel", "room", "--json")
    async with logged_in(server, "bob", bob):
        async with program(*command, stdin=subprocess.PIPE) as ann:
            await ann.say("12#\nno digits\n")
            seen = [await next_event(ann) for _ in range(7)]
            assert await bob.heard() == ("invited", "hi")
            assert await bob.heard() == ("msg", '{"msgtype":"dtmf","msgdata":"12#"}')
            await ann.say("q\n")
            ended = await ann.end()
        assert await bob.heard() == ("ended", "")
    assert (ended.code, ended.err) == (0, "")
    assert seen[0]["event"] == "login"
    assert seen[1:4] == [
        {"event": "calling", "account": "bob", "channel": "room"},
        {"event": "ringing", "account": "bob"},
        {"event": "accepted", "account": "bob", "extra": '{"hello": 1}'},
    ]
    # What the other side dials may come before the answer to what was dialled.
    assert sorted(seen[4:], key=lambda it: str(it["event"])) == [
        {"event": "dialled", "digits": "12#"},
        {"event": "dtmf", "account": "bob", "digits": "99"},
        {"event": "error", "ecode": 1004, "reason": "expected 0-9, *, # or q"},
    ]
    assert events(ended) == ["ended", "logout"]


async def test_what_is_dialled_does_not_wait_until_the_beginning_is_printed(
    server: LocalServer,
) -> None:
    bob = Peer("ring")
    async with (
        logged_in(server, "bob", bob),
        program(*args(server, "--to", "bob", "--json"), stdin=subprocess.PIPE) as ann,
    ):
        assert isinstance(ann.process.stdout, FdStream)
        room = fcntl.fcntl(ann.process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        await until(ann, "ringing")
        await ann.say("7\n")
        assert bob.call is not None
        # Nobody reads any more: what begins the call has no room to be printed.
        await bob.call.channel_invite_accept("x" * room)
        assert await bob.heard() == ("invited", "")
        assert await bob.heard() == ("msg", '{"msgtype":"dtmf","msgdata":"7"}')
        await until(ann, "dialled")


async def test_who_is_absent_refuses_or_does_not_answer_is_told_by_the_exit_code(
    server: LocalServer,
) -> None:
    online = '{"_require_peer_online": 1}'
    async with program(*args(server, "--to", "bob", "--extra", online, "--json")) as ann:
        ended = await ann.end()
    assert (ended.code, ended.err) == (
        1,
        "signal-sdk: the peer is offline (703 INVITE_E_PEEROFFLINE)\n",
    )
    assert events(ended) == ["login", "calling", "failed", "logout"]
    async with logged_in(server, "bob", Peer("refuse")):
        async with program(*args(server, "--to", "bob")) as ann:
            ended = await ann.end()
        assert (ended.code, ended.err) == (1, "signal-sdk: bob has refused the call\n")
        assert " bob has refused busy\n" in ended.out


async def test_it_hangs_up_in_time(server: LocalServer) -> None:
    bob = Peer()
    command = args(server, "--to", "bob", "--seconds", "0.05", "--json")
    async with logged_in(server, "bob", bob), program(*command) as ann:
        ended = await ann.end()
    assert ended.code == 0
    assert events(ended)[-2:] == ["ended", "logout"]


@pytest.mark.parametrize("does", ["accept", "ring"])
async def test_a_signal_hangs_up(server: LocalServer, does: str) -> None:
    bob = Peer(does)
    async with logged_in(server, "bob", bob):
        async with program(*args(server, "--to", "bob", "--json")) as ann:
            await until(ann, "accepted" if does == "accept" else "ringing")
            ended = await ann.end(signal.SIGINT)
        assert (ended.code, ended.err) == (0, "")
        assert events(ended)[-1] == "logout"
        assert [await bob.heard(), await bob.heard()][1][0] == "ended"


async def test_the_other_side_hangs_up(server: LocalServer) -> None:
    class Short(Peer):
        async def on_invite_received(self, session: LoginSession, call: Call) -> None:
            await super().on_invite_received(session, call)
            await call.channel_invite_end("bye")

    command = args(server, "--to", "bob", "--json")
    async with logged_in(server, "bob", Short()), program(*command) as ann:
        assert await until(ann, "ended") == {"event": "ended", "by": "bob", "extra": "bye"}
        assert (await ann.end()).code == 0


async def test_another_login_of_the_account_ends_it(server: LocalServer) -> None:
    command = args(server, "--to", "bob", "--json")
    async with logged_in(server, "bob", Peer()), program(*command) as ann:
        await until(ann, "accepted")
        async with logged_in(server, "ann", Peer()):
            ended = await ann.end()
    assert ended.code == 1
    assert ended.err.endswith("(103 LOGOUT_E_KICKED)\n")


# --- Answering one


async def test_the_first_call_is_answered_and_others_meanwhile_are_refused(
    server: LocalServer,
) -> None:
    bob, eve = Peer(), Peer()
    answering = args(server, "--answer", "--extra", "yes", "--json")
    async with (
        program(*answering, stdin=subprocess.PIPE) as ann,
        logged_in(server, "bob", bob) as by_bob,
        logged_in(server, "eve", eve) as by_eve,
    ):
        await until(ann, "login")
        call = by_bob.channel_invite_user2("room", "ann", "hi", bob)
        assert await next_event(ann) == {
            "event": "invitation",
            "account": "bob",
            "channel": "room",
            "extra": "hi",
        }
        answered = {"event": "answered", "account": "bob", "channel": "room"}
        assert await next_event(ann) == answered
        assert await bob.heard() == ("accepted", "yes")
        by_eve.channel_invite_user2("room", "ann", "", eve)
        assert await eve.heard() == ("refused", "")
        await call.channel_invite_dtmf("*")
        assert await until(ann, "dtmf") == {"event": "dtmf", "account": "bob", "digits": "*"}
        await ann.say("7\n")
        assert await bob.heard() == ("msg", '{"msgtype":"dtmf","msgdata":"7"}')
        # The end of stdin is not the call's.
        await ann.close_stdin()
        await until(ann, "dtmf")
        await call.channel_invite_end()
        ended = await ann.end()
    assert (ended.code, ended.err) == (0, "")
    # What the other side dials may come before the answer to what was dialled.
    assert [it for it in events(ended) if it != "dialled"] == ["ended", "logout"]


# --- At a terminal


async def test_keys_are_dialled_as_they_are_pressed(server: LocalServer) -> None:
    bob = Peer()
    async with logged_in(server, "bob", bob), terminal(*args(server, "--to", "bob")) as ann:
        before = ann.attributes()
        await ann.until("bob has accepted")
        ann.press("1x#")
        await ann.until("dialled #")
        assert await bob.heard() == ("invited", "")
        assert await bob.heard() == ("msg", '{"msgtype":"dtmf","msgdata":"1"}')
        assert ann.attributes() != before
        ann.press("q")
        assert await ann.end() == 0
        assert ann.attributes() == before
    dialled = [line.split()[-1] for line in ann.text.splitlines() if " dialled " in line]
    assert dialled == ["1", "#"]
    assert ann.text.splitlines()[-2].endswith("ann has ended the call")


@pytest.mark.parametrize("key", ["q", "\x04", "\x03"])
async def test_who_waits_for_a_call_may_give_up(server: LocalServer, key: str) -> None:
    async with terminal(*args(server, "--answer")) as ann:
        before = ann.attributes()
        await ann.until("logged in as ann")
        with trio.fail_after(60):
            while ann.attributes() == before:  # noqa: ASYNC110  nothing else tells of it
                await trio.sleep(0.01)
        ann.press(key)
        assert await ann.end() == 0
        assert ann.attributes() == before


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ((), "give either --to or --answer"),
        (("--to", "bob", "--answer"), "give either --to or --answer"),
        (("--answer", "--channel", "c"), "--channel goes with --to"),
        (("--answer", "--seconds", "0"), "invalid value for '--seconds'"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(more: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(cli, ["call", "--app", "a", "--account", "a", *more])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"signal-sdk call: {text}")
    assert result.stderr.count("\n") == 1
