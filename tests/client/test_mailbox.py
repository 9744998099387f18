"""A session's inbox against a scripted server: once and in order, acknowledged, never too much."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import LoginSession, Signal
from signal_sdk.client.inbox import TELL_SECONDS, WINDOW
from signal_sdk.wire import login
from tests.client.fakes import LINE, TOKEN, FakeServer, Heard, Peer


@pytest.fixture
async def peer(signal: Signal, server: FakeServer, heard: Heard) -> Peer:
    signal.login("alice", TOKEN, heard.login)
    return await server.accept_login()


@pytest.fixture
def session(signal: Signal, peer: Peer) -> LoginSession:
    return signal.login("alice", TOKEN)


def line(text: str) -> str:
    return f"msg-v3 2.{text.replace(' ', '_')} bob alice v1:E:3600 instant 1 {text}"


def texts(heard: Heard) -> list[Any]:
    return [text for *_, text in heard.of("on_message_instant_receive")]


async def test_what_waited_for_the_login_comes_first(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    signal.login("alice", TOKEN, heard.login)
    peer = await server.accept()
    await _log_in_with(peer, [[4, line("four")], [5, line("five, with spaces ")]])
    await heard.wait("on_message_instant_receive", 2)
    assert heard.all == [
        ("on_login_success", 7),
        ("on_message_instant_receive", "bob", 0, "four"),
        ("on_message_instant_receive", "bob", 0, "five, with spaces "),
    ]


async def _log_in_with(peer: Peer, msgs: list[Any]) -> None:
    peer.account = (await peer.expect("login"))["account"]
    peer.send_text(login.encode_success(login.LoginSucceeded(uid=7, line=LINE)))
    assert await peer.answer("user_getmsg", ver_clear=3, msgs=msgs) == {"ver_clear": 0}


async def test_a_push_is_told_and_the_server_hears_of_it_soon(
    peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.push(1, "one")
    await heard.wait("on_message_instant_receive")
    began = trio.current_time()
    assert await peer.answer("user_getmsg", ver_clear=1, msgs=[]) == {"ver_clear": 1}
    assert trio.current_time() - began == TELL_SECONDS


async def test_an_announcement_is_polled_for(
    peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.send("notify", ["msg", 1])
    await peer.answer("user_getmsg", ver_clear=0, msgs=[[1, line("one")]])
    await heard.wait("on_message_instant_receive")
    assert texts(heard) == ["one"]


async def test_a_push_out_of_sequence_is_polled_for(
    peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.push(2, "two")
    msgs = [[1, line("one")], [2, line("two")]]
    await peer.answer("user_getmsg", ver_clear=0, msgs=msgs)
    await heard.wait("on_message_instant_receive", 2)
    peer.push(2, "two")
    peer.push(3, "three")
    await heard.wait("on_message_instant_receive", 3)
    assert texts(heard) == ["one", "two", "three"]


async def test_a_line_that_makes_no_sense_is_passed_over(
    peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.send("notify", ["msg", 2])
    msgs = [[1, "nonsense"], [2, line("two")]]
    await peer.answer("user_getmsg", ver_clear=0, msgs=msgs)
    await heard.wait("on_message_instant_receive")
    assert texts(heard) == ["two"]
    assert await peer.answer("user_getmsg", ver_clear=2, msgs=[]) == {"ver_clear": 2}


async def test_a_callback_that_blocks_stops_the_flow_not_the_connection(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """At most a page is in hand; the rest is polled for as callbacks return."""
    release = trio.Event()
    heard.on("on_message_instant_receive", lambda *_: release.wait())
    total = 3 * WINDOW
    for version in range(1, total + 1):
        peer.push(version, str(version))
    with trio.move_on_after(25):
        await peer.receive()  # pings are answered, and nothing is asked for
    assert session.status == 2
    assert texts(heard) == ["1"]
    release.set()
    told = 0
    while told < total:
        callid, args = await peer.expect_call("user_getmsg")
        told = args["ver_clear"]
        page = [[n, line(str(n))] for n in range(told + 1, total + 1)][:WINDOW]
        peer.reply(callid, ver_clear=told, msgs=page)
    assert texts(heard) == [str(n) for n in range(1, total + 1)]


async def test_at_a_logout_nothing_handled_stays_and_nothing_unhandled_goes(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """The callback that logs out counts as handled: its message must not log the next session out,
    too. Those behind it are left in the inbox.
    """
    release = trio.Event()

    async def leave(s: LoginSession, _account: str, _uid: int, msg: str) -> None:
        if msg == "quit":
            await release.wait()
            await s.logout()

    heard.on("on_message_instant_receive", leave)
    for version, text in enumerate(["hello", "quit", "more", "and more"], 1):
        peer.push(version, text)
    await heard.wait("on_message_instant_receive", 2)
    await wait_all_tasks_blocked()
    release.set()
    assert await peer.answer("user_getmsg", ver_clear=2, msgs=[]) == {"ver_clear": 2}
    await peer.log_out()
    await heard.wait("on_logout")
    assert texts(heard) == ["hello", "quit"]


async def test_a_callback_that_raises_has_handled_its_message(
    peer: Peer, heard: Heard, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    heard.on("on_message_instant_receive", lambda *_: 1 / 0)
    peer.push(1, "one")
    peer.push(2, "two")
    assert await peer.answer("user_getmsg", ver_clear=2, msgs=[]) == {"ver_clear": 2}
    assert heard.names == [
        "on_login_success",
        "on_message_instant_receive",
        "on_error",
        "on_message_instant_receive",
        "on_error",
    ]
    assert heard.all[2][1] == 1002


async def test_a_poll_that_failed_is_repeated(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    signal.login("alice", TOKEN, heard.login)
    peer = await server.accept()
    peer.account = "alice"
    await peer.expect("login")
    peer.send_text(login.encode_success(login.LoginSucceeded(uid=7, line=LINE)))
    callid, _ = await peer.expect_call("user_getmsg")
    peer.refuse(callid)
    await peer.answer("user_getmsg", ver_clear=0, msgs=[[1, line("one")]])
    await heard.wait("on_message_instant_receive")
    assert heard.of("on_error") == []


async def test_a_program_without_a_callback_empties_its_inbox_all_the_same(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    signal.login("alice", TOKEN)
    peer = await server.accept_login()
    peer.push(1, "one")
    assert await peer.answer("user_getmsg", ver_clear=1, msgs=[]) == {"ver_clear": 1}


async def test_sending_says_how_long_the_message_is_kept(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """30 days where nothing is said, as the original Java SDK has it."""
    session.message_instant_send("bob", "a", heard.message)
    session.message_instant_send("bob", "b", 60, heard.message)
    session.message_instant_send("bob", "c", ttl=10**9, cb=heard.message)
    session.message_instant_send("bob", "d", ttl=-1, cb=heard.message)
    flags = [(await peer.answer("user_sendmsg"))["flag"] for _ in range(3)]
    assert flags == ["v1:E:2592000", "v1:E:60", "v1:E:2592000"]
    await heard.wait("on_message_send_success", 3)
    assert heard.of("on_message_send_error") == [("on_message_send_error", 1004)]
