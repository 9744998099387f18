"""A session that loses its connection, against a scripted server: how it comes back, what goes on,
and when it gives up.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import (
    Backoff,
    CallState,
    ECode,
    LoginSession,
    LogoutError,
    Operation,
    Signal,
    SignalError,
)
from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.websocket.link import Link
from signal_sdk.wire import login
from tests.client.fakes import LINE, TOKEN, FakeServer, Heard, Peer


@pytest.fixture
async def peer(signal: Signal, server: FakeServer, heard: Heard) -> Peer:
    signal.login("alice", TOKEN, heard.login)
    return await server.accept_login()


@pytest.fixture
def session(signal: Signal, peer: Peer) -> LoginSession:
    return signal.login("alice", TOKEN)


async def ecode_of(awaitable: Any) -> ECode:
    with pytest.raises(SignalError) as caught:
        await awaitable
    return caught.value.ecode


async def resumed(server: FakeServer, peer: Peer, **success: Any) -> Peer:
    """Lose the connection, and take the session up on another one."""
    peer.link.abort()
    again, _ = await server.accept_resume(**success)
    again.account = peer.account
    return again


async def polls(peer: Peer, ver_clear: int = 0, told: int = 0, msgs: Any = ()) -> None:
    """The session asks for its inbox."""
    assert await peer.answer("user_getmsg", ver_clear=ver_clear, msgs=list(msgs)) == (
        {"ver_clear": told}
    )


# --- coming back ---


async def test_a_session_goes_on_over_another_connection(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.link.abort()
    await heard.wait("on_reconnecting")
    assert session.status == 1
    again = await server.accept()
    asked = await again.expect("line_login")
    assert asked == {"line": LINE, "msgid": 0, "channel": None}
    again.let_in()
    await polls(again)
    assert heard.all == [("on_login_success", 7), ("on_reconnecting", 1), ("on_reconnected",)]
    assert session.status == 2
    assert 0.25 <= trio.current_time() <= 0.5
    operation = session.query_user_status("bob")
    await again.answer("user_query_user_status", account="bob", status=1)
    assert await operation is True


async def test_each_try_is_told_and_the_pauses_grow(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    server.is_down = True
    times: list[float] = []
    heard.on("on_reconnecting", lambda *_: times.append(trio.current_time()))
    peer.link.abort()
    await heard.wait("on_reconnecting", 7)
    server.is_down = False
    await polls((await server.accept_resume())[0])
    assert heard.of("on_reconnecting") == [
        ("on_reconnecting", number) for number in range(1, len(times) + 1)
    ]
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    for pause, longest in zip(gaps, [0.5, 1, 2, 4, 8, 16, 30, 30, 30], strict=False):
        assert longest / 2 <= pause <= longest
    assert heard.names.count("on_reconnected") == 1
    assert heard.of("on_logout") == []


async def test_the_server_that_was_lost_is_avoided(
    session: LoginSession, peer: Peer, server: FakeServer, autojump_clock: MockClock
) -> None:
    await resumed(server, peer)
    assert server.avoided == ["", "memory:server"]


async def test_a_connection_without_a_login_does_not_begin_the_counting_again(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.link.abort()
    for _ in range(3):
        await (await server.accept()).expect("line_login")  # and says nothing, for 10 s
    await (await server.accept()).turn_away(201)
    (await server.accept()).link.abort()
    await server.accept_resume()
    await heard.wait("on_reconnected")
    assert [number for _, number in heard.of("on_reconnecting")] == [1, 2, 3, 4, 5, 6]
    assert trio.current_time() > 3 * 10 + (0.5 + 1 + 2 + 4 + 8 + 16) / 2


@pytest.mark.parametrize("reconnect", [Backoff(attempts=2), Backoff(seconds=1)], ids=str)
async def test_tries_that_are_used_up_end_the_session(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    unanswered = session.query_user_status("bob")
    await peer.expect_call("user_query_user_status")
    server.is_down = True
    peer.link.abort()
    assert await session.wait_logged_out() == 102
    with pytest.raises(LogoutError):
        await unanswered
    await heard.wait("on_logout")
    assert heard.of("on_logout") == [("on_logout", 102)]
    assert 1 <= len(heard.of("on_reconnecting")) <= 2
    assert session.status == 0


@pytest.mark.parametrize(("ecode", "told"), [(207, 103), (204, 105), (206, 100), (209, 100)])
@pytest.mark.parametrize("is_fresh", [False, True])
async def test_a_refusal_that_another_try_would_not_change_ends_the_session(
    session: LoginSession,
    peer: Peer,
    server: FakeServer,
    heard: Heard,
    ecode: int,
    told: int,
    is_fresh: bool,
    autojump_clock: MockClock,
) -> None:
    peer.link.abort()
    if is_fresh:
        await (await server.accept()).turn_away(202)
    await (await server.accept()).turn_away(ecode)
    assert await session.wait_logged_out() == told
    await heard.wait("on_logout")
    assert heard.names == ["on_login_success", "on_reconnecting", "on_logout"]


@pytest.mark.parametrize(("event", "told"), [("kick", 103), ("close", 105)])
async def test_the_server_may_end_the_session_while_it_comes_back(
    session: LoginSession,
    peer: Peer,
    server: FakeServer,
    event: str,
    told: int,
    autojump_clock: MockClock,
) -> None:
    peer.link.abort()
    again = await server.accept()
    await again.expect("line_login")
    again.send(event, {"ecode": told, "reason": "over"})
    assert await session.wait_logged_out() == told


@pytest.mark.parametrize("when", ["logged in", "coming back"])
async def test_a_server_that_goes_away_says_how_long_to_stay_away(
    session: LoginSession,
    peer: Peer,
    server: FakeServer,
    heard: Heard,
    when: str,
    autojump_clock: MockClock,
) -> None:
    if when == "coming back":
        peer.link.abort()
        peer = await server.accept()
        await peer.expect("line_login")
    began = trio.current_time()
    peer.send("close", {"ecode": 102, "reason": "going away", "delay": 7.5})
    await polls((await server.accept_resume())[0])
    assert trio.current_time() - began == pytest.approx(7.5)


async def test_what_a_server_may_ask_for_is_bounded(
    session: LoginSession, peer: Peer, server: FakeServer, autojump_clock: MockClock
) -> None:
    peer.send("close", {"ecode": 102, "reason": "going away", "delay": 1e9})
    await server.accept_resume()
    assert trio.current_time() == pytest.approx(120)


async def test_twenty_seconds_of_silence_are_a_lost_connection(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    await trio.sleep(5)
    peer.push(1, "alive")
    await heard.wait("on_message_instant_receive")
    again, _ = await server.accept_resume()
    assert 25.25 <= trio.current_time() <= 25.5
    await polls(again, told=1)
    assert peer.link.is_open, "nobody told the server"


async def test_nothing_of_an_earlier_connection_is_read(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.send("multi", [["close", {"ecode": 102}], ["kick", {"ecode": 103}]])
    again, _ = await server.accept_resume()
    peer.push(1, "late")
    await polls(again)
    await wait_all_tasks_blocked()
    assert heard.of("on_message_instant_receive", "on_logout") == []


# --- requests ---


async def test_what_was_not_answered_is_sent_again_under_its_id(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    session.message_instant_send("bob", "one", heard.message)
    first, sent = await peer.expect_call("user_sendmsg")
    answered = session.query_user_status("bob")
    session.message_instant_send("bob", "two", heard.message)
    callid, _ = await peer.expect_call("user_query_user_status")
    peer.reply(callid, account="bob", status=1)
    await answered
    again = await resumed(server, peer)
    callid, resent = await again.expect_call("user_sendmsg")
    assert (callid, resent) == (first, sent)
    again.reply(callid)
    callid, resent = await again.expect_call("user_sendmsg")
    assert (callid, resent["content"]) == (first + 2, "two")
    again.reply(callid)
    await polls(again)
    await heard.wait("on_message_send_success", 2)
    # The login's poll was 1; all up to 1 had been answered, and while 2 was not, nothing above it.
    assert peer.acks == [0, 1, 1]
    assert again.acks[:2] == [1, 1]
    session.query_user_status("bob")
    await again.expect_call("user_query_user_status")
    assert again.acks[-1] == first + 3


async def test_what_is_asked_without_a_connection_waits_for_one_but_not_for_ever(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    # Pauses that end before the second request has waited for too long, too.
    random.seed(1)
    server.is_down = True
    peer.link.abort()
    await heard.wait("on_reconnecting")
    began = trio.current_time()
    lost = session.query_user_status("lost")
    session.message_instant_send("bob", "lost", heard.message)
    assert await ecode_of(lost) == 1001
    assert trio.current_time() == began + 10
    await heard.wait("on_message_send_error")
    assert heard.of("on_message_send_error") == [("on_message_send_error", 401)]
    kept = session.query_user_status("kept")
    server.is_down = False
    again, _ = await server.accept_resume()
    callid, args = await again.expect_call("user_query_user_status")
    assert args == {"account": "kept"}
    again.reply(callid, account="kept", status=1)
    assert await kept is True


# --- the inbox ---


async def test_the_inbox_goes_on_where_it_was(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.push(1, "one")
    await heard.wait("on_message_instant_receive")
    again = await resumed(server, peer)
    lines = {
        version: f"msg-v3 2.{version} bob alice v1:E:3600 instant 1 {version}" for version in (1, 2)
    }
    await polls(again, told=1, msgs=lines.items())
    await heard.wait("on_message_instant_receive", 2)
    assert [text for *_, text in heard.of("on_message_instant_receive")] == ["one", "2"]
    await polls(again, told=2)


async def test_a_message_that_comes_again_under_another_version_is_passed_over(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    """After a crash the server counts on from higher up, and has forgotten what it was told."""
    release = trio.Event()
    heard.on("on_message_instant_receive", lambda *_: release.wait())
    for version in (1, 2):
        peer.push(version, str(version))
    await heard.wait("on_message_instant_receive")
    again = await resumed(server, peer)
    lines = {
        1000 + version: f"msg-v3 2.{version} bob alice v1:E:3600 instant 1 {version}"
        for version in (1, 2, 3)
    }
    await polls(again, msgs=lines.items())
    release.set()
    await heard.wait("on_message_instant_receive", 3)
    assert [text for *_, text in heard.of("on_message_instant_receive")] == ["1", "2", "3"]
    await polls(again, told=1003)


async def test_a_call_s_step_that_comes_again_is_passed_over(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    heard.on("on_invite_received", lambda _, call: setattr(call, "cb", heard.call))
    peer.push_call(1, "voip_invite")
    await peer.answer("voip_invite_ack")
    peer.push_call(2, "voip_invite_msg", extra="1")
    await heard.wait("on_invite_msg")
    again = await resumed(server, peer)
    content = '{"channel":"room","peer":"bob","extra":"1"}'
    lines = [
        [9, "msg-v3 call.1 bob alice v1:E:120 voip_invite 1 " + content],
        [10, "msg-v3 call.2 bob alice v1:E:120 voip_invite_msg 1 " + content],
    ]
    await polls(again, told=2, msgs=lines)
    await polls(again, told=10)
    assert len(heard.of("on_invite_received")) == len(heard.of("on_invite_msg")) == 1


# --- calls ---


async def test_calls_go_on_and_their_steps_in_flight_are_sent_again(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = session.channel_invite_user2("room", "bob", "", heard.call)
    first, _ = await peer.expect_call("voip_invite")
    again = await resumed(server, peer)
    callid, _ = await again.expect_call("voip_invite")
    assert callid == first
    again.reply(callid)
    await polls(again)
    await call
    again.push_call(1, "voip_invite_accept", extra="{}")
    await heard.wait("on_invite_accepted_by_peer")
    assert call.state is CallState.ACCEPTED
    ending = call.channel_invite_end()
    callid, _ = await again.expect_call("voip_invite_bye")
    last = await resumed(server, again)
    again_id, _ = await last.expect_call("voip_invite_bye")
    assert again_id == callid
    last.reply(callid)
    await ending
    await heard.wait("on_invite_end_by_myself")
    assert heard.of("on_invite_failed") == []


# --- a server that has forgotten the session ---


async def forgotten(server: FakeServer, peer: Peer) -> Peer:
    """Lose the connection to a server that has lost everything; log in anew."""
    peer.link.abort()
    await (await server.accept()).turn_away(202)
    again = await server.accept()
    await again.expect("login")
    again.account = peer.account
    text = login.encode_success(login.LoginSucceeded(uid=9, line=LINE))
    again.send_text(text)
    return again


async def test_a_forgotten_session_logs_in_anew_and_loses_its_calls_only(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    alive = session.channel_invite_user2("room", "bob", "", heard.call)
    await peer.answer("voip_invite")
    await alive

    async def take_time(*_: object) -> None:
        await trio.sleep(1)

    heard.on("on_message_instant_receive", take_time)
    for version in (1, 2):
        peer.push(version, str(version))
    await heard.wait("on_message_instant_receive")
    unanswered = session.channel_invite_user2("room", "carol", "", heard.call)
    session.message_instant_send("bob", "again", heard.message)
    await peer.expect_call("voip_invite")
    again = await forgotten(server, peer)
    # Neither the invitation, whose call is over, nor a poll that counts as the old server did.
    assert (await again.answer("user_sendmsg"))["content"] == "again"
    lines = [
        [version, f"msg-v3 2.{text} bob alice v1:E:3600 instant 1 {text}"]
        for version, text in enumerate("123", 1)
    ]
    await polls(again, told=0, msgs=lines)
    assert await ecode_of(unanswered) == 702
    await polls(again, told=3)
    assert [text for *_, text in heard.of("on_message_instant_receive")] == ["1", "2", "3"]
    assert heard.of("on_invite_failed") == [
        ("on_invite_failed", alive, 702),
        ("on_invite_failed", unanswered, 702),
    ]
    assert heard.names.count("on_reconnected") == 1
    assert session.uid == 9


async def test_a_login_anew_is_tried_until_it_succeeds(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.link.abort()
    await (await server.accept()).turn_away(202)
    await (await server.accept()).turn_away(201)
    again = await server.accept()
    await again.expect("login")
    again.let_in()
    await heard.wait("on_reconnected")
    assert [number for _, number in heard.of("on_reconnecting")] == [1, 2]


# --- the end ---


async def test_a_logout_without_a_connection_is_told_on_the_next(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.push(1, "one")
    await heard.wait("on_message_instant_receive")
    peer.link.abort()
    await wait_all_tasks_blocked()
    logout = session.logout()
    assert session.status == 0
    assert await ecode_of(session.query_user_status("bob")) == 1003
    again, _ = await server.accept_resume()
    await polls(again, ver_clear=1, told=1)
    await again.log_out()
    await logout
    await heard.wait("on_logout")
    assert heard.of("on_logout") == [("on_logout", 101)]
    assert heard.of("on_reconnecting", "on_reconnected") == []


@pytest.mark.parametrize("how", ["down", "silent", "forgotten"])
async def test_a_logout_that_cannot_be_told_is_one_all_the_same(
    session: LoginSession,
    peer: Peer,
    server: FakeServer,
    heard: Heard,
    how: str,
    autojump_clock: MockClock,
) -> None:
    server.is_down = how == "down"
    peer.link.abort()
    await wait_all_tasks_blocked()
    began, dials = trio.current_time(), server.dials
    logout = session.logout()
    if how != "down":
        again = await server.accept()
        if how == "forgotten":
            await again.turn_away(202)
    await logout
    await heard.wait("on_logout")
    assert heard.of("on_logout") == [("on_logout", 101)]
    assert trio.current_time() - began <= 2
    assert server.dials - dials <= 4


async def test_a_login_of_the_account_while_it_reconnects_is_the_session_that_there_is(
    signal: Signal, session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    peer.link.abort()
    await heard.wait("on_reconnecting")
    assert signal.login("alice", TOKEN) is session


class Links:
    """A dialer that keeps every link that it has made."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.all: list[Link] = []
        self.is_stuck = False

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        if self.is_stuck:
            await trio.sleep_forever()
        self.all.append(await self.server.dial(appid, reactor, avoid=avoid))
        return self.all[-1]


