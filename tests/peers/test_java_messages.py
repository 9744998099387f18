"""Instant messages between original Java clients: at once, kept for a peer that is offline, in
order, once, and with as few polls as there can be.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio
import trio.lowlevel

from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import names
from tests.peers.helpers import Javas, settle
from tests.peers.java_peer import DEVICE, TTL_SECONDS, VER, JavaPeer, Refused
from tests.wire_client import WireClient, logged_in

LONG = "\n" * 32_000
"""Of characters that do not count, a message holds four times as many; of such messages, a page
holds 16."""


def polls(peer: JavaPeer) -> int:
    """How many polls of a client were answered."""
    return sum(frame[0] == "call2-ret" and '"msgs":' in frame[1][2] for frame in peer.frames)


def heard(peer: JavaPeer) -> list[str]:
    """The texts of all messages that nobody has taken."""
    return [text for _account, _uid, text in peer.seen("onMessageInstantReceive")]


async def test_messages_go_both_ways_without_a_poll(java: Javas) -> None:
    alice, bob = await java.pair()
    for number in range(50):
        await alice.message_instant_send("bob", f"hello {number}")
        await bob.message_instant_send("alice", f"hello yourself {number}")
    await settle()
    assert heard(bob) == [f"hello {number}" for number in range(50)]
    assert heard(alice) == [f"hello yourself {number}" for number in range(50)]
    assert (polls(alice), polls(bob)) == (1, 1)
    pushed = [frame for frame in bob.frames if frame[0] == "notify"]
    assert all(frame[1].split(" ")[1] == "recvmsg" for frame in pushed)


@pytest.mark.parametrize(
    "text",
    [
        "grüße 你好 🎉",
        "  spaces  before,   between and behind  ",
        "two\nlines\tand a tab",
        '{"quoted": "\\u0000"}',
        "",
        "🎉" * 4096,
    ],
    ids=["unicode", "spaces", "lines", "json", "empty", "long"],
)
async def test_a_text_arrives_as_it_was_sent(java: Javas, text: str) -> None:
    """Handed over, and polled."""
    alice, bob = await java.pair()
    await alice.message_instant_send("bob", text)
    await bob.expect("onMessageInstantReceive", "alice", 0, text)
    await alice.message_instant_send("eve", text)
    eve = await java.login("eve")
    await eve.expect("onMessageInstantReceive", "alice", 0, text)


async def test_a_message_that_is_too_long_fails(java: Javas) -> None:
    alice = await java.login("alice")
    with pytest.raises(Refused, match="8192"):
        await alice.message_instant_send("bob", "x" * 8193)


async def test_a_message_waits_for_30_days_which_is_what_its_sender_asks_for(java: Javas) -> None:
    assert TTL_SECONDS == names.MAX_TTL_SECONDS == 30 * 24 * 3600
    alice = await java.login("alice")
    await alice.message_instant_send("bob", "for later")
    await alice.message_instant_send("eve", "too late", 60)
    await trio.sleep(3700)
    bob, eve = await java.login("bob"), await java.login("eve")
    await bob.expect("onMessageInstantReceive", "alice", 0, "for later")
    assert any(" alice bob v1:E:2592000 instant " in str(frame) for frame in bob.frames)
    await settle()
    assert heard(eve) == []


@pytest.mark.parametrize("count", [29, 30, 31, 40, 60, 61, 95])
async def test_messages_before_the_login_arrive_in_order_and_once(java: Javas, count: int) -> None:
    alice = await java.login("alice")
    texts = [f"message {number}" for number in range(count)]
    for number, text in enumerate(texts, 1):
        await alice.message_instant_send("bob", text)
        if number % 50 == 0:
            await trio.sleep(1)
    bob = await java.login("bob")
    await alice.message_instant_send("bob", "the end")
    await alice.message_instant_send("bob", "and after")
    await settle()
    assert heard(bob) == [*texts, "the end", "and after"]


async def test_messages_too_long_for_one_page_arrive_in_order_and_once(java: Javas) -> None:
    alice = await java.login("alice")
    texts = [f"{number} {LONG}" for number in range(40)]
    for text in texts:
        await alice.message_instant_send("bob", text)
    bob = await java.login("bob")
    await settle()
    assert heard(bob) == texts


async def test_messages_that_come_while_it_polls_arrive_in_order_and_once(java: Javas) -> None:
    alice, bob = await java.pair()
    texts = [f"message {number}" for number in range(40)]

    async def send() -> None:
        for text in texts:
            await alice.message_instant_send("bob", text)

    async def poll() -> None:
        for _ in range(20):
            bob.poll()
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(poll)
    await settle()
    assert heard(bob) == texts


async def test_a_message_with_a_ttl_that_is_over_leaves_no_hole(java: Javas) -> None:
    """What comes behind an entry that nobody can have any more is announced, and polled."""
    alice = await java.login("alice")
    await alice.message_instant_send("bob", "first", 1000)
    await alice.message_instant_send("bob", "too short", 1)
    await trio.sleep(2)
    bob = await java.login("bob")
    await alice.message_instant_send("bob", "second")
    await alice.message_instant_send("bob", "third")
    await settle()
    assert heard(bob) == ["first", "second", "third"]


# --- at wire level --------------------------------------------------------------------------------


@pytest.fixture
async def bob(server: LocalServer) -> AsyncIterator[WireClient]:
    """A Java client that does nothing by itself."""
    async with logged_in(server, "bob", device=DEVICE, ver=VER) as bob:
        yield bob


@pytest.fixture
async def ann(server: LocalServer) -> AsyncIterator[WireClient]:
    async with logged_in(server, "ann") as ann:
        yield ann


async def send(ann: WireClient, *texts: str) -> None:
    for text in texts:
        await ann.call("user_sendmsg", peer="bob", flag="v1:E:900", t="instant", content=text)


async def versions(bob: WireClient, ver_clear: int) -> list[int]:
    page = await bob.call("user_getmsg", ver_clear=ver_clear, max=30)
    return [version for version, _ in page["msgs"]]


async def told(bob: WireClient) -> list[Any]:
    """All that was said of the inbox since the last time: ("msg", VERSION) or ("push", VERSION)."""
    await settle()
    taken = [payload for event, payload in bob.seen if event == "notify"]
    bob.seen = [frame for frame in bob.seen if frame[0] != "notify"]
    return [
        tuple(payload)
        if payload[0] == "msg"
        else ("push", msgspec.json.decode(payload.split(" ", 2)[2])[0])
        for payload in taken
    ]


async def test_an_entry_is_announced_until_it_has_polled_and_then_handed_over(
    ann: WireClient, bob: WireClient
) -> None:
    await send(ann, "1")
    assert await told(bob) == [("msg", 1)]
    assert await versions(bob, 0) == [1]
    await send(ann, "2", "3")
    assert await told(bob) == [("push", 2), ("push", 3)]


async def test_an_answer_without_an_entry_leaves_before_that_is_announced(
    ann: WireClient, bob: WireClient, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the journal takes its time: what comes meanwhile is announced behind the answer."""
    engine = server.node.engine
    waiting: list[Any] = []
    await versions(bob, 0)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "when_durable", waiting.append)
        callid = bob.request("user_getmsg", ver_clear=0, max=30)
        await settle()
        assert len(waiting) == 1
    await send(ann, "1", "2")
    assert await told(bob) == []
    waiting[0](None)
    assert (await bob.reply(callid))["msgs"] == []
    assert await told(bob) == [("msg", 2)]
    assert await versions(bob, 0) == [1, 2]
    await send(ann, "3")
    assert await told(bob) == [("push", 3)]


