"""A session of the SDK against the real server: its login, its messages, its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import (
    ECode,
    LinkError,
    LoginCallback,
    LoginSession,
    Signal,
    SpecialEvent,
    make_token,
)
from signal_sdk.net.reactor import Reactor
from signal_sdk.server import config as configs
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.websocket.link import Link
from tests.client.fakes import Heard
from tests.signals import NO_TOKEN, ecode_of, log_in, signals


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(listens=False) as running:
        yield running


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
