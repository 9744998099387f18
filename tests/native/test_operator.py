"""What native clients hear of an operator."""

from __future__ import annotations

import trio

from signal_sdk.testing.server import LocalServer
from tests.native.helpers import ROOM, Natives, settle
from tests.native.test_channels import MESSAGE, join, members

LEFT = "on_channel_user_leaved"


async def test_who_is_removed_hears_its_own_leave(native: Natives, server: LocalServer) -> None:
    alice, bob = await members(native)
    await server.node.operator.remove("app", "bob", ROOM)
    for peer in (alice, bob):
        await peer.expect(LEFT, "bob", bob.uid)
    await alice.message_channel_send("for alice")
    await alice.expect(MESSAGE)
    await settle()
    assert bob.seen(MESSAGE) == []
    await join(bob)
    await alice.message_channel_send("for both")
    await bob.expect(MESSAGE, ROOM, "alice", alice.uid, "for both")


async def test_who_was_away_hears_its_own_leave_when_it_is_back(
    native: Natives, server: LocalServer
) -> None:
    alice, bob = await members(native)
    bob.is_down = True
    bob.cut()
    await bob.expect("on_reconnecting")
    await server.node.operator.remove("app", "bob", ROOM)
    await alice.expect(LEFT, "bob", bob.uid)
    bob.is_down = False
    await bob.expect("on_reconnected")
    await bob.expect(LEFT, "bob", bob.uid)
    await trio.sleep(60)
    assert bob.seen("on_logout") == []
    assert bob.seen(LEFT) == []


async def test_who_is_kicked_hears_103(native: Natives, server: LocalServer) -> None:
    _, bob = await members(native)
    await server.node.operator.kick("app", "bob")
    await bob.expect("on_logout", 103)


async def test_who_is_kicked_while_it_is_away_hears_so_when_it_is_back(
    native: Natives, server: LocalServer
) -> None:
    _, bob = await members(native)
    bob.is_down = True
    bob.cut()
    await bob.expect("on_reconnecting")
    await server.node.operator.kick("app", "bob")
    bob.is_down = False
    await bob.expect("on_logout", 103)
    assert not (await server.node.operator.presence("app", "bob")).online
