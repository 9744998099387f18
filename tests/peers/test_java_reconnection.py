"""An original Java client loses its connection. It hears 102, and comes back only where its program
logs in again, which begins afresh.
"""

from __future__ import annotations

import trio

from tests.peers.helpers import ROOM, Javas, settle


async def test_a_lost_connection_is_102_and_stays_lost(java: Javas) -> None:
    bob = await java.login("bob")
    bob.cut()
    await bob.expect("onLogout", 102)
    await trio.sleep(60)
    assert bob.tries == 1
    assert [told.name for told in bob.heard] == ["onLoginSuccess"]


async def test_messages_that_were_sent_meanwhile_arrive_once(java: Javas) -> None:
    alice, bob = await java.pair()
    await alice.message_instant_send("bob", "before")
    await bob.expect("onMessageInstantReceive", "alice", 0, "before")
    bob.cut()
    await bob.expect("onLogout", 102)
    texts = [f"meanwhile {number}" for number in range(40)]
    for text in texts:
        await alice.message_instant_send("bob", text)
    await bob.login("bob")
    await alice.message_instant_send("bob", "after")
    await settle()
    heard = [text for _, _, text in bob.seen("onMessageInstantReceive")]
    assert heard == [*texts, "after"]


async def test_who_does_not_come_back_leaves_when_its_time_is_over(java: Javas) -> None:
    alice, bob = await java.pair()
    await alice.channel_join(ROOM)
    await bob.channel_join(ROOM)
    await bob.call("user_set_attr", name="_conn_timeout", value="60")
    bob.cut()
    await trio.sleep(59)
    assert alice.seen("onChannelUserLeaved") == []
    await trio.sleep(2)
    await alice.expect("onChannelUserLeaved", "bob", bob.uid)


async def test_a_login_again_begins_afresh(java: Javas) -> None:
    """Its channel is left, and its call ends."""
    alice, bob = await java.pair()
    await alice.channel_join(ROOM)
    await bob.channel_join(ROOM)
    await alice.channel_invite_user2(ROOM, "bob")
    await alice.expect("onInviteReceivedByPeer")
    bob.cut()
    await bob.expect("onLogout", 102)
    await bob.login("bob")
    await alice.expect("onChannelUserLeaved", "bob")
    await alice.expect("onInviteEndByPeer", ROOM, "bob")
    assert await bob.channel_join(ROOM) == ["alice", "bob"]
    await alice.message_channel_send("welcome back")
    await bob.expect("onMessageChannelReceive", "alice", alice.uid, "welcome back")


async def test_a_connection_that_is_cut_right_behind_the_logout_s_answer_is_no_other_end(
    java: Javas,
) -> None:
    """The server has answered: it is offline, whatever the client makes of it."""
    alice, bob = await java.pair()
    await bob.call("user_logout")
    bob.cut()
    await settle()
    assert (await alice.call("user_query_user_status", account="bob"))["status"] == 0
