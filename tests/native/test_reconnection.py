"""The native client loses its line, dials again, and takes its session up; and how it notices."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.errors import SignalError
from signal_sdk.testing.native_peer import NativePeer, native_peer
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.wire import datagrams, typed
from tests.native.helpers import ROOM, Natives, dev_config, of_channel, reconnect, settle
from tests.native.test_channels import MESSAGE, join, members, set_attr
from tests.server.test_acceptor import served

PING_SECONDS = 10
PONG_SECONDS = 8
LEAST_PONG_SECONDS = 0.005
LEASE_SECONDS = 120


async def test_the_client_takes_its_session_up_by_itself(native: Natives) -> None:
    bob = await native.login("bob")
    line, uid = bob.line_id, bob.uid
    await settle()
    bob.cut()
    await bob.expect("on_reconnecting", 1)
    await bob.expect("on_reconnected", 0)
    assert (bob.lines, bob.line_id, bob.uid) == (2, line, uid)
    found = await bob.call("user_query_user_status", account="bob")
    assert found["status"] == 1
    assert bob.seen("on_logout") == []
    assert bob.seen("on_login_success") == [(uid, 0)]


async def test_a_member_that_reconnects_never_left(native: Natives) -> None:
    alice, bob = await members(native)
    await settle()
    await reconnect(bob)
    found = await bob.call("channel_query_user_isin", name=ROOM, account="bob")
    assert found["isin"] == 1
    await settle()
    assert of_channel(alice) == []


async def test_messages_that_were_sent_meanwhile_arrive(native: Natives) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await settle()

    async def send() -> None:
        await alice.message_instant_send("bob", "meanwhile")
        await settle()
        assert bob.seen("on_message_instant_receive") == []

    await reconnect(bob, send)
    await bob.expect("on_message_instant_receive", "alice", 0, "meanwhile")


async def test_a_resume_says_what_the_client_has_of_its_channel(native: Natives) -> None:
    alice = await native.login("alice")
    bob, tap = await native.tapped_login("bob")
    await join(alice)
    await join(bob)
    await alice.message_channel_send("one")
    await settle()
    msgid = bob.msgid
    assert msgid > 0
    await reconnect(bob)
    await settle()
    resume = [packet.text for packet in tap.said.packets][-3:-1]
    assert resume == [
        f"line_login2 {bob.line_id} 2 {msgid}",
        f'channel_sub {{"cid":"{ROOM}","cname":"{ROOM}","msgid":{msgid},"vid":"app"}}',
    ]
    assert "line_login_res ok " in [packet.text for packet in tap.heard.packets]


async def test_a_member_hears_what_it_has_missed_of_its_channel_in_order_and_once(
    native: Natives,
) -> None:
    alice, bob = await members(native)
    carol = await native.login("carol")
    await alice.message_channel_send("before")
    await settle()
    assert [told[4] for told in of_channel(bob)] == ["before"]
    bob.heard.clear()
    alice.heard.clear()

    async def speak() -> None:
        for number in range(40):
            await alice.message_channel_send(f"message {number}")
        await join(carol)
        await set_attr(carol, "topic", "weather")
        await carol.channel_leave()

    await reconnect(bob, speak)
    await alice.message_channel_send("after")
    await settle()
    assert of_channel(bob) == of_channel(alice)
    expected: list[Any] = [f"message {number}" for number in range(40)]
    assert [told[4] for told in of_channel(bob) if told[0] == MESSAGE] == [*expected, "after"]
    assert [told[0] for told in of_channel(bob)[40:43]] == [
        "on_channel_user_joined",
        "on_channel_attr_updated",
        "on_channel_user_leaved",
    ]


async def test_each_of_many_reconnections_tells_what_was_missed_once(native: Natives) -> None:
    alice, bob = await members(native)
    await settle()
    for number in range(5):
        await reconnect(bob, partial(alice.message_channel_send, f"away {number}"))
        await alice.message_channel_send(f"back {number}")
    await settle()
    expected = [f"{where} {number}" for number in range(5) for where in ("away", "back")]
    assert [told[4] for told in of_channel(bob)] == expected


async def test_a_member_that_has_heard_nothing_yet_hears_what_came_after_its_join(
    native: Natives,
) -> None:
    """It says 0, as one that has seen no event, and is not told what was before it came."""
    alice, bob = await native.login("alice"), await native.login("bob")
    await join(alice)
    await alice.message_channel_send("before")
    await join(bob)
    await settle()
    assert bob.msgid == 0
    await reconnect(bob, partial(alice.message_channel_send, "meanwhile"))
    await settle()
    assert of_channel(bob) == [(MESSAGE, ROOM, "alice", alice.uid, "meanwhile")]


async def test_who_has_left_its_channel_is_told_nothing_of_it_at_its_return(
    native: Natives,
) -> None:
    alice, bob = await members(native)
    await alice.message_channel_send("before")
    await settle()
    await bob.channel_leave()
    bob.heard.clear()
    await reconnect(bob, partial(alice.message_channel_send, "meanwhile"))
    await alice.message_channel_send("after")
    await settle()
    assert of_channel(bob) == []


async def resume_without_its_channel(bob: NativePeer) -> None:
    """Take the session up, and say nothing of the channel yet."""
    bob.channel = None
    await reconnect(bob)
    await settle()


async def test_channel_events_before_its_client_has_named_the_channel_are_told_then(
    native: Natives,
) -> None:
    alice, bob = await members(native)
    await alice.message_channel_send("before")
    await bob.expect(MESSAGE, ROOM, "alice", alice.uid, "before")
    await settle()
    await resume_without_its_channel(bob)
    await alice.message_channel_send("who is there?")
    await settle()
    assert of_channel(bob) == []
    bob.channel = ROOM
    for _ in range(2):
        # Said twice, it is told once.
        bob.line.say(typed.ChannelSub(channel=ROOM, msgid=bob.msgid), vid="app")
    await alice.message_channel_send("and now?")
    await settle()
    assert [told[4] for told in of_channel(bob)] == ["who is there?", "and now?"]


async def test_a_member_that_joins_again_instead_hears_its_channel_from_then_on(
    native: Natives,
) -> None:
    alice, bob = await members(native)
    await settle()
    await resume_without_its_channel(bob)
    await alice.message_channel_send("who is there?")
    await bob.channel_join(ROOM)
    listed = await bob.expect("on_channel_user_list")
    assert listed == (2, ["alice", "bob"], [alice.uid, bob.uid])
    await alice.message_channel_send("and now?")
    await settle()
    assert [told[4] for told in of_channel(bob)] == ["and now?"]
    # For alice, bob has been there all the time.
    assert [told[0] for told in of_channel(alice)] == [MESSAGE, MESSAGE]


async def test_a_member_still_sends_after_a_reconnection(native: Natives) -> None:
    alice, bob = await members(native)
    await settle()
    await reconnect(bob)
    await bob.message_channel_send("still here")
    await alice.expect(MESSAGE, ROOM, "bob", bob.uid, "still here")
    await bob.expect(MESSAGE, ROOM, "bob", bob.uid, "still here")


async def fall_behind(bob: NativePeer, alice: NativePeer, *, seconds: float, events: int) -> None:
    """Bob's line is lost for so long, while so much is said in the channel."""

    async def speak() -> None:
        for number in range(events):
            await alice.message_channel_send(number)
        await trio.sleep(seconds)

    await reconnect(bob, speak)


