"""What the original Java SDK hears of an operator."""

from __future__ import annotations

from signal_sdk.testing.server import LocalServer
from tests.peers.helpers import ROOM, Javas, settle
from tests.peers.test_java_channels import members


async def test_who_is_removed_hears_its_own_leave(java: Javas, server: LocalServer) -> None:
    alice, bob = await members(java)
    await server.node.operator.remove("app", "bob", ROOM)
    for peer in (alice, bob):
        await peer.expect("onChannelUserLeaved", "bob", bob.uid)
    await alice.message_channel_send("for alice")
    await alice.expect("onMessageChannelReceive")
    await settle()
    assert bob.seen("onMessageChannelReceive") == []
    await bob.channel_join(ROOM)
    await alice.message_channel_send("for both")
    await bob.expect("onMessageChannelReceive", "alice", alice.uid, "for both")


async def test_who_is_kicked_hears_that_its_connection_has_ended(
    java: Javas, server: LocalServer
) -> None:
    """It knows no kick."""
    alice, bob = await members(java)
    await server.node.operator.kick("app", "bob")
    await bob.expect("onLogout", 102)
    await alice.expect("onChannelUserLeaved", "bob", bob.uid)


async def test_an_operator_s_messages_are_heard(java: Javas, server: LocalServer) -> None:
    operator = server.node.operator
    alice, _ = await members(java)
    await operator.send("app", "alice", {"n": 1}, message_id="1")
    await alice.expect("onMessageInstantReceive", "_agora_system", 0, '{"n":1}')
    await operator.send_to_channel("app", ROOM, {"n": 1})
    await alice.expect("onMessageChannelReceive", "_agora_system", 0, '{"n":1}')
    await operator.set_channel_attribute("app", ROOM, "topic", {"n": 1})
    await alice.expect("onChannelAttrUpdated", "topic", '{"n":1}', "update")
