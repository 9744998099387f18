"""A session's calls against a scripted server: both sides of every step, and every end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import Call, CallState, ECode, LoginSession, Signal, SignalError
from signal_sdk.client.call_states import TABLE, CallStep
from tests.client.fakes import TOKEN, FakeServer, Heard, Peer


@pytest.fixture
async def peer(signal: Signal, server: FakeServer, heard: Heard) -> Peer:
    signal.login("alice", TOKEN, heard.login)
    return await server.accept_login()


@pytest.fixture
def session(signal: Signal, peer: Peer) -> LoginSession:
    return signal.login("alice", TOKEN)


def state(call: Call) -> CallState:
    """The call's state; mypy holds a property for a constant."""
    return call.state


async def ecode_of(awaitable: Any) -> ECode:
    with pytest.raises(SignalError) as caught:
        await awaitable
    return caught.value.ecode


async def invite(session: LoginSession, peer: Peer, heard: Heard, peer_name: str = "bob") -> Call:
    call = session.channel_invite_user2("room", peer_name, "", heard.call)
    await peer.answer("voip_invite")
    return await call


async def ring(peer: Peer, heard: Heard, version: int = 1, **content: Any) -> Call:
    """The session is called, and acknowledges."""

    def take(_: LoginSession, call: Call) -> None:
        call.cb = heard.call

    heard.on("on_invite_received", take)
    count = len(heard.of("on_invite_received"))
    peer.push_call(version, "voip_invite", **content)
    await peer.answer("voip_invite_ack")
    _, call = await heard.wait("on_invite_received", count + 1)
    assert isinstance(call, Call)
    return call


# --- calling ---


async def test_a_call_from_invitation_to_end(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = session.channel_invite_user2("room", "bob", {"video": 1}, heard.call)
    assert (call.channel, call.peer, call.extra) == ("room", "bob", '{"video":1}')
    assert state(call) is CallState.INVITING
    assert call.session is session
    args = await peer.answer("voip_invite")
    assert args.pop("callID")
    assert args == {"channelName": "room", "peer": "bob", "extra": {"video": 1}}
    assert await call is call

    peer.push_call(1, "voip_invite_ack", peeruid=9)
    assert await heard.wait("on_invite_received_by_peer") == ("on_invite_received_by_peer", call)
    assert (state(call), call.peer_uid) == (CallState.RINGING, 9)
    peer.push_call(2, "voip_invite_accept", extra={"ok": 1})
    _, _, extra = await heard.wait("on_invite_accepted_by_peer")
    assert (state(call), extra) == (CallState.ACCEPTED, '{"ok":1}')
    peer.push_call(3, "voip_invite_msg", extra='{"msgtype":"dtmf","msgdata":"1"}')
    _, _, extra = await heard.wait("on_invite_msg")
    assert extra == '{"msgtype":"dtmf","msgdata":"1"}'

    dtmf = call.channel_invite_dtmf("12#")
    args = await peer.answer("voip_invite_msg")
    assert json.loads(args["extra"]) == {"msgtype": "dtmf", "msgdata": "12#"}
    await dtmf
    end = call.channel_invite_end('{"bye": 1}')
    assert (await peer.answer("voip_invite_bye"))["extra"] == '{"bye": 1}'
    await end
    assert state(call) is CallState.ENDED
    assert await heard.wait("on_invite_end_by_myself") == (
        "on_invite_end_by_myself",
        call,
        '{"bye": 1}',
    )


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("voip_invite_refuse", {"extra": "busy"}, ("on_invite_refused_by_peer", "busy")),
        ("voip_invite_bye", {}, ("on_invite_end_by_peer", "")),
        ("voip_invite_failed", {"ecode": 703}, ("on_invite_failed", 703)),
        ("voip_invite_failed", {}, ("on_invite_failed", 700)),
        ("voip_invite_failed", {"ecode": 9999}, ("on_invite_failed", 700)),
    ],
)
async def test_every_end_that_comes_from_elsewhere(
    session: LoginSession,
    peer: Peer,
    heard: Heard,
    kind: str,
    content: Any,
    told: Any,
    autojump_clock: MockClock,
) -> None:
    call = await invite(session, peer, heard)
    peer.push_call(1, kind, **content)
    name, argument = told
    assert await heard.wait(name) == (name, call, argument)
    assert state(call) is CallState.ENDED
    peer.push_call(2, "voip_invite_bye")
    await wait_all_tasks_blocked()
    assert len(heard.all) == 2, "an end is told once"


