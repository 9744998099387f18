"""Calls between native clients, with the server as the referee.

The native client acknowledges an invitation by itself; a callee who never does is a client at wire
level.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from signal_sdk.errors import SignalError
from signal_sdk.testing.native_peer import NativePeer
from signal_sdk.testing.server import LocalServer
from tests.native.helpers import ROOM, Natives, dev_config, reconnect, settle
from tests.wire_client import logged_in

TIMEOUT_SECONDS = 20
"""How long an invitation waits for its acknowledgement, and then for an answer."""
LEASE_SECONDS = 120
OTHER = 700
PEER_OFFLINE = 703
ENDED = "on_invite_end_by_peer"
FAILED = "on_invite_failed"


def given(extra: str) -> dict[str, Any]:
    """What the caller's user gave, without what the client puts beside it."""
    fields: dict[str, Any] = json.loads(extra)
    del fields["callid"], fields["start_time"]
    return fields


async def ring(caller: NativePeer, callee: NativePeer, extra: str = "{}") -> str:
    """A call that rings; its invitation's `extra` as the callee heard it."""
    await caller.channel_invite_user2(ROOM, callee.account, extra)
    heard: str = (await callee.expect("on_invite_received", ROOM, caller.account, caller.uid))[3]
    await caller.expect("on_invite_received_by_peer", ROOM, callee.account, callee.uid)
    return heard


async def talk(caller: NativePeer, callee: NativePeer) -> None:
    """A call that was accepted."""
    await ring(caller, callee)
    await callee.channel_invite_step("accept", ROOM, caller.account)
    await caller.expect("on_invite_accepted_by_peer", ROOM, callee.account, callee.uid, "")


async def pair(native: Natives) -> tuple[NativePeer, NativePeer]:
    return await native.login("alice"), await native.login("bob")


async def test_an_invitation_is_received_by_the_peer(native: Natives) -> None:
    alice, bob = await pair(native)
    await trio.sleep(5)
    await alice.channel_invite_user2(ROOM, "bob", '{"words": "grüße 🎉", "number": 1}')
    heard = await bob.expect("on_invite_received", ROOM, "alice", alice.uid)
    assert json.loads(heard[3]) == {
        "words": "grüße 🎉",
        "number": 1,
        "callid": f"{alice.uid}_5000",
        "start_time": 5000,
    }
    assert await alice.expect("on_invite_received_by_peer") == (ROOM, "bob", bob.uid)


async def test_an_invitation_is_accepted(native: Natives) -> None:
    alice, bob = await pair(native)
    await ring(alice, bob)
    await bob.channel_invite_step("accept", ROOM, "alice", '{"yes": 1}')
    await alice.expect("on_invite_accepted_by_peer", ROOM, "bob", bob.uid, '{"yes": 1}')


async def test_an_invitation_is_refused(native: Natives) -> None:
    alice, bob = await pair(native)
    await ring(alice, bob)
    await bob.channel_invite_step("refuse", ROOM, "alice", '{"no": 1}')
    await alice.expect("on_invite_refused_by_peer", ROOM, "bob", bob.uid, '{"no": 1}')
    with pytest.raises(SignalError, match="there is no call"):
        await bob.channel_invite_step("accept", ROOM, "alice")


async def test_dtmf_goes_both_ways(native: Natives) -> None:
    alice, bob = await pair(native)
    await talk(alice, bob)
    await alice.channel_invite_dtmf(ROOM, "bob", "12#")
    await bob.expect("on_invite_msg", ROOM, "alice", alice.uid, "dtmf", "12#")
    await bob.channel_invite_dtmf(ROOM, "alice", "*0")
    await alice.expect("on_invite_msg", ROOM, "bob", bob.uid, "dtmf", "*0")


async def test_dtmf_needs_a_call_that_was_accepted(native: Natives) -> None:
    alice, bob = await pair(native)
    await ring(alice, bob)
    with pytest.raises(SignalError, match="does not fit a call that is ringing"):
        await alice.channel_invite_dtmf(ROOM, "bob", "1")
    await settle()
    assert bob.seen("on_invite_msg") == []


async def test_the_caller_ends_a_call(native: Natives) -> None:
    alice, bob = await pair(native)
    await talk(alice, bob)
    await alice.channel_invite_end(ROOM, "bob")
    assert await alice.expect("on_invite_end_by_myself") == (ROOM, "", 0)
    assert await bob.expect(ENDED) == (ROOM, "alice", alice.uid, "")
    await settle()
    assert alice.seen(ENDED) == []


async def test_the_callee_ends_a_call(native: Natives) -> None:
    alice, bob = await pair(native)
    await talk(alice, bob)
    await bob.channel_invite_end(ROOM, "alice")
    assert await bob.expect("on_invite_end_by_myself") == (ROOM, "", 0)
    assert await alice.expect(ENDED) == (ROOM, "bob", bob.uid, "")


async def test_an_end_says_more_where_its_extra_does(native: Natives) -> None:
    alice, bob = await pair(native)
    await talk(alice, bob)
    await alice.call(
        "call_bye", channelName=ROOM, srcNum="alice", destNum="bob", extra='{"bye": 1}'
    )
    await bob.expect(ENDED, ROOM, "alice", alice.uid, '{"bye": 1}')


