"""A session's channel over a lost connection: what was missed, what is missing, who came and went,
and a server that has the session elsewhere.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import Backoff, Channel, ECode, Gap, LoginSession, Signal, SignalError
from signal_sdk.client import channel_slot
from signal_sdk.wire import events
from signal_sdk.wire.events import ChannelAttrUpdate, ChannelMessage
from tests.client.fakes import TOKEN, FakeServer, Heard, Peer


@pytest.fixture
async def peer(signal: Signal, server: FakeServer, heard: Heard) -> Peer:
    signal.login("alice", TOKEN, heard.login)
    return await server.accept_login()


@pytest.fixture
def session(signal: Signal, peer: Peer) -> LoginSession:
    return signal.login("alice", TOKEN)


EMPTY: dict[str, Any] = {"list": [], "attrs": {}, "num": 5, "msgid": 10}


async def join(
    session: LoginSession, peer: Peer, heard: Heard, name: str = "room", **result: Any
) -> Channel:
    """Join a channel whose last event is 10."""
    channel = session.channel_join(name, heard.channel)
    await peer.answer("channel_join", **(EMPTY | result))
    return await channel


async def resumed(server: FakeServer, peer: Peer, **success: Any) -> tuple[Peer, dict[str, Any]]:
    peer.link.abort()
    return await server.accept_resume(**success)


async def forgotten(server: FakeServer, peer: Peer) -> Peer:
    """Lose the connection to a server that has lost everything; log in anew."""
    peer.link.abort()
    await (await server.accept()).turn_away(202)
    again = await server.accept()
    await again.expect("login")
    again.let_in()
    return again


async def answers_roster(peer: Peer, *users: tuple[str, int], num: int | None = None) -> None:
    args = await peer.answer(
        "channel_query_userlist_all", list=users, num=len(users) if num is None else num
    )
    assert args == {"name": "room", "num": 1000}


async def ecode_of(awaitable: Any) -> ECode:
    with pytest.raises(SignalError) as caught:
        await awaitable
    return caught.value.ecode


def message(text: str, id_: str = "", account: str = "bob") -> ChannelMessage:
    return ChannelMessage(channel="room", account=account, uid=2, msg=text, id=id_)


def joined(account: str, uid: int) -> events.ChannelUserJoin:
    return events.ChannelUserJoin(channel="room", account=account, uid=uid)


def texts(heard: Heard) -> list[str]:
    return [text for *_, text in heard.of("on_message_channel_receive")]


# --- events ---


async def test_what_was_missed_is_told_and_the_channel_is_the_same(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    peer.channel_event(11, message("before"))
    await heard.wait("on_message_channel_receive")
    again, asked = await resumed(server, peer, channel="room", msgid=13)
    assert (asked["channel"], asked["msgid"]) == ("room", 11)
    again.channel_event(12, message("missed"))
    again.channel_event(13, message("missed, too"))
    again.channel_event(14, message("live"))
    await heard.wait("on_message_channel_receive", 4)
    assert texts(heard) == ["before", "missed", "missed, too", "live"]
    assert heard.of("on_channel_leaved", "on_error") == []
    assert heard.names.count("on_channel_joined") == 1
    assert channel.is_joined
    channel.message_channel_send("here")
    await answers_roster(again)
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    await again.answer("channel_sendmsg")


async def test_what_the_server_holds_no_more_is_a_gap(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    gap = channel.gap
    again, _ = await resumed(server, peer, channel="room", msgid=19, gap=True)
    again.channel_event(20, message("live"))
    assert await gap == Gap(10, 20)
    await heard.wait("on_message_channel_receive")
    assert heard.all[3:] == [
        ("on_reconnecting", 1),
        ("on_reconnected",),
        ("on_error", 1000, "channel 'room': events after 10 and before 20 are missing"),
        ("on_message_channel_receive", channel, "bob", 2, "live"),
    ]
    assert not channel.gap.is_done


async def test_a_jump_in_the_events_is_a_gap_each_time(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    peer.channel_event(11, message("one"))
    first = channel.gap
    peer.channel_event(13, message("two"))
    assert await first == Gap(11, 13)
    second = channel.gap
    peer.channel_event(20, message("three"))
    peer.channel_event(21, message("four"))
    assert await second == Gap(13, 20)
    await heard.wait("on_message_channel_receive", 4)
    assert [ecode for _, ecode, _ in heard.of("on_error")] == [1000, 1000]


async def test_the_end_of_the_channel_is_the_end_of_its_gaps(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    gap = channel.gap
    channel.channel_leave()
    await peer.answer("channel_leave")
    assert await ecode_of(gap) == 602
    assert await ecode_of(channel.gap) == 602


async def test_a_message_that_its_sender_sent_again_is_told_once(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    await join(session, peer, heard)
    for msgid, sent in enumerate(
        [
            message("one", "x.1"),
            message("one", "x.1"),
            message("carol's", "x.1", "carol"),
            message("none"),
            message("none"),
        ],
        11,
    ):
        peer.channel_event(msgid, sent)
    await heard.wait("on_message_channel_receive", 4)
    await wait_all_tasks_blocked()
    assert texts(heard) == ["one", "carol's", "none", "none"]
    assert heard.of("on_error") == [], "what is passed over is no gap"


# --- joins and leaves ---


async def test_a_message_from_before_the_join_is_not_told_behind_later_ones(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    """Its sender lost its connection before the answer came, and sent it again."""
    await join(session, peer, heard)
    peer.channel_event(11, message("second", "~x.2"))
    peer.channel_event(12, message("first", "~x.1"))
    peer.channel_event(13, message("third", "~x.3"))
    peer.channel_event(14, message("another's first", "~x.1", "carol"))
    await heard.wait("on_message_channel_receive", 3)
    await wait_all_tasks_blocked()
    assert texts(heard) == ["second", "third", "another's first"]


async def test_who_came_and_went_meanwhile_is_told(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard, list=[["bob", 2], ["carol", 3], ["alice", 7]], num=3)
    peer.channel_event(11, joined("dave", 4))
    await heard.wait("on_channel_user_joined")
    again, _ = await resumed(server, peer, channel="room", msgid=11)
    again.channel_event(12, joined("erin", 5))
    await answers_roster(again, ("carol", 3), ("dave", 4), ("erin", 5), ("frank", 6))
    await heard.wait("on_channel_user_joined", 3)
    again.channel_event(13, joined("frank", 6))
    again.channel_event(14, message("done"))
    await heard.wait("on_message_channel_receive")
    told = heard.of("on_channel_user_joined", "on_channel_user_leaved")
    assert told == [
        ("on_channel_user_joined", channel, "dave", 4),
        ("on_channel_user_joined", channel, "erin", 5),
        ("on_channel_user_leaved", channel, "bob", 2),
        ("on_channel_user_joined", channel, "frank", 6),
    ]


@pytest.mark.parametrize("why", ["too many", "silent", "silenced", "special"])
async def test_where_not_everybody_is_known_nobody_is_told_of(
    session: LoginSession,
    peer: Peer,
    server: FakeServer,
    heard: Heard,
    why: str,
    autojump_clock: MockClock,
) -> None:
    name = "_agora_user_online" if why == "special" else "room"
    attrs = {"_userNotification": "0"} if why == "silent" else {}
    num = 201 if why == "too many" else 1
    await join(session, peer, heard, name, list=[["bob", 2]], num=num, attrs=attrs)
    if why == "silenced":
        update = ChannelAttrUpdate(
            channel="room",
            account="bob",
            uid=2,
            name="_userNotification",
            value=0,
            change="update",
        )
        peer.channel_event(11, update)
        await heard.wait("on_channel_attr_updated")
    again, _ = await resumed(server, peer, channel=name, msgid=11)
    if why == "too many":
        await answers_roster(again, ("carol", 3))
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    await wait_all_tasks_blocked()
    assert heard.of("on_channel_user_joined", "on_channel_user_leaved") == []


async def test_an_answer_that_does_not_come_is_asked_for_again(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    await join(session, peer, heard, list=[["bob", 2]], num=1)
    again, _ = await resumed(server, peer, channel="room", msgid=10)
    await again.expect_call("channel_query_userlist_all")
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    await answers_roster(again)
    await heard.wait("on_channel_user_leaved")


# --- joins and leaves in flight ---


async def test_a_join_in_flight_is_sent_again(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    first = await join(session, peer, heard, "first")
    second = session.channel_join("second", heard.channel)
    callid, _ = await peer.expect_call("channel_join")
    again, _ = await resumed(server, peer, channel="second", msgid=3)
    again_id, args = await again.expect_call("channel_join")
    assert (again_id, args) == (callid, {"name": "second"})
    again.reply(again_id, **EMPTY)
    await second
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    assert (first.is_joined, second.is_joined) == (False, True)
    await wait_all_tasks_blocked()
    assert heard.of("on_channel_leaved") == [("on_channel_leaved", first, 602)]


async def test_a_leave_in_flight_is_sent_again(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    leaving = channel.channel_leave()
    await peer.expect_call("channel_leave")
    again, _ = await resumed(server, peer)
    await again.answer("channel_leave")
    await leaving
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    await heard.wait("on_channel_leaved")
    assert heard.of("on_channel_leaved") == [("on_channel_leaved", channel, 602)]


async def test_a_join_or_leave_that_another_join_has_overtaken_is_not_sent_again(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    """Where a frame was lost on the way: it would take the session out of where it is."""
    first = await join(session, peer, heard)
    leaving = first.channel_leave()
    overtaken = session.channel_join("room", heard.channel)
    last = session.channel_join("last", heard.channel)
    for function in ("channel_leave", "channel_join"):
        await peer.expect_call(function)
    await peer.answer("channel_join", **EMPTY)
    await last
    again, _ = await resumed(server, peer, channel="last", msgid=10)
    await again.answer("channel_query_userlist_all", list=[], num=9)
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    await leaving
    assert await ecode_of(overtaken) == 300
    assert (first.is_joined, overtaken.is_joined, last.is_joined) == (False, False, True)


async def test_a_join_whose_answer_comes_after_its_leave_s_is_undone(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = session.channel_join("room", heard.channel)
    leaving = channel.channel_leave()
    callid, _ = await peer.expect_call("channel_join")
    await peer.answer("channel_leave")
    await leaving
    peer.reply(callid, **EMPTY)
    assert await ecode_of(channel) == 300
    assert await peer.answer("channel_leave") == {"name": "room"}
    assert heard.names[1:] == ["on_channel_join_failed"]


@pytest.mark.parametrize("is_in_one", [False, True])
async def test_a_join_that_was_not_answered_does_not_leave_the_session_there(
    session: LoginSession,
    peer: Peer,
    heard: Heard,
    is_in_one: bool,
    autojump_clock: MockClock,
) -> None:
    """The server may have done it: whoever has been told that it failed is not to be there."""
    first = await join(session, peer, heard) if is_in_one else None
    lost = session.channel_join("lost", heard.channel)
    await peer.expect_call("channel_join")
    with trio.move_on_after(9):
        await peer.receive()
    assert await ecode_of(lost) == 300
    if first is not None:
        assert await peer.answer("channel_join", **EMPTY) == {"name": "room"}
        await answers_roster(peer)
        assert first.is_joined
        assert heard.of("on_error") == []
    else:
        assert await peer.answer("channel_leave") == {"name": "lost"}
    assert heard.names.count("on_channel_joined") == is_in_one


async def test_a_leave_that_was_not_answered_does_not_take_the_session_out(
    session: LoginSession, peer: Peer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    leaving = channel.channel_leave()
    await peer.expect_call("channel_leave")
    with trio.move_on_after(9):
        await peer.receive()
    assert await ecode_of(leaving) == 1001
    assert await peer.answer("channel_join", **EMPTY) == {"name": "room"}
    await answers_roster(peer)
    assert channel.is_joined
    assert heard.of("on_channel_leaved", "on_error") == []


# --- a server that has the session elsewhere, or nowhere ---


@pytest.mark.parametrize("there", [None, "elsewhere"])
async def test_where_the_server_has_the_session_elsewhere_it_comes_back(
    session: LoginSession,
    peer: Peer,
    server: FakeServer,
    heard: Heard,
    there: str | None,
    autojump_clock: MockClock,
) -> None:
    channel = await join(session, peer, heard, list=[["bob", 2]], num=1)
    gap = channel.gap
    peer.link.abort()
    await wait_all_tasks_blocked()
    channel.message_channel_send("meanwhile")
    again, _ = await server.accept_resume(channel=there, msgid=3)
    callid, args = await again.expect_call("channel_join")
    assert args == {"name": "room"}
    assert (await again.answer("channel_sendmsg"))["msg"] == "meanwhile"
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    again.reply(callid, list=[], attrs={"a": "b"}, num=1, msgid=15)
    assert await gap == Gap(10, 16)
    await answers_roster(again, ("carol", 3))
    await heard.wait("on_channel_user_joined")
    names = [name for name in heard.names if name.startswith(("on_channel", "on_error"))]
    assert names == [
        "on_channel_joined",
        "on_channel_user_list",
        "on_error",
        "on_channel_attr_updated",
        "on_channel_user_leaved",
        "on_channel_user_joined",
    ]
    again.channel_event(16, message("live"))
    await heard.wait("on_message_channel_receive")
    assert channel.is_joined


async def test_a_channel_that_cannot_be_joined_again_is_lost(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    gap = channel.gap
    again, _ = await resumed(server, peer)
    callid, _ = await again.expect_call("channel_join")
    again.refuse(callid, 300)
    assert await ecode_of(gap) == 604
    await heard.wait("on_channel_leaved")
    assert heard.of("on_channel_leaved") == [("on_channel_leaved", channel, 604)]
    assert session.status == 2


async def test_a_channel_that_nobody_is_in_here_is_left(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    again, _ = await resumed(server, peer, channel="stray", msgid=3)
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    callid, args = await again.expect_call("channel_leave")
    assert args == {"name": "stray"}
    again.refuse(callid, 600)
    await wait_all_tasks_blocked()
    assert heard.of("on_error") == []


async def test_a_forgotten_session_joins_its_channel_again_before_all_else(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard, list=[["bob", 2]], num=1)
    gap = channel.gap
    channel.message_channel_send("not answered")
    await peer.expect_call("channel_sendmsg")
    again = await forgotten(server, peer)
    callid, args = await again.expect_call("channel_join")
    assert args == {"name": "room"}
    # A server that counts anew: what comes before the answer is not older than what was seen.
    again.channel_event(3, message("early"))
    await again.answer("channel_sendmsg")
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    again.reply(callid, list=[], attrs={}, num=1, msgid=2)
    assert await gap == Gap(10, 3)
    again.channel_event(4, message("live"))
    await heard.wait("on_message_channel_receive", 2)
    assert texts(heard) == ["early", "live"]
    await answers_roster(again)
    await heard.wait("on_channel_user_leaved")
    assert heard.of("on_channel_leaved") == []
    assert channel.is_joined


async def test_a_join_again_for_which_there_are_too_many_comes_when_the_server_says(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    again = await forgotten(server, peer)
    callid, _ = await again.expect_call("channel_join")
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    for seconds in (3.5, 8):
        again.refuse(callid, 300, f'too many joins; {{"retry_after": {seconds}}}')
        due = trio.current_time() + seconds
        callid, _ = await again.expect_call("channel_join")
        assert trio.current_time() == pytest.approx(due, abs=0.2)
    again.reply(callid, **EMPTY)
    await answers_roster(again)
    assert channel.is_joined
    assert heard.of("on_channel_leaved") == []


async def test_a_join_again_that_the_server_cannot_do_now_is_tried_again(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    """It cannot store anything, say."""
    channel = await join(session, peer, heard)
    again, _ = await resumed(server, peer)
    callid, _ = await again.expect_call("channel_join")
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    for _ in range(2):
        again.refuse(callid, 1001)
        due = trio.current_time() + channel_slot.REJOIN_SECONDS
        callid, args = await again.expect_call("channel_join")
        assert args == {"name": "room"}
        assert trio.current_time() == pytest.approx(due, abs=0.2)
    again.reply(callid, **EMPTY)
    await answers_roster(again)
    assert channel.is_joined
    assert heard.of("on_channel_leaved") == []


async def test_where_a_channel_is_lost_the_one_that_the_server_has_is_left(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    await join(session, peer, heard)
    again, _ = await resumed(server, peer, channel="stray", msgid=3)
    callid, _ = await again.expect_call("channel_join")
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    again.refuse(callid, 300)
    await heard.wait("on_channel_leaved")
    assert await again.answer("channel_leave") == {"name": "stray"}


async def test_what_is_sent_again_goes_ahead_of_leaving_what_nobody_is_in_here(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    """A later request that is done has those before it refused that were not."""
    session.message_instant_send("bob", "hi")
    await peer.expect_call("user_sendmsg")
    again, _ = await resumed(server, peer, channel="stray", msgid=3)
    asked = [(await again.expect("call2"))[0].rpartition(".")[2] for _ in range(3)]
    assert asked == ["user_sendmsg", "user_getmsg", "channel_leave"]


async def test_a_join_again_that_waits_is_moot_where_the_user_has_gone_elsewhere(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    await join(session, peer, heard)
    again = await forgotten(server, peer)
    callid, _ = await again.expect_call("channel_join")
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    again.refuse(callid, 300, 'too many joins; {"retry_after": 3}')
    await wait_all_tasks_blocked()
    channel = session.channel_join("hall", heard.channel)
    callid, args = await again.expect_call("channel_join")
    assert args == {"name": "hall"}
    again.reply(callid, **EMPTY)
    await channel
    with trio.move_on_after(8) as waiting:
        await again.expect_call("channel_join")
    assert waiting.cancelled_caught
    assert channel.is_joined


async def test_a_join_again_is_sent_again_too(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    again = await forgotten(server, peer)
    callid, _ = await again.expect_call("channel_join")
    last, asked = await resumed(server, again, channel="room", msgid=2)
    assert asked["channel"] is None
    last_id, _ = await last.expect_call("channel_join")
    assert last_id == callid
    last.reply(callid, **(EMPTY | {"msgid": 2}))
    await heard.wait("on_error")
    await wait_all_tasks_blocked()
    assert len(heard.of("on_error")) == 1
    assert channel.is_joined


async def test_a_forgotten_session_that_was_leaving_has_left(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    leaving = channel.channel_leave()
    await peer.expect_call("channel_leave")
    again = await forgotten(server, peer)
    await again.answer("user_getmsg", ver_clear=0, msgs=[])
    await leaving
    await heard.wait("on_channel_leaved")
    assert heard.of("on_channel_leaved") == [("on_channel_leaved", channel, 602)]


@pytest.mark.parametrize("reconnect", [Backoff(attempts=1)], ids=str)
async def test_a_session_that_does_not_come_back_loses_its_channel(
    session: LoginSession, peer: Peer, server: FakeServer, heard: Heard, autojump_clock: MockClock
) -> None:
    channel = await join(session, peer, heard)
    gap = channel.gap
    server.is_down = True
    peer.link.abort()
    assert await session.wait_logged_out() == 102
    assert await ecode_of(gap) == 604
    await heard.wait("on_logout")
    assert heard.all[-2:] == [("on_channel_leaved", channel, 604), ("on_logout", 102)]
