"""A session's channels against a scripted server: membership, events, and what is dropped."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import Channel, ECode, LoginSession, Signal, SignalError, SpecialEvent
from signal_sdk.wire import events
from signal_sdk.wire.events import ChannelAttrUpdate, ChannelMessage, ChannelUserJoin
from tests.client.fakes import TOKEN, FakeServer, Heard, Peer


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


async def join(
    session: LoginSession, peer: Peer, heard: Heard, name: str = "room", **result: Any
) -> Channel:
    channel = session.channel_join(name, heard.channel)
    result = {"list": [], "attrs": {}, "num": 1} | result
    assert await peer.answer("channel_join", **result) == {"name": name}
    return await channel


def message(text: str, account: str = "bob", channel: str = "room") -> ChannelMessage:
    return ChannelMessage(channel=channel, account=account, uid=2, msg=text)


async def test_a_join_is_told_then_its_users_then_its_attributes(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = session.channel_join("room", heard.channel)
    assert "joining" in repr(channel)
    assert await peer.answer(
        "channel_join", list=[["bob", 2], ["alice", 7]], attrs={"a": "x", "n": 5}, num=2
    ) == {"name": "room"}
    assert await channel is channel
    assert channel.is_joined
    assert (channel.name, channel.session) == ("room", session)
    await heard.wait("on_channel_attr_updated", 2)
    assert heard.all[1:] == [
        ("on_channel_joined", channel),
        ("on_channel_user_list", channel, ["bob", "alice"], [2, 7]),
        ("on_channel_attr_updated", channel, "a", "x", "update"),
        ("on_channel_attr_updated", channel, "n", "5", "update"),
    ]


async def test_a_join_that_is_refused(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = session.channel_join("room", heard.channel)
    callid, _ = await peer.expect_call("channel_join")
    peer.refuse(callid)
    assert await ecode_of(channel) == 300
    assert await heard.wait("on_channel_join_failed") == ("on_channel_join_failed", channel, 300)
    assert await ecode_of(channel.message_channel_send("x")) == 400
    assert await ecode_of(channel.channel_set_attr("a", "b")) == 1001
    assert await ecode_of(channel.channel_leave()) == 600


@pytest.mark.parametrize(("name", "ecode"), [("", 1004), ("x" * 129, 1005), ("a\0", 1004)])
async def test_a_wrong_name_is_not_sent(
    session: LoginSession,
    peer: Peer,
    heard: Heard,
    name: str,
    ecode: int,
    autojump_clock: MockClock,
) -> None:
    channel = session.channel_join(name, heard.channel)
    assert await ecode_of(channel) == ecode
    assert await heard.wait("on_channel_join_failed") == (
        "on_channel_join_failed",
        channel,
        ecode,
    )


async def test_events_are_told_in_order(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    who: dict[str, Any] = {"channel": "room", "account": "bob", "uid": 2}
    peer.channel_event(1, ChannelUserJoin(**who))
    peer.channel_event(2, ChannelMessage(**who, msg="hello"))
    peer.channel_event(3, ChannelMessage(**who, msg={"page": [1]}))
    peer.channel_event(4, ChannelAttrUpdate(**who, name="a", value="b", change="update"))
    peer.channel_event(5, ChannelAttrUpdate(**who, name="a", value=7, change="del"))
    peer.channel_event(6, events.ChannelUserLeave(**who))
    await heard.wait("on_channel_user_leaved")
    assert heard.all[3:] == [
        ("on_channel_user_joined", channel, "bob", 2),
        ("on_message_channel_receive", channel, "bob", 2, "hello"),
        ("on_message_channel_receive", channel, "bob", 2, '{"page":[1]}'),
        ("on_channel_attr_updated", channel, "a", "b", "update"),
        ("on_channel_attr_updated", channel, "a", "7", "del"),
        ("on_channel_user_leaved", channel, "bob", 2),
    ]


async def test_one_s_own_coming_and_going_is_no_news(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """The callbacks are documented for *other* users; one's own messages do come back."""
    await join(session, peer, heard)
    me: dict[str, Any] = {"channel": "room", "account": "alice", "uid": 7}
    peer.channel_event(1, ChannelUserJoin(**me))
    peer.channel_event(2, events.ChannelUserLeave(**me))
    peer.channel_event(3, ChannelMessage(**me, msg="mine"))
    await heard.wait("on_message_channel_receive")
    assert heard.of("on_channel_user_joined", "on_channel_user_leaved") == []