@pytest.mark.parametrize(
    ("config", "seconds", "events"),
    [
        pytest.param(dev_config(history_seconds=5), 8, 1, id="too old"),
        pytest.param(dev_config(history_events=3), 1, 4, id="too many"),
    ],
)
async def test_what_is_not_held_any_more_logs_out_with_102_and_a_login_begins_afresh(
    native: Natives, seconds: float, events: int
) -> None:
    alice, bob = await members(native)
    await alice.message_channel_send("before")
    await settle()
    bob.heard.clear()
    await fall_behind(bob, alice, seconds=seconds, events=events)
    await bob.expect("on_logout", 102)
    await settle()
    assert of_channel(bob) == []
    await bob.login("bob")
    await alice.expect("on_channel_user_leaved", "bob", bob.uid)
    await join(bob)
    await alice.message_channel_send("welcome back")
    await bob.expect(MESSAGE, ROOM, "alice", alice.uid, "welcome back")


@pytest.mark.parametrize(
    ("config", "seconds", "events"),
    [
        pytest.param(dev_config(history_seconds=5), 4, 1, id="not too old"),
        pytest.param(dev_config(history_seconds=5), 10, 0, id="nothing"),
        pytest.param(dev_config(history_events=3), 1, 3, id="not too many"),
    ],
)
async def test_what_is_still_held_is_told(native: Natives, seconds: float, events: int) -> None:
    alice, bob = await members(native)
    await alice.message_channel_send("before")
    await settle()
    bob.heard.clear()
    await fall_behind(bob, alice, seconds=seconds, events=events)
    await settle()
    assert [told[4] for told in of_channel(bob)] == [str(number) for number in range(events)]
    assert bob.seen("on_logout") == []


