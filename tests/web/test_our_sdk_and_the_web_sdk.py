"""Our SDK and the original web SDK, each as the other's peer, through one server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import Call, CallState, LoginSession, Signal
from signal_sdk.errors import SignalError
from signal_sdk.testing.server import LocalServer
from tests.bytes_left import bytes_left, refuses_bytes
from tests.client.fakes import Heard
from tests.web.web_peer import WebObject, WebPeer

ROOM = "room 1"
NO_TOKEN = "_no_need_token"
TEXT = 'grüße 🎉 "quoted" {"json": 1}'


@asynccontextmanager
async def ours(server: LocalServer, account: str, heard: Heard) -> AsyncIterator[LoginSession]:
    """A session of our SDK, over the network as a program's."""

    def take(_: LoginSession, call: Call) -> None:
        call.cb = heard.call

    heard.on("on_invite_received", take)
    async with (
        Signal("app", server=server.address) as signal,
        signal.login(account, NO_TOKEN, heard.login) as session,
    ):
        yield session


@pytest.fixture
def heard() -> Heard:
    """What our side's callbacks hear."""
    return Heard()


async def join(session: WebObject, name: str = ROOM) -> WebObject:
    channel = await session.make("channelJoin", name)
    await channel.expect("onChannelJoined")
    return channel


async def test_messages_both_ways(web: WebPeer, server: LocalServer, heard: Heard) -> None:
    page = await web.login("page")
    async with ours(server, "bot", heard) as bot:
        await bot.message_instant_send("page", TEXT)
        await page.expect("onMessageInstantReceive", "bot", 0, TEXT)
        await page.request("messageInstantSend", "bot", TEXT)
        assert (await heard.wait("on_message_instant_receive"))[1:] == ("page", 0, TEXT)
        await page.request("messageInstantSend", "bot", {"number": 1})
        assert (await heard.wait("on_message_instant_receive", 2))[3] == '{"number":1}'


async def test_forty_messages_wait_for_our_sdk(
    web: WebPeer, server: LocalServer, heard: Heard
) -> None:
    """More than one poll brings them, in order and once."""
    page = await web.login("page")
    for number in range(40):
        await page.request("messageInstantSend", "bot", f"message {number}")
    async with ours(server, "bot", heard):
        await heard.wait("on_message_instant_receive", 40)
    texts = [entry[3] for entry in heard.of("on_message_instant_receive")]
    assert texts == [f"message {number}" for number in range(40)]
    again = Heard()
    async with ours(server, "bot", again):
        await page.request("messageInstantSend", "bot", "the next one")
        assert (await again.wait("on_message_instant_receive"))[3] == "the next one"


async def test_forty_messages_wait_for_the_web_sdk(
    web: WebPeer, server: LocalServer, heard: Heard
) -> None:
    async with ours(server, "bot", heard) as bot:
        for number in range(40):
            await bot.message_instant_send("page", f"message {number}")
        page = await web.login("page")
        for number in range(40):
            await page.expect("onMessageInstantReceive", "bot", 0, f"message {number}")
        await bot.message_instant_send("page", "the next one")
        await page.expect("onMessageInstantReceive", "bot", 0, "the next one")


async def test_a_message_whose_time_is_over_does_not_reach_the_web_sdk(
    web: WebPeer, server: LocalServer, heard: Heard, clock: MockClock
) -> None:
    async with ours(server, "bot", heard) as bot:
        await bot.message_instant_send("page", "too late", 5)
        await bot.message_instant_send("page", "in time", 500)
        clock.jump(6)
        page = await web.login("page")
        await page.expect("onMessageInstantReceive", "bot", 0, "in time")


async def test_a_channel_with_both_in_it(web: WebPeer, server: LocalServer, heard: Heard) -> None:
    """Each sees the other come, speak, change attributes and go."""
    page = await web.login("page")
    room = await join(page)
    await room.request("channelSetAttr", "topic", "trio")
    async with ours(server, "bot", heard) as bot:
        channel = await bot.channel_join(ROOM, heard.channel)
        [account, uid] = await room.expect("onChannelUserJoined")
        assert (account, uid) == ("bot", bot.uid)
        users = (await heard.wait("on_channel_user_list"))[2]
        assert users == ["page", "bot"]
        updated = await heard.wait("on_channel_attr_updated")
        assert updated[2:] == ("topic", "trio", "update")

        await channel.message_channel_send(TEXT)
        await room.expect("onMessageChannelReceive", "bot", bot.uid, TEXT)
        await room.request("messageChannelSend", TEXT)
        received = await heard.wait("on_message_channel_receive", 2)
        assert (received[2], received[4]) == ("page", TEXT)

        await channel.channel_set_attr("topic", "msgspec")
        await room.expect("onChannelAttrUpdated", "topic", "trio", "update")
        await room.expect("onChannelAttrUpdated", "topic", "msgspec", "update")
        await room.request("channelDelAttr", "topic")
        assert (await heard.wait("on_channel_attr_updated", 3))[2:] == ("topic", "", "del")
        await channel.channel_clear_attr()
        await room.expect("onChannelAttrUpdated", "topic", "", "del")
        await room.expect("onChannelAttrUpdated", "", "", "clear")

        await room.request("channelLeave")
        assert (await heard.wait("on_channel_user_leaved"))[2] == "page"
        room = await join(page)
        await channel.channel_leave()
        await room.expect("onChannelUserLeaved", "bot", bot.uid)