async def test_an_end_names_one_s_own_account(native: Natives) -> None:
    alice, bob = await pair(native)
    await talk(alice, bob)
    carol = await native.login("carol")
    with pytest.raises(SignalError, match="srcNum"):
        await carol.call("call_bye", channelName=ROOM, srcNum="alice", destNum="bob")
    await settle()
    assert bob.seen(ENDED) == []
    await alice.channel_invite_dtmf(ROOM, "bob", "1")


async def test_the_caller_ends_a_call_that_rings(native: Natives) -> None:
    alice, bob = await pair(native)
    await ring(alice, bob)
    await alice.channel_invite_end(ROOM, "bob")
    await bob.expect(ENDED, ROOM, "alice", alice.uid, "")


async def test_the_callee_ends_a_call_that_rings(native: Natives) -> None:
    alice, bob = await pair(native)
    await ring(alice, bob)
    await bob.channel_invite_end(ROOM, "alice")
    await alice.expect(ENDED, ROOM, "bob", bob.uid, "")


async def log_out(bob: NativePeer, native: Natives) -> None:
    await bob.logout()


async def log_in_afresh(bob: NativePeer, native: Natives) -> None:
    await native.login("bob")


async def stay_away(bob: NativePeer, native: Natives) -> None:
    bob.vanish()
    await trio.sleep(LEASE_SECONDS)


@pytest.mark.parametrize("go", [log_out, log_in_afresh, stay_away])
async def test_a_logout_ends_a_call(
    native: Natives, go: Callable[[NativePeer, Natives], Awaitable[None]]
) -> None:
    """As does all else that ends the presence: a login begins afresh."""
    alice, bob = await pair(native)
    await talk(alice, bob)
    await go(bob, native)
    assert (await alice.expect(ENDED))[:2] == (ROOM, "bob")


async def test_the_same_two_call_each_other_again(native: Natives) -> None:
    alice, bob = await pair(native)
    await talk(alice, bob)
    await alice.channel_invite_end(ROOM, "bob")
    await bob.expect(ENDED)
    await talk(bob, alice)
    await bob.channel_invite_dtmf(ROOM, "alice", "1")
    await alice.expect("on_invite_msg", ROOM, "bob", bob.uid, "dtmf", "1")


async def test_an_invitation_fails_at_once_where_the_peer_must_be_online(native: Natives) -> None:
    alice = await native.login("alice")
    with pytest.raises(SignalError) as caught:
        await alice.channel_invite_user2(ROOM, "bob", '{"_require_peer_online": 1}')
    assert (caught.value.ecode, caught.value.reason) == (1001, "peer is not online")
    *who, extra = await alice.expect(FAILED)
    assert who == [ROOM, "bob", 0, PEER_OFFLINE]
    assert given(extra) == {"_require_peer_online": 1}
    await trio.sleep(TIMEOUT_SECONDS)
    assert alice.seen(FAILED) == []


async def test_an_invitation_of_a_peer_who_stays_offline_fails_after_20_seconds(
    native: Natives,
) -> None:
    """As 700: the native client does not look at what such an entry carries."""
    alice = await native.login("alice")
    await alice.channel_invite_user2(ROOM, "bob", '{"topic": "tea"}')
    await trio.sleep(TIMEOUT_SECONDS - 1)
    assert alice.seen(FAILED) == []
    await trio.sleep(1.1)
    [(*who, extra)] = alice.seen(FAILED)
    assert who == [ROOM, "bob", 0, OTHER]
    fields = json.loads(extra)
    assert set(fields) == {"topic", "callid", "start_time"}
    assert fields["callid"] == f"{alice.uid}_{fields['start_time']}"


async def test_an_invitation_waits_for_a_peer_who_comes_online(native: Natives) -> None:
    alice = await native.login("alice")
    await alice.channel_invite_user2(ROOM, "bob")
    await trio.sleep(TIMEOUT_SECONDS - 1)
    bob = await native.login("bob")
    await bob.expect("on_invite_received", ROOM, "alice", alice.uid)
    await alice.expect("on_invite_received_by_peer", ROOM, "bob", bob.uid)
    await trio.sleep(TIMEOUT_SECONDS - 1)
    await bob.channel_invite_step("accept", ROOM, "alice")
    await alice.expect("on_invite_accepted_by_peer", ROOM, "bob", bob.uid, "")
    assert alice.seen(FAILED) == []


async def test_an_invitation_that_timed_out_is_not_received_later(native: Natives) -> None:
    alice = await native.login("alice")
    await alice.channel_invite_user2(ROOM, "bob")
    await trio.sleep(TIMEOUT_SECONDS + 0.1)
    await alice.expect(FAILED, ROOM, "bob")
    bob = await native.login("bob")
    await alice.message_instant_send("bob", "sorry, I called")
    await bob.expect("on_message_instant_receive", "alice", 0, "sorry, I called")
    await settle()
    assert bob.seen("on_invite_received") == []


