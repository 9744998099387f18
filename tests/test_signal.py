"""The SDK against the real server: what a program sees of it, from the first login to the last."""

from __future__ import annotations

import asyncio
import csv
import gc
import logging
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import (
    Call,
    CallState,
    Channel,
    ECode,
    LinkError,
    LoginCallback,
    LoginError,
    LoginSession,
    ParameterError,
    Signal,
    SignalError,
    SpecialEvent,
    create_agora_sdk_instance_cpp,
    createAgoraSDKInstanceCPP,
    make_token,
)
from signal_sdk.net.reactor import Reactor
from signal_sdk.server import config as configs
from signal_sdk.testing import FaultyNetwork
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.websocket.link import Link
from tests.client.fakes import Heard

NO_TOKEN = "_no_need_token"
SURFACE = Path(__file__).with_name("data") / "api_surface.csv"


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


@asynccontextmanager
async def signals(
    server: LocalServer, count: int = 1, app: str = "app", **options: Any
) -> AsyncIterator[Any]:
    """A `Signal`, or several, that talk to `server` in memory."""
    async with AsyncExitStack() as stack:
        made = [Signal(app, server=server, **options) for _ in range(count)]
        opened = [await stack.enter_async_context(signal) for signal in made]
        yield opened if count > 1 else opened[0]


async def log_in(signal: Signal, account: str, heard: Heard | None = None) -> LoginSession:
    return await signal.login(account, NO_TOKEN, heard.login if heard else None)


async def ecode_of(awaitable: Awaitable[Any]) -> ECode:
    with pytest.raises(SignalError) as caught:
        await awaitable
    return caught.value.ecode


def hear_calls(heard: Heard) -> None:
    """Have incoming calls tell `heard` all that becomes of them."""

    def take(_: LoginSession, call: Call) -> None:
        call.cb = heard.call

    heard.on("on_invite_received", take)


# --- two programs, and all that they may say to each other ---


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
    """The tests of this file name each callback that they have heard."""
    text = Path(__file__).read_text()
    with SURFACE.open(newline="") as file:
        names = {
            row["python_name"]
            for row in csv.DictReader(file)
            if row["sdk"] == "java" and row["kind"] == "callback"
        }
    assert len(names) > 20
    assert {name for name in names if f'"{name}"' not in text} == set()


# --- logging in ---

CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"


@pytest.mark.parametrize(
    ("token", "ecode"),
    [
        (make_token("secured", CERTIFICATE, "ann", 1_600_000_100), None),
        (make_token("secured", CERTIFICATE, "ann", 1_500_000_000), 204),
        (make_token("secured", CERTIFICATE, "bob", 1_600_000_100), 206),
        ("nonsense", 206),
        (NO_TOKEN, 206),
    ],
)
async def test_tokens(autojump_clock: MockClock, token: str, ecode: int | None) -> None:
    app = configs.AppConfig(id="secured", certificate=CERTIFICATE)
    config = attrs.evolve(configs.dev(), apps=(app,))
    heard = Heard()
    async with (
        local_server(config, listens=False) as server,
        signals(server, app="secured") as signal,
    ):
        session = signal.login("ann", token, heard.login)
        if ecode is None:
            await session
            # The token is good for 100 s, and so is the session.
            assert await session.wait_logged_out() == 105
            assert trio.current_time() >= 100
        else:
            assert await ecode_of(session) == ecode
            assert await heard.wait("on_login_failed") == ("on_login_failed", ecode)


async def test_the_account_that_logs_in_elsewhere_is_kicked_here(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server, 2) as (signal, other):
        session = await log_in(signal, "ann", heard)
        await session.channel_join("room", heard.channel)
        again = await log_in(other, "ann")
        assert await session.wait_logged_out() == 103
        await heard.wait("on_logout")
        assert heard.of("on_channel_leaved", "on_logout")[0][2] == 603
        assert heard.all[-1] == ("on_logout", 103)
        assert again.status == 2


async def test_the_states_of_get_status(server: LocalServer, autojump_clock: MockClock) -> None:
    async with signals(server) as signal:
        assert signal.get_status() == 4
        session = signal.login("ann", NO_TOKEN)
        assert signal.get_status() == 1
        await session
        assert signal.get_status() == 2
        await session.logout()
        assert signal.get_status() == 0
        assert await ecode_of(signal.login("", NO_TOKEN)) == 209
        assert signal.get_status() == 3


