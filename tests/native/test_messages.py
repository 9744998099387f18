"""Instant messages between native clients: at once, kept for a peer that is offline, in order,
once.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio

from signal_sdk.errors import SignalError
from signal_sdk.testing.native_peer import NativePeer
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire.names import MAX_MESSAGE_CHARS
from tests.bytes_left import bytes_left, refuses_bytes
from tests.native.helpers import COMPRESSED, PLAIN, ROOM, Natives, dev_config, reconnect, settle
from tests.wire_client import logged_in

TTL_SECONDS = 3600
RECEIVED = "on_message_instant_receive"


def texts(peer: NativePeer) -> list[Any]:
    """The instant messages that nobody has taken, which all are alice's."""
    for args in peer.seen(RECEIVED):
        assert args[:2] == ("alice", 0)
    return [args[2] for args in peer.seen(RECEIVED)]


async def test_messages_go_both_ways(native: Natives) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await alice.message_instant_send("bob", "hello")
    assert await bob.expect(RECEIVED) == ("alice", 0, "hello")
    await bob.message_instant_send("alice", "hello yourself")
    assert await alice.expect(RECEIVED) == ("bob", 0, "hello yourself")


@pytest.mark.parametrize(
    "text",
    [
        "grüße 你好 🎉",
        "  spaces  before,   between and behind  ",
        "two\nlines\tand a tab",
        '{"quoted": "\\u0000"}',
        "",
        "🎉" * 4096,
    ],
    ids=["unicode", "spaces", "lines", "json", "empty", "long"],
)
async def test_a_text_arrives_as_it_was_sent(native: Natives, text: str) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await alice.message_instant_send("bob", text)
    await bob.expect(RECEIVED, "alice", 0, text)
    # And as it was, too, where it was polled for.
    await alice.message_instant_send("carol", text)
    await (await native.login("carol")).expect(RECEIVED, "alice", 0, text)


@pytest.mark.parametrize("character", ["a", "ü", "🎉"])
async def test_a_long_text_arrives_compressed(native: Natives, character: str) -> None:
    alice = await native.login("alice")
    bob, tap = await native.tapped_login("bob")
    text = character * 4096
    await alice.message_instant_send("bob", text)
    await bob.expect(RECEIVED, "alice", 0, text)
    pushed = tap.heard.packets[-1]
    assert pushed.text.startswith("notify recvmsg [")
    assert (pushed.kind, pushed.size < 300) == (COMPRESSED, True)
    for peer in (alice, bob):
        await peer.channel_join(ROOM)
    await alice.message_channel_send(text)
    for peer in (alice, bob):
        await peer.expect("on_message_channel_receive", ROOM, "alice", alice.uid, text)
    event = tap.heard.packets[-1]
    assert event.text.startswith("notify channel2 ")
    assert (event.kind, event.size < 300) == (COMPRESSED, True)


async def test_a_long_answer_arrives_compressed(native: Natives) -> None:
    alice, tap = await native.tapped_login("alice")
    for number in range(5):
        await alice.call("user_set_attr", name=f"name {number}", value="x" * 1000)
    await alice.call("user_get_attr_all", account="alice")
    answer = tap.heard.packets[-1]
    assert answer.text.startswith("call_ret 0 ")
    assert len(answer.text) > 5000
    assert (answer.kind, answer.size < 500) == (COMPRESSED, True)
    assert {packet.kind for packet in tap.heard.packets[:-1]} == {PLAIN}


@pytest.mark.parametrize("config", [dev_config(compress_over_bytes=0)])
async def test_nothing_arrives_compressed_where_the_server_compresses_nothing(
    native: Natives,
) -> None:
    alice, tap = await native.tapped_login("alice")
    await alice.message_instant_send("alice", "x" * 8000)
    await alice.expect(RECEIVED, "alice", 0, "x" * 8000)
    assert {packet.kind for packet in tap.heard.packets} == {PLAIN}


