"""Channels between native clients: members, messages, attributes."""

from __future__ import annotations

from typing import Any

import pytest

from signal_sdk.errors import SignalError
from signal_sdk.testing.native_peer import NativePeer
from tests.native.helpers import ROOM, Natives, of_channel, settle

MESSAGE = "on_message_channel_receive"
ATTR = "on_channel_attr_updated"


async def join(peer: NativePeer, channel: Any = ROOM) -> None:
    """Join a channel, and take what is told of the join itself."""
    await peer.channel_join(channel)
    await peer.expect("on_channel_joined", channel)
    await peer.expect("on_channel_user_list")


async def members(native: Natives) -> tuple[NativePeer, NativePeer]:
    """Two clients in the channel; what alice heard of bob's coming is taken."""
    alice, bob = await native.login("alice"), await native.login("bob")
    await join(alice)
    await join(bob)
    await alice.expect("on_channel_user_joined", "bob", bob.uid)
    return alice, bob


async def set_attr(peer: NativePeer, name: str, value: Any) -> None:
    await peer.call("channel_set_attr", channel=ROOM, name=name, value=value)


async def test_the_first_to_join_is_alone_in_the_list(native: Natives) -> None:
    alice = await native.login("alice")
    await alice.channel_join(ROOM)
    await alice.expect("on_channel_joined", ROOM)
    assert await alice.expect("on_channel_user_list") == (1, ["alice"], [alice.uid])
    await settle()
    assert of_channel(alice) == []


async def test_a_join_tells_the_user_list_and_the_attributes(native: Natives) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await join(alice)
    await set_attr(alice, "topic", "grüße, all")
    await bob.channel_join(ROOM)
    await bob.expect("on_channel_joined", ROOM)
    listed = await bob.expect("on_channel_user_list")
    assert listed == (2, ["alice", "bob"], [alice.uid, bob.uid])
    await bob.expect(ATTR, ROOM, "topic", "grüße, all", "update")


async def test_a_join_and_a_leave_are_told_to_the_others(native: Natives) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await join(alice)
    await join(bob)
    await alice.expect("on_channel_user_joined", "bob", bob.uid)
    await bob.channel_leave()
    await bob.expect("on_channel_leaved", ROOM, 602)
    await alice.expect("on_channel_user_leaved", "bob", bob.uid)
    await settle()
    assert of_channel(bob) == []


async def test_a_logout_leaves_the_channel(native: Natives) -> None:
    alice, bob = await members(native)
    await bob.logout()
    await alice.expect("on_channel_user_leaved", "bob", bob.uid)


async def test_a_login_leaves_the_channel(native: Natives) -> None:
    """It begins afresh: neither is it told of the channel, nor may it send there."""
    alice, bob = await members(native)
    again = await native.login("bob")
    await bob.expect("on_logout", 103)
    await alice.expect("on_channel_user_leaved", "bob", again.uid)
    await alice.message_channel_send("are you there?")
    await settle()
    assert of_channel(again) == []
    with pytest.raises(SignalError, match="not in the channel"):
        await again.call("channel_sendmsg", name=ROOM, msg="yes")


async def test_joining_another_channel_leaves_the_first(native: Natives) -> None:
    alice, bob = await members(native)
    await join(bob, "room 2")
    await alice.expect("on_channel_user_leaved", "bob", bob.uid)
    await alice.message_channel_send("just me")
    await alice.message_channel_send("hello over there", name="room 2")
    await settle()
    assert of_channel(bob) == [(MESSAGE, "room 2", "alice", alice.uid, "hello over there")]


async def test_a_channel_whose_name_is_invalid_cannot_be_joined(native: Natives) -> None:
    alice = await native.login("alice")
    with pytest.raises(SignalError) as caught:
        await alice.channel_join("x" * 129)
    assert (caught.value.ecode, "128" in caught.value.reason) == (1001, True)


