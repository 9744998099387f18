"""What the original web SDK hears of an operator."""

from __future__ import annotations

import pytest

from signal_sdk.server.operator.operator import Operator
from signal_sdk.testing.server import LocalServer
from tests.two_nodes import nodes_of
from tests.web.test_channels import ROOM, join
from tests.web.web_peer import WebPeer


@pytest.fixture
def operator(server: LocalServer) -> Operator:
    """Of the second node, where there are two: the first has the first client."""
    return nodes_of(server)[-1].operator


async def test_who_is_removed_hears_its_own_leave(web: WebPeer, operator: Operator) -> None:
    alice, bob = await web.login("alice"), await web.begin_login("bob")
    [bobs_uid] = await bob.expect("onLoginSuccess")
    alices_room, bobs_room = await join(alice), await join(bob)
    await alices_room.expect("onChannelUserJoined", "bob", bobs_uid)
    await operator.remove("app", "bob", ROOM)
    await bobs_room.expect("onChannelUserLeaved", "bob", bobs_uid)
    await alices_room.expect("onChannelUserLeaved", "bob", bobs_uid)
    await alices_room.request("messageChannelSend", "for alice")
    await alices_room.expect("onMessageChannelReceive")
    await bob.sync()
    assert bobs_room.seen("onMessageChannelReceive") == []
    # It may come back.
    again = await join(bob)
    await alices_room.request("messageChannelSend", "for both")
    [_, _, text] = await again.expect("onMessageChannelReceive")
    assert text == "for both"


async def test_who_is_kicked_hears_103(web: WebPeer, operator: Operator) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room = await join(alice)
    await join(bob)
    await operator.kick("app", "bob")
    await bob.expect("onLogout", 103)
    [account, _uid] = await alices_room.expect("onChannelUserLeaved")
    assert account == "bob"


async def test_an_operator_s_messages_are_heard(web: WebPeer, operator: Operator) -> None:
    alice = await web.login("alice")
    room = await join(alice)
    for _ in range(2):
        await operator.send("app", "alice", "hello", message_id="1")
    await operator.send("app", "alice", "from support", sender="support")
    await alice.expect("onMessageInstantReceive", "_agora_system", 0, "hello")
    await alice.expect("onMessageInstantReceive", "support", 0, "from support")
    await operator.send_to_channel("app", ROOM, "to all")
    await room.expect("onMessageChannelReceive", "_agora_system", 0, "to all")
    await operator.set_channel_attribute("app", ROOM, "topic", "x")
    await room.expect("onChannelAttrUpdated", "topic", "x", "update")
    await operator.delete_channel_attribute("app", ROOM, "topic")
    await room.expect("onChannelAttrUpdated", "topic", "", "del")


async def test_a_call_that_an_operator_ends_ends_for_both(web: WebPeer, operator: Operator) -> None:
    alice = await web.login("alice")
    await web.login("bob")
    call = await alice.make("channelInviteUser2", "room", "bob", "")
    await call.expect("onInviteReceivedByPeer")
    [facts] = (await operator.calls("app")).items
    await operator.end_call("app", facts.channel, facts.caller, facts.callee)
    await call.expect("onInviteEndByPeer")
    assert (await operator.calls_of("app", "bob")) == []