async def test_a_client_that_takes_itself_to_be_elsewhere_is_logged_out_with_102(
    native: Natives,
) -> None:
    _alice, bob = await members(native)
    carol = await native.login("carol")
    await join(carol, "room 2")
    await carol.message_channel_send("there is such a channel")
    await settle()
    bob.channel = "room 2"
    bob.cut()
    await bob.expect("on_reconnected", 0)
    await bob.expect("on_logout", 102)
    assert of_channel(bob) == []


@pytest.mark.parametrize("conn_timeout", [None, 25])
async def test_who_does_not_come_back_leaves_when_its_time_is_over(
    native: Natives, conn_timeout: int | None
) -> None:
    alice, bob = await members(native)
    if conn_timeout is not None:
        await bob.call("user_set_attr", name="_conn_timeout", value=str(conn_timeout))
    await settle()
    bob.vanish()
    await trio.sleep((conn_timeout or LEASE_SECONDS) - 1)
    assert of_channel(alice) == []
    await trio.sleep(2)
    assert of_channel(alice) == [("on_channel_user_leaved", "bob", bob.uid)]


async def test_who_comes_back_too_late_is_logged_out_with_103(native: Natives) -> None:
    """Its session is gone: `line_login_res kick`."""
    bob = await native.login("bob")
    await bob.call("user_set_attr", name="_conn_timeout", value="20")
    await settle()
    bob.is_down = True
    bob.cut()
    await trio.sleep(25)
    bob.is_down = False
    await bob.expect("on_logout", 103)
    assert bob.seen("on_reconnected") == []


async def test_a_request_on_a_lost_line_is_a_time_out(native: Natives) -> None:
    bob = await native.login("bob")
    bob.is_down = True
    bob.cut()
    began = trio.current_time()
    with pytest.raises(SignalError) as caught:
        await bob.message_instant_send("alice", "hello?")
    assert (caught.value.ecode, caught.value.reason) == (1002, "time out")
    assert trio.current_time() == began + 10


# --- pings ---


async def test_pings_are_answered_five_milliseconds_later(
    native: Natives, server: LocalServer
) -> None:
    """10 s after the last packet the client pings; a pong within a millisecond would be none to
    it. Nobody has a task for that.
    """
    bob, tap = await native.tapped_login("bob")
    await settle()
    last = tap.heard.packets[-1].time
    count = 100
    for number in range(1, count + 1):
        await trio.sleep(PING_SECONDS)
        assert served(server) == 0, number
    pings = [packet for packet in tap.said.packets if packet.text.startswith("line_ping:")]
    pongs = [packet for packet in tap.heard.packets if packet.text.startswith("line_pong:")]
    assert len(pings) >= count - 1
    assert [packet.text for packet in pings[: len(pongs)]] == [
        f"line_ping:{number}" for number in range(1, len(pongs) + 1)
    ]
    for number, (ping, pong) in enumerate(zip(pings, pongs, strict=False), 1):
        assert ping.time == pytest.approx(last + PING_SECONDS, abs=1e-6)
        assert pong.text == f"line_pong:{number}"
        assert LEAST_PONG_SECONDS - 1e-6 <= pong.time - ping.time < 0.1
        last = pong.time
    assert len(pongs) >= count - 1
    assert bob.line.early_pongs == 0
    assert (bob.lines, server.node.sessions) == (1, 1)
    assert len(server.node.acceptor) == 1


async def test_whoever_is_told_something_need_not_ping(native: Natives) -> None:
    alice = await native.login("alice")
    _bob, tap = await native.tapped_login("bob")
    await settle()
    # Less than the server's silence, which only what the client says ends.
    for number in range(3):
        await trio.sleep(PING_SECONDS / 2)
        await alice.message_instant_send("bob", number)
    assert [packet for packet in tap.said.packets if packet.text.startswith("line_ping:")] == []


