"""Channels between web SDKs: members, messages, attributes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.web_peer import WebObject, WebPeer

ROOM = "room 1"


async def join(session: WebObject, channel: Any = ROOM) -> WebObject:
    """Join a channel, and take what is told of the join itself."""
    joined = await session.make("channelJoin", channel)
    await joined.expect("onChannelJoined")
    await joined.expect("onChannelUserList")
    return joined


async def test_the_first_to_join_is_alone_in_the_list(web: WebPeer) -> None:
    alice = await web.login("alice")
    room = await alice.make("channelJoin", ROOM)
    await room.expect("onChannelJoined")
    [[[account, _uid]]] = await room.expect("onChannelUserList")
    assert account == "alice"
    await alice.sync()
    assert web.of(room.name) == []


async def test_a_join_tells_the_user_list_and_the_attributes(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.begin_login("bob")
    [bobs_uid] = await bob.expect("onLoginSuccess")
    alices_room = await join(alice)
    await alices_room.request("channelSetAttr", "topic", "grüße, all")
    room = await bob.make("channelJoin", ROOM)
    await room.expect("onChannelJoined")
    [members] = await room.expect("onChannelUserList")
    assert sorted(account for account, _ in members) == ["alice", "bob"]
    assert ["bob", bobs_uid] in members
    await room.expect("onChannelAttrUpdated", "topic", "grüße, all", "update")


async def test_a_join_and_a_leave_are_told_to_the_others(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.begin_login("bob")
    [bobs_uid] = await bob.expect("onLoginSuccess")
    alices_room = await join(alice)
    bobs_room = await join(bob)
    await alices_room.expect("onChannelUserJoined", "bob", bobs_uid)
    await bobs_room.call("channelLeave")
    await bobs_room.expect("onChannelLeaved", 0)
    await alices_room.expect("onChannelUserLeaved", "bob", bobs_uid)


async def test_a_logout_leaves_the_channel(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room = await join(alice)
    await join(bob)
    await bob.call("logout")
    [account, _uid] = await alices_room.expect("onChannelUserLeaved")
    assert account == "bob"


async def test_joining_another_channel_leaves_the_first(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room = await join(alice)
    await join(bob)
    await join(bob, "room 2")
    [account, _uid] = await alices_room.expect("onChannelUserLeaved")
    assert account == "bob"


async def test_a_channel_whose_name_is_invalid_cannot_be_joined(web: WebPeer) -> None:
    alice = await web.login("alice")
    room = await alice.make("channelJoin", "x" * 129)
    await room.expect("onChannelJoinFailed")


async def test_a_message_reaches_all_members_and_its_sender(web: WebPeer) -> None:
    alice, bob = await web.begin_login("alice"), await web.login("bob")
    [uid] = await alice.expect("onLoginSuccess")
    alices_room, bobs_room = await join(alice), await join(bob)
    await alices_room.request("messageChannelSend", "hello, grüße 🎉")
    await alices_room.expect("onMessageChannelReceive", "alice", uid, "hello, grüße 🎉")
    await bobs_room.expect("onMessageChannelReceive", "alice", uid, "hello, grüße 🎉")


@pytest.mark.parametrize(
    "message",
    ["  with   spaces ", '{"as": "text"}', {"an": ["object", 1, None]}, 12.5],
    ids=["spaces", "json", "object", "number"],
)
async def test_a_channel_message_arrives_as_the_value_that_it_was(
    web: WebPeer, message: Any
) -> None:
    alice, bob = await web.begin_login("alice"), await web.login("bob")
    [uid] = await alice.expect("onLoginSuccess")
    alices_room, bobs_room = await join(alice), await join(bob)
    await alices_room.call("messageChannelSend", message)
    await bobs_room.expect("onMessageChannelReceive", "alice", uid, message)


async def test_channel_messages_of_two_senders_have_one_order(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    rooms = [await join(alice), await join(bob)]
    for number in range(20):
        for room in rooms:
            await room.call("messageChannelSend", number)
    heard = [[await room.expect("onMessageChannelReceive") for _ in range(40)] for room in rooms]
    assert heard[0] == heard[1]


async def test_who_has_left_hears_nothing_more(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room, bobs_room = await join(alice), await join(bob)
    await bobs_room.request("channelLeave")
    await alices_room.request("messageChannelSend", "just us")
    await bob.sync()
    assert bobs_room.seen("onMessageChannelReceive") == []


async def test_an_attribute_that_is_set_is_told_to_all(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room, bobs_room = await join(alice), await join(bob)
    await alices_room.request("channelSetAttr", "topic", "weather")
    for room in (alices_room, bobs_room):
        await room.expect("onChannelAttrUpdated", "topic", "weather", "update")


async def test_an_attribute_that_is_deleted_is_told_to_all(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room, bobs_room = await join(alice), await join(bob)
    await alices_room.request("channelSetAttr", "topic", "weather")
    await bobs_room.request("channelDelAttr", "topic")
    for room in (alices_room, bobs_room):
        await room.expect("onChannelAttrUpdated", "topic", "weather", "update")
        await room.expect("onChannelAttrUpdated", "topic", "", "del")


async def test_attributes_that_are_cleared_are_told_to_all(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room, bobs_room = await join(alice), await join(bob)
    await alices_room.request("channelSetAttr", "topic", "weather")
    await bobs_room.request("channelClearAttr")
    for room in (alices_room, bobs_room):
        await room.expect("onChannelAttrUpdated", "topic", "weather", "update")
        await room.expect("onChannelAttrUpdated", "", "", "clear")


async def test_attributes_that_were_deleted_are_not_told_to_who_joins_later(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room = await join(alice)
    await alices_room.request("channelSetAttr", "topic", "weather")
    await alices_room.request("channelSetAttr", "mood", "sunny")
    await alices_room.request("channelDelAttr", "topic")
    bobs_room = await join(bob)
    await bobs_room.expect("onChannelAttrUpdated", "mood", "sunny", "update")
    await bob.sync()
    assert bobs_room.seen("onChannelAttrUpdated") == []
