"""Messages that are bytes, in a bot's handlers and from them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import ChannelMessage, ECode, LoginSession, SignalError
from signal_sdk.router import (
    Bot,
    BytesMessageContext,
    ChannelBytesMessageContext,
    MessageContext,
)
from tests.router.desk import Desk, running

IMAGE = bytes(range(256))


async def takes_bytes(desk: Desk, account: str) -> LoginSession:
    return await desk.signal.login(account, "_no_need_token", takes_bytes=True)


async def test_bytes_have_a_handler_of_their_own(autojump_clock: MockClock) -> None:
    bot, texts = Bot("app", account="desk"), list[str]()

    @bot.bytes_message
    async def reverse(context: BytesMessageContext) -> None:
        await context.reply(context.data[::-1])
        await context.reply(f"{len(context.data)} bytes of {context.account}")

    @bot.message()
    async def text(context: MessageContext) -> None:
        texts.append(context.text)

    async with running(bot) as desk:
        alice = await takes_bytes(desk, "alice")
        async with alice.messages() as messages:
            await alice.message_instant_send("desk", IMAGE)
            first, second = await anext(messages), await anext(messages)
        assert (first.data, first.text) == (IMAGE[::-1], "")
        assert (second.data, second.text) == (None, "256 bytes of alice")
        assert texts == []


async def test_bytes_in_a_channel_are_answered_there(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk", channels=["lobby", "stage"])

    @bot.channel_bytes_message
    async def reverse(context: ChannelBytesMessageContext) -> None:
        await context.reply(context.data[::-1])
        name = await context.ask("what is it called?")
        await context.say(f"{name} in {context.channel.name}")

    async with running(bot) as desk:
        alice = await takes_bytes(desk, "alice")
        async with alice.channel("stage") as channel, channel.events() as events:
            await channel.message_channel_send(IMAGE)
            said = list[object]()
            async for event in events:
                if isinstance(event, ChannelMessage) and event.account == "desk":
                    said.append(event.data or event.text)
                    if event.text == "what is it called?":
                        # Bytes are no answer to a question.
                        await channel.message_channel_send(b"cat.jpg")
                        await channel.message_channel_send("cat")
                    if event.text.endswith("stage"):
                        break
        assert said[:2] == [IMAGE[::-1], "what is it called?"]
        assert said[-1] == "cat in stage"
        # What came meanwhile was behind it in its line.
        assert bot.channels.keys() == {"lobby", "stage"}


async def test_bytes_are_no_answer_to_a_question(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk"), list[object]()

    @bot.bytes_message
    async def photo(context: BytesMessageContext) -> None:
        seen.append(context.data)
        seen.append(await context.ask("of whom?", timeout=60))

    async with running(bot) as desk:
        alice = await takes_bytes(desk, "alice")
        for message in (b"1", b"2", "of me", "of you"):
            await alice.message_instant_send("desk", message)
            await trio.sleep(1)
        assert seen == [b"1", "of me", b"2", "of you"]


async def test_a_bot_without_such_a_handler_is_sent_none(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk")

    @bot.message()
    async def text(context: MessageContext) -> None:
        await context.reply(b"for you")

    failures = list[Exception]()

    @bot.error
    async def failed(context: object, error: Exception) -> None:
        failures.append(error)

    async with running(bot) as desk:
        alice = await takes_bytes(desk, "alice")
        with pytest.raises(SignalError) as refused:
            await alice.message_instant_send("desk", IMAGE)
        assert refused.value.ecode is ECode.GENERAL_E_WRONG_PARAM
        # It may send some all the same: to who takes them.
        async with alice.messages() as messages:
            await alice.message_instant_send("desk", "a picture, please")
            assert (await anext(messages)).data == b"for you"
        assert failures == []
        bob = await desk.signal.login("bob", "_no_need_token")
        await bob.message_instant_send("desk", "a picture, please")
        await trio.sleep(1)
        [failure] = failures
        assert isinstance(failure, SignalError)
        assert failure.ecode is ECode.GENERAL_E_WRONG_PARAM
        # It cannot begin to take any, and says so.
        with pytest.raises(RuntimeError, match="runs without bytes: register it before"):

            @bot.channel_bytes_message
            async def never(context: ChannelBytesMessageContext) -> None:
                raise AssertionError

    @bot.bytes_message
    async def later(context: BytesMessageContext) -> None:
        await context.reply(context.data)

    async with running(bot) as desk:
        alice = await takes_bytes(desk, "alice")
        async with alice.messages() as messages:
            await alice.message_instant_send("desk", IMAGE)
            assert (await anext(messages)).data == IMAGE


def test_no_context_shows_bytes() -> None:
    context = BytesMessageContext.__new__(BytesMessageContext)
    context.account, context.data = "alice", b"a secret"
    assert repr(context) == "BytesMessageContext(account='alice')"