async def test_a_call_that_nobody_answers_times_out_after_20_seconds(native: Natives) -> None:
    alice, bob = await pair(native)
    await ring(alice, bob)
    await trio.sleep(TIMEOUT_SECONDS - 1)
    assert alice.seen(FAILED) == []
    await trio.sleep(1.1)
    [(*who, extra)] = alice.seen(FAILED)
    assert (who, given(extra)) == ([ROOM, "bob", bob.uid, OTHER], {})
    assert bob.seen(ENDED) == [(ROOM, "alice", alice.uid, "")]


async def test_a_call_times_out_as_its_caller_asks(native: Natives) -> None:
    alice, bob = await pair(native)
    extra = await ring(alice, bob, '{"_timeout": 300}')
    assert given(extra) == {"_timeout": 300}
    await trio.sleep(299)
    assert alice.seen(FAILED) == []
    await trio.sleep(1.1)
    assert alice.seen(FAILED) == [(ROOM, "bob", bob.uid, OTHER, extra)]
    assert len(bob.seen(ENDED)) == 1


@pytest.mark.parametrize("config", [dev_config(silence_seconds=1000)])
async def test_an_invitation_that_nobody_acknowledges_times_out_after_20_seconds(
    native: Natives, server: LocalServer
) -> None:
    alice = await native.login("alice")
    async with logged_in(server, "bob") as bob:
        await alice.channel_invite_user2(ROOM, "bob")
        await bob.expect("notify")
        await trio.sleep(TIMEOUT_SECONDS - 1)
        assert alice.seen(FAILED) == []
        await trio.sleep(1.1)
        [(*who, _extra)] = alice.seen(FAILED)
        assert who == [ROOM, "bob", bob.uid, OTHER]
        assert alice.seen("on_invite_received_by_peer") == []


async def test_a_second_invitation_while_one_rings_fails(native: Natives) -> None:
    alice, bob = await pair(native)
    await ring(alice, bob)
    with pytest.raises(SignalError, match="alive"):
        await alice.channel_invite_user2(ROOM, "bob")
    await alice.expect(FAILED, ROOM, "bob", 0, OTHER)
    # The first one goes on.
    await bob.channel_invite_step("accept", ROOM, "alice")
    await alice.expect("on_invite_accepted_by_peer")


async def test_a_call_outlives_a_reconnection_and_what_was_missed_of_it_is_told(
    native: Natives,
) -> None:
    alice, bob = await pair(native)
    await settle()
    await ring(alice, bob)

    async def accept() -> None:
        await bob.channel_invite_step("accept", ROOM, "alice", '{"yes": 1}')
        await bob.channel_invite_dtmf(ROOM, "alice", "7")

    await reconnect(alice, accept)
    await alice.expect("on_invite_accepted_by_peer", ROOM, "bob", bob.uid, '{"yes": 1}')
    await alice.expect("on_invite_msg", ROOM, "bob", bob.uid, "dtmf", "7")
    await alice.channel_invite_end(ROOM, "bob")
    await bob.expect(ENDED, ROOM, "alice", alice.uid, "")


# --- phones ---


async def test_a_phone_call_rings_at_the_account_of_that_name(native: Natives) -> None:
    alice, gateway = await native.login("alice"), await native.login("0123456")
    await alice.call(
        "pstn_invite", channelName=ROOM, srcNum="555", destNum="0123456", extra='{"a": 1}'
    )
    heard = await gateway.expect("on_invite_received", ROOM, "alice", alice.uid)
    assert json.loads(heard[3]) == {"a": 1, "srcNum": "555"}
    await alice.expect("on_invite_received_by_peer", ROOM, "0123456", gateway.uid)
    await gateway.channel_invite_step("accept", ROOM, "alice")
    await alice.expect("on_invite_accepted_by_peer", ROOM, "0123456", gateway.uid, "")
    await alice.channel_invite_end(ROOM, "0123456")
    await gateway.expect(ENDED, ROOM, "alice", alice.uid, "")


async def dial(peer: NativePeer, other: NativePeer, cid: str) -> None:
    """Dial in the call that `cid` names."""
    await peer.call("pstn_dtmf", cid=cid, dtmf="12#")
    await other.expect("on_invite_msg", ROOM, peer.account, peer.uid, "dtmf", "12#")


async def test_pstn_dtmf_names_its_call_by_its_id(native: Natives) -> None:
    alice, bob = await pair(native)
    call_id = json.loads(await ring(alice, bob))["callid"]
    await bob.channel_invite_step("accept", ROOM, "alice")
    await dial(alice, bob, call_id)
    await dial(bob, alice, call_id)
    with pytest.raises(SignalError, match="there is no call that is known as 'another'"):
        await alice.call("pstn_dtmf", cid="another", dtmf="1")


async def test_pstn_dtmf_names_its_call_by_its_channel(native: Natives) -> None:
    """Whose name may hold white space."""
    alice, bob = await pair(native)
    await talk(alice, bob)
    await dial(alice, bob, ROOM)
    await dial(bob, alice, ROOM)
