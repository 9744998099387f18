"""A session's life against a scripted server: every way into it, and every way out."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import ECode, LoginError, LogoutError, Signal, SignalError
from signal_sdk.client.connection import Connection
from signal_sdk.client.session import SessionClient
from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.websocket.link import Link, encode_binary
from signal_sdk.wire import frames, login
from tests.client.fakes import LINE, TOKEN, FakeServer, Heard, Peer


async def ecode_of(awaitable: Any) -> ECode:
    with pytest.raises(SignalError) as caught:
        await awaitable
    return caught.value.ecode


async def logged_in(signal: Signal, server: FakeServer, heard: Heard) -> tuple[Any, Peer]:
    session = signal.login("alice", TOKEN, heard.login)
    peer = await server.accept_login()
    await session
    return session, peer


# --- in ---


async def test_a_login_says_what_the_protocol_wants(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    signal.login("alice", TOKEN)
    peer = await server.accept()
    asked = await peer.expect("login")
    assert len(asked.pop("instance")) > 10
    assert asked == {
        "vid": "app",
        "account": "alice",
        "token": TOKEN,
        "uid": 0,
        "device": login.NATIVE_DEVICE,
        "ip": "",
        "ver": login.PROPERTIES_VERSION,
        "again": False,
    }


async def test_a_login_that_succeeds(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    assert signal.get_status() == 4
    session = signal.login("alice", TOKEN, heard.login)
    assert (signal.get_status(), session.status, session.uid) == (1, 1, 0)
    peer = await server.accept()
    await peer.log_in(uid=7)
    assert await session is session
    assert (signal.get_status(), session.status, session.uid) == (2, 2, 7)
    await heard.wait("on_login_success")
    assert heard.all == [("on_login_success", 7)]


@pytest.mark.parametrize(
    ("err", "text", "ecode"),
    [
        ("kick", {"result": "failed"}, 207),
        ("TokenErrorExpired", {"result": "failed"}, 204),
        ("TokenErrorWrong", {"result": "failed"}, 206),
        ("wrong account x y", {"result": "failed"}, 209),
        ("", {"result": "failed", "reason": "TokenErrorX"}, 206),
        ("whatever", {"result": "failed"}, 201),
        ("refused", {"result": "failed", "ecode": 202}, 202),
        ("", {"result": "ok"}, 200),
        ("", {"result": "ok", "uid": "x", "line": 5}, 200),
    ],
)
async def test_a_login_that_is_refused(
    signal: Signal,
    server: FakeServer,
    heard: Heard,
    err: str,
    text: Any,
    ecode: int,
    autojump_clock: MockClock,
) -> None:
    session = signal.login("alice", TOKEN, heard.login)
    waiting = session.query_user_status("bob")
    peer = await server.accept()
    await peer.expect("login")
    peer.send("login_ret", [err, frames.encode_json(text).decode()])
    with pytest.raises(LoginError) as caught:
        await session
    assert caught.value.ecode == ecode
    assert await ecode_of(waiting) == 1003
    await heard.wait("on_login_failed")
    assert heard.names[-1] == "on_login_failed"
    assert heard.of("on_login_failed") == [("on_login_failed", ecode)]
    assert session.status == signal.get_status() == 3
    assert await session.wait_logged_out() == ecode
    assert await peer.is_gone()


@pytest.mark.parametrize(
    ("event", "payload", "ecode"),
    [
        ("kick", "", 207),
        ("kick", {"ecode": 103}, 207),
        ("close", "", 201),
        ("close", {"ecode": 102, "reason": "going away"}, 201),
        ("close", {"ecode": 202, "reason": "no"}, 202),
    ],
)
async def test_a_server_that_hangs_up_on_a_login(
    signal: Signal,
    server: FakeServer,
    event: str,
    payload: Any,
    ecode: int,
    autojump_clock: MockClock,
) -> None:
    session = signal.login("alice", TOKEN)
    peer = await server.accept()
    await peer.expect("login")
    peer.send(event, payload)
    assert await ecode_of(session) == ecode


async def test_a_connection_that_breaks_during_the_login(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN)
    peer = await server.accept()
    await peer.expect("login")
    peer.link.abort()
    assert await ecode_of(session) == 201


async def test_a_server_that_does_not_answer_the_login(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN)
    peer = await server.accept()
    await peer.expect("login")
    began = trio.current_time()
    assert await ecode_of(session) == 201
    assert trio.current_time() - began == 10


async def test_no_server(autojump_clock: MockClock) -> None:
    class Nowhere:
        async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
            raise LinkError("nobody there")

    async with Signal("app", server=Nowhere()) as signal:
        with pytest.raises(LoginError, match="nobody there"):
            await signal.login("alice", TOKEN)


async def test_a_dialer_that_fails_ends_its_own_session_only(
    heard: Heard, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    class Broken:
        async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
            raise ZeroDivisionError

    async with Signal("app", server=Broken()) as signal:
        assert await ecode_of(signal.login("alice", TOKEN, heard.login)) == 200
        await heard.wait("on_login_failed")
    assert "ZeroDivisionError" in caplog.text


async def test_a_mistake_where_time_is_kept_ends_its_own_session_only(
    signal: Signal,
    server: FakeServer,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    due = SessionClient.due

    def fail(client: SessionClient, now: float) -> float:
        if client.account == "alice":
            raise ZeroDivisionError
        return due(client, now)

    alice = signal.login("alice", TOKEN, heard.login)
    await server.accept_login()
    bob = signal.login("bob", TOKEN)
    other = await server.accept_login()
    await alice
    await bob
    monkeypatch.setattr(SessionClient, "due", fail)
    assert await heard.wait("on_logout") == ("on_logout", ECode.LOGOUT_E_OTHER)
    pings = len(other.pings)
    with trio.move_on_after(30):
        await other.receive()
    assert len(other.pings) > pings


@pytest.mark.parametrize("account", ["", "a b", "a\n", "x" * 129, "\ud800"])
async def test_a_wrong_account_is_refused_without_a_connection(
    signal: Signal, server: FakeServer, heard: Heard, account: Any, autojump_clock: MockClock
) -> None:
    session = signal.login(account, TOKEN, heard.login)
    assert await ecode_of(session) == 209
    await heard.wait("on_login_failed")
    assert heard.all == [("on_login_failed", 209)]
    assert server.dials == 0


async def test_a_token_that_is_no_text(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    assert await ecode_of(signal.login("alice", "\ud800")) == 206
    assert server.dials == 0


async def test_other_frames_during_the_login_are_passed_over(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN)
    peer = await server.accept()
    peer.send("news", {"x": 1})
    peer.send("notify", ["msg", 3])
    assert session.status == 1
    await peer.log_in()
    assert await session is session
    assert session.status == 2


async def test_what_comes_with_the_login_s_answer_is_not_lost(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    signal.login("alice", TOKEN, heard.login)
    peer = await server.accept()
    await peer.expect("login")
    peer.send_text(login.encode_success(login.LoginSucceeded(uid=7, line=LINE)))
    peer.account = "alice"
    peer.push(1, "at once")
    assert await heard.wait("on_message_instant_receive") == (
        "on_message_instant_receive",
        "bob",
        0,
        "at once",
    )


# --- logging in again ---


async def test_a_login_while_logged_in_returns_the_session_that_is_there(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN, heard.login)
    assert signal.login("alice", "other") is session
    await server.accept_login()
    await session
    assert signal.login("alice", "other") is session
    assert signal.login("bob", TOKEN) is not session
    await wait_all_tasks_blocked()
    assert server.dials == 2


async def test_a_login_after_a_logout_is_a_new_session_behind_the_farewell(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    """As the seed allows: logout, and login again without waiting."""
    session, peer = await logged_in(signal, server, heard)
    session.logout()
    again = signal.login("alice", TOKEN)
    assert again is not session
    await wait_all_tasks_blocked()
    assert server.dials == 1
    await peer.log_out()
    await server.accept_login()
    assert await again is again
    assert (session.status, again.status) == (0, 2)


async def test_a_failed_login_can_be_tried_again(
    signal: Signal, server: FakeServer, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN)
    (await server.accept()).link.abort()
    assert await ecode_of(session) == 201
    again = signal.login("alice", TOKEN)
    await server.accept_login()
    assert await again is not session


# --- out ---


async def test_a_logout(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    session, peer = await logged_in(signal, server, heard)
    unanswered = session.query_user_status("bob")
    logout = session.logout()
    assert session.logout() is logout
    assert session.status == signal.get_status() == 0
    assert await ecode_of(session.query_user_status("bob")) == 1003
    await peer.expect_call("user_query_user_status")
    await peer.log_out()
    await logout
    with pytest.raises(LogoutError) as caught:
        await unanswered
    assert caught.value.ecode == 101
    await heard.wait("on_logout")
    assert heard.of("on_login_success", "on_logout") == [
        ("on_login_success", 7),
        ("on_logout", 101),
    ]
    assert await session.wait_logged_out() == 101
    assert await ecode_of(session.logout()) == 108
    assert await peer.is_gone()


async def test_a_logout_that_nobody_awaits_and_that_comes_too_late_goes_to_on_error(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    session, peer = await logged_in(signal, server, heard)
    session.logout()
    await peer.log_out()
    await heard.wait("on_logout")
    await wait_all_tasks_blocked()
    session.logout()
    _, ecode, reason = await heard.wait("on_error")
    assert (ecode, "not logged in" in reason) == (108, True)


@pytest.mark.parametrize("how", ["silence", "break", "kick"])
async def test_a_logout_ends_as_one_whatever_the_server_does(
    signal: Signal, server: FakeServer, heard: Heard, how: str, autojump_clock: MockClock
) -> None:
    session, peer = await logged_in(signal, server, heard)
    logout = session.logout()
    await peer.expect_call("user_logout")
    if how == "break":
        peer.link.abort()
    elif how == "kick":
        peer.send("kick", "")
    await logout
    assert trio.current_time() == pytest.approx(10 if how == "silence" else 0)
    assert await heard.wait("on_logout") == ("on_logout", 101)


async def test_a_logout_in_the_moment_of_the_login_s_answer_ends_what_that_has_begun(
    signal: Signal,
    server: FakeServer,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    """The answer has been read, and is not handled yet."""
    answer = Connection.login_answer

    async def answered(connection: Connection) -> login.LoginSucceeded:
        success = await answer(connection)
        session.logout()
        return success

    monkeypatch.setattr(Connection, "login_answer", answered)
    session = signal.login("alice", TOKEN, heard.login)
    peer = await server.accept()
    await peer.expect("login")
    peer.let_in()
    await peer.expect_call("user_logout")
    assert await peer.is_gone()
    assert await ecode_of(session) is ECode.LOGIN_E_CANCEL
    await wait_all_tasks_blocked()
    assert heard.all == [("on_login_failed", 203)]


@pytest.mark.parametrize("is_asked", [False, True])
async def test_a_logout_during_the_login_cancels_it(
    signal: Signal, server: FakeServer, heard: Heard, is_asked: bool, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN, heard.login)
    peer = None
    if is_asked:
        peer = await server.accept()
        await peer.expect("login")
    await session.logout()
    assert await ecode_of(session) == 203
    assert session.status == 3
    await heard.wait("on_login_failed")
    assert heard.all == [("on_login_failed", 203)]
    if peer is not None:
        # The server may have let the account in: it is told that nobody is there.
        peer.send_text(login.encode_success(login.LoginSucceeded(uid=7, line=LINE)))
        await peer.expect_call("user_logout")


@pytest.mark.parametrize("reconnect", [None])
@pytest.mark.parametrize(
    ("event", "payload", "ecode"),
    [
        ("kick", "", 103),
        ("kick", {"ecode": 103, "reason": "elsewhere"}, 103),
        ("close", "", 102),
        ("close", {"ecode": 105, "reason": "the token has expired"}, 105),
        ("close", {"ecode": 201}, 102),
        ("close", {"ecode": 12345}, 102),
    ],
)
async def test_a_session_that_the_server_ends(
    signal: Signal,
    server: FakeServer,
    heard: Heard,
    event: str,
    payload: Any,
    ecode: int,
    autojump_clock: MockClock,
) -> None:
    session, peer = await logged_in(signal, server, heard)
    unanswered = session.query_user_status("bob")
    peer.send(event, payload)
    assert await session.wait_logged_out() == ecode
    assert await ecode_of(unanswered) == ecode
    assert await heard.wait("on_logout") == ("on_logout", ecode)
    assert session.status == 0


@pytest.mark.parametrize("reconnect", [None])
async def test_a_connection_that_breaks(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    session, peer = await logged_in(signal, server, heard)
    peer.link.abort()
    assert await session.wait_logged_out() == 102
    assert await heard.wait("on_logout") == ("on_logout", 102)


@pytest.mark.parametrize("reconnect", [None])
async def test_pings_go_out_every_ten_seconds_and_a_silent_server_is_given_up(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    session, peer = await logged_in(signal, server, heard)
    with trio.move_on_after(35):
        await peer.receive()
    assert peer.pings == [1, 2, 3]
    peer.answers_pings = False
    with pytest.raises(LinkError):
        await peer.receive()
    # The third pong, at 30 s, was the last that was heard.
    assert peer.pings == [1, 2, 3, 4]
    assert trio.current_time() == 50
    assert await session.wait_logged_out() == 102


# --- frames that make no sense ---


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense",
        b"[]",
        b'["notify", 5]',
        b'["notify", ["recvmsg", "[1, 2]"]]',
        b'["notify", ["channel2", "room", 1, "msg-v2 x"]]',
        b'["call2-ret", {}]',
        b'["call2-ret", [99, "", "{}"]]',
        b'["pong", "x"]',
        b'["login_ret", ["", "{}"]]',
        b'["multi", [["x"]]]',
        b'["unknown", null]',
    ],
)
async def test_a_frame_that_makes_no_sense_changes_nothing(
    signal: Signal, server: FakeServer, heard: Heard, text: bytes, autojump_clock: MockClock
) -> None:
    session, peer = await logged_in(signal, server, heard)
    peer.send_text(text)
    operation = session.query_user_status("bob")
    await peer.answer("user_query_user_status", account="bob", status=1)
    assert await operation is True


async def test_several_frames_in_one_and_compressed_frames_are_read(
    signal: Signal, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    _, peer = await logged_in(signal, server, heard)
    pushes = [
        frames.encode_frame(
            "notify",
            ["recvmsg", f'[{n}, "msg-v3 2.{n} bob alice v1:E:3600 instant 1 {text}"]'],
        )
        for n, text in enumerate(["one", "two"], 1)
    ]
    peer.link.send_encoded(encode_binary(frames.compress(frames.encode_multi(pushes))))
    await heard.wait("on_message_instant_receive", 2)
    assert [msg for *_, msg in heard.of("on_message_instant_receive")] == ["one", "two"]


# --- secrets ---


async def test_nothing_secret_is_ever_logged(
    signal: Signal,
    server: FakeServer,
    heard: Heard,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    """With every logger at DEBUG: no token, no line, no message."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "signal_sdk")
    signal.set_do_log(True)
    session, peer = await logged_in(signal, server, heard)
    session.message_instant_send("bob", "private words", heard.message)
    callid, _ = await peer.expect_call("user_sendmsg")
    peer.refuse(callid)
    peer.push(1, "private words")
    peer.send_text(f'["notify", "{LINE} {TOKEN}"]'.encode())
    peer.send_text(f'["call2-ret", [1, "", "{LINE}"]]'.encode())
    await heard.wait("on_message_instant_receive")
    session.logout()
    await peer.expect_call("user_getmsg")
    await peer.log_out()
    await heard.wait("on_logout")
    ours = [record for record in caplog.records if record.name.startswith("signal_sdk")]
    assert len(ours) > 5
    assert "user_sendmsg" in caplog.text
    text = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for secret in (TOKEN, LINE, "private words"):
        assert secret not in text


async def test_the_debug_log_is_off_until_it_is_switched_on(
    signal: Signal,
    server: FakeServer,
    heard: Heard,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    caplog.set_level(logging.DEBUG, "signal_sdk")
    session, peer = await logged_in(signal, server, heard)
    assert not [record for record in caplog.records if record.name == "signal_sdk"]
    signal.set_do_log(True)
    session.query_user_status("bob")
    await peer.expect_call("user_query_user_status")
    assert [record for record in caplog.records if record.name == "signal_sdk"]
