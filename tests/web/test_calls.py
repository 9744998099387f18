"""Calls between web SDKs, with the server as the referee.

The web SDK acknowledges an invitation by itself; a callee who never does is a client at wire level.
"""

from __future__ import annotations

import json
from typing import Any

from trio.testing import MockClock

from signal_sdk.testing.server import LocalServer
from tests.web.web_peer import WebObject, WebPeer
from tests.wire_client import logged_in

ROOM = "room 1"
TIMEOUT_SECONDS = 20
"""How long an invitation waits for its acknowledgement, and then for an answer."""
SLACK_SECONDS = 5
"""More than the real time between a test's steps."""


def dtmf(keys: str) -> str:
    """What DTMF is in a call's `onInviteMsg`."""
    return json.dumps({"msgtype": "dtmf", "msgdata": keys}, separators=(",", ":"))


async def ring(
    caller: WebObject, callee: WebObject, account: str, extra: Any = ""
) -> tuple[WebObject, WebObject]:
    """A call that rings: the caller's object and the callee's."""
    outgoing = await caller.make("channelInviteUser2", ROOM, account, extra)
    [incoming] = await callee.expect("onInviteReceived")
    await outgoing.expect("onInviteReceivedByPeer")
    return outgoing, incoming


async def talk(caller: WebObject, callee: WebObject, account: str) -> tuple[WebObject, WebObject]:
    """A call that was accepted."""
    outgoing, incoming = await ring(caller, callee, account)
    await incoming.call("channelInviteAccept", "")
    await outgoing.expect("onInviteAcceptedByPeer")
    return outgoing, incoming