async def test_what_is_shorter_than_the_bound_arrives_plain(native: Natives) -> None:
    alice, tap = await native.tapped_login("alice")
    await alice.message_instant_send("alice", "x" * 3900)
    await alice.expect(RECEIVED)
    assert {packet.kind for packet in tap.heard.packets} == {PLAIN}


@pytest.mark.parametrize(
    ("content", "text"),
    [({"a": [1, "ü", None]}, '{"a":[1,"ü",null]}'), (12.5, "12.5"), ([], "[]"), (True, "true")],
    ids=["object", "number", "array", "boolean"],
)
async def test_what_is_no_string_arrives_as_its_json_text(
    native: Natives, content: Any, text: str
) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await alice.message_instant_send("bob", content)
    await bob.expect(RECEIVED, "alice", 0, text)


async def test_a_message_that_is_too_long_fails(native: Natives) -> None:
    alice = await native.login("alice")
    with pytest.raises(SignalError) as caught:
        await alice.message_instant_send("bob", "x" * (MAX_MESSAGE_CHARS + 1))
    assert caught.value.ecode == 1001
    assert str(MAX_MESSAGE_CHARS) in caught.value.reason
    await alice.message_instant_send("bob", "x" * MAX_MESSAGE_CHARS)


async def test_a_message_waits_for_a_peer_that_is_offline(native: Natives) -> None:
    alice = await native.login("alice")
    await alice.message_instant_send("bob", "for later")
    await trio.sleep(TTL_SECONDS - 60)
    bob = await native.login("bob")
    await bob.expect(RECEIVED, "alice", 0, "for later")


async def test_a_message_is_gone_when_its_ttl_is_over(native: Natives) -> None:
    alice = await native.login("alice")
    await alice.message_instant_send("bob", "too old", ttl=60)
    await trio.sleep(61)
    await alice.message_instant_send("bob", "fresh")
    bob = await native.login("bob")
    await settle()
    assert texts(bob) == ["fresh"]


async def test_forty_messages_while_disconnected_arrive_in_order_and_once(native: Natives) -> None:
    """One poll brings 30, so that it takes two."""
    alice, bob = await native.login("alice"), await native.login("bob")
    await settle()
    sent = [f"message {number}" for number in range(40)]

    async def send() -> None:
        for text in sent:
            await alice.message_instant_send("bob", text)

    await reconnect(bob, send)
    await settle()
    await alice.message_instant_send("bob", "the end")
    await settle()
    assert texts(bob) == [*sent, "the end"]


async def test_a_message_arrives_though_the_line_was_lost_before_its_first_poll(
    native: Natives,
) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")

    async def send() -> None:
        await alice.message_instant_send("bob", "meanwhile")

    await reconnect(bob, send)
    await settle()
    assert texts(bob) == ["meanwhile"]


async def test_forty_messages_before_the_login_arrive_in_order_and_once(native: Natives) -> None:
    alice = await native.login("alice")
    sent = [f"message {number}" for number in range(40)]
    for text in sent:
        await alice.message_instant_send("bob", text)
    bob = await native.login("bob")
    await settle()
    await alice.message_instant_send("bob", "the end")
    await settle()
    assert texts(bob) == [*sent, "the end"]


async def test_messages_too_long_for_one_page_arrive_in_order_and_once(native: Natives) -> None:
    """A page of fewer than 30 is followed by word of what is left, and a whole one by none: behind
    that the client asks by itself.
    """
    alice = await native.login("alice")
    # Of characters that do not count, a message holds four times as many; a page holds 16 of these.
    sent = [f"{number} " + "\n" * 32_000 for number in range(40)]
    for text in sent:
        await alice.message_instant_send("bob", text)
    bob, tap = await native.tapped_login("bob")
    await settle()
    assert texts(bob) == sent
    for text in map(str, range(35)):
        await alice.message_instant_send("carol", text)
    _carol, other = await native.tapped_login("carol")
    await settle()
    told = [
        [packet.text for packet in it.heard.packets if packet.text.startswith("notify")]
        for it in (tap, other)
    ]
    assert told == [["notify msg 17", "notify msg 33"], []]


