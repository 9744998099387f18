"""Instant messages between web SDKs: at once, kept for a peer that is offline, in order, once."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from signal_sdk.testing.server import LocalServer
from tests.web.web_peer import WebPeer, cut

WEB_TTL_SECONDS = 3600
"""What the web SDK asks for each of its messages."""

SENT = [False]
"""What the callback of `messageInstantSend` gets: whether it failed."""


async def test_messages_go_both_ways(web: WebPeer) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    assert await alice.request("messageInstantSend", "bob", "hello") == SENT
    await bob.expect("onMessageInstantReceive", "alice", 0, "hello")
    assert await bob.request("messageInstantSend", "alice", "hello yourself") == SENT
    await alice.expect("onMessageInstantReceive", "bob", 0, "hello yourself")


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
async def test_a_text_arrives_as_it_was_sent(web: WebPeer, text: str) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    await alice.call("messageInstantSend", "bob", text)
    await bob.expect("onMessageInstantReceive", "alice", 0, text)


@pytest.mark.parametrize("character", ["a", "ü", "🎉"])
async def test_a_long_text_arrives_compressed(web: WebPeer, character: str) -> None:
    alice, bob = await web.login("alice"), await web.login("bob")
    text = character * 4096
    await alice.call("messageInstantSend", "bob", text)
    [size] = await web.expect("socket", "binary")
    assert size < 300
    await bob.expect("onMessageInstantReceive", "alice", 0, text)
    rooms = [await session.make("channelJoin", "room 1") for session in (alice, bob)]
    for room in rooms:
        await room.expect("onChannelUserList")
    await rooms[0].call("messageChannelSend", text)
    for room in rooms:
        [account, _uid, received] = await room.expect("onMessageChannelReceive")
        assert (account, received) == ("alice", text)


@pytest.mark.parametrize(
    ("content", "text"),
    [({"a": [1, "ü", None]}, '{"a":[1,"ü",null]}'), (12.5, "12.5"), ([], "[]"), (True, "true")],
    ids=["object", "number", "array", "boolean"],
)
async def test_what_is_no_string_arrives_as_its_json_text(
    web: WebPeer, content: Any, text: str
) -> None:
    """Pages pass objects and numbers where the SDK's documentation has strings."""
    alice, bob = await web.login("alice"), await web.login("bob")
    assert await alice.request("messageInstantSend", "bob", content) == SENT
    await bob.expect("onMessageInstantReceive", "alice", 0, text)


async def test_a_message_that_is_too_long_fails(web: WebPeer) -> None:
    alice = await web.login("alice")
    assert await alice.request("messageInstantSend", "bob", "x" * 8193) == [True]


async def test_a_message_waits_for_a_peer_that_is_offline(web: WebPeer, clock: MockClock) -> None:
    alice = await web.login("alice")
    assert await alice.request("messageInstantSend", "bob", "for later") == SENT
    clock.jump(WEB_TTL_SECONDS - 60)
    bob = await web.login("bob")
    await bob.expect("onMessageInstantReceive", "alice", 0, "for later")


async def test_a_message_is_gone_when_its_ttl_is_over(web: WebPeer, clock: MockClock) -> None:
    alice = await web.login("alice")
    assert await alice.request("messageInstantSend", "bob", "too old") == SENT
    clock.jump(WEB_TTL_SECONDS + 1)
    assert await alice.request("messageInstantSend", "bob", "fresh") == SENT
    bob = await web.login("bob")
    await bob.expect("onMessageInstantReceive", "alice", 0, "fresh")


async def test_forty_messages_while_disconnected_arrive_in_order_and_once(
    web: WebPeer, server: LocalServer
) -> None:
    """One poll brings 30, so that it takes two."""
    alice, bob = await web.login("alice"), await web.login("bob")
    await web.set_network(up=False)
    cut(server, "bob")
    texts = [f"message {number}" for number in range(40)]
    for text in texts:
        assert await alice.request("messageInstantSend", "bob", text) == SENT
    await web.set_network(up=True)
    await bob.expect("onLoginSuccess")
    for text in texts:
        await bob.expect("onMessageInstantReceive", "alice", 0, text)
    await alice.call("messageInstantSend", "bob", "the end")
    await bob.expect("onMessageInstantReceive", "alice", 0, "the end")


async def test_forty_messages_before_the_login_arrive_in_order_and_once(web: WebPeer) -> None:
    alice = await web.login("alice")
    texts = [f"message {number}" for number in range(40)]
    for text in texts:
        assert await alice.request("messageInstantSend", "bob", text) == SENT
    bob = await web.login("bob")
    for text in texts:
        await bob.expect("onMessageInstantReceive", "alice", 0, text)
    await alice.call("messageInstantSend", "bob", "the end")
    await bob.expect("onMessageInstantReceive", "alice", 0, "the end")


async def test_what_came_right_before_a_reconnection_is_not_received_again(
    web: WebPeer, server: LocalServer
) -> None:
    """The SDK tells the server only a second later what it has handled."""
    alice, bob = await web.login("alice"), await web.login("bob")
    await alice.call("messageInstantSend", "bob", "before")
    await bob.expect("onMessageInstantReceive", "alice", 0, "before")
    await web.set_network(up=False)
    cut(server, "bob")
    await alice.request("messageInstantSend", "bob", "meanwhile")
    await web.set_network(up=True)
    await bob.expect("onLoginSuccess")
    await bob.expect("onMessageInstantReceive", "alice", 0, "meanwhile")
    await alice.call("messageInstantSend", "bob", "after")
    await bob.expect("onMessageInstantReceive", "alice", 0, "after")