async def test_what_was_handed_over_is_not_in_an_answer_that_crosses_it(
    ann: WireClient, bob: WireClient
) -> None:
    """It is where the client asks from below again."""
    await versions(bob, 0)
    await send(ann, "1", "2")
    assert await told(bob) == [("push", 1), ("push", 2)]
    assert await versions(bob, 0) == []
    assert await versions(bob, 0) == [1, 2]
    await send(ann, "3")
    assert await told(bob) == [("push", 3)]
    assert await versions(bob, 2) == []


async def test_two_polls_at_once_return_an_entry_once(ann: WireClient, bob: WireClient) -> None:
    await send(ann, "1", "2")
    callids = [bob.request("user_getmsg", ver_clear=0, max=30) for _ in range(2)]
    pages = [(await bob.reply(callid))["msgs"] for callid in callids]
    assert [[version for version, _ in page] for page in pages] == [[1, 2], []]
    assert await versions(bob, 0) == [1, 2]


async def test_a_refused_poll_keeps_nothing_back(ann: WireClient, bob: WireClient) -> None:
    await versions(bob, 0)
    assert (await bob.call("user_getmsg", ver_clear=0, max=-1))["result"] == "failed"
    await send(ann, "1")
    assert await told(bob) == [("push", 1)]


async def test_a_full_page_is_followed_by_an_announcement(ann: WireClient, bob: WireClient) -> None:
    """Whether the client polls again by itself or not."""
    await send(ann, *map(str, range(35)))
    await told(bob)
    assert len(await versions(bob, 0)) == 30
    assert await told(bob) == [("msg", 31)]
    assert await versions(bob, 30) == [31, 32, 33, 34, 35]
    assert await told(bob) == []


