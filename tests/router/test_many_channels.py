"""A bot in many channels: what its handlers hear of each, and how it comes and goes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import ChannelMessage, ECode, SignalError
from signal_sdk.router import (
    Bot,
    ChannelBytesMessageContext,
    ChannelMessageContext,
    Context,
    MemberContext,
    MessageContext,
    NoAnswerError,
)
from signal_sdk.router.life import join_all
from signal_sdk.testing.server import local_server
from tests.router.desk import running
from tests.router.test_ends import slow_config


async def test_each_channel_is_heard_and_answered_by_itself(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk", channels=["lobby", "stage", "lobby"]), list[str]()

    @bot.joined
    async def joined(context: MemberContext) -> None:
        await context.say(f"Welcome to {context.channel.name}")

    @bot.left
    async def left(context: MemberContext) -> None:
        seen.append(f"{context.account} left {context.channel.name}")

    @bot.channel_message("^who")
    async def who(context: ChannelMessageContext) -> None:
        name = await context.ask("who asks?")
        await context.reply(f"{name} in {context.channel.name}")

    async with running(bot) as desk:
        assert sorted(bot.channels) == ["lobby", "stage"]
        alice, bob = desk.peer("alice"), desk.peer("bob")
        for peer, channel in ((alice, "lobby"), (bob, "stage")):
            await peer.join(channel)
            await peer.heard(f"Welcome to {channel}", channel=channel)
            await peer.say_in_channel("who")
            await peer.heard("who asks?", channel=channel)
        for peer, channel in ((bob, "stage"), (alice, "lobby")):
            await peer.say_in_channel(peer.account)
            await peer.heard(f"{peer.account} in {channel}", channel=channel)
        await bot.say("to the stage", channel="stage")
        await bob.heard("to the stage", channel="stage")
        await alice.heard_nothing()
        await alice.leave()
        await trio.sleep(1)
        assert seen == ["alice left lobby"]


async def test_what_is_for_one_channel_is_called_for_that_alone(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk", channels=["lobby", "stage", "yard"])
    seen = list[str]()

    @bot.channel_message("^hi", channel="lobby")
    async def in_lobby(context: ChannelMessageContext) -> None:
        seen.append(f"lobby {context.text} {context.channel.name}")

    @bot.channel_message(channel="stage")
    @bot.channel_message("^hi there")
    async def anywhere(context: ChannelMessageContext) -> None:
        seen.append(f"else {context.text} {context.channel.name}")

    @bot.channel_bytes_message(channel="stage")
    async def bytes_on_stage(context: ChannelBytesMessageContext) -> None:
        seen.append(f"bytes {context.data!r} {context.channel.name}")

    @bot.joined
    async def joined(context: MemberContext) -> None:
        seen.append(f"joined {context.channel.name}")

    @bot.joined(channel="stage")
    async def joined_stage(context: MemberContext) -> None:
        seen.append(f"on stage {context.channel.name}")

    @bot.left(channel="lobby")
    async def left_lobby(context: MemberContext) -> None:
        seen.append(f"left {context.channel.name}")

    async with running(bot) as desk:
        for channel in ("lobby", "stage", "yard"):
            alice = desk.peer("alice")
            await alice.join(channel)
            for said in ("hi there", "who", b"raw"):
                await alice.say_in_channel(said)
            await alice.leave()
            await trio.sleep(1)
    assert seen == [
        "joined lobby",
        "lobby hi there lobby",
        "left lobby",
        "on stage stage",
        "else hi there stage",
        "else who stage",
        "bytes b'raw' stage",
        "joined yard",
        "else hi there yard",
    ]


async def test_it_joins_and_leaves_others_while_it_runs(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk", channels=[])

    @bot.message("^/join (.+)")
    async def join(context: MessageContext) -> None:
        channel = await bot.join(context.match[1])
        await context.reply(f"in {channel.name}")

    @bot.message("^/leave (.+)")
    async def leave(context: MessageContext) -> None:
        await bot.leave(context.match[1])
        await context.reply("left")

    @bot.channel_message()
    async def echo(context: ChannelMessageContext) -> None:
        await context.reply(f"{context.account}: {context.text}")

    async with running(bot) as desk:
        assert not bot.channels
        alice = desk.peer("alice")
        for _ in range(2):
            # The one that it is in is the one that there is.
            for _ in range(2):
                await alice.say("/join lobby")
                await alice.heard("in lobby")
            assert bot.channel is bot.channels["lobby"]
            await alice.join("lobby")
            await alice.say_in_channel("hi")
            await alice.heard("alice: hi", channel="lobby")
            await bot.say("one need not be named")
            await alice.heard("one need not be named", channel="lobby")
            await alice.say("/leave lobby")
            await alice.heard("left")
            await alice.say_in_channel("are you there?")
            await alice.heard_nothing()
            assert bot.channels == {}
            with pytest.raises(SignalError) as refused:
                await bot.say("hello", channel="lobby")
            assert refused.value.ecode is ECode.SENDMESSAGE_E_OTHER
            with pytest.raises(SignalError) as refused:
                await bot.leave("lobby")
            assert refused.value.ecode is ECode.LEAVECHANNEL_E_OTHER


async def test_two_who_join_one_channel_at_a_time_have_it_read_once(
    autojump_clock: MockClock,
) -> None:
    bot, seen = Bot("app", account="desk", channels=()), list[str]()

    @bot.channel_message()
    async def note(context: ChannelMessageContext) -> None:
        seen.append(context.text)

    async with running(bot) as desk:
        channels = list[object]()

        async def join() -> None:
            channels.append(await bot.join("lobby"))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(join)
        assert len(set(channels)) == 1
        alice = desk.peer("alice")
        await alice.join("lobby")
        await alice.say_in_channel("once")
        await trio.sleep(1)
        assert seen == ["once"]


async def test_a_join_that_is_cancelled_leaves_nothing_joined(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk", channels=["stage"])
    async with running(bot) as desk:
        with trio.CancelScope() as scope:
            scope.cancel()
            await bot.join("lobby")
        await trio.sleep(1)
        assert list(bot.channels) == ["stage"]
        alice = await desk.signal.login("alice", "_no_need_token")
        channel = alice.channel("lobby")
        assert await alice.channel_query_user_list("lobby") in ([], [("alice", alice.uid)])
        await channel


async def test_a_question_in_a_channel_that_the_bot_leaves_has_no_answer(
    autojump_clock: MockClock,
) -> None:
    bot, told = Bot("app", account="desk", channels=["lobby", "stage"]), list[str]()

    @bot.channel_message()
    async def ask(context: ChannelMessageContext) -> None:
        await context.reply(await context.ask("well?", timeout=1000))

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(f"{type(error).__name__}: {error}")

    async with running(bot) as desk:
        alice, bob = desk.peer("alice"), desk.peer("bob")
        for peer, channel in ((alice, "lobby"), (bob, "stage")):
            await peer.join(channel)
            await peer.say_in_channel("ask me")
            await peer.heard("well?", channel=channel)
        await bot.leave("lobby")
        await trio.sleep(1)
        assert told == [f"{NoAnswerError.__name__}: the bot is in 'lobby' no more"]
        await bob.say_in_channel("well.")
        await bob.heard("well.", channel="stage")


async def test_a_channel_that_it_is_taken_out_of_is_told_and_the_others_go_on(
    autojump_clock: MockClock,
) -> None:
    bot, told = Bot("app", account="desk", channels=["lobby", "stage"]), list[str]()

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(str(error))

    @bot.channel_message()
    async def echo(context: ChannelMessageContext) -> None:
        await context.reply(context.text.upper())

    async with local_server(listens=False) as server, running(bot, server) as desk:
        await server.node.operator.remove("app", "desk", "lobby")
        await trio.sleep(1)
        [text] = told
        assert text.startswith("the bot is in the channel 'lobby' no more: ")
        assert list(bot.channels) == ["stage"]
        alice = desk.peer("alice")
        await alice.join("stage")
        await alice.say_in_channel("hi")
        await alice.heard("HI", channel="stage")
        # Joined again, it is heard again.
        await bot.join("lobby")
        await alice.join("lobby")
        await alice.say_in_channel("hi")
        await alice.heard("HI", channel="lobby")


async def test_what_is_refused_for_its_rate_is_sent_later_in_order_in_each_channel(
    autojump_clock: MockClock,
) -> None:
    bot = Bot("app", account="desk", channels=["lobby", "stage"])

    @bot.channel_message()
    async def count(context: ChannelMessageContext) -> None:
        for number in range(20):
            await context.say(f"{number}")

    async with (
        local_server(slow_config(5), listens=False) as server,
        running(bot, server) as desk,
    ):
        peers = {channel: desk.peer(f"in-{channel}") for channel in ("lobby", "stage")}
        for channel, peer in peers.items():
            await peer.join(channel)
            await peer.say_in_channel("count")
        await trio.sleep(60)
        for peer in peers.values():
            assert [text for _, text in peer.transcript] == [f"{number}" for number in range(20)]


async def test_a_join_that_is_refused_for_its_rate_is_asked_for_again(
    autojump_clock: MockClock,
) -> None:
    # The server takes 100 changes a second of an account.
    names = [f"c{number}" for number in range(100)]
    bot = Bot("app", account="desk", channels=names[:99])
    async with running(bot) as desk:
        for _ in range(3):
            await bot.leave("c0")
            await bot.join("c0")
        await bot.join("c99")
        assert sorted(bot.channels) == sorted(names)
        with pytest.raises(SignalError) as refused:
            await bot.join("one more")
        assert refused.value.ecode is ECode.JOINCHANNEL_E_OTHER
        assert len(bot.channels) == 100
        assert desk.session.status == 2


async def test_a_channel_that_cannot_be_joined_ends_the_run_with_one_error(
    autojump_clock: MockClock,
) -> None:
    async with local_server(listens=False) as server:
        bot = Bot("app", account="desk", channels=["lobby", "x" * 200, "y" * 200])
        with pytest.raises(SignalError) as failed:
            await bot.run(server=server)
        assert failed.value.ecode is ECode.GENERAL_E_LARGE_PARAM


async def test_a_failure_beside_a_join_is_not_taken_for_a_refused_one(
    autojump_clock: MockClock,
) -> None:
    class Session:
        def channel(self, name: str) -> Any:
            raise SignalError(ECode.GENERAL_E, "no") if name == "a" else KeyError(name)

    class Sender:
        async def deliver(self, kind: str, receiver: str, send: Any) -> None:
            await send()

    class Speech:
        session, sender = Session(), Sender()

    speech: Any = Speech()
    with pytest.raises(ExceptionGroup) as failed:
        await join_all(speech, ["a", "b"])
    assert failed.group_contains(KeyError)


async def test_a_bot_in_one_channel_joins_no_other(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk", channel="lobby")
    async with running(bot):
        with pytest.raises(RuntimeError, match=r"Bot\(…, channels=\[…\]\) may be in many"):
            await bot.join("stage")
        assert list(bot.channels) == ["lobby"]
        await bot.leave("lobby")
        await trio.sleep(1)
        assert bot.channel is None
        with pytest.raises(RuntimeError, match=r"Bot\(…, channel=NAME\) joins one"):
            await bot.say("hello")


async def test_which_of_several_has_to_be_said(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk", channels=("lobby", "stage"))
    async with running(bot):
        with pytest.raises(RuntimeError, match="the bot is in 2 channels"):
            _ = bot.channel
        with pytest.raises(RuntimeError, match="the bot is in 2 channels"):
            await bot.say("hello")


async def test_what_joins_while_the_bot_stops_is_read_no_more(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk", channels=["lobby"]), list[str]()

    @bot.message()
    async def late(context: MessageContext) -> None:
        await trio.sleep(2)
        channel = await bot.join("stage")
        await bot.say("good night", channel="lobby")
        seen.append(channel.name)

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.join("lobby")
        await alice.say("go")
        await trio.sleep(1)
        bot.stop()
        await alice.heard("good night", channel="lobby")
        assert await desk.session.wait_logged_out() is ECode.LOGOUT_E_USER
    assert seen == ["stage"]


def test_wrong_channels_are_refused() -> None:
    names: Any = "lobby"
    with pytest.raises(TypeError, match="channels='lobby': a list of names"):
        Bot("app", account="desk", channels=names)
    with pytest.raises(ValueError, match="is for a bot in one channel"):
        Bot("app", account="desk", channel="lobby", channels=["stage"])


async def test_its_streams_are_the_sessions_own_too(autojump_clock: MockClock) -> None:
    """What reads a channel beside the bot takes nothing away from it."""
    bot, seen = Bot("app", account="desk", channels=["lobby"]), list[str]()

    @bot.channel_message()
    async def note(context: ChannelMessageContext) -> None:
        seen.append(context.text)

    async with running(bot) as desk:
        events = bot.channels["lobby"].events()
        async with events:
            alice = desk.peer("alice")
            await alice.join("lobby")
            await alice.say_in_channel("hi")
            async for event in events:
                if isinstance(event, ChannelMessage):
                    break
        await trio.sleep(1)
        assert seen == ["hi"]