async def test_an_invitation_is_received_by_the_peer(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    extra = '{"words": "grüße 🎉", "number": 1}'
    outgoing = await alice.make("channelInviteUser2", ROOM, "bob", extra)
    [incoming] = await bob.expect("onInviteReceived")
    assert incoming.data == {"channelName": ROOM, "peer": "alice", "extra": extra}
    await outgoing.expect("onInviteReceivedByPeer", "")


async def test_an_invitation_is_accepted(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await ring(alice, bob, "bob")
    await incoming.call("channelInviteAccept", '{"yes": 1}')
    await outgoing.expect("onInviteAcceptedByPeer", '{"yes": 1}')


async def test_an_invitation_is_refused(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await ring(alice, bob, "bob")
    await incoming.call("channelInviteRefuse", '{"no": 1}')
    await outgoing.expect("onInviteRefusedByPeer", '{"no": 1}')


async def test_dtmf_goes_both_ways(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await talk(alice, bob, "bob")
    await outgoing.call("channelInviteDTMF", "12#")
    await incoming.expect("onInviteMsg", dtmf("12#"))
    await incoming.call("channelInviteDTMF", "*0")
    await outgoing.expect("onInviteMsg", dtmf("*0"))


async def test_the_caller_ends_a_call(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await talk(alice, bob, "bob")
    await outgoing.call("channelInviteEnd", '{"bye": 1}')
    await outgoing.expect("onInviteEndByMyself", "")
    await incoming.expect("onInviteEndByPeer", '{"bye": 1}')


async def test_the_callee_ends_a_call(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await talk(alice, bob, "bob")
    await incoming.call("channelInviteEnd", '{"bye": 1}')
    await incoming.expect("onInviteEndByMyself", "")
    await outgoing.expect("onInviteEndByPeer", '{"bye": 1}')


async def test_the_caller_ends_a_call_that_rings(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await ring(alice, bob, "bob")
    await outgoing.call("channelInviteEnd", "")
    await incoming.expect("onInviteEndByPeer", "")


async def test_a_logout_ends_a_call(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, _incoming = await talk(alice, bob, "bob")
    await bob.call("logout")
    await outgoing.expect("onInviteEndByPeer", "")


async def test_the_same_two_call_each_other_again(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await talk(alice, bob, "bob")
    await outgoing.call("channelInviteEnd", "")
    await incoming.expect("onInviteEndByPeer", "")
    outgoing, incoming = await talk(bob, alice, "alice")
    await outgoing.call("channelInviteDTMF", "1")
    await incoming.expect("onInviteMsg", dtmf("1"))


async def test_an_invitation_fails_at_once_where_the_peer_must_be_online(web: WebPeer) -> None:
    alice = await web.login("alice")
    extra = '{"_require_peer_online": 1}'
    outgoing = await alice.make("channelInviteUser2", ROOM, "bob", extra)
    await outgoing.expect("onInviteFailed", "peer is not online")


async def test_an_invitation_of_a_peer_who_stays_offline_fails_after_20_seconds(
    web: WebPeer, clock: MockClock
) -> None:
    alice = await web.login("alice")
    outgoing = await alice.make("channelInviteUser2", ROOM, "bob", "")
    await alice.sync()
    clock.jump(TIMEOUT_SECONDS - SLACK_SECONDS)
    await alice.sync()
    assert outgoing.seen("onInviteFailed") == []
    clock.jump(SLACK_SECONDS)
    await outgoing.expect("onInviteFailed", "")


async def test_an_invitation_waits_for_a_peer_who_comes_online(
    web: WebPeer, clock: MockClock
) -> None:
    alice = await web.login("alice")
    outgoing = await alice.make("channelInviteUser2", ROOM, "bob", "")
    await alice.sync()
    clock.jump(TIMEOUT_SECONDS - SLACK_SECONDS)
    bob = await web.login("bob")
    [incoming] = await bob.expect("onInviteReceived")
    await outgoing.expect("onInviteReceivedByPeer", "")
    await incoming.call("channelInviteAccept", "")
    await outgoing.expect("onInviteAcceptedByPeer", "")


async def test_an_invitation_that_timed_out_is_not_received_later(
    web: WebPeer, clock: MockClock
) -> None:
    alice = await web.login("alice")
    outgoing = await alice.make("channelInviteUser2", ROOM, "bob", "")
    await alice.sync()
    clock.jump(TIMEOUT_SECONDS)
    await outgoing.expect("onInviteFailed", "")
    bob = await web.login("bob")
    await alice.call("messageInstantSend", "bob", "sorry, I called")
    await bob.expect("onMessageInstantReceive", "alice", 0, "sorry, I called")
    assert bob.seen("onInviteReceived") == []


async def test_a_call_that_nobody_answers_times_out_after_20_seconds(
    web: WebPeer, clock: MockClock
) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    outgoing, incoming = await ring(alice, bob, "bob")
    clock.jump(TIMEOUT_SECONDS - SLACK_SECONDS)
    await alice.sync()
    assert outgoing.seen("onInviteFailed") == []
    clock.jump(SLACK_SECONDS)
    await outgoing.expect("onInviteFailed", "")
    await incoming.expect("onInviteEndByPeer", "")


async def test_a_call_times_out_as_its_caller_asks(web: WebPeer, clock: MockClock) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    extra = '{"_timeout": 300}'
    outgoing, incoming = await ring(alice, bob, "bob", extra)
    clock.jump(300 - SLACK_SECONDS)
    await alice.sync()
    assert outgoing.seen("onInviteFailed") == []
    clock.jump(SLACK_SECONDS)
    await outgoing.expect("onInviteFailed", extra)
    await incoming.expect("onInviteEndByPeer", "")


async def test_an_invitation_that_nobody_acknowledges_times_out_after_20_seconds(
    web: WebPeer, server: LocalServer, clock: MockClock
) -> None:
    alice = await web.login("alice")
    async with logged_in(server, "bob") as bob:
        outgoing = await alice.make("channelInviteUser2", ROOM, "bob", "")
        await bob.expect("notify")
        clock.jump(TIMEOUT_SECONDS - SLACK_SECONDS)
        await alice.sync()
        assert outgoing.seen("onInviteFailed") == []
        clock.jump(SLACK_SECONDS)
        await outgoing.expect("onInviteFailed", "")
        assert outgoing.seen("onInviteReceivedByPeer") == []


async def test_a_second_invitation_while_one_rings_fails(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    await ring(alice, bob, "bob")
    again = await alice.make("channelInviteUser2", ROOM, "bob", "")
    [reason] = await again.expect("onInviteFailed")
    assert "alive" in reason