async def test_an_invitation_that_is_refused(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = session.channel_invite_user2("room", "bob", "", heard.call)
    callid, _ = await peer.expect_call("voip_invite")
    peer.refuse(callid)
    assert await ecode_of(call) == 700
    assert await heard.wait("on_invite_failed") == ("on_invite_failed", call, 700)


@pytest.mark.parametrize(
    ("arguments", "ecode"),
    [
        (("", "bob", ""), 1004),
        (("room", "b b", ""), 1004),
        (("room", "bob", object()), 1004),
        (("room", "bob", f'"{"x" * 8193}"'), 1005),
    ],
)
async def test_wrong_arguments_are_not_sent(
    session: LoginSession,
    peer: Peer,
    heard: Heard,
    arguments: Any,
    ecode: int,
    autojump_clock: MockClock,
) -> None:
    channel, callee, extra = arguments
    call = session.channel_invite_user2(channel, callee, extra, heard.call)
    assert await ecode_of(call) == ecode
    assert await heard.wait("on_invite_failed") == ("on_invite_failed", call, ecode)
    assert state(call) is CallState.ENDED


async def test_extra_may_be_plain_text(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """It goes to the peer, and comes from it, as it is."""
    call = session.channel_invite_user2("room", "bob", "{hello", heard.call)
    assert (await peer.answer("voip_invite"))["extra"] == "{hello"
    assert (await call).extra == "{hello"
    peer.push_call(1, "voip_invite_accept", extra="yes please")
    assert (await heard.wait("on_invite_accepted_by_peer"))[2] == "yes please"
    ended = call.channel_invite_end("bye")
    assert (await peer.answer("voip_invite_bye"))["extra"] == "bye"
    await ended


async def test_there_is_one_call_with_a_peer_about_a_channel(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    first = await invite(session, peer, heard)
    second = session.channel_invite_user2("room", "bob", "", heard.call)
    assert await ecode_of(second) == 701
    assert await heard.wait("on_invite_failed") == ("on_invite_failed", second, 701)
    assert state(first) is CallState.INVITING
    assert (await invite(session, peer, heard, "carol")).state is CallState.INVITING


async def test_a_call_can_follow_the_end_of_another_without_waiting(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    first = await invite(session, peer, heard)
    first.channel_invite_end()
    second = session.channel_invite_user2("room", "bob", "", heard.call)
    await peer.answer("voip_invite_bye")
    await peer.answer("voip_invite")
    await second
    assert (first.state, second.state) == (CallState.ENDED, CallState.INVITING)
    peer.push_call(1, "voip_invite_accept")
    assert (await heard.wait("on_invite_accepted_by_peer"))[1] is second


@pytest.mark.parametrize("digits", ["", "12a", "\uff11"])
async def test_other_digits_are_not_sent(
    session: LoginSession, peer: Peer, heard: Heard, digits: str, autojump_clock: MockClock
) -> None:
    call = await invite(session, peer, heard)
    assert await ecode_of(call.channel_invite_dtmf(digits)) == 1004


# --- being called ---


async def test_a_call_that_is_accepted(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = await ring(peer, heard, extra='{"who":"bob"}', peeruid=9)
    assert (call.channel, call.peer, call.peer_uid) == ("room", "bob", 9)
    assert (call.extra, call.state) == ('{"who":"bob"}', CallState.INCOMING)
    assert await call is call
    accept = call.channel_invite_accept({"yes": 1})
    args = await peer.answer("voip_invite_accept")
    assert args == {"channelName": "room", "peer": "bob", "extra": {"yes": 1}}
    await accept
    assert state(call) is CallState.ACCEPTED
    peer.push_call(2, "voip_invite_msg", extra="7")
    assert await heard.wait("on_invite_msg") == ("on_invite_msg", call, "7")
    peer.push_call(3, "voip_invite_bye")
    await heard.wait("on_invite_end_by_peer")
    assert state(call) is CallState.ENDED


async def test_a_call_that_is_refused(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = await ring(peer, heard)
    refuse = call.channel_invite_refuse('"busy"')
    assert (await peer.answer("voip_invite_refuse"))["extra"] == '"busy"'
    await refuse
    assert state(call) is CallState.ENDED
    await ring(peer, heard, version=2)


async def test_the_callback_can_be_set_by_method_and_read(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = await ring(peer, heard)
    assert call.cb is heard.call
    call.set_callback(None)
    peer.push_call(2, "voip_invite_bye")
    await wait_all_tasks_blocked()
    assert heard.names == ["on_login_success", "on_invite_received"]


async def test_a_step_that_does_not_fit_is_refused_here(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = await invite(session, peer, heard)
    assert await ecode_of(call.channel_invite_accept()) == 700
    assert await ecode_of(call.channel_invite_refuse()) == 700
    peer.push_call(1, "voip_invite_bye")
    await heard.wait("on_invite_end_by_peer")
    assert await ecode_of(call.channel_invite_end()) == 700
    call.channel_invite_end()
    _, ecode, reason = await heard.wait("on_error")
    assert (ecode, reason) == (700, "a call that is ended cannot be ended")


async def test_both_sides_end_a_call_at_once(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = await invite(session, peer, heard)
    end = call.channel_invite_end()
    callid, _ = await peer.expect_call("voip_invite_bye")
    peer.push_call(1, "voip_invite_bye")
    peer.refuse(callid, 700, "there is no call")
    await end
    await heard.wait("on_invite_end_by_peer")
    await wait_all_tasks_blocked()
    assert heard.of("on_invite_end_by_myself", "on_error") == []


async def test_invitations_that_cross(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """The server takes the peer's: ours fails as it would, and theirs rings."""
    ours = session.channel_invite_user2("room", "bob", "", heard.call)
    callid, _ = await peer.expect_call("voip_invite")
    theirs = await ring(peer, heard)
    peer.refuse(callid, 701)
    assert await ecode_of(ours) == 701
    assert state(theirs) is CallState.INCOMING
    theirs.channel_invite_accept()
    await peer.answer("voip_invite_accept")


async def test_an_invitation_tells_that_an_earlier_call_is_over(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    earlier = await ring(peer, heard)
    later = await ring(peer, heard, version=2)
    assert (earlier.state, later.state) == (CallState.ENDED, CallState.INCOMING)
    assert heard.of("on_invite_end_by_peer") == [("on_invite_end_by_peer", earlier, "")]


@pytest.mark.parametrize(
    "line",
    [
        "msg-v3 id bob alice v1:E:9 voip_invite 1 nonsense",
        'msg-v3 id bob alice v1:E:9 voip_invite 1 {"channel":"","peer":"bob"}',
        'msg-v3 id bob alice v1:E:9 voip_invite 1 {"channel":"room","peer":"b b"}',
        'msg-v3 id bob alice v1:E:9 voip_invite_news 1 {"channel":"room","peer":"bob"}',
        'msg-v3 id bob alice v1:E:9 voip_invite_bye 1 {"channel":"room","peer":"nobody"}',
    ],
)
async def test_entries_that_make_no_sense_are_passed_over_and_handled(
    session: LoginSession, peer: Peer, heard: Heard, line: str, autojump_clock: MockClock
) -> None:
    peer.push_line(1, line)
    assert (await peer.answer("user_getmsg", ver_clear=1, msgs=[]))["ver_clear"] == 1
    assert heard.names == ["on_login_success"]


# --- the session's end ---


@pytest.mark.parametrize("reconnect", [None])
@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("kick", ("on_invite_failed", 702)),
        ("break", ("on_invite_failed", 702)),
        ("logout", ("on_invite_end_by_myself", "")),
    ],
)
async def test_the_session_s_end_is_its_calls(
    session: LoginSession, peer: Peer, heard: Heard, end: str, told: Any, autojump_clock: MockClock
) -> None:
    calls = [await invite(session, peer, heard, name) for name in ("bob", "carol")]
    if end == "logout":
        session.logout()
        await peer.log_out()
    elif end == "break":
        peer.link.abort()
    else:
        peer.send(end, "")
    await heard.wait("on_logout")
    name, argument = told
    assert heard.all[1:] == [*((name, call, argument) for call in calls), *heard.of("on_logout")]


async def test_awaiting_a_call_that_fails_before_its_answer_raises_what_its_callback_hears(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = session.channel_invite_user2("room", "bob", "", heard.call)
    callid, _ = await peer.expect_call("voip_invite")
    peer.push_call(1, "voip_invite_failed", ecode=703)
    assert await ecode_of(call) == 703
    peer.reply(callid)
    await trio.sleep(1)
    assert await ecode_of(call) == 703
    assert heard.of("on_invite_failed") == [("on_invite_failed", call, 703)]


@pytest.mark.parametrize("reconnect", [None])
async def test_an_invitation_that_the_session_s_end_cuts_off(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    call = session.channel_invite_user2("room", "bob", "", heard.call)
    await peer.expect_call("voip_invite")
    peer.link.abort()
    assert await ecode_of(call) == 102
    await heard.wait("on_logout")
    assert heard.of("on_invite_failed") == [("on_invite_failed", call, 702)]


async def test_the_block_of_a_call(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    async def serve() -> None:
        await peer.answer("voip_invite")
        await peer.answer("voip_invite_bye")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with session.channel_invite_user2("room", "bob", "", heard.call) as call:
            assert state(call) is CallState.INVITING
        assert state(call) is CallState.ENDED


async def test_the_block_of_a_call_that_is_over_already(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    async with await invite(session, peer, heard):
        peer.push_call(1, "voip_invite_refuse")
        await heard.wait("on_invite_refused_by_peer")
    # The block's end has nothing to say: what comes next is what is asked next.
    session.query_user_status("bob")
    assert await peer.expect_call("user_query_user_status")


# --- the table ---


def test_every_state_but_the_last_can_be_left_and_the_last_cannot() -> None:
    assert set(TABLE) == set(CallState)
    assert TABLE[CallState.ENDED] == {}
    for state in set(CallState) - {CallState.ENDED}:
        for step in (CallStep.END, CallStep.PEER_ENDED, CallStep.FAILED):
            assert TABLE[state][step] is CallState.ENDED


@pytest.mark.parametrize(("state", "step"), list(itertools.product(CallState, CallStep)))
def test_no_step_leads_back(state: CallState, step: CallStep) -> None:
    order = [
        CallState.INVITING,
        CallState.RINGING,
        CallState.INCOMING,
        CallState.ACCEPTED,
        CallState.ENDED,
    ]
    after = TABLE[state].get(step, state)
    assert order.index(after) >= order.index(state)


async def test_what_comes_of_an_earlier_call_is_not_for_the_next_one(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """The end of a call was asked for and not answered when the same peer is called again."""
    first = await invite(session, peer, heard)
    ending = first.channel_invite_end()
    await peer.expect_call("voip_invite_bye")
    second = session.channel_invite_user2("room", "bob", "", heard.call)
    args = await peer.answer("voip_invite")
    assert await heard.wait("on_invite_end_by_myself") == ("on_invite_end_by_myself", first, "")
    peer.push_call(1, "voip_invite_failed", ecode=704, call="another's id")
    peer.push_call(2, "voip_invite_ack", call=args["callID"])
    assert await heard.wait("on_invite_received_by_peer") == ("on_invite_received_by_peer", second)
    assert "on_invite_failed" not in heard.names
    assert (state(first), state(second)) == (CallState.ENDED, CallState.RINGING)
    # The answer that never comes makes no second end.
    await trio.sleep(11)
    await ending
    assert heard.names.count("on_invite_end_by_myself") == 1


async def test_an_old_invitation_does_not_hide_one_s_own(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """As it comes out of the inbox after an outage, together with its end."""
    call = session.channel_invite_user2("room", "bob", "", heard.call)
    callid, args = await peer.expect_call("voip_invite")
    peer.push_call(1, "voip_invite", call="bob's own")
    peer.push_call(2, "voip_invite_bye", call="bob's own")
    await peer.answer("voip_invite_ack")
    peer.reply(callid)
    peer.push_call(3, "voip_invite_ack", call=args["callID"])
    await heard.wait("on_invite_received_by_peer")
    assert state(call) is CallState.RINGING