async def test_what_came_right_before_a_reconnection_is_not_received_again(
    native: Natives,
) -> None:
    """The client tells the server only with its next poll what it has handled."""
    alice, bob = await native.login("alice"), await native.login("bob")
    await settle()
    await alice.message_instant_send("bob", "before")
    await bob.expect(RECEIVED, "alice", 0, "before")

    async def send() -> None:
        await alice.message_instant_send("bob", "meanwhile")

    await reconnect(bob, send)
    await settle()
    await alice.message_instant_send("bob", "after")
    await settle()
    assert texts(bob) == ["meanwhile", "after"]


async def test_a_logout_says_what_was_handled(native: Natives) -> None:
    """By its `ver_clear`: whoever logs in then is not told again."""
    alice, bob = await native.login("alice"), await native.login("bob")
    await settle()
    for text in ("one", "two"):
        await alice.message_instant_send("bob", text)
        await bob.expect(RECEIVED, "alice", 0, text)
    await bob.logout()
    again = await native.login("bob")
    await settle()
    assert texts(again) == []


async def test_what_a_logout_does_not_say_was_handled_waits(native: Natives) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await settle()
    for text in ("one", "two", "three"):
        await alice.message_instant_send("bob", text)
    await settle()
    assert bob.version == 3
    await bob.call("user_logout", ver_clear=1)
    again = await native.login("bob")
    await settle()
    assert texts(again) == ["two", "three"]


async def test_push_sendmsg_arrives_as_an_instant_message(native: Natives) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await alice.call("push_sendmsg", peer="bob", peer_uid=bob.uid, msg="wake up")
    await bob.expect(RECEIVED, "alice", 0, "wake up")
    await alice.call("push_sendmsg", peer="carol", peer_uid=0, msg="wake up later")
    carol = await native.login("carol")
    await carol.expect(RECEIVED, "alice", 0, "wake up later")


async def test_a_user_s_rate_is_that_of_other_clients(native: Natives, server: LocalServer) -> None:
    """The account's, whichever client it is logged in with."""
    alice = await native.login("alice")
    for number in range(60):
        await alice.message_instant_send("bob", number)
    with pytest.raises(SignalError) as caught:
        await alice.message_instant_send("bob", "one too many")
    assert caught.value.ecode == 1001
    assert caught.value.reason.startswith("more than 60 messages in a second from one user")
    assert caught.value.retry_after == 1
    await alice.channel_join(ROOM)
    for more in ({"name": None}, {"name": "elsewhere"}):
        with pytest.raises(SignalError, match="more than 60"):
            await alice.message_channel_send("one too many", **more)
    with pytest.raises(SignalError, match="more than 60"):
        await alice.channel_invite_user2(ROOM, "bob")
    message = {"peer": "bob", "flag": "v1:E:60", "t": "instant", "content": "x"}
    async with logged_in(server, "alice") as page:
        refused = await page.call("user_sendmsg", **message)
        assert (refused["result"], refused["reason"]) == ("failed", caught.value.reason)
        await trio.sleep(1)
        assert (await page.call("user_sendmsg", **message))["result"] == "ok"


async def test_a_native_client_is_never_sent_bytes(native: Natives) -> None:
    """Neither now, nor what the account was sent before."""
    async with bytes_left(
        native.server, "bob", *(f"text {number}" for number in range(20))
    ) as sender:
        bob = await native.login("bob")
        for number in range(20):
            assert await bob.expect(RECEIVED) == ("sender", 0, f"text {number}")
        await bob.channel_join(ROOM)
        await refuses_bytes(sender, "bob", ROOM)
        await sender.message_instant_send("bob", "last")
        assert await bob.expect(RECEIVED) == ("sender", 0, "last")