async def test_calls_made_before_the_login_go_out_after_it_in_order(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server) as signal:
        session = signal.login("ann", NO_TOKEN, heard.login)
        channel = session.channel_join("room", heard.channel)
        for number in range(20):
            channel.message_channel_send(str(number))
        await heard.wait("on_message_channel_receive", 20)
        texts = [text for *_, text in heard.of("on_message_channel_receive")]
        assert texts == [str(number) for number in range(20)]


async def test_attributes_without_a_login_fail(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server) as signal:
        assert await ecode_of(signal.user_set_attr("a", "b", heard.attr)) == 1003
        assert await ecode_of(signal.channel_query_user_num("room", heard.channel)) == 1003
        [(_, err, _)] = [await heard.wait("on_user_set_attr")]
        assert "login" in err


async def test_attributes_are_those_of_the_latest_session(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        await log_in(signal, "ann")
        await signal.user_set_attr("who", "ann")
        bob = await log_in(signal, "bob")
        await signal.user_set_attr("who", "bob")
        assert await signal.user_get_attr("ann", "who") == "ann"
        assert await signal.user_get_attr("bob", "who") == "bob"
        await bob.logout()
        assert await ecode_of(signal.user_get_attr("ann", "who")) == 1003


async def test_many_sessions_in_one_process(server: LocalServer, autojump_clock: MockClock) -> None:
    heard = [Heard() for _ in range(30)]
    async with signals(server, 3) as several:
        sessions = [
            several[number % 3].login(f"bot{number}", NO_TOKEN, each.login)
            for number, each in enumerate(heard)
        ]
        for number, session in enumerate(sessions):
            session.message_instant_send(f"bot{(number + 1) % 30}", str(number))
        for number, each in enumerate(heard):
            told = await each.wait("on_message_instant_receive")
            assert told[-1] == str((number - 1) % 30)
    assert all(each.all[-1] == ("on_logout", 101) for each in heard)


async def test_a_message_waits_for_its_reader_and_comes_once(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """Forty of them, which takes more than one poll; and never again."""
    heard = Heard()
    async with signals(server, 2) as (signal, other):
        ann = await log_in(signal, "ann")
        for number in range(40):
            await ann.message_instant_send("bob", str(number))
        bob = await log_in(other, "bob", heard)
        await heard.wait("on_message_instant_receive", 40)
        await bob.logout()
        again = Heard()
        await log_in(other, "bob", again)
        await ann.message_instant_send("bob", "last")
        await again.wait("on_message_instant_receive")
        texts = [text for *_, text in heard.of("on_message_instant_receive")]
        assert texts == [str(number) for number in range(40)]
        assert again.of("on_message_instant_receive")[0][-1] == "last"


@pytest.mark.parametrize("when", ["at once", "in the callback", "after another failure"])
async def test_a_message_comes_once_though_the_connection_is_lost(
    server: LocalServer, autojump_clock: MockClock, when: str
) -> None:
    links: list[Link] = []
    got: list[str] = []

    class MemoryDialer:
        is_down = False

        async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
            if self.is_down:
                raise LinkError("down")
            links.append(await server.dial(appid, reactor))
            return links[-1]

    class Reader(LoginCallback):
        async def on_message_instant_receive(
            self, session: LoginSession, account: str, uid: int, msg: str
        ) -> None:
            got.append(msg)

        async def on_logout(self, session: LoginSession, ecode: ECode) -> None:
            if when == "in the callback" and ecode is ECode.LOGOUT_E_NET:
                await signal.login("alice", NO_TOKEN, self)

    dialer, cb = MemoryDialer(), Reader()
    async with signals(server) as other, Signal("app", server=dialer, reconnect=None) as signal:
        sender = await log_in(other, "bob")
        session = await signal.login("alice", NO_TOKEN, cb)
        await sender.message_instant_send("alice", "1")
        await wait_all_tasks_blocked()
        links[0].abort()
        assert await session.wait_logged_out() is ECode.LOGOUT_E_NET
        await wait_all_tasks_blocked()
        if when == "after another failure":
            dialer.is_down = True
            assert await ecode_of(signal.login("alice", NO_TOKEN, cb)) is ECode.LOGIN_E_NET
            await wait_all_tasks_blocked()
            dialer.is_down = False
        await signal.login("alice", NO_TOKEN, cb)
        await sender.message_instant_send("alice", "2")
        await trio.sleep(5)
    assert got == ["1", "2"]


async def test_a_message_whose_time_is_over_does_not_come(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server, 2) as (signal, other):
        ann = await log_in(signal, "ann")
        await ann.message_instant_send("bob", "short", 5)
        await ann.message_instant_send("bob", "long", ttl=50)
        await trio.sleep(6)
        await log_in(other, "bob", heard)
        await heard.wait("on_message_instant_receive")
        await wait_all_tasks_blocked()
        assert [entry[-1] for entry in heard.of("on_message_instant_receive")] == ["long"]


async def test_special_channels(server: LocalServer, autojump_clock: MockClock) -> None:
    heard = Heard()
    async with signals(server, 2) as (signal, other):
        listener = await log_in(signal, "listener", heard)
        await listener.channel_join("_agora_channel_event", heard.channel)
        bob = await log_in(other, "bob")
        await (await bob.channel_join("room")).channel_leave()
        await heard.wait("on_special_event", 2)
        told: list[SpecialEvent] = [entry[2] for entry in heard.of("on_special_event")]
        assert [(e.event, e.channel, e.account, e.uid) for e in told] == [
            ("join", "room", "bob", bob.uid),
            ("leave", "room", "bob", bob.uid),
        ]
        names = heard.names[-4:]
        assert names == [
            "on_channel_user_joined",
            "on_special_event",
            "on_channel_user_leaved",
            "on_special_event",
        ]


async def test_an_invitation_that_nobody_answers(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """20 s until it is acknowledged, 20 s more of ringing."""
    heard = Heard()
    async with signals(server, 2) as (signal, other):
        ann = await log_in(signal, "ann", heard)
        await ann.channel_invite_user2("room", "bob", "", heard.call)
        assert (await heard.wait("on_invite_failed"))[-1] == 703
        assert trio.current_time() == pytest.approx(20, abs=1)
        await log_in(other, "bob")
        await ann.channel_invite_user2("room", "bob", "", heard.call)
        await heard.wait("on_invite_received_by_peer")
        assert (await heard.wait("on_invite_failed", 2))[-1] == 704
        assert trio.current_time() == pytest.approx(40, abs=1)


# --- callbacks that behave as callbacks do ---


async def test_a_callback_that_blocks_delays_nobody_else(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """Not the session's own replies and pings, not its siblings; and the order is kept."""
    slow, quick = Heard(), Heard()

    async def block(*_: object) -> None:
        await trio.sleep(5)

    slow.on("on_message_instant_receive", block)
    async with signals(server) as signal:
        one = await log_in(signal, "slow", slow)
        other = await log_in(signal, "quick", quick)
        began = trio.current_time()
        for number in range(4):
            await other.message_instant_send("slow", str(number))
            await other.message_instant_send("quick", str(number))
        await quick.wait("on_message_instant_receive", 4)
        assert await one.query_user_status("quick") is True
        assert trio.current_time() == began
        await slow.wait("on_message_instant_receive", 4)
        assert trio.current_time() == began + 15
        assert [entry[-1] for entry in slow.of("on_message_instant_receive")] == list("0123")
        await trio.sleep(100)
        assert one.status == 2


@pytest.mark.parametrize("name", ["on_login_success", "on_message_instant_receive"])
async def test_a_callback_that_raises_is_reported_and_the_session_goes_on(
    server: LocalServer, name: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    heard = Heard()

    def fail(*_: object) -> None:
        raise ValueError("mine")

    heard.on(name, fail)
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        await session.message_instant_send("ann", "one")
        _, ecode, reason = await heard.wait("on_error")
        assert (ecode, reason) == (1002, "a callback raised ValueError: mine")
        await session.message_instant_send("ann", "two")
        await heard.wait("on_message_instant_receive", 2)
    assert heard.all[-1] == ("on_logout", 101)
    assert "ValueError: mine" in caplog.text


class UnshowableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("unshowable")


async def test_an_exception_that_cannot_be_shown_ends_neither_its_session_nor_others(
    server: LocalServer, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    heard = Heard()

    def fail(*_: object) -> None:
        raise UnshowableError

    heard.on("on_message_instant_receive", fail)
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        other = await log_in(signal, "bob")
        await other.message_instant_send("ann", "one")
        _, ecode, reason = await heard.wait("on_error")
        assert ecode == 1002
        assert reason.startswith("a callback raised UnshowableError: ")
        await other.message_instant_send("ann", "two")
        await heard.wait("on_message_instant_receive", 2)
        assert (session.status, other.status) == (2, 2)
    assert "UnshowableError" in caplog.text
    again = Heard()
    async with signals(server) as signal:
        await log_in(signal, "ann", again)
        await trio.sleep(1)
    assert again.names == ["on_login_success", "on_logout"], "what raised was handled"


class Unshowable:
    def fail(self, *_: object) -> Any:
        raise RuntimeError("unshowable")

    __repr__ = __str__ = __eq__ = __hash__ = fail


WRONG: list[Any] = [b"bin", None, float("nan"), {1}, Unshowable()]
TEXT_ONLY: list[Any] = [*WRONG, 7, ["a"], {"a": 1}]
GIVEN: dict[str, tuple[list[Any], Callable[[Any, Any, Any, Any], Any]]] = {
    "to an account": (TEXT_ONLY, lambda _, s, __, x: s.message_instant_send(x, "m")),
    "instant message": (WRONG, lambda _, s, __, x: s.message_instant_send("bob", x)),
    "to a channel": (TEXT_ONLY, lambda _, s, __, x: s.message_channel_send_force(x, "m")),
    "forced message": (WRONG, lambda _, s, __, x: s.message_channel_send_force("room", x)),
    "channel message": (WRONG, lambda _, __, c, x: c.message_channel_send(x)),
    "join": (TEXT_ONLY, lambda _, s, __, x: s.channel_join(x)),
    "call about": (TEXT_ONLY, lambda _, s, __, x: s.channel_invite_user2(x, "bob")),
    "call to": (TEXT_ONLY, lambda _, s, __, x: s.channel_invite_user2("room", x)),
    "extra": (
        [x for x in WRONG if x is not None],
        lambda _, s, __, x: s.channel_invite_user2("room", "bob", x),
    ),
    "attribute's name": (TEXT_ONLY, lambda _, __, c, x: c.channel_set_attr(x, "v")),
    "attribute's value": (WRONG, lambda _, __, c, x: c.channel_set_attr("n", x)),
    "attribute deleted": (TEXT_ONLY, lambda _, __, c, x: c.channel_del_attr(x)),
    "own attribute's name": (TEXT_ONLY, lambda g, _, __, x: g.user_set_attr(x, "v")),
    "own attribute's value": (WRONG, lambda g, _, __, x: g.user_set_attr("n", x)),
    "whose attribute": (TEXT_ONLY, lambda g, _, __, x: g.user_get_attr(x, "n")),
    "which attribute": (TEXT_ONLY, lambda g, _, __, x: g.user_get_attr("bob", x)),
    "whose attributes": (TEXT_ONLY, lambda g, _, __, x: g.user_get_attr_all(x)),
    "users of": (TEXT_ONLY, lambda g, _, __, x: g.channel_query_user_num(x)),
    "status": (TEXT_ONLY, lambda _, s, __, x: s.query_user_status(x)),
    "is in": (TEXT_ONLY, lambda _, s, __, x: s.channel_query_user_is_in(x, "bob")),
    "who is in": (TEXT_ONLY, lambda _, s, __, x: s.channel_query_user_is_in("room", x)),
    "list": (TEXT_ONLY, lambda _, s, __, x: s.channel_query_user_list(x)),
    "function": (TEXT_ONLY, lambda _, s, __, x: s.invoke(x, {})),
    "request": (WRONG, lambda _, s, __, x: s.invoke("user_get_attr_all", x)),
    "request's value": (
        [x for x in WRONG if x is not None],
        lambda _, s, __, x: s.invoke("user_get_attr_all", {"account": x}),
    ),
}


@pytest.mark.parametrize("what", GIVEN)
async def test_what_would_arrive_as_something_else_is_refused_at_once_by_its_type(
    server: LocalServer, what: str, autojump_clock: MockClock
) -> None:
    values, use = GIVEN[what]
    heard = Heard()
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        channel = await session.channel_join("room")
        for value in values:
            began = trio.current_time()
            with pytest.raises(SignalError) as caught:
                await use(signal, session, channel, value)
            assert caught.value.ecode == 1004
            assert f"of the type {type(value).__name__}" in caught.value.reason
            assert trio.current_time() == began
        assert (session.status, channel.is_joined) == (2, True)


async def test_a_login_takes_text(server: LocalServer) -> None:
    async with signals(server) as signal:
        for account, token in [(b"a", NO_TOKEN), (None, NO_TOKEN), (["a"], NO_TOKEN), ("a", b"t")]:
            wrong = account if not isinstance(account, str) else token
            with pytest.raises(ParameterError, match=f"of the type {type(wrong).__name__}") as it:
                signal.login(account, token)
            assert it.value.ecode == 1004
        assert not server.node.sessions


async def test_what_is_no_callback_is_refused_with_the_class_to_derive_from(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    class Bot:
        pass

    async with signals(server) as signal:
        session = await log_in(signal, "ann")
        channel = await session.channel_join("room")
        call = session.channel_invite_user2("room", "bob")
        uses: list[tuple[str, Callable[[Any], Any]]] = [
            ("LoginCallback", lambda cb: signal.login("bob", NO_TOKEN, cb)),
            ("UserAttrCallback", lambda cb: signal.user_set_attr("n", "v", cb)),
            ("UserAttrCallback", lambda cb: signal.user_get_attr("ann", "n", cb)),
            ("UserAttrCallback", lambda cb: signal.user_get_attr_all("ann", cb)),
            ("ChannelCallback", lambda cb: signal.channel_query_user_num("room", cb)),
            ("MessageCallback", lambda cb: session.message_instant_send("bob", "m", cb)),
            ("MessageCallback", lambda cb: session.message_instant_send("bob", "m", 5, cb)),
            ("MessageCallback", lambda cb: session.message_channel_send_force("room", "m", cb)),
            ("MessageCallback", lambda cb: channel.message_channel_send("m", cb)),
            ("ChannelCallback", lambda cb: session.channel_join("other", cb)),
            ("CallCallback", lambda cb: session.channel_invite_user2("r", "bob", "", cb)),
            ("CallCallback", call.set_callback),
            ("CallCallback", lambda cb: setattr(call, "cb", cb)),
        ]
        for name, use in uses:
            with pytest.raises(ParameterError, match=rf"type Bot: .*signal_sdk\.{name}\b") as it:
                use(Bot())
            assert it.value.ecode == 1004
        assert channel.is_joined


@pytest.mark.parametrize(
    "options",
    [
        {"server": 7},
        {"server": b"127.0.0.1:8001"},
        {"ssl_context": "ca.pem"},
        {"reconnect": 3},
        {"proxy": 7},
        {"appid": b"app"},
        {"appid": None},
    ],
    ids=repr,
)
def test_a_signal_s_arguments_have_their_types(options: dict[str, Any]) -> None:
    [value] = options.values()
    with pytest.raises(ParameterError, match=f"of the type {type(value).__name__}") as caught:
        Signal(**{"appid": "app", **options})
    assert caught.value.ecode == 1004


OWN_DIALER = FaultyNetwork(None, seed=1)
MAKERS: list[Callable[..., object]] = [
    partial(Signal, "app"),
    create_agora_sdk_instance_cpp,
    createAgoraSDKInstanceCPP,
]


@pytest.mark.parametrize("make", MAKERS, ids=["Signal", "flat", "documented"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"server": 7}, "server is of the type int"),
        ({"ssl_context": "ca.pem"}, "ssl_context is of the type str, not SSLContext"),
        ({"proxy": 7}, "proxy is of the type int, not str"),
        (
            {"ssl_context": True, "server": "sig.example:8001"},
            "server 'sig.example:8001' is not reached by TLS, for which ssl_context is: begin it",
        ),
        ({"ssl_context": True, "server": "http://sig.example"}, "begin it with https:// or wss://"),
        ({"ssl_context": True, "server": "ws://sig.example"}, "begin it with https:// or wss://"),
        ({"ssl_context": True}, "server '192.0.2.1:8001' is not reached by TLS"),
        ({"ssl_context": True, "server": "ftp://sig.example"}, "begins with 'ftp', not with http"),
        ({"ssl_context": True, "server": OWN_DIALER}, "ssl_context is of no use where server is"),
        ({"proxy": "http://proxy:1", "server": OWN_DIALER}, "proxy is of no use where server is"),
    ],
    ids=str,
)
def test_what_would_be_of_no_use_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[..., object],
    options: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setenv("SIGNAL_SDK_SERVER", "192.0.2.1:8001")
    if options.get("ssl_context") is True:
        options = {**options, "ssl_context": ssl.create_default_context()}
    with pytest.raises(ParameterError, match=re.escape(said)) as caught:
        make(**options)
    assert caught.value.ecode == 1004
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS, ids=["Signal", "flat", "documented"])
@pytest.mark.parametrize(
    "options",
    [
        {"ssl_context": True, "server": "https://sig.example"},
        {"ssl_context": True, "server": "wss://sig.example"},
        {"ssl_context": None, "server": "sig.example"},
        {"ssl_context": None, "server": OWN_DIALER},
        {"proxy": "", "server": OWN_DIALER},
        {"proxy": "proxy.example:3128", "server": "sig.example"},
    ],
    ids=str,
)
def test_what_is_of_use_is_taken(make: Callable[..., object], options: dict[str, Any]) -> None:
    if options.get("ssl_context") is True:
        options = {**options, "ssl_context": ssl.create_default_context()}
    make(**options)


Method = Callable[[Signal, LoginSession, Channel], Awaitable[Any]]
EVERY_METHOD: dict[str, Method] = {
    "login": lambda signal, *_: signal.login("another", NO_TOKEN),
    "user_set_attr": lambda signal, *_: signal.user_set_attr("a", "b"),
    "user_get_attr": lambda signal, *_: signal.user_get_attr("ann", "a"),
    "user_get_attr_all": lambda signal, *_: signal.user_get_attr_all("ann"),
    "channel_query_user_num": lambda signal, *_: signal.channel_query_user_num("room"),
    "message_instant_send": lambda _, session, __: session.message_instant_send("bob", "x"),
    "message_channel_send_force": lambda _, session, __: session.message_channel_send_force(
        "room", "x"
    ),
    "channel_invite_user2": lambda _, session, __: session.channel_invite_user2("room", "bob"),
    "channel_join": lambda _, session, __: session.channel_join("another"),
    "invoke": lambda _, session, __: session.invoke("user_get_attr_all", {"account": "ann"}),
    "query_user_status": lambda _, session, __: session.query_user_status("bob"),
    "channel_query_user_is_in": lambda _, session, __: session.channel_query_user_is_in("r", "bob"),
    "channel_query_user_list": lambda _, session, __: session.channel_query_user_list("room"),
    "channel_leave": lambda _, __, channel: channel.channel_leave(),
    "channel_set_attr": lambda _, __, channel: channel.channel_set_attr("a", "b"),
    "channel_del_attr": lambda _, __, channel: channel.channel_del_attr("a"),
    "channel_clear_attr": lambda _, __, channel: channel.channel_clear_attr(),
    "message_channel_send": lambda _, __, channel: channel.message_channel_send("x"),
    "logout": lambda _, session, __: session.logout(),
}


@pytest.mark.parametrize("name", EVERY_METHOD)
async def test_a_callback_may_await_every_method_of_its_own_session(
    server: LocalServer, name: str, autojump_clock: MockClock
) -> None:
    heard, finished = Heard(), trio.Event()
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        channel = await session.channel_join("room", heard.channel)
        await channel.channel_set_attr("a", "before")

        async def call(*_: object) -> None:
            await EVERY_METHOD[name](signal, session, channel)
            finished.set()

        heard.on("on_message_instant_receive", call)
        began = trio.current_time()
        await session.message_instant_send("ann", "go")
        await finished.wait()
        assert trio.current_time() == began
    assert heard.of("on_error") == []
    assert heard.all[-1] == ("on_logout", 101)


async def test_a_callback_may_await_every_step_of_a_call(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    ann, bob = Heard(), Heard()

    async def answer(_: LoginSession, call: Call) -> None:
        call.cb = bob.call
        await call
        await call.channel_invite_accept()
        await call.channel_invite_dtmf("1")

    async def end(_: LoginSession, call: Call, _extra: str) -> None:
        await call.channel_invite_dtmf("2")
        await call.channel_invite_end()

    bob.on("on_invite_received", answer)
    ann.on("on_invite_msg", end)
    async with signals(server, 2) as (signal, other):
        session = await log_in(signal, "ann", ann)
        await log_in(other, "bob", bob)
        async with session.channel_invite_user2("room", "bob", "", ann.call):
            await ann.wait("on_invite_end_by_myself")
            await bob.wait("on_invite_end_by_peer")
    assert ann.of("on_error") == bob.of("on_error") == []


async def test_plain_functions_and_documented_names_work_as_callbacks(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard: list[Any] = []

    class Mine(LoginCallback):
        def onLoginSuccess(self, session: LoginSession, uid: int) -> None:  # noqa: N802
            heard.append((session, uid))

        async def onMessageInstantReceive(  # noqa: N802
            self, session: LoginSession, account: str, uid: int, msg: str
        ) -> None:
            heard.append(msg)

    async with signals(server) as signal:
        session = await signal.login("ann", NO_TOKEN, Mine())
        await session.messageInstantSend("ann", "hi")
        await trio.sleep(1)
        assert heard == [(session, session.uid), "hi"]


async def test_the_original_java_sdk_s_getters_and_setters(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        channel = await session.channel_join("room")
        assert channel.getName() == channel.get_name() == "room"
        call = session.channel_invite_user2("room", "nobody", {"_timeout": 1})
        call.setCallback(heard.call)
        assert await heard.wait("on_invite_failed") == ("on_invite_failed", call, 703)


async def test_awaiting_raises_what_the_callback_hears(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server) as signal:
        session = await log_in(signal, "ann", heard)
        extra = '{"_require_peer_online":1}'
        assert await ecode_of(session.channel_invite_user2("c", "nobody", extra, heard.call)) == 703
        assert await ecode_of(session.channel_join("", heard.channel)) == 1004
        assert await ecode_of(session.message_instant_send("b b", "x", heard.message)) == 1004
        assert await ecode_of(signal.user_get_attr("b b", "x", heard.attr)) == 1004
        await heard.wait("on_user_get_attr")
        told = heard.of("on_invite_failed", "on_channel_join_failed", "on_message_send_error")
        assert [entry[-1] for entry in told] == [703, 1004, 1004]
    heard = Heard()
    async with signals(server) as signal:
        session = signal.login("a b", NO_TOKEN, heard.login)
        assert await ecode_of(session) == 209
        assert await heard.wait("on_login_failed") == ("on_login_failed", 209)


# --- the block ---


def test_asyncio_is_told_what_a_signal_needs() -> None:
    async def main() -> None:
        async with Signal("app"):
            pass

    with pytest.raises(RuntimeError, match=r"trio\.run\(main\).* asyncio.*agora_sdk_instance"):
        asyncio.run(main())


async def test_an_exception_in_the_block_comes_out_as_itself(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  it is the block that is tested
        async with signals(server) as signal:
            await log_in(signal, "ann", heard)
            raise ZeroDivisionError
    assert heard.names == ["on_login_success"], "nobody is told, and nothing is waited for"


async def test_an_exception_in_a_block_that_is_cancelled_comes_out_as_itself(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async def run() -> None:
        with trio.CancelScope() as scope:
            async with Signal("app", server=server) as signal:
                await log_in(signal, "alice")
                scope.cancel()
                raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        await run()
    with trio.CancelScope() as scope:
        async with Signal("app", server=server) as signal:
            await log_in(signal, "alice")
            scope.cancel()
    assert scope.cancelled_caught


async def test_a_login_that_fails_in_the_block_comes_out_as_itself(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    with pytest.raises(LoginError):
        async with signals(server) as signal:
            await signal.login("", NO_TOKEN)


async def test_groups_of_the_user_s_own_come_out_as_they_are(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ExceptionGroup) as caught:
        async with signals(server), trio.open_nursery() as nursery:
            nursery.start_soon(fail)
    assert [type(exc) for exc in caught.value.exceptions] == [ValueError]


async def test_cancelling_the_block_ends_everything_at_once(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()

    async def block(*_: object) -> None:
        await trio.sleep_forever()

    heard.on("on_login_success", block)
    with trio.move_on_after(5) as scope:
        async with signals(server) as signal:
            session = await log_in(signal, "ann", heard)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 5
    assert await session.wait_logged_out() == 100


async def test_cancelling_a_logout_in_the_block_leaves_nothing_running(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    with trio.CancelScope() as scope:
        async with signals(server) as signal, signal.login("ann", NO_TOKEN):
            scope.cancel()
    assert scope.cancelled_caught


async def test_leaving_the_block_waits_for_callbacks_but_not_for_ever(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()

    async def block(_: object, __: object, ___: object, text: str) -> None:
        await trio.sleep(float(text))

    heard.on("on_message_instant_receive", block)
    for seconds, expected in (("1", 1), ("50", 2)):
        async with signals(server) as signal:
            session = await log_in(signal, "ann", heard)
            await session.message_instant_send("ann", seconds)
            await wait_all_tasks_blocked()
            began = trio.current_time()
        assert trio.current_time() == began + expected
    assert len(heard.of("on_logout")) == 1


async def test_leaving_the_block_cancels_a_login(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server) as signal:
        session = signal.login("ann", NO_TOKEN, heard.login)
    assert await ecode_of(session) == 203
    assert heard.all == [("on_login_failed", 203)]


async def test_what_outlives_its_block_fails_at_once(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        session = await log_in(signal, "ann")
    assert session.status == 0
    assert await ecode_of(session.query_user_status("bob")) == 1003
    assert await ecode_of(session.channel_join("room")) == 1003
    assert await ecode_of(session.channel_invite_user2("room", "bob")) == 1003
    assert await ecode_of(signal.user_get_attr("bob", "x")) == 1003
    assert await ecode_of(session.logout()) == 108
    with pytest.raises(RuntimeError, match="inside the Signal's block"):
        signal.login("ann", NO_TOKEN)


async def test_a_block_is_entered_once(server: LocalServer, autojump_clock: MockClock) -> None:
    signal = Signal("app", server=server)
    with pytest.raises(RuntimeError, match="inside the Signal's block"):
        signal.login("ann", NO_TOKEN)
    async with signal:
        pass
    with pytest.raises(RuntimeError, match="entered once"):
        async with signal:
            pass


async def test_leaving_in_a_callback_s_system_exit(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """What is no `Exception` ends the program, as it would anywhere, and comes out as itself."""
    heard = Heard()

    def leave(*_: object) -> None:
        raise SystemExit(3)

    heard.on("on_login_success", leave)
    with pytest.raises(SystemExit):  # noqa: PT012  as above
        async with signals(server) as signal:
            await log_in(signal, "ann", heard)
            await trio.sleep_forever()


async def test_sessions_channels_and_calls_are_blocks(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    hear_calls(heard)
    async with signals(server, 2) as (signal, other):
        await log_in(other, "bob", heard)
        async with signal.login("ann", NO_TOKEN) as session:
            async with session.channel_join("room") as channel:
                async with session.channel_invite_user2("room", "bob") as call:
                    await heard.wait("on_invite_received")
                await heard.wait("on_invite_end_by_peer")
                assert call.state is CallState.ENDED
            assert not channel.is_joined
        assert session.status == 0


async def test_cancelled_on_the_way_into_a_block_nothing_stays_behind(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    async with signals(server, 2) as (first, second):
        await log_in(second, "bob")
        session = await log_in(first, "alice")
        left = session.channel_join("room")
        ended = session.channel_invite_user2("room", "bob")
        given_up = second.login("carol", NO_TOKEN)
        for block in (left, ended, given_up):
            with trio.move_on_after(0) as scope:
                async with block:
                    pytest.fail("entered")
            assert scope.cancelled_caught
        await trio.sleep(1)
        assert await first.channel_query_user_num("room") == 0
        assert (left.is_joined, ended.state) == (False, CallState.ENDED)
        assert not await session.query_user_status("carol")
        assert session.status == 2


async def test_the_server_s_stop_is_a_logout_for_who_does_not_reconnect(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    heard = Heard()
    async with signals(server, reconnect=None) as signal:
        session = await log_in(signal, "ann", heard)
        channel = await session.channel_join("room", heard.channel)
        server.node.stop()
        assert await session.wait_logged_out() == 102
        await heard.wait("on_logout")
        assert heard.all[-2:] == [("on_channel_leaved", channel, 604), ("on_logout", 102)]


async def test_nothing_that_goes_unawaited_warns(
    server: LocalServer, autojump_clock: MockClock
) -> None:
    """Warnings are errors here."""
    async with signals(server) as signal:
        session = signal.login("ann", NO_TOKEN)
        session.channel_join("room").message_channel_send("x")
        session.channel_invite_user2("room", "bob").channel_invite_end()
        signal.user_set_attr("a", "b")
        session.query_user_status("")
        await session
        await trio.sleep(1)
    gc.collect()


async def test_an_unheard_failure_is_logged_where_there_is_nobody_to_tell(
    server: LocalServer, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with signals(server) as signal:
        await ecode_of(signal.user_get_attr("ann", "x"))
        signal.user_get_attr("ann", "x")
        session = await log_in(signal, "ann")
        session.query_user_status("b b")
        await trio.sleep(1)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "1003" in warnings[0]
    assert "'b b'" in warnings[1]


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
