"""Original Java clients with all others: this SDK, a page, a native client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from signal_sdk import Call, CallState, LoginSession, Signal
from signal_sdk.testing.native_peer import native_peer
from signal_sdk.testing.server import LocalServer
from tests.bytes_left import bytes_left, refuses_bytes
from tests.client.fakes import Heard
from tests.peers.helpers import ROOM, Javas
from tests.wire_client import WireClient, logged_in

NO_TOKEN = "_no_need_token"
TEXT = 'grüße 🎉 "quoted" {"json": 1}'


@pytest.fixture
def heard() -> Heard:
    """What our side's callbacks hear."""
    return Heard()


@pytest.fixture
async def bot(server: LocalServer, heard: Heard) -> AsyncIterator[LoginSession]:
    """A session of this SDK, in memory."""

    def take(_: LoginSession, call: Call) -> None:
        call.cb = heard.call

    heard.on("on_invite_received", take)
    async with (
        Signal("app", server=server) as signal,
        signal.login("bot", NO_TOKEN, heard.login) as session,
    ):
        yield session


@pytest.fixture
async def page(server: LocalServer) -> AsyncIterator[WireClient]:
    """A page, at wire level."""
    async with logged_in(server, "page") as page:
        yield page


async def test_messages_both_ways(java: Javas, bot: LoginSession, heard: Heard) -> None:
    alice = await java.login("alice")
    await bot.message_instant_send("alice", TEXT)
    await alice.expect("onMessageInstantReceive", "bot", 0, TEXT)
    await alice.message_instant_send("bot", TEXT)
    assert (await heard.wait("on_message_instant_receive"))[1:] == ("alice", 0, TEXT)


async def test_a_channel_with_both_in_it(java: Javas, bot: LoginSession, heard: Heard) -> None:
    alice = await java.login("alice")
    await alice.channel_join(ROOM)
    await alice.channel_set_attr("topic", "trio")
    channel = await bot.channel_join(ROOM, heard.channel)
    await alice.expect("onChannelUserJoined", "bot", bot.uid)
    assert (await heard.wait("on_channel_attr_updated"))[2:] == ("topic", "trio", "update")
    await channel.message_channel_send(TEXT)
    await alice.expect("onMessageChannelReceive", "bot", bot.uid, TEXT)
    await alice.message_channel_send(TEXT)
    received = await heard.wait("on_message_channel_receive", 2)
    assert (received[2], received[4]) == ("alice", TEXT)
    await channel.channel_set_attr("number", "5")
    await alice.expect("onChannelAttrUpdated", "topic", "trio", "update")
    await alice.expect("onChannelAttrUpdated", "number", "5", "update")
    await alice.channel_leave()
    assert (await heard.wait("on_channel_user_leaved"))[2] == "alice"


async def test_the_java_sdk_calls_ours(java: Javas, bot: LoginSession, heard: Heard) -> None:
    alice = await java.login("alice")
    await alice.channel_invite_user2(ROOM, "bot", "are you there?")
    call = (await heard.wait("on_invite_received"))[1]
    assert (call.channel, call.peer, call.extra) == (ROOM, "alice", "are you there?")
    await alice.expect("onInviteReceivedByPeer", ROOM, "bot")
    await call.channel_invite_accept({"yes": 1})
    await alice.expect("onInviteAcceptedByPeer", ROOM, "bot", bot.uid, '{"yes":1}')
    await call.channel_invite_dtmf("*0")
    await alice.expect("onInviteMsg", ROOM, "bot", bot.uid, '{"msgtype":"dtmf","msgdata":"*0"}')
    await alice.channel_invite_end(ROOM, "bot", "bye")
    assert (await heard.wait("on_invite_end_by_peer"))[2] == "bye"
    assert call.state is CallState.ENDED


async def test_our_sdk_calls_the_java_sdk(java: Javas, bot: LoginSession, heard: Heard) -> None:
    alice = await java.login("alice")
    call = await bot.channel_invite_user2(ROOM, "alice", {"video": 1}, heard.call)
    await alice.expect("onInviteReceived", ROOM, "bot", bot.uid, '{"video":1}')
    await alice.channel_invite_refuse(ROOM, "bot", "busy")
    assert (await heard.wait("on_invite_refused_by_peer"))[2] == "busy"
    call = await bot.channel_invite_user2(ROOM, "alice", "", heard.call)
    await call.channel_invite_end("never mind")
    await alice.expect("onInviteEndByPeer", ROOM, "bot", bot.uid, "never mind")


async def test_each_kind_of_client_reads_an_event_as_it_was_before(
    java: Javas, server: LocalServer, page: WireClient
) -> None:
    """One room, of which only the Java client is told in text."""
    alice = await java.login("alice")
    async with native_peer(server) as carol, logged_in(server, "eve") as eve:
        await carol.login("carol")
        await alice.channel_join(ROOM)
        await carol.channel_join(ROOM)
        await eve.call("channel_join", name=ROOM)
        await page.call("channel_join", name=ROOM)
        await page.call("channel_sendmsg", name=ROOM, msg={"n": [1, None]})
        await alice.expect("onMessageChannelReceive", "page", page.uid, '{"n":[1,null]}')
        assert (await carol.expect("on_message_channel_receive"))[-1] == '{"n":[1,null]}'
        await trio.sleep(0.1)
        for client in (page, eve):
            *_, (_, _, kind, content) = client.channel_events()
            assert (kind, content["msg"]) == ("channel_msg", {"n": [1, None]})


async def test_an_event_is_encoded_once_for_all_java_clients(
    java: Javas, page: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alice", "bob", "carol"):
        await (await java.login(name)).channel_join(ROOM)
    acceptor = java.server.node.acceptor
    wires = {connection._link.outbox.wire for connection in acceptor.connections}
    assert len(wires) == 2
    (wire,) = wires - {java.server.node._links.web_wires.text}
    encoded = []
    encode = type(wire).encode_event

    def counted(self: object, *args: object) -> bytes:
        encoded.append(args)
        return encode(self, *args)  # type: ignore[arg-type]  # whatever it was given

    monkeypatch.setattr(type(wire), "encode_event", counted)
    await page.call("channel_sendmsg", name=ROOM, msg=1, force=True)
    for peer in java.peers:
        await peer.expect("onMessageChannelReceive", "page", page.uid, "1")
    assert len(encoded) == 1


async def test_a_java_client_is_never_sent_bytes(java: Javas, server: LocalServer) -> None:
    """Neither now, nor what the account was sent before."""
    async with bytes_left(server, "alice", "one", "two") as sender:
        alice = await java.login("alice")
        for text in ("one", "two"):
            assert await alice.expect("onMessageInstantReceive") == ("sender", 0, text)
        await alice.channel_join(ROOM)
        await refuses_bytes(sender, "alice", ROOM)
        await sender.message_instant_send("alice", "three")
        assert await alice.expect("onMessageInstantReceive") == ("sender", 0, "three")
