"""What public pages do with the web SDK beside its documentation, all of which has to stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.test_calls import ring
from tests.web.test_channels import ROOM, join
from tests.web.web_peer import WebPeer

UNDEFINED = {"$undefined": True}


@pytest.mark.parametrize("value", [7, -1.5, 0, True, False, None, {"an": ["object"]}, []])
async def test_an_attribute_keeps_the_value_that_it_was(web: WebPeer, value: Any) -> None:
    """A channel's, told and joined to, and a user's."""
    alice, bob = await web.login("alice"), await web.login("bob")
    room = await join(alice)
    await room.request("channelSetAttr", "a", value)
    await room.expect("onChannelAttrUpdated", "a", value, "update")
    await (await join(bob)).expect("onChannelAttrUpdated", "a", value, "update")
    await alice.invoke("user_set_attr", name="a", value=value)
    found = await bob.invoke("user_get_attr", account="alice", name="a")
    assert found["value"] == value
    known = await bob.invoke("user_get_attr_all", account="alice")
    assert json.loads(known["json"]) == {"a": value}


async def test_accounts_channels_and_attributes_may_be_named_by_numbers(web: WebPeer) -> None:
    one, two = await web.login(1), await web.login(2)
    room = await join(one, 77)
    other = await join(two, "77")
    await room.expect("onChannelUserJoined")
    await room.call("channelSetAttr", 5, "five")
    await other.expect("onChannelAttrUpdated", "5", "five", "update")
    await one.call("messageInstantSend", 2, "hello")
    await two.expect("onMessageInstantReceive", "1", 0, "hello")


@pytest.mark.parametrize("value", [{"kind": "gift", "of": [1, None]}, [1, {"a": "ü"}]])
async def test_objects_are_sent_as_messages(web: WebPeer, value: Any) -> None:
    """To a channel they arrive as they were, to an account as their JSON text."""
    alice, bob = await web.login("alice"), await web.login("bob")
    rooms = [await join(alice), await join(bob)]
    await rooms[0].call("messageChannelSend", value)
    for room in rooms:
        [_account, _uid, message] = await room.expect("onMessageChannelReceive")
        assert message == value
    await alice.call("messageInstantSend", "bob", value)
    [_account, _uid, text] = await bob.expect("onMessageInstantReceive")
    assert json.loads(text) == value


async def test_an_invitation_says_more_than_its_time(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    extra = '{"_timeout": 180, "role": "doctor", "from": {"name": "Ann"}}'
    _, incoming = await ring(alice, bob, "bob", extra)
    assert incoming.data["extra"] == extra


@pytest.mark.parametrize("extra", [UNDEFINED, None], ids=["undefined", "null"])
async def test_an_extra_that_is_not_there_is_empty(web: WebPeer, extra: Any) -> None:
    """In every step that takes one."""
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await ring(alice, bob, "bob", extra)
    await incoming.call("channelInviteAccept", extra)
    await outgoing.expect("onInviteAcceptedByPeer", "")
    await outgoing.call("channelInviteEnd", extra)
    await incoming.expect("onInviteEndByPeer", "")
    outgoing, incoming = await ring(alice, bob, "bob", extra)
    await incoming.call("channelInviteRefuse", extra)
    await outgoing.expect("onInviteRefusedByPeer", "")


async def test_an_extra_may_be_plain_text(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await ring(alice, bob, "bob", "hello {")
    assert incoming.data["extra"] == "hello {"
    await incoming.call("channelInviteRefuse", "busy")
    await outgoing.expect("onInviteRefusedByPeer", "busy")
    outgoing, incoming = await ring(alice, bob, "bob")
    await outgoing.call("channelInviteEnd", "bye")
    await incoming.expect("onInviteEndByPeer", "bye")


async def test_a_heartbeat_to_oneself_comes_back(web: WebPeer) -> None:
    alice = await web.login("alice")
    for number in range(3):
        await alice.call("messageInstantSend", "alice", f"beat {number}")
        await alice.expect("onMessageInstantReceive", "alice", 0, f"beat {number}")


async def test_clear_and_set_in_one_breath_leave_what_was_set(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    room = await join(alice)
    await room.request("channelSetAttr", "old", "1")
    await room.call("channelClearAttr")
    await room.call("channelSetAttr", "new", "2")
    await room.expect("onChannelAttrUpdated", "old", "1", "update")
    await room.expect("onChannelAttrUpdated", "", "", "clear")
    await room.expect("onChannelAttrUpdated", "new", "2", "update")
    bobs_room = await join(bob)
    await bobs_room.expect("onChannelAttrUpdated", "new", "2", "update")
    await bob.sync()
    assert bobs_room.seen("onChannelAttrUpdated") == []


async def test_leave_and_logout_in_one_go_are_heard_in_order(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room, room = await join(alice), await join(bob)
    await room.call("channelLeave")
    await bob.call("logout")
    await bob.expect("onLogout", 101)
    [account, _uid] = await alices_room.expect("onChannelUserLeaved")
    assert account == "bob"
    await alice.sync()
    assert alices_room.seen("onChannelUserLeaved") == []


async def test_an_invoke_in_on_logout_harms_nobody(web: WebPeer) -> None:
    """The session is over: the page may ask, and must be able to log in again."""
    alice = await web.login("alice")
    await web.command(
        "hook",
        object=alice.name,
        event="onLogout",
        method="invoke",
        args=["io.agora.signal.channel_query_num", {"name": ROOM}],
        reply="asked late",
    )
    await alice.call("logout")
    await alice.expect("onLogout", 101)
    again = await web.login("alice")
    await again.sync()
