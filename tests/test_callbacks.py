"""Callbacks, of the SDK against the real server: what they may do, and what if they raise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import Call, Channel, LoginCallback, LoginSession, Signal
from signal_sdk.testing.server import LocalServer, local_server
from tests.client.fakes import Heard
from tests.signals import NO_TOKEN, ecode_of, log_in, signals


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


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
    assert "ann: a callback raised ValueError" in caplog.text
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