@pytest.mark.parametrize("where", ["pause", "dial", "answer", "login anew", "after"])
@pytest.mark.parametrize("how", ["cancelled", "left"])
async def test_wherever_it_is_stopped_nothing_stays_behind(
    server: FakeServer, heard: Heard, where: str, how: str, autojump_clock: MockClock
) -> None:
    links = Links(server)
    with trio.CancelScope() as scope:
        async with Signal("app", server=links) as signal:
            session = signal.login("alice", TOKEN, heard.login)
            peer = await server.accept_login()
            channel = session.channel_join("room", heard.channel)
            await peer.answer("channel_join", list=[], attrs={}, num=1, msgid=1)
            await channel
            operations: list[Operation[Any]] = [session.query_user_status("bob"), channel.gap]
            server.is_down = where == "pause"
            links.is_stuck = where == "dial"
            peer.link.abort()
            await heard.wait("on_reconnecting")
            if where in ("answer", "login anew", "after"):
                again = await server.accept()
                if where == "login anew":
                    await again.turn_away(202)
                    await (await server.accept()).expect("login")
                elif where == "after":
                    await again.expect("line_login")
                    again.let_in(channel="room", msgid=1)
                    await heard.wait("on_reconnected")
            operations.append(session.message_instant_send("bob", "x"))
            await trio.sleep(0.01)
            began = trio.current_time()
            if how == "cancelled":
                scope.cancel()
                await trio.lowlevel.checkpoint()
    assert trio.current_time() - began <= 2
    assert all(operation.is_done for operation in operations)
    for link in links.all:
        with pytest.raises(LinkError):
            await link.receive()
    assert session.status == 0
    assert await session.wait_logged_out() == (100 if how == "cancelled" else 101)
