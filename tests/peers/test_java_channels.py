"""Channels between original Java clients: members, messages, attributes."""

from __future__ import annotations

from typing import Any

import pytest

from signal_sdk.testing.server import LocalServer
from tests.peers.helpers import ROOM, Javas, settle
from tests.peers.java_peer import JavaPeer, Refused
from tests.wire_client import logged_in


async def members(java: Javas) -> tuple[JavaPeer, JavaPeer]:
    """Alice and bob, both in the channel."""
    alice, bob = await java.pair()
    await alice.channel_join(ROOM)
    await bob.channel_join(ROOM)
    await alice.expect("onChannelUserJoined", "bob", bob.uid)
    return alice, bob


async def test_a_join_tells_who_is_there_and_the_attributes(java: Javas) -> None:
    alice, bob = await java.pair()
    assert await alice.channel_join(ROOM) == ["alice"]
    await alice.channel_set_attr("topic", "grüße, all")
    assert await bob.channel_join(ROOM) == ["alice", "bob"]
    await bob.expect("onChannelAttrUpdated", "topic", "grüße, all", "update")
    await alice.expect("onChannelUserJoined", "bob", bob.uid)
    await settle()
    assert bob.seen("onChannelUserJoined") == []


async def test_a_leave_a_logout_and_another_join_are_told_to_the_others(java: Javas) -> None:
    alice, bob = await members(java)
    await bob.channel_leave()
    await bob.expect("onChannelLeaved", 0)
    await alice.expect("onChannelUserLeaved", "bob", bob.uid)
    await bob.channel_join(ROOM)
    await bob.channel_join("room 2")
    await alice.expect("onChannelUserLeaved", "bob", bob.uid)
    await bob.channel_join(ROOM)
    await bob.logout()
    await alice.expect("onChannelUserLeaved", "bob", bob.uid)


async def test_a_channel_whose_name_is_invalid_cannot_be_joined(java: Javas) -> None:
    alice = await java.login("alice")
    with pytest.raises(Refused, match="at most 128"):
        await alice.channel_join("x" * 129)


async def test_a_message_reaches_all_members_and_its_sender(java: Javas) -> None:
    alice, bob = await members(java)
    await alice.message_channel_send("hello, grüße 🎉")
    for peer in (alice, bob):
        await peer.expect("onMessageChannelReceive", "alice", alice.uid, "hello, grüße 🎉")


async def test_messages_of_two_senders_have_one_order(java: Javas) -> None:
    alice, bob = await members(java)
    for number in range(20):
        for peer in (alice, bob):
            await peer.message_channel_send(str(number))
    await settle()
    assert len(alice.seen("onMessageChannelReceive")) == 40
    assert alice.seen("onMessageChannelReceive") == bob.seen("onMessageChannelReceive")


async def test_who_has_left_hears_nothing_more(java: Javas) -> None:
    alice, bob = await members(java)
    await bob.channel_leave()
    await alice.message_channel_send("just us")
    await settle()
    assert bob.seen("onMessageChannelReceive") == []


async def test_attributes_are_told_to_all(java: Javas) -> None:
    alice, bob = await members(java)
    await alice.channel_set_attr("topic", "weather")
    await bob.channel_del_attr("topic")
    await alice.channel_clear_attr()
    for peer in (alice, bob):
        await peer.expect("onChannelAttrUpdated", "topic", "weather", "update")
        await peer.expect("onChannelAttrUpdated", "topic", "", "del")
        await peer.expect("onChannelAttrUpdated", "", "", "clear")
    eve = await java.login("eve")
    await eve.channel_join(ROOM)
    await settle()
    assert eve.seen("onChannelAttrUpdated") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"an": ["object", 1, None]}, '{"an":["object",1,null]}'),
        (12.5, "12.5"),
        (True, "true"),
        (None, "null"),
        ("  as it was ", "  as it was "),
        ("12", "12"),
    ],
)
async def test_what_a_page_sends_that_is_no_text_arrives_as_its_json_text(
    java: Javas, server: LocalServer, value: Any, text: str
) -> None:
    """Messages and attributes, as they change, at a join and when asked for."""
    alice = await java.login("alice")
    await alice.channel_join(ROOM)
    async with logged_in(server, "page") as page:
        await page.call("channel_sendmsg", name=ROOM, msg=value, force=True)
        await page.call("channel_set_attr", channel=ROOM, name=value, value=value)
        await page.call("user_set_attr", name="a", value=value)
        await page.call("user_sendmsg", peer="alice", flag="v1:E:60", t="instant", content=value)
        name = "null" if value is None else text
        await alice.expect("onMessageChannelReceive", "page", page.uid, text)
        await alice.expect("onChannelAttrUpdated", name, text, "update")
        await alice.expect("onMessageInstantReceive", "page", 0, text)
        assert (await alice.call("user_get_attr", account="page", name="a"))["value"] == text
    bob = await java.login("bob")
    await bob.channel_join(ROOM)
    await bob.expect("onChannelAttrUpdated", name, text, "update")


async def test_what_the_server_itself_changes_is_read_too(java: Javas) -> None:
    alice = await java.login("alice")
    await alice.channel_join(ROOM)
    await alice.channel_set_attr("_auto_update_num", "1")
    await alice.expect("onChannelAttrUpdated", "_auto_update_num")
    await java.login("bob")
    await java.peers[1].channel_join(ROOM)
    assert await alice.expect("onChannelAttrUpdated", "_member_num") == (
        "_member_num",
        "2",
        "update",
    )