async def test_a_message_reaches_all_members_and_its_sender(native: Natives) -> None:
    alice, bob = await members(native)
    await alice.message_channel_send("hello, grüße 🎉")
    for peer in (alice, bob):
        await peer.expect(MESSAGE, ROOM, "alice", alice.uid, "hello, grüße 🎉")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("  with   spaces ", "  with   spaces "),
        ('{"as": "text"}', '{"as": "text"}'),
        ({"an": ["object", 1, None]}, '{"an":["object",1,null]}'),
        (12.5, "12.5"),
        ("two\nlines", "two\nlines"),
    ],
    ids=["spaces", "json", "object", "number", "lines"],
)
async def test_a_channel_message_arrives_as_the_value_that_it_was(
    native: Natives, message: Any, text: str
) -> None:
    """As text, which is all that a native client's user hears."""
    alice, bob = await members(native)
    await alice.message_channel_send(message)
    await bob.expect(MESSAGE, ROOM, "alice", alice.uid, text)


async def test_channel_messages_of_two_senders_have_one_order(native: Natives) -> None:
    alice, bob = await members(native)
    for number in range(20):
        for peer in (alice, bob):
            # Without waiting for the answer.
            native.nursery.start_soon(peer.message_channel_send, number)
    await settle()
    heard = of_channel(alice)
    assert sorted(heard) == sorted(
        (MESSAGE, ROOM, peer.account, peer.uid, str(number))
        for number in range(20)
        for peer in (alice, bob)
    )
    assert of_channel(bob) == heard


async def test_a_message_by_force_needs_no_join(native: Natives) -> None:
    alice, bob = await members(native)
    carol = await native.login("carol")
    with pytest.raises(SignalError, match="'carol' is not in the channel"):
        await carol.call("channel_sendmsg", name=ROOM, msg="let me in")
    await carol.message_channel_send("from outside", name=ROOM)
    for peer in (alice, bob):
        assert await peer.expect(MESSAGE) == (ROOM, "carol", carol.uid, "from outside")
    await settle()
    assert of_channel(carol) == []


async def test_who_has_left_hears_nothing_more(native: Natives) -> None:
    alice, bob = await members(native)
    await bob.channel_leave()
    await alice.message_channel_send("just us")
    await settle()
    assert of_channel(bob) == []
    with pytest.raises(SignalError, match="not in the channel"):
        await bob.call("channel_leave", name=ROOM)


async def test_an_attribute_that_is_set_is_told_to_all(native: Natives) -> None:
    alice, bob = await members(native)
    await set_attr(alice, "topic", "weather")
    for peer in (alice, bob):
        await peer.expect(ATTR, ROOM, "topic", "weather", "update")


async def test_an_attribute_that_is_no_string_is_told_as_its_json_text(native: Natives) -> None:
    alice, bob = await members(native)
    await set_attr(alice, "seats", {"left": 2})
    await bob.expect(ATTR, ROOM, "seats", '{"left":2}', "update")


async def test_an_attribute_that_is_deleted_is_told_to_all(native: Natives) -> None:
    alice, bob = await members(native)
    await set_attr(alice, "topic", "weather")
    await bob.call("channel_del_attr", channel=ROOM, name="topic")
    for peer in (alice, bob):
        await peer.expect(ATTR, ROOM, "topic", "weather", "update")
        await peer.expect(ATTR, ROOM, "topic", "", "del")


async def test_attributes_that_are_cleared_are_told_to_all(native: Natives) -> None:
    alice, bob = await members(native)
    await set_attr(alice, "topic", "weather")
    await bob.call("channel_clear_attr", channel=ROOM)
    for peer in (alice, bob):
        await peer.expect(ATTR, ROOM, "topic", "weather", "update")
        await peer.expect(ATTR, ROOM, "", "", "clear")


async def test_attributes_that_were_deleted_are_not_told_to_who_joins_later(
    native: Natives,
) -> None:
    alice, bob = await native.login("alice"), await native.login("bob")
    await join(alice)
    await set_attr(alice, "topic", "weather")
    await set_attr(alice, "mood", "sunny")
    await alice.call("channel_del_attr", channel=ROOM, name="topic")
    await join(bob)
    await settle()
    assert of_channel(bob) == [(ATTR, ROOM, "mood", "sunny", "update")]
