"""Calls between original Java clients, with the server as the referee.

The Java client acknowledges an invitation by itself; a callee who never does is a client at wire
level.
"""

from __future__ import annotations

import pytest
import trio

from signal_sdk.testing.server import LocalServer
from tests.peers.helpers import ROOM, Javas, settle
from tests.peers.java_peer import JavaPeer, Refused
from tests.wire_client import logged_in

TIMEOUT_SECONDS = 20


async def ring(caller: JavaPeer, callee: JavaPeer, extra: str = "") -> None:
    """A call that rings."""
    await caller.channel_invite_user2(ROOM, callee.account, extra)
    await callee.expect("onInviteReceived", ROOM, caller.account, caller.uid, extra)
    await caller.expect("onInviteReceivedByPeer", ROOM, callee.account, callee.uid)


async def talk(caller: JavaPeer, callee: JavaPeer) -> None:
    """A call that was accepted."""
    await ring(caller, callee)
    await callee.channel_invite_accept(ROOM, caller.account)
    await caller.expect("onInviteAcceptedByPeer", ROOM, callee.account)


async def test_an_invitation_is_received_by_the_peer(java: Javas) -> None:
    alice, bob = await java.pair()
    await ring(alice, bob, '{"words": "grüße 🎉", "number": 1}')


@pytest.mark.parametrize("extra", ["", "yes please", '{"yes": 1}', "{broken", "[" * 500])
async def test_what_is_told_within_a_call_may_be_any_text(java: Javas, extra: str) -> None:
    alice, bob = await java.pair()
    await ring(alice, bob, extra)
    await bob.channel_invite_accept(ROOM, "alice", extra)
    await alice.expect("onInviteAcceptedByPeer", ROOM, "bob", bob.uid, extra)
    await alice.call("voip_invite_msg", channelName=ROOM, peer="bob", extra=extra)
    await bob.expect("onInviteMsg", ROOM, "alice", alice.uid, extra)
    await alice.channel_invite_end(ROOM, "bob", extra)
    await bob.expect("onInviteEndByPeer", ROOM, "alice", alice.uid, extra)
    await ring(bob, alice)
    await alice.channel_invite_refuse(ROOM, "bob", extra)
    await bob.expect("onInviteRefusedByPeer", ROOM, "alice", alice.uid, extra)


@pytest.mark.parametrize("ends", ["caller", "callee"])
@pytest.mark.parametrize("state", ["ringing", "accepted"])
async def test_either_ends_a_call_and_may_call_again(java: Javas, ends: str, state: str) -> None:
    alice, bob = await java.pair()
    for _ in range(2):
        await (ring if state == "ringing" else talk)(alice, bob)
        who, other = (alice, bob) if ends == "caller" else (bob, alice)
        await who.channel_invite_end(ROOM, other.account, "bye")
        await who.expect("onInviteEndByMyself", ROOM)
        await other.expect("onInviteEndByPeer", ROOM, who.account, who.uid, "bye")
    await settle()
    assert alice.seen("onInviteFailed") == []


async def test_nobody_ends_a_call_in_another_s_name(java: Javas) -> None:
    alice, bob = await java.pair()
    eve = await java.login("eve")
    await talk(alice, bob)
    with pytest.raises(Refused, match="not one's own account"):
        await eve.call("call_bye", channelName=ROOM, srcNum="alice", destNum="bob")
    await settle()
    assert bob.seen("onInviteEndByPeer") == []


async def test_a_logout_ends_a_call(java: Javas) -> None:
    alice, bob = await java.pair()
    await talk(alice, bob)
    await bob.logout()
    await alice.expect("onInviteEndByPeer", ROOM, "bob")


async def test_dtmf_goes_both_ways(java: Javas) -> None:
    alice, bob = await java.pair()
    await talk(alice, bob)
    for who, other in ((alice, bob), (bob, alice)):
        extra = '{"msgtype":"dtmf","msgdata":"12#"}'
        await who.call("voip_invite_msg", channelName=ROOM, peer=other.account, extra=extra)
        await other.expect("onInviteMsg", ROOM, who.account, who.uid, extra)


async def test_an_invitation_fails_at_once_where_the_peer_must_be_online(java: Javas) -> None:
    alice = await java.login("alice")
    await alice.channel_invite_user2(ROOM, "bob", '{"_require_peer_online": 1}')
    assert await alice.expect("onInviteFailed") == (ROOM, "bob", 0, "peer is not online")


async def test_an_invitation_of_a_peer_who_stays_offline_fails_after_20_seconds(
    java: Javas,
) -> None:
    alice = await java.login("alice")
    await alice.channel_invite_user2(ROOM, "bob", "hello?")
    await trio.sleep(TIMEOUT_SECONDS - 1)
    assert alice.seen("onInviteFailed") == []
    await trio.sleep(2)
    # The uid of who was never there is 0, and there.
    assert alice.seen("onInviteFailed") == [(ROOM, "bob", 0, "hello?")]


async def test_an_invitation_waits_for_a_peer_who_comes_online(java: Javas) -> None:
    alice = await java.login("alice")
    await alice.channel_invite_user2(ROOM, "bob")
    await trio.sleep(TIMEOUT_SECONDS - 1)
    bob = await java.login("bob")
    await bob.expect("onInviteReceived", ROOM, "alice", alice.uid)
    await alice.expect("onInviteReceivedByPeer", ROOM, "bob", bob.uid)
    await bob.channel_invite_accept(ROOM, "alice")
    await alice.expect("onInviteAcceptedByPeer", ROOM, "bob")


async def test_an_invitation_that_timed_out_is_not_received_later(java: Javas) -> None:
    alice = await java.login("alice")
    await alice.channel_invite_user2(ROOM, "bob")
    await alice.expect("onInviteFailed")
    bob = await java.login("bob")
    await alice.message_instant_send("bob", "sorry, I called")
    await bob.expect("onMessageInstantReceive", "alice", 0, "sorry, I called")
    assert bob.seen("onInviteReceived") == []


@pytest.mark.parametrize(
    ("extra", "seconds"), [("", 20), ('{"_timeout": 300, "kind": "video"}', 300)]
)
async def test_a_call_that_nobody_answers_times_out(
    java: Javas, extra: str, seconds: float
) -> None:
    alice, bob = await java.pair()
    await ring(alice, bob, extra)
    await trio.sleep(seconds - 1)
    assert alice.seen("onInviteFailed") == []
    await trio.sleep(2)
    assert alice.seen("onInviteFailed") == [(ROOM, "bob", bob.uid, extra)]
    await bob.expect("onInviteEndByPeer", ROOM, "alice")


async def test_an_invitation_that_nobody_acknowledges_times_out_after_20_seconds(
    java: Javas, server: LocalServer
) -> None:
    alice = await java.login("alice")
    async with logged_in(server, "bob") as bob:
        await alice.channel_invite_user2(ROOM, "bob")
        await bob.expect("notify")
        await trio.sleep(TIMEOUT_SECONDS + 1)
        assert len(alice.seen("onInviteFailed")) == 1
        assert alice.seen("onInviteReceivedByPeer") == []


async def test_a_second_invitation_while_one_rings_fails(java: Javas) -> None:
    alice, bob = await java.pair()
    await ring(alice, bob)
    await alice.channel_invite_user2(ROOM, "bob")
    [(*_, reason)] = alice.seen("onInviteFailed")
    assert "alive" in reason