async def test_a_full_page_that_is_all_there_is_is_followed_by_nothing(
    ann: WireClient, bob: WireClient
) -> None:
    await send(ann, *map(str, range(30)))
    await told(bob)
    assert len(await versions(bob, 0)) == 30
    assert await told(bob) == []


async def test_a_page_of_fewer_than_are_there_is_followed_by_an_announcement(
    ann: WireClient, bob: WireClient
) -> None:
    """Whatever the client asked for."""
    await send(ann, *map(str, range(5)))
    await told(bob)
    page = await bob.call("user_getmsg", ver_clear=0, max=3)
    assert [version for version, _ in page["msgs"]] == [1, 2, 3]
    assert await told(bob) == [("msg", 4)]


async def test_a_page_that_is_cut_since_it_is_long_is_followed_by_an_announcement(
    ann: WireClient, bob: WireClient
) -> None:
    """The client takes a page of fewer than 30 for all there is."""
    await send(ann, *[LONG] * 20)
    await told(bob)
    assert await versions(bob, 0) == [*range(1, 17)]
    assert await told(bob) == [("msg", 17)]
    # Also where it asks from below again.
    assert await versions(bob, 0) == [*range(1, 17)]
    assert await told(bob) == [("msg", 17)]
    assert await versions(bob, 16) == [17, 18, 19, 20]
    assert await told(bob) == []


async def test_what_follows_an_inbox_that_was_cleared_earlier_is_announced_once(
    ann: WireClient, bob: WireClient, server: LocalServer
) -> None:
    """Whether such a client counts from there, its next poll says."""
    await send(ann, "1", "2")
    await versions(bob, 2)
    async with logged_in(server, "bob", device=DEVICE, ver=VER) as again:
        assert await versions(again, 0) == []
        await send(ann, "3")
        assert await told(again) == [("msg", 3)]
        assert await versions(again, 0) == [3]
        await send(ann, "4")
        assert await told(again) == [("push", 4)]


async def test_a_call_s_extra_that_is_no_text_arrives_as_its_json_text(
    ann: WireClient, bob: WireClient
) -> None:
    extra = {"_timeout": 180, "kind": ["video", 1]}
    await ann.call("voip_invite", channelName="room", peer="bob", extra=extra)
    page = await bob.call("user_getmsg", ver_clear=0, max=30)
    content = msgspec.json.decode(page["msgs"][0][1].split(" ", 6)[6])
    assert msgspec.json.decode(content["extra"]) == extra
    assert content["peeruid"] == ann.uid
    assert content["peer"] == "ann"