async def test_each_sees_the_other_s_state(web: WebPeer, server: LocalServer, heard: Heard) -> None:
    """Presence, user attributes and the queries, asked from either side about the other."""
    page = await web.login("page")
    async with ours(server, "bot", heard) as bot:
        assert await bot.query_user_status("page") is True
        assert (await page.invoke("user_query_user_status", account="bot"))["status"] == 1
        await bot.invoke("user_set_attr", {"name": "colour", "value": "blue"})
        answer = await page.invoke("user_get_attr", account="bot", name="colour")
        assert answer["value"] == "blue"
        await join(page)
        assert await bot.channel_query_user_is_in(ROOM, "page") is True
        assert [account for account, _ in await bot.channel_query_user_list(ROOM)] == ["page"]
    assert (await page.invoke("user_query_user_status", account="bot"))["status"] == 0


async def test_the_web_sdk_calls_ours(web: WebPeer, server: LocalServer, heard: Heard) -> None:
    page = await web.login("page")
    async with ours(server, "bot", heard):
        outgoing = await page.make("channelInviteUser2", ROOM, "bot", '{"video": 1}')
        call = (await heard.wait("on_invite_received"))[1]
        assert (call.channel, call.peer, call.extra) == (ROOM, "page", '{"video": 1}')
        await outgoing.expect("onInviteReceivedByPeer")
        await call.channel_invite_accept('{"yes": 1}')
        await outgoing.expect("onInviteAcceptedByPeer", '{"yes": 1}')
        await outgoing.call("channelInviteDTMF", "12#")
        extra = (await heard.wait("on_invite_msg"))[2]
        assert extra == '{"msgtype":"dtmf","msgdata":"12#"}'
        await call.channel_invite_dtmf("*0")
        await outgoing.expect("onInviteMsg", '{"msgtype":"dtmf","msgdata":"*0"}')
        await outgoing.call("channelInviteEnd", '{"bye": 1}')
        assert (await heard.wait("on_invite_end_by_peer"))[2] == '{"bye": 1}'
        assert call.state is CallState.ENDED


async def test_our_sdk_calls_the_web_sdk(web: WebPeer, server: LocalServer, heard: Heard) -> None:
    page = await web.login("page")
    async with ours(server, "bot", heard) as bot:
        call = await bot.channel_invite_user2(ROOM, "page", {"video": 1}, heard.call)
        [incoming] = await page.expect("onInviteReceived")
        await heard.wait("on_invite_received_by_peer")
        await incoming.call("channelInviteAccept", "")
        await heard.wait("on_invite_accepted_by_peer")
        await call.channel_invite_dtmf("5")
        await incoming.expect("onInviteMsg", '{"msgtype":"dtmf","msgdata":"5"}')
        await call.channel_invite_end()
        await incoming.expect("onInviteEndByPeer")
        await heard.wait("on_invite_end_by_myself")


async def test_either_refuses_the_other(web: WebPeer, server: LocalServer, heard: Heard) -> None:
    page = await web.login("page")
    async with ours(server, "bot", heard) as bot:
        outgoing = await page.make("channelInviteUser2", ROOM, "bot", "")
        call = (await heard.wait("on_invite_received"))[1]
        await call.channel_invite_refuse('{"busy": 1}')
        await outgoing.expect("onInviteRefusedByPeer", '{"busy": 1}')
        await bot.channel_invite_user2(ROOM, "page", "", heard.call)
        [incoming] = await page.expect("onInviteReceived")
        await incoming.call("channelInviteRefuse", '{"busy": 2}')
        assert (await heard.wait("on_invite_refused_by_peer"))[2] == '{"busy": 2}'


async def test_nobody_answers_the_other(
    web: WebPeer, server: LocalServer, heard: Heard, clock: MockClock
) -> None:
    """A call that rings runs out for both, whoever called; one to nobody fails at once."""
    page = await web.login("page")
    async with ours(server, "bot", heard) as bot:
        await bot.channel_invite_user2(ROOM, "page", {"_timeout": 8}, heard.call)
        [incoming] = await page.expect("onInviteReceived")
        await heard.wait("on_invite_received_by_peer")
        clock.jump(9)
        assert (await heard.wait("on_invite_failed"))[2] == 704
        await incoming.expect("onInviteEndByPeer")
        with pytest.raises(SignalError, match=r"^peer is not online") as caught:
            await bot.channel_invite_user2(ROOM, "nobody", {"_require_peer_online": 1}, heard.call)
        assert caught.value.ecode == 703
        assert (await heard.wait("on_invite_failed", 2))[2] == 703


async def test_a_login_on_the_page_ends_our_session(
    web: WebPeer, server: LocalServer, heard: Heard
) -> None:
    """One account is logged in once, with whichever SDK it was last."""
    async with ours(server, "someone", heard) as session:
        page = await web.login("someone")
        with trio.fail_after(20):
            assert await session.wait_logged_out() == 103
        again = Heard()
        async with ours(server, "someone", again):
            await page.expect("onLogout", 103)


async def test_a_page_is_never_sent_bytes(web: WebPeer, server: LocalServer) -> None:
    """Neither now, nor what the account was sent before."""
    async with bytes_left(server.address, "page", "one", "two") as sender:
        page = await web.login("page")
        for text in ("one", "two"):
            await page.expect("onMessageInstantReceive", "sender", 0, text)
        channel = await join(page)
        await refuses_bytes(sender, "page", ROOM)
        await sender.message_instant_send("page", "three")
        await page.expect("onMessageInstantReceive", "sender", 0, "three")
        await sender.message_channel_send_force(ROOM, "four")
        await channel.expect("onMessageChannelReceive", "sender", sender.uid, "four")
