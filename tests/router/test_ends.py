"""What goes wrong in a bot: handlers that raise or never return, too much at once, and rates."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk import ChannelEvent, ChannelLeft, ECode, Missed, Signal, SignalError, Stream
from signal_sdk.router import (
    BacklogError,
    Bot,
    ChannelMessageContext,
    Context,
    HandlerTimeoutError,
    MessageContext,
)
from signal_sdk.router.contexts import Speech
from signal_sdk.router.conversations import Conversations
from signal_sdk.router.lines import MAX_EVENTS, MAX_EVENTS_OF_ONE, Lines
from signal_sdk.router.running import Run
from signal_sdk.router.sending import MAX_WAITING_SENDS, Sender
from signal_sdk.router.time_limit import TimeLimit
from signal_sdk.server import config as configs
from signal_sdk.streams import Readers
from signal_sdk.testing.server import local_server
from tests.router.desk import running


async def test_what_a_handler_raises_is_logged_and_told_and_the_bot_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bot, told = Bot("app", account="desk"), list[tuple[str, str]]()

    @bot.message("^/fail")
    async def fail(context: MessageContext) -> None:
        raise KeyError("no such thing")

    @bot.message("^/block")
    def block(context: MessageContext) -> None:
        raise OSError("no disk")

    @bot.message()
    async def echo(context: MessageContext) -> None:
        await context.reply(context.text)

    @bot.error
    async def apologize(context: Context, error: Exception) -> None:
        told.append((context.account, type(error).__name__))
        await context.reply("sorry")

    @bot.error
    def breaks(context: Context, error: Exception) -> None:
        raise ValueError("worse")

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.say("/fail")
        await alice.heard("sorry")
        await alice.say("/block")
        await alice.heard("sorry", within=60)
        await alice.say("still there?")
        await alice.heard("still there?", within=60)
    assert told == [("alice", "KeyError"), ("alice", "OSError")]
    raised = [it.getMessage() for it in caplog.records if it.levelno == logging.ERROR]
    what = "desk: MessageContext of 'alice'"
    assert raised == [
        f"{what}: a handler raised KeyError",
        f"{what}: an error handler raised ValueError",
        f"{what}: a handler raised OSError",
        f"{what}: an error handler raised ValueError",
    ]
    assert "/fail" not in "".join(raised)


async def test_a_handler_that_never_returns_delays_its_own_account_alone(
    autojump_clock: MockClock,
) -> None:
    bot, told = Bot("app", account="desk"), list[str]()

    @bot.message("^/hang")
    async def hang(context: MessageContext) -> None:
        await trio.sleep_forever()

    @bot.message()
    async def echo(context: MessageContext) -> None:
        await context.reply(context.text)

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(f"{context.account} {type(error).__name__}: {error}")

    async with running(bot) as desk:
        alice, bob = desk.peer("alice"), desk.peer("bob")
        await alice.say("/hang")
        for number in range(MAX_EVENTS_OF_ONE + 5):
            await alice.say(str(number))
            await trio.sleep(0.1)
        await bob.say("hello")
        await bob.heard("hello")
        await alice.heard_nothing()
        assert told == [
            "alice BacklogError: 100 events wait to be handled: one of 'alice' was dropped"
        ]


async def test_a_handler_that_takes_too_long_is_cancelled_but_not_while_it_asks(
    autojump_clock: MockClock,
) -> None:
    bot, told = Bot("app", account="desk", handler_timeout=10), list[str]()

    @bot.message("^/hang")
    async def hang(context: MessageContext) -> None:
        await context.ask("ready?", timeout=100)
        await trio.sleep(9)
        await context.reply("nearly")
        await trio.sleep_forever()

    @bot.message()
    async def echo(context: MessageContext) -> None:
        await context.reply(context.text)

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(f"{type(error).__name__}: {error}")
        await trio.sleep_forever()

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.say("/hang")
        await alice.heard("ready?")
        await trio.sleep(50)
        await alice.say("yes")
        await alice.heard("nearly", within=10)
        await alice.say("next")
        await alice.heard("next", within=30)
    assert told == ["HandlerTimeoutError: a handler took longer than 10 s, and was cancelled"]
    assert issubclass(HandlerTimeoutError, TimeoutError)


async def test_an_error_handler_that_asks_is_not_cancelled_either(
    autojump_clock: MockClock,
) -> None:
    bot = Bot("app", account="desk", handler_timeout=10)

    @bot.message("^/fail")
    async def fail(context: MessageContext) -> None:
        await trio.sleep(9)
        raise ValueError(context.text)

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        assert isinstance(context, MessageContext)
        await context.reply(await context.ask("Why?", timeout=100))

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.say("/fail")
        await alice.heard("Why?", within=20)
        await trio.sleep(50)
        await alice.say("so")
        await alice.heard("so")


async def test_two_questions_at_once_are_no_time_of_the_handlers(
    autojump_clock: MockClock,
) -> None:
    limit = TimeLimit(10)

    async def pause(seconds: float) -> None:
        with limit.paused():
            await trio.sleep(seconds)

    async def handler() -> None:
        with limit.kept():
            await trio.sleep(4)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pause, 100)
                nursery.start_soon(pause, 200)
            await trio.sleep_forever()

    with pytest.raises(HandlerTimeoutError):
        await handler()
    assert trio.current_time() == 210


async def test_what_ends_a_program_ends_the_bot(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk")

    @bot.message()
    async def leave(context: MessageContext) -> None:
        raise SystemExit(3)

    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        alice = await signal.login("alice", "_no_need_token")
        await alice.message_instant_send("desk", "go")
        with pytest.raises(SystemExit) as ended:
            await bot.run(server=server)
        assert ended.value.code == 3


async def test_what_is_not_read_when_it_stops_stays_for_the_next_run(
    autojump_clock: MockClock,
) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.message()
    async def slow(context: MessageContext) -> None:
        seen.append(context.text)
        await trio.sleep(3)

    async with local_server(listens=False) as server:
        async with running(bot, server) as desk:
            alice = desk.peer("alice")
            await alice.say("first")
            await trio.sleep(1)
            bot.stop()
            await trio.sleep(1)
            await alice.say("later")
            await desk.session.wait_logged_out()
            assert seen == ["first"]
        async with running(bot, server):
            await trio.sleep(1)
    assert seen == ["first", "later"]


async def test_lines_are_bounded_in_all_and_told_of_once(autojump_clock: MockClock) -> None:
    done = list[int]()
    gate = trio.Event()

    async def handle(number: int) -> None:
        await gate.wait()
        done.append(number)

    async with trio.open_nursery() as nursery:
        lines = Lines(nursery, handle)
        assert [lines.put(number, number) for number in range(MAX_EVENTS)] == [None] * MAX_EVENTS
        assert [lines.put("more", -1) for _ in range(3)] == [MAX_EVENTS, None, None]
        gate.set()
        await lines.wait_empty()
        assert len(done) == MAX_EVENTS
        assert lines.put("more", -1) is None
    assert done[-1] == -1


async def test_a_bot_that_leaves_its_channel_itself_is_not_told(autojump_clock: MockClock) -> None:
    bot, told = Bot("app", account="desk", channel="lobby"), list[Exception]()

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(error)

    async with running(bot) as desk:
        await desk.session.channel_join("elsewhere")
        await trio.sleep(1)
        assert told == []
        assert desk.session.status == 2


class FakeChannel:
    """One that the test tells things in."""

    name = "lobby"

    def __init__(self, *events: ChannelEvent) -> None:
        self.readers: Readers[ChannelEvent] = Readers(10)
        for event in events:
            self.readers.tell(event, is_heard=False)
        self.readers.end()

    def events(self) -> Stream[ChannelEvent]:
        return Stream(self.readers)


async def test_a_lost_channel_and_lost_events_are_told(autojump_clock: MockClock) -> None:
    bot, told = Bot("app", account="desk"), list[str]()

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(f"{context.account} {type(error).__name__}: {error}")

    async with running(bot) as desk:
        speech = Speech(desk.session, Sender(waits_for_rate=True), Conversations())
        async with trio.open_nursery() as nursery:
            limiter = trio.CapacityLimiter(1)
            run = Run(nursery, bot._rules, speech, limiter=limiter, handler_timeout=None)
            channel: Any = FakeChannel(Missed(3), ChannelLeft(ECode.LEAVECHANNEL_E_DISCONN))
            await run._read_channel(channel)
    lost = "the bot is in the channel 'lobby' no more"
    assert sorted(told) == [
        (
            "desk BacklogError: 3 events of the channel 'lobby' were dropped: more came"
            " than could be"
            " read"
        ),
        (
            f"desk SignalError: {lost}: {ECode.LEAVECHANNEL_E_DISCONN.meaning} (604"
            " LEAVECHANNEL_E_DISCONN)"
        ),
    ]


# --- rates


def slow_config(per_second: int) -> configs.Config:
    config = configs.dev()
    limits = attrs.evolve(config.limits, user_messages_per_second=per_second)
    return attrs.evolve(config, limits=limits)


async def test_what_is_refused_for_its_rate_is_sent_later_in_order_for_each_receiver(
    autojump_clock: MockClock,
) -> None:
    bot = Bot("app", account="desk")

    @bot.message()
    async def count(context: MessageContext) -> None:
        for number in range(int(context.text)):
            await context.reply(f"{number}")

    async with (
        local_server(slow_config(5), listens=False) as server,
        running(bot, server) as desk,
    ):
        alice, bob = desk.peer("alice"), desk.peer("bob")
        await alice.say("30")
        await bob.say("30")
        await trio.sleep(60)
        for peer in (alice, bob):
            assert peer.transcript == [("desk", f"{number}") for number in range(30)]


async def test_a_bot_that_does_not_wait_hears_of_the_refusal(autojump_clock: MockClock) -> None:
    bot, told = Bot("app", account="desk", waits_for_rate=False), list[Exception]()

    @bot.message()
    async def count(context: MessageContext) -> None:
        for number in range(30):
            await context.reply(f"{number}")

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(error)

    async with (
        local_server(slow_config(5), listens=False) as server,
        running(bot, server) as desk,
    ):
        await desk.peer("alice").say("x")
        await trio.sleep(10)
    [error] = told
    assert isinstance(error, SignalError)
    assert error.retry_after is not None


async def test_a_queue_of_sends_that_is_full_says_so(autojump_clock: MockClock) -> None:
    sender, sent, gate = Sender(waits_for_rate=True), list[int](), trio.Event()

    def send(number: int) -> Callable[[], Awaitable[None]]:
        async def it() -> None:
            await gate.wait()
            sent.append(number)

        return it

    async with trio.open_nursery() as nursery:
        for number in range(MAX_WAITING_SENDS):
            nursery.start_soon(sender.deliver, "account", "alice", send(number))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BacklogError, match="100 messages to the account 'alice' wait"):
            await sender.deliver("account", "alice", send(-1))
        gate.set()
        await sender.deliver("account", "bob", send(-2))
    assert [it for it in sent if it >= 0] == list(range(MAX_WAITING_SENDS))
    await sender.deliver("account", "alice", send(-3))
    # Nothing is kept of who is sent to no more.
    assert sender._lanes == {}


async def test_the_pause_is_the_servers(autojump_clock: MockClock) -> None:
    tries = list[float]()

    async def send() -> None:
        tries.append(trio.current_time())
        if len(tries) < 3:
            raise SignalError(ECode.GENERAL_E, 'too often; {"retry_after": 2.5}')

    await Sender(waits_for_rate=True).deliver("account", "alice", send)
    assert tries == [0, 2.5, 5]


async def test_another_refusal_is_not_waited_for(autojump_clock: MockClock) -> None:
    tries = 0

    async def send() -> None:
        nonlocal tries
        tries += 1
        raise SignalError(ECode.GENERAL_E, "no")

    with pytest.raises(SignalError):
        await Sender(waits_for_rate=True).deliver("account", "alice", send)
    assert tries == 1


async def test_a_message_that_is_too_long_is_the_handlers_error(autojump_clock: MockClock) -> None:
    bot, told = Bot("app", account="desk", channel="lobby"), list[Exception]()

    @bot.channel_message()
    async def long(context: ChannelMessageContext) -> None:
        await context.reply("x" * 10_000)

    @bot.error
    async def failed(context: Context, error: Exception) -> None:
        told.append(error)

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.join("lobby")
        await alice.say_in_channel("x")
        await trio.sleep(1)
    [error] = told
    assert isinstance(error, SignalError)
    assert error.ecode is ECode.GENERAL_E_LARGE_PARAM
