"""The web SDK loses its connection, and logs in again by itself."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from signal_sdk.server.wires.web import WebClientLink
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import typed
from tests.web.test_channels import ROOM, join
from tests.web.web_peer import WebObject, WebPeer, cut


async def reconnect(web: WebPeer, server: LocalServer, session: WebObject, account: str) -> None:
    """Break a session's connection, and wait until the SDK has logged in again."""
    cut(server, account)
    await session.expect("onLoginSuccess")


async def test_the_sdk_logs_in_again_by_itself(web: WebPeer, server: LocalServer) -> None:
    bob = await web.login("bob")
    await reconnect(web, server, bob, "bob")
    found = await bob.invoke("user_query_user_status", account="bob")
    assert found["status"] == 1
    assert bob.seen("onLogout") == []


async def test_a_member_that_reconnects_never_left(web: WebPeer, server: LocalServer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    room = await join(alice)
    await join(bob)
    await room.expect("onChannelUserJoined")
    await reconnect(web, server, bob, "bob")
    found = await bob.invoke("channel_query_user_isin", name=ROOM, account="bob")
    assert found["isin"] == 1
    await alice.sync()
    assert web.of(room.name) == []


async def test_messages_that_were_sent_meanwhile_arrive(web: WebPeer, server: LocalServer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    await web.set_network(up=False)
    cut(server, "bob")
    assert await alice.request("messageInstantSend", "bob", "meanwhile") == [False]
    assert bob.seen("onMessageInstantReceive") == []
    await web.set_network(up=True)
    await bob.expect("onLoginSuccess")
    await bob.expect("onMessageInstantReceive", "alice", 0, "meanwhile")


async def test_a_message_right_behind_the_login_is_heard_once(
    web: WebPeer, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page has not said by then that it reads lines with ids, by which alone it knows after a
    reconnection what it has had.
    """
    alice, before = await web.login("alice"), await web.login("bob")
    assert await alice.request("messageInstantSend", "bob", "early") == [False]
    page = await before.invoke("user_getmsg", ver_clear=0, max=1)
    [(version, line)] = page["msgs"]
    send = WebClientLink.send

    def send_with_entry(link: WebClientLink, frame: typed.ServerFrame) -> None:
        send(link, frame)
        if type(frame) is typed.LoggedIn:
            send(link, typed.Entry(version, line))

    monkeypatch.setattr(WebClientLink, "send", send_with_entry)
    bob = await web.login("bob")
    await bob.expect("onMessageInstantReceive", "alice", 0, "early")
    await reconnect(web, server, bob, "bob")
    await bob.sync()
    assert bob.seen("onMessageInstantReceive") == []


async def test_a_member_hears_its_channel_again_once_its_page_has_joined_again(
    web: WebPeer, server: LocalServer
) -> None:
    """A page joins again in `onLoginSuccess`: by then the SDK has forgotten its channel."""
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room, bobs_old_room = await join(alice), await join(bob)
    await alices_room.expect("onChannelUserJoined")
    await reconnect(web, server, bob, "bob")
    bobs_room = await bob.make("channelJoin", ROOM)
    await bobs_room.expect("onChannelJoined")
    [members] = await bobs_room.expect("onChannelUserList")
    assert sorted(account for account, _uid in members) == ["alice", "bob"]
    await alices_room.request("messageChannelSend", "welcome back")
    [account, _uid, message] = await bobs_room.expect("onMessageChannelReceive")
    assert (account, message) == ("alice", "welcome back")
    assert alices_room.seen("onChannelUserJoined") == []
    assert alices_room.seen("onChannelUserLeaved") == []
    assert web.of(bobs_old_room.name) == []


async def test_channel_events_before_its_page_has_joined_again_do_no_harm(
    web: WebPeer, server: LocalServer
) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room = await join(alice)
    await join(bob)
    await reconnect(web, server, bob, "bob")
    await alices_room.request("messageChannelSend", "who is there?")
    await alice.request("messageInstantSend", "bob", "are you there?")
    await bob.expect("onMessageInstantReceive", "alice", 0, "are you there?")
    bobs_room = await join(bob)
    await alices_room.request("messageChannelSend", "and now?")
    [_account, _uid, message] = await bobs_room.expect("onMessageChannelReceive")
    assert message == "and now?"


async def test_a_channel_object_from_before_still_sends(web: WebPeer, server: LocalServer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    alices_room, bobs_room = await join(alice), await join(bob)
    await reconnect(web, server, bob, "bob")
    await bobs_room.call("messageChannelSend", "still here")
    [account, _uid, message] = await alices_room.expect("onMessageChannelReceive")
    assert (account, message) == ("bob", "still here")
    await bob.sync()


async def test_who_does_not_come_back_leaves_when_its_time_is_over(
    web: WebPeer, server: LocalServer, clock: MockClock
) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    room = await join(alice)
    await join(bob)
    await bob.invoke("user_set_attr", name="_conn_timeout", value="60")
    await web.set_network(up=False)
    cut(server, "bob")
    await alice.sync()
    clock.jump(55)
    await alice.sync()
    assert room.seen("onChannelUserLeaved") == []
    clock.jump(5)
    [account, _uid] = await room.expect("onChannelUserLeaved")
    assert account == "bob"