async def test_a_member_that_only_listens_keeps_its_line(native: Natives) -> None:
    """It hears something all the time, and so never pings, however long the server waits for it."""
    alice = await native.login("alice")
    bob, tap = await native.tapped_login("bob")
    await join(alice)
    await join(bob)
    for number in range(20):
        await trio.sleep(PING_SECONDS / 2)
        await alice.message_channel_send(number)
    await settle()
    assert [packet for packet in tap.said.packets if packet.text.startswith("line_ping:")] == []
    assert len(of_channel(bob)) == 20
    assert (bob.lines, bob.seen("on_reconnecting")) == (1, [])


async def test_a_server_that_is_silent_is_left_after_18_seconds(native: Natives) -> None:
    bob, tap = await native.tapped_login("bob")
    await settle()
    last = tap.heard.packets[-1].time
    tap.is_silent = True
    await bob.expect("on_reconnecting", 1)
    assert trio.current_time() == pytest.approx(last + PING_SECONDS + PONG_SECONDS, abs=0.01)
    assert bob.lines == 1
    tap.is_silent = False
    await bob.expect("on_reconnected", 0)
    assert trio.current_time() == pytest.approx(last + PING_SECONDS + PONG_SECONDS + 0.1, abs=0.01)
    assert (bob.lines, bob.seen("on_logout")) == (2, [])


@pytest.mark.parametrize("config", [dev_config(silence_seconds=60)])
async def test_a_line_that_was_left_counts_no_more_once_its_session_was_taken_up(
    native: Natives, server: LocalServer
) -> None:
    """The server has not noticed yet: two lines, one session."""
    alice = await native.login("alice")
    bob, tap = await native.tapped_login("bob")
    await settle()
    tap.is_silent = True
    await bob.expect("on_reconnecting", 1)
    tap.is_silent = False
    await bob.expect("on_reconnected", 0)
    await settle()
    await alice.message_instant_send("bob", "once")
    await settle()
    assert bob.seen("on_message_instant_receive") == [("alice", 0, "once")]
    assert server.node.sessions == 2


@pytest.mark.parametrize("config", [dev_config(silence_seconds=20)])
async def test_a_client_that_is_silent_is_left_and_may_come_back(
    native: Natives, server: LocalServer
) -> None:
    bob, tap = await native.tapped_login("bob")
    await settle()
    tap.is_silent = True
    bob.is_down = True
    await trio.sleep(23)
    assert (server.node.sessions, len(server.node.acceptor)) == (0, 0)
    tap.is_silent = False
    bob.is_down = False
    await bob.expect("on_reconnected", 0)
    assert server.node.sessions == 1


async def test_what_came_before_a_second_join_is_not_told_again(native: Natives) -> None:
    """With every join its client begins to count anew."""
    alice, bob = await native.login("alice"), await native.login("bob")
    await alice.channel_join(ROOM)
    await bob.channel_join(ROOM)
    await alice.message_channel_send("before")
    await bob.expect("on_message_channel_receive", ROOM, "alice", alice.uid, "before")
    await bob.channel_join(ROOM)
    await alice.message_channel_send("after")
    await bob.expect("on_message_channel_receive", ROOM, "alice", alice.uid, "after")
    bob.msgid = 0
    bob.cut()
    await bob.expect("on_reconnected")
    await bob.expect("on_message_channel_receive", ROOM, "alice", alice.uid, "after")
    assert bob.seen("on_message_channel_receive") == []


async def test_the_lookup_of_a_full_server_is_silent(autojump_clock: MockClock) -> None:
    """A client dials two at once, and counts each that is closed again."""
    config = dev_config(max_connections=3)
    async with local_server(config, listens=False) as server, native_peer(server) as alice:
        await alice.login("alice")
        await settle()  # the other of its two dials has ended
        lookup, question = server.node._lookup, datagrams.encode_question("app")
        assert lookup.answer(question, "192.0.2.1", "192.0.2.7") is not None
        idle = server.connect_native()
        assert lookup.answer(question, "192.0.2.1", "192.0.2.7") is None
        idle.close()
