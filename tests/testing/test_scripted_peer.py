"""A test's peers say and hear texts and bytes, in one channel or in many."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from trio.testing import MockClock

from signal_sdk import ECode, SignalError
from signal_sdk.router import Bot, BytesMessageContext, ChannelBytesMessageContext
from signal_sdk.testing.fronts import BotRunner, Peer, TrioWays
from signal_sdk.testing.stage import stage

IMAGE = bytes(range(256))


def echo() -> Bot:
    bot = Bot("app", account="desk", channels=["lobby", "stage"])

    @bot.bytes_message
    async def instant(context: BytesMessageContext) -> None:
        await context.reply(context.data[::-1])

    @bot.channel_bytes_message
    async def channel(context: ChannelBytesMessageContext) -> None:
        await context.reply(context.data[::-1])
        await context.say(f"in {context.channel.name}")

    return bot


@asynccontextmanager
async def peers() -> AsyncIterator[Peer]:
    async with stage("app") as its:
        ways = TrioWays(its)
        await BotRunner(ways)(echo())
        yield Peer(ways, "peer")


async def failure_of(waiting: Any) -> str:
    with pytest.raises(AssertionError) as failed:
        await waiting
    return str(failed.value)


async def test_bytes_are_said_and_heard(autojump_clock: MockClock) -> None:
    async with peers() as peer:
        await peer.say(IMAGE)
        assert await peer.heard(IMAGE[::-1], by="desk", channel="") == IMAGE[::-1]
        await peer.say(b"abc")
        heard: bytes = await peer.heard(re.compile(rb"c\w"))
        assert heard == b"cba"
        assert await peer.transcript() == [("desk", IMAGE[::-1]), ("desk", b"cba")]


async def test_bytes_are_no_text_and_a_failure_shows_their_beginning(
    autojump_clock: MockClock,
) -> None:
    async with peers() as peer:
        await peer.say(b"no")
        await peer.say(bytes(6144))
        text = await failure_of(peer.heard("on"))
        assert text.startswith("'peer' has not heard 'on' within 2 s\nIt has heard 2 messages:\n")
        assert "  desk: b'on'\n" in text
        assert text.endswith("\\x00'… (6144 bytes)")
        assert len(text) < 500
        assert "has not heard what fits 'on'" in await failure_of(peer.heard(re.compile("on")))
        await peer.heard(b"on")
        await peer.say("no", to="peer")
        assert "has not heard b'no'" in await failure_of(peer.heard(b"no"))


async def test_one_in_many_channels_says_which(autojump_clock: MockClock) -> None:
    async with peers() as peer:
        alice = peer.other("alice", many_channels=True)
        with pytest.raises(RuntimeError, match="'alice' is in no channel: join one first"):
            await alice.say_in_channel("hello")
        for name in ("stage", "lobby"):
            await alice.join(name)
        await alice.say_in_channel(b"xy", "stage")
        await alice.heard(b"yx", channel="stage")
        await alice.heard("in stage", channel="stage")
        await alice.say_in_channel(b"ab", "lobby")
        await alice.heard("in lobby", channel="lobby")
        with pytest.raises(RuntimeError, match="is in several channels: lobby, stage: name one"):
            await alice.leave()
        await alice.leave("stage")
        with pytest.raises(RuntimeError, match="'alice' is not in 'stage': join it first"):
            await alice.say_in_channel("x", "stage")
        await alice.say_in_channel(b"cd")
        await alice.heard(b"dc", channel="lobby")


async def test_one_in_one_channel_leaves_the_one_before(autojump_clock: MockClock) -> None:
    async with peers() as peer:
        await peer.join("stage")
        await peer.join("lobby")
        await peer.say_in_channel(b"ab")
        await peer.heard("in lobby")
        await peer.leave()
        with pytest.raises(RuntimeError, match="in no channel"):
            await peer.leave()


async def test_one_that_takes_no_bytes_has_none_said_where_it_is(
    autojump_clock: MockClock,
) -> None:
    async with peers() as peer:
        old = peer.other("old", takes_bytes=False)
        await old.join("stage")
        await peer.join("stage")
        for saying in (peer.say_in_channel(b"x"), peer.say(b"x", to="old")):
            with pytest.raises(SignalError) as refused:
                await saying
            assert refused.value.ecode is ECode.GENERAL_E_WRONG_PARAM
        await peer.say_in_channel("x")
        await old.heard("x", by="peer")
        with pytest.raises(RuntimeError, match="'old' is there with many_channels=False and takes"):
            await peer.other("old").say("x")
