"""The SDK against the real server: two programs, and all that they may say to each other."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from signal_sdk import CallState, LoginError, ParameterError, Signal
from signal_sdk.testing.server import LocalServer, local_server
from tests.client.fakes import Heard
from tests.signals import NO_TOKEN, hear_calls, log_in, signals

SURFACE = Path(__file__).with_name("data") / "api_surface.csv"
HEARD = ("signal", "login_session", "callbacks", "given", "blocks")
"""Which test modules hear callbacks of the real server's."""


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


async def test_two_programs_in_a_channel(server: LocalServer, autojump_clock: MockClock) -> None:
    """Each hears what the other does, in its order."""
    ann, bob = Heard(), Heard()
    async with signals(server, 2) as (signal, other):
        a = await log_in(signal, "ann", ann)
        b = await log_in(other, "bob", bob)
        assert a.uid != b.uid

        await a.message_instant_send("bob", "hello", ann.message)
        await ann.wait("on_message_send_success")
        await bob.wait("on_message_instant_receive")
        assert bob.of("on_message_instant_receive") == [
            ("on_message_instant_receive", "ann", 0, "hello")
        ]

        room_a = await a.channel_join("room", ann.channel)
        await room_a.channel_set_attr("topic", "trio")
        room_b = await b.channel_join("room", bob.channel)
        await ann.wait("on_channel_user_joined")
        await bob.wait("on_channel_attr_updated")
        assert bob.all[2:] == [
            ("on_channel_joined", room_b),
            ("on_channel_user_list", room_b, ["ann", "bob"], [a.uid, b.uid]),
            ("on_channel_attr_updated", room_b, "topic", "trio", "update"),
        ]
        await room_b.message_channel_send("hi", bob.message)
        for heard, room in ((ann, room_a), (bob, room_b)):
            told = await heard.wait("on_message_channel_receive")
            assert told == ("on_message_channel_receive", room, "bob", b.uid, "hi")
        await room_a.channel_set_attr("topic", "attrs")
        await room_a.channel_del_attr("topic")
        await room_a.channel_clear_attr()
        await bob.wait("on_channel_attr_updated", 4)
        assert [entry[2:] for entry in bob.of("on_channel_attr_updated")[1:]] == [
            ("topic", "attrs", "update"),
            ("topic", "", "del"),
            ("", "", "clear"),
        ]

        await room_b.channel_leave()
        assert await bob.wait("on_channel_leaved") == ("on_channel_leaved", room_b, 602)
        assert await ann.wait("on_channel_user_leaved") == (
            "on_channel_user_leaved",
            room_a,
            "bob",
            b.uid,
        )
        await b.message_channel_send_force("room", "from outside")
        await ann.wait("on_message_channel_receive", 2)
    assert ann.all[-2:] == [("on_channel_leaved", room_a, 603), ("on_logout", 101)]
    assert bob.all[-1] == ("on_logout", 101)
    assert ann.of("on_error") == bob.of("on_error") == []


