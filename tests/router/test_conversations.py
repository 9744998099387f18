"""Conversations: what is an answer, whose, and what an end without one is."""

from __future__ import annotations

import logging
import math

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.router import Bot, ChannelMessageContext, Context, MessageContext, NoAnswerError
from signal_sdk.router.conversations import Conversations, Question
from tests.router.desk import running


def order_bot(channel: str | None = None) -> tuple[Bot, list[object]]:
    bot, told = Bot("app", account="desk", channel=channel), list[object]()

    @bot.message("^/order")
    async def order(context: MessageContext) -> None:
        what = await context.ask("What?", timeout=30)
        count = await context.ask("How many?", timeout=30)
        await context.reply(f"{count} x {what}")

    @bot.message()
    async def rest(context: MessageContext) -> None:
        await context.reply(f"? {context.text}")

    @bot.channel_message("^/name")
    async def name(context: ChannelMessageContext) -> None:
        await context.reply(f"Hello {await context.ask('Your name?', timeout=30)}!")

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append((context.account, type(error), str(error)))

    return bot, told


async def test_several_users_are_asked_at_once(autojump_clock: MockClock) -> None:
    bot, _ = order_bot()
    async with running(bot) as desk:
        peers = [desk.peer(f"p{number}") for number in range(20)]
        for peer in peers:
            await peer.say("/order")
        for peer in peers:
            await peer.heard("What?")
        for peer in reversed(peers):
            await peer.say(f"tea for {peer.account}")
        for number, peer in enumerate(peers):
            await peer.heard("How many?")
            await peer.say(str(number))
            await peer.heard(f"{number} x tea for {peer.account}")


async def test_what_came_before_the_question_is_no_answer(autojump_clock: MockClock) -> None:
    bot, _ = order_bot()

    @bot.middleware
    async def slow(context: Context, call_next: object) -> None:
        await trio.sleep(1)
        assert callable(call_next)
        await call_next()

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.say("/order")
        await alice.say("early")
        await alice.heard("What?")
        await alice.say("tea")
        await alice.heard("How many?")
        await alice.say("2")
        await alice.heard("2 x tea")
        await alice.heard("? early")


async def test_what_comes_while_the_question_waits_to_be_sent_is_no_answer(
    autojump_clock: MockClock,
) -> None:
    """It stands behind what is sent to the same account, and the server takes so much a second."""
    bot, _ = order_bot()
    async with running(bot) as desk, trio.open_nursery() as nursery:
        alice = desk.peer("alice")
        for number in range(80):
            nursery.start_soon(bot.send, "alice", str(number))
        await alice.say("/order")
        await alice.say("early")
        await alice.heard("What?", within=5)
        await alice.say("tea")
        await alice.heard("How many?")
        await alice.say("2")
        await alice.heard("2 x tea")
        await alice.heard("? early")


async def test_an_unanswered_question_raises_and_is_told(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bot, told = order_bot()
    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.say("/order")
        await alice.heard("What?")
        await trio.sleep(29)
        assert told == []
        await trio.sleep(2)
        assert told == [("alice", NoAnswerError, "'alice' has not answered in 30 s")]
        await alice.say("tea")
        await alice.heard("? tea")
    [record] = [it for it in caplog.records if it.levelno >= logging.WARNING]
    assert record.exc_info is None
    assert isinstance(NoAnswerError(), TimeoutError)


async def test_who_has_logged_out_has_the_time_out_to_come_back(autojump_clock: MockClock) -> None:
    bot, told = order_bot()
    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.say("/order")
        await alice.heard("What?")
        await alice.log_out()
        await trio.sleep(20)
        await alice.say("tea")
        await alice.heard("How many?")
        await alice.log_out()
        await trio.sleep(31)
        assert told == [("alice", NoAnswerError, "'alice' has not answered in 30 s")]


async def test_in_a_channel_leaving_it_ends_the_question_at_once(autojump_clock: MockClock) -> None:
    bot, told = order_bot("lobby")
    async with running(bot) as desk:
        alice, bob = desk.peer("alice"), desk.peer("bob")
        for peer in (alice, bob):
            await peer.join("lobby")
        await alice.say_in_channel("/name")
        await bob.say_in_channel("/name")
        await alice.heard("Your name?", channel="lobby")
        await trio.sleep(1)
        await alice.say("to the bot alone")
        await alice.heard("? to the bot alone")
        await alice.log_out()
        await trio.sleep(1)
        reason = "'alice' has left 'lobby' without an answer"
        assert told == [("alice", NoAnswerError, reason)]
        await bob.say_in_channel("Bob")
        await bob.heard("Hello Bob!")


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan])
async def test_a_time_out_is_a_time(autojump_clock: MockClock, timeout: float) -> None:
    bot, told = Bot("app", account="desk"), list[str]()

    @bot.message()
    async def ask(context: MessageContext) -> None:
        await context.ask("?", timeout=timeout)

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(str(error))

    async with running(bot) as desk:
        await desk.peer("alice").say("x")
        bot.stop()
        await desk.session.wait_logged_out()
    assert told == [f"a time-out is a number of seconds above 0: {timeout!r} is none"]


async def test_two_questions_to_one_account_have_an_answer_each(autojump_clock: MockClock) -> None:
    conversations, answers = Conversations(), list[str]()

    async def put(question: Question) -> None:
        with question.put():
            await trio.lowlevel.checkpoint()

    async def ask() -> None:
        answers.append(await conversations.ask("", "alice", put, 10))

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(ask)
        await trio.sleep(1)
        # Both before anybody has had a turn.
        given = [conversations.answer("", "alice", text) for text in ("1", "2", "3")]
    assert given == [True, True, False]
    assert sorted(answers) == ["1", "2"]
    assert conversations._open == {}