async def test_events_that_are_not_new_or_not_ours_are_dropped(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    await join(session, peer, heard)
    peer.channel_event(5, message("one"))
    peer.channel_event(5, message("again"))
    peer.channel_event(4, message("old"))
    peer.channel_event(9, message("elsewhere", channel="other"))
    peer.channel_event(6, message("two"))
    await heard.wait("on_message_channel_receive", 2)
    texts = [text for *_, text in heard.of("on_message_channel_receive")]
    assert texts == ["one", "two"]


async def test_events_before_the_join_s_answer_are_told_after_it(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = session.channel_join("room", heard.channel)
    callid, _ = await peer.expect_call("channel_join")
    peer.channel_event(8, message("early"))
    peer.reply(callid, list=[], attrs={}, num=1)
    await heard.wait("on_message_channel_receive")
    assert heard.names[1:] == [
        "on_channel_joined",
        "on_channel_user_list",
        "on_message_channel_receive",
    ]
    assert channel.is_joined


async def test_leaving(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    leaving = channel.channel_leave()
    assert channel.channel_leave() is leaving
    assert await ecode_of(channel.message_channel_send("too late")) == 400
    assert await peer.answer("channel_leave") == {"name": "room"}
    await leaving
    assert not channel.is_joined
    assert await heard.wait("on_channel_leaved") == ("on_channel_leaved", channel, 602)
    peer.channel_event(9, message("late"))
    await wait_all_tasks_blocked()
    assert heard.of("on_message_channel_receive") == []
    assert await ecode_of(channel.channel_leave()) == 600


async def test_a_channel_can_be_left_before_it_is_joined(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = session.channel_join("room", heard.channel)
    leaving = channel.channel_leave()
    await peer.answer("channel_join", list=[], attrs={}, num=1)
    await peer.answer("channel_leave")
    await leaving
    await heard.wait("on_channel_leaved")
    assert heard.names[1:] == ["on_channel_joined", "on_channel_user_list", "on_channel_leaved"]


async def test_a_refusal_to_let_go_changes_nothing(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    leaving = channel.channel_leave()
    callid, _ = await peer.expect_call("channel_leave")
    peer.refuse(callid)
    assert await ecode_of(leaving) == 1001
    assert channel.is_joined
    channel.message_channel_send("still here")
    await peer.expect_call("channel_sendmsg")


async def test_joining_another_leaves_the_first(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    first = await join(session, peer, heard, "first")
    second = session.channel_join("second", heard.channel)
    peer.channel_event(1, message("still there", channel="first"))
    await peer.answer("channel_join", list=[], attrs={}, num=1)
    peer.channel_event(2, message("gone", channel="first"))
    peer.channel_event(1, message("here", channel="second"))
    await heard.wait("on_message_channel_receive", 2)
    assert heard.all[3:] == [
        ("on_message_channel_receive", first, "bob", 2, "still there"),
        ("on_channel_leaved", first, 602),
        ("on_channel_joined", second),
        ("on_channel_user_list", second, [], []),
        ("on_message_channel_receive", second, "bob", 2, "here"),
    ]
    assert not first.is_joined


async def test_a_refused_join_leaves_nothing(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    first = await join(session, peer, heard, "first")
    second = session.channel_join("_agora_user_online", heard.channel)
    callid, _ = await peer.expect_call("channel_join")
    peer.refuse(callid, 300, "not a listener")
    assert await ecode_of(second) == 300
    assert first.is_joined


async def test_a_refused_join_without_a_callback_leaves_nothing_either(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    there = await join(session, peer, heard)
    refused = session.channel_join("hall")
    await peer.answer("channel_join", result="failed", reason="no")
    assert await ecode_of(refused) is ECode.JOINCHANNEL_E_OTHER
    assert await ecode_of(session.channel_join("")) is ECode.GENERAL_E_WRONG_PARAM
    assert "failed" in repr(refused)
    assert await ecode_of(refused.channel_set_attr("a", "b")) is ECode.GENERAL_E_FAILED
    assert session.channel_join("room") is there
    again = session.channel_join("hall")
    assert again is not refused
    await peer.answer("channel_join", list=[], attrs={}, num=1)
    assert (await again).is_joined


async def test_an_unheard_refusal_of_a_join_goes_to_on_error(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    session.channel_join("hall")
    await peer.answer("channel_join", result="failed", reason="no")
    told = await heard.wait("on_error")
    assert told == ("on_error", ECode.JOINCHANNEL_E_OTHER, "channel_join: no")


async def test_joining_where_one_is_returns_the_channel_that_is_there(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    first = session.channel_join("room", heard.channel)
    assert session.channel_join("room") is first
    await peer.answer("channel_join", list=[], attrs={}, num=1)
    await first
    assert session.channel_join("room") is first
    first.channel_leave()
    again = session.channel_join("room", heard.channel)
    assert again is not first
    await peer.answer("channel_leave")
    await peer.answer("channel_join", list=[], attrs={}, num=1)
    await again
    assert (first.is_joined, again.is_joined) == (False, True)


async def test_there_and_back_again_without_waiting(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channels = [session.channel_join(name, heard.channel) for name in ("a", "b", "a")]
    for _ in channels:
        await peer.answer("channel_join", list=[], attrs={}, num=1)
    await channels[-1]
    assert [channel.is_joined for channel in channels] == [False, False, True]


@pytest.mark.parametrize("name", ["_agora_user_online", "__agora_user_online"])
async def test_a_special_channel_tells_what_happened_where(
    session: LoginSession, peer: Peer, heard: Heard, name: str, autojump_clock: MockClock
) -> None:
    channel = session.channel_join(name, heard.channel)
    special = "_agora_user_online"
    assert await peer.answer("channel_join", list=[], attrs={}, num=1) == {"name": special}
    await channel
    assert channel.name == special
    who: dict[str, Any] = {"channel": "lobby", "account": "alice", "uid": 7}
    text = '{"event":"join","channel":"lobby","account":"alice","uid":7,"ts":5}'
    peer.channel_event(1, ChannelUserJoin(**who), special)
    peer.channel_event(2, message(text, special), special)
    peer.channel_event(3, events.ChannelUserLeave(**who), special)
    peer.channel_event(4, message("nonsense", special), special)
    await heard.wait("on_message_channel_receive")
    event = SpecialEvent(event="join", channel="lobby", account="alice", uid=7, ts=5)
    assert heard.all[3:] == [
        ("on_channel_user_joined", channel, "alice", 7),
        ("on_special_event", channel, event),
        ("on_channel_user_leaved", channel, "alice", 7),
        ("on_message_channel_receive", channel, special, 2, "nonsense"),
    ]


@pytest.mark.parametrize("reconnect", [None])
@pytest.mark.parametrize(
    ("end", "ecode"), [("kick", 603), ("close", 604), ("break", 604), ("logout", 603)]
)
async def test_the_session_s_end_is_the_channel_s_before_it_is_told(
    session: LoginSession, peer: Peer, heard: Heard, end: str, ecode: int, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    if end == "logout":
        session.logout()
        await peer.log_out()
    elif end == "break":
        peer.link.abort()
    else:
        peer.send(end, "")
    await heard.wait("on_logout")
    assert heard.all[-2] == ("on_channel_leaved", channel, ecode)
    assert heard.names[-1] == "on_logout"


async def test_a_join_that_the_session_s_end_cuts_off(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = session.channel_join("room", heard.channel)
    await peer.expect_call("channel_join")
    peer.send("kick", "")
    assert await ecode_of(channel) == 103
    await heard.wait("on_logout")
    assert heard.names[-2:] == ["on_channel_join_failed", "on_logout"]


async def test_the_block_of_a_channel(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    async def serve() -> None:
        await peer.answer("channel_join", list=[], attrs={}, num=1)
        sent = await peer.answer("channel_sendmsg")
        assert sent.pop("msgID")
        assert sent == {"name": "room", "msg": "hi"}
        await peer.answer("channel_leave")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with session.channel_join("room", heard.channel) as channel:
            await channel.message_channel_send("hi")
        assert not channel.is_joined


async def test_the_block_of_a_channel_that_was_left_meanwhile(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    async with await join(session, peer, heard, "first"):
        await join(session, peer, heard, "second")
    # The block's end leaves nothing: what comes next is what is asked next.
    session.query_user_status("bob")
    assert await peer.expect_call("user_query_user_status")


async def test_attributes_go_out_as_they_are_called(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    operations = [
        channel.channel_set_attr("a", "b"),
        channel.channel_del_attr("a"),
        channel.channel_clear_attr(),
    ]
    room = {"channel": "room"}
    assert await peer.answer("channel_set_attr") == {**room, "name": "a", "value": "b"}
    assert await peer.answer("channel_del_attr") == {**room, "name": "a"}
    assert await peer.answer("channel_clear_attr") == room
    for operation in operations:
        await operation


async def test_a_failure_without_a_callback_goes_to_on_error_unless_awaited(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    assert await ecode_of(channel.channel_set_attr("", "awaited")) == 1004
    channel.channel_set_attr("", "unheard")
    channel.channel_del_attr("x")
    callid, _ = await peer.expect_call("channel_del_attr")
    peer.refuse(callid, 1001, "too fast")
    await heard.wait("on_error", 2)
    assert [ecode for _, ecode, _ in heard.of("on_error")] == [1004, 1001]
    assert heard.of("on_error")[1][2] == "channel_del_attr: too fast"


async def test_a_message_s_outcome_goes_to_its_callback(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    channel.message_channel_send("one", heard.message)
    await peer.answer("channel_sendmsg")
    assert await heard.wait("on_message_send_success") == ("on_message_send_success",)
    channel.message_channel_send("two", heard.message)
    callid, _ = await peer.expect_call("channel_sendmsg")
    peer.refuse(callid, 1001)
    channel.message_channel_send("x" * 8193, heard.message)
    channel.message_channel_send("three", heard.message)
    await peer.expect_call("channel_sendmsg")
    with trio.move_on_after(15):
        await peer.receive()  # answers pings
    errors = [ecode for _, ecode in heard.of("on_message_send_error")]
    assert errors == [1005, 400, 401]
    assert heard.of("on_error") == []