async def test_what_two_programs_ask_the_server(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    ann, bob = Heard(), Heard()
    async with signals(server, 2) as (signal, other):
        a = await log_in(signal, "ann", ann)
        b = await log_in(other, "bob", bob)
        await a.channel_join("room")
        await b.channel_join("room", bob.channel)

        assert await signal.user_set_attr("mood", "fine", ann.attr) is None
        assert await other.user_get_attr("ann", "mood", bob.attr) == "fine"
        assert await other.user_get_attr_all("ann", bob.attr) == {"mood": "fine"}
        assert await other.channel_query_user_num("room", bob.channel) == 2
        assert await other.channel_query_user_num("room", bob.attr) == 2
        await ann.wait("on_user_set_attr")
        await bob.wait("on_channel_query_user_num", 2)
        assert ann.of("on_user_set_attr") == [
            ("on_user_set_attr", "", {"result": "ok", "reason": ""})
        ]
        fine = {"account": "ann", "name": "mood", "value": "fine"}
        assert bob.of("on_user_get_attr", "on_user_get_attr_all", "on_channel_query_user_num") == [
            ("on_user_get_attr", "", {"result": "ok", **fine}),
            (
                "on_user_get_attr_all",
                "",
                {"result": "ok", "account": "ann", "json": {"mood": "fine"}},
            ),
            ("on_channel_query_user_num", "", 2),
            ("on_channel_query_user_num", "", 2),
        ]

        assert await a.query_user_status("bob") is True
        assert await a.query_user_status("nobody") is False
        assert await a.channel_query_user_is_in("room", "bob") is True
        assert await a.channel_query_user_is_in("room", "nobody") is False
        assert await a.channel_query_user_list("room") == [("ann", a.uid), ("bob", b.uid)]
        for name in ("channel_query_num", "io.agora.signal.channel_query_num"):
            answer = await a.invoke(name, {"name": "room"})
            assert answer["result"] == "ok"
            assert answer["num"] == 2


async def test_two_programs_call_each_other(server: LocalServer, autojump_clock: MockClock) -> None:
    ann, bob = Heard(), Heard()
    hear_calls(bob)
    async with signals(server, 2) as (signal, other):
        a = await log_in(signal, "ann", ann)
        await log_in(other, "bob", bob)

        call = await a.channel_invite_user2("room", "bob", {"a": 1}, ann.call)
        _, answering = await bob.wait("on_invite_received")
        assert (answering.peer, answering.extra) == ("ann", '{"a":1}')
        await ann.wait("on_invite_received_by_peer")
        await answering.channel_invite_accept('{"b":2}')
        assert await ann.wait("on_invite_accepted_by_peer") == (
            "on_invite_accepted_by_peer",
            call,
            '{"b":2}',
        )
        await call.channel_invite_dtmf("12#")
        _, _, extra = await bob.wait("on_invite_msg")
        assert "12#" in extra
        await call.channel_invite_end("{}")
        await ann.wait("on_invite_end_by_myself")
        await bob.wait("on_invite_end_by_peer")
        assert call.state is answering.state is CallState.ENDED

        call = await a.channel_invite_user2("room", "bob", "", ann.call)
        _, answering = await bob.wait("on_invite_received", 2)
        await answering.channel_invite_refuse('"busy"')
        assert await ann.wait("on_invite_refused_by_peer") == (
            "on_invite_refused_by_peer",
            call,
            '"busy"',
        )


async def test_what_fails_is_told_as_documented(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        session.message_instant_send("b b", "x", heard.message)
        session.message_instant_send("bob", "x" * 8193, heard.message)
        session.channel_join("x" * 129, heard.channel)
        session.channel_invite_user2("room", "ann", "", heard.call)
        session.channel_invite_user2("room", "bob", {"_require_peer_online": 1}, heard.call)
        signal.user_get_attr("", "x", heard.attr)
        signal.user_get_attr_all("b b", heard.attr)
        signal.user_set_attr("x", "y" * 1025, heard.attr)
        signal.channel_query_user_num("", heard.channel)
        session.query_user_status("b b")
        await heard.wait("on_invite_failed", 2)
        await heard.wait("on_error")
        assert heard.of("on_message_send_error") == [
            ("on_message_send_error", 1004),
            ("on_message_send_error", 1005),
        ]
        assert [entry[-1] for entry in heard.of("on_channel_join_failed")] == [1005]
        assert [entry[-1] for entry in heard.of("on_invite_failed")] == [1004, 703]
        for name in ("on_user_get_attr", "on_user_get_attr_all", "on_user_set_attr"):
            [(_, err, ret)] = heard.of(name)
            assert err
            assert ret == {"result": "failed", "reason": err}
        [(_, err, num)] = heard.of("on_channel_query_user_num")
        assert err
        assert num == 0
        assert [ecode for _, ecode, _ in heard.of("on_error")] == [1004]


def test_every_documented_callback_is_in_these_tests() -> None:
    """Tests against the real server name each callback that they have heard."""
    text = "".join(Path(__file__).with_name(f"test_{name}.py").read_text() for name in HEARD)
    with SURFACE.open(newline="") as file:
        names = {
            row["python_name"]
            for row in csv.DictReader(file)
            if row["sdk"] == "java" and row["kind"] == "callback"
        }
    assert len(names) > 20
    assert {name for name in names if f'"{name}"' not in text} == set()


# --- over real sockets ---


@pytest.mark.parametrize("form", ["{}", "http://{}", "ws://{}/"])
async def test_a_server_on_a_port(form: str) -> None:
    async with (
        local_server() as server,
        Signal("app", server=form.format(server.address)) as signal,
    ):
        session = await signal.login("ann", NO_TOKEN)
        assert await session.query_user_status("ann") is True


async def test_the_environment_says_where_the_server_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with local_server() as server:
        monkeypatch.setenv("SIGNAL_SDK_SERVER", server.address)
        async with Signal("app") as signal:
            await signal.login("ann", NO_TOKEN)
        monkeypatch.setenv("SIGNAL_SDK_SERVER", "ws://127.0.0.1:1")
        async with Signal("app") as signal:
            with pytest.raises(LoginError, match=r"127\.0\.0\.1:1"):
                await signal.login("ann", NO_TOKEN)


@pytest.mark.parametrize("appid", ["", "\ud800"])
def test_what_is_no_app_id(appid: str) -> None:
    with pytest.raises(ParameterError):
        Signal(appid)


def test_what_is_no_server() -> None:
    with pytest.raises(ParameterError):
        Signal("app", server="ftp://example.org")
