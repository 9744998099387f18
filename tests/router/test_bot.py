"""A bot's handlers against the real server: which of them hears what, in what order, and where."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import ECode, LoginError, LoginSession, LogoutError, Signal, SignalError
from signal_sdk.router import (
    Bot,
    CallContext,
    CallEndContext,
    ChannelMessageContext,
    Context,
    DtmfContext,
    MemberContext,
    MessageContext,
)
from signal_sdk.testing.server import local_server
from tests.router.desk import running


async def test_the_first_pattern_that_is_found_takes_a_message(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk")

    @bot.message(r"^/add (\d+) (\d+)$")
    async def add(context: MessageContext) -> None:
        await context.reply(str(sum(int(it) for it in context.match.groups())))

    @bot.message(re.compile("^/ADD", re.IGNORECASE))
    @bot.message(r"^/plus")
    async def usage(context: MessageContext) -> None:
        await context.reply("/add A B")

    @bot.message()
    async def rest(context: MessageContext) -> None:
        await context.reply(f"{context.account} said {context.text}")

    async with running(bot) as desk:
        alice = desk.peer("alice")
        for text in ("/add 1 2", "/add one", "/plus", "well"):
            await alice.say(text)
        await trio.sleep(1)
        texts = [text for _, text in alice.transcript]
        assert texts == ["3", "/add A B", "/add A B", "alice said well"]


async def test_a_message_that_no_pattern_is_found_in_is_nobodys(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.message("^/help")
    async def help_them(context: MessageContext) -> None:
        seen.append(context.text)

    async with running(bot) as desk:
        await desk.peer("alice").say("help")
        await trio.sleep(1)
        assert seen == []


async def test_one_account_is_heard_in_order_and_others_beside_it(
    autojump_clock: MockClock,
) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.message()
    async def slow(context: MessageContext) -> None:
        await trio.sleep(10 if context.account == "alice" else 0)
        seen.append(f"{context.account} {context.text}")

    async with running(bot) as desk:
        alice, bob = desk.peer("alice"), desk.peer("bob")
        await alice.say("1")
        await alice.say("2")
        await bob.say("1")
        await trio.sleep(25)
        assert seen == ["bob 1", "alice 1", "alice 2"]


async def test_the_channels_events_have_their_handlers(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk", channel="lobby"), list[str]()

    @bot.joined
    async def joined(context: MemberContext) -> None:
        seen.append(f"{context.account} joined {context.channel.name}")
        await context.say(f"Welcome, {context.account}!")

    @bot.left
    async def left(context: MemberContext) -> None:
        seen.append(f"{context.account} left {context.channel.name}")

    @bot.channel_message("^ping")
    async def ping(context: ChannelMessageContext) -> None:
        await context.reply("pong")

    @bot.message()
    async def never(context: MessageContext) -> None:
        seen.append("a message to the bot alone")

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.join("lobby")
        await alice.heard("Welcome, alice!", channel="lobby")
        await alice.say_in_channel("ping")
        await alice.heard("pong", channel="lobby")
        await bot.say("ping")
        await alice.heard("ping", by="desk")
        await alice.heard_nothing()
        await alice.leave()
        await trio.sleep(1)
        assert seen == ["alice joined lobby", "alice left lobby"]
        assert bot.channel is not None
        assert bot.channel.name == "lobby"


async def test_a_call_is_accepted_and_each_digit_has_its_handler(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.invited
    async def invited(context: CallContext) -> None:
        await context.accept({"say": "Dial 1."})

    @bot.dtmf("1")
    async def one(context: DtmfContext) -> None:
        await context.reply("We are open.")

    @bot.dtmf("#")
    async def hash_(context: DtmfContext) -> None:
        await context.hang_up("bye")

    @bot.dtmf()
    async def other(context: DtmfContext) -> None:
        seen.append(context.digit)

    @bot.call_ended
    async def ended(context: CallEndContext) -> None:
        seen.append(f"{context.account}: {type(context.end).__name__}")

    async with running(bot) as desk:
        alice = desk.peer("alice")
        call = await alice.call(about="room")
        assert await call.accepted() == '{"say":"Dial 1."}'
        await call.dial("017")
        await alice.heard("We are open.")
        await call.dial("#")
        assert await call.ended() == "bye"
        await trio.sleep(1)
        assert seen == ["0", "7", "alice: CallEnded"]


async def test_a_call_that_nobody_takes_is_refused_at_once(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk")
    async with running(bot) as desk:
        await (await desk.peer("alice").call()).refused(within=0.5)

        @bot.invited
        async def invited(context: CallContext) -> None:
            raise KeyError("nobody is here")

        await (await desk.peer("alice").call()).refused(within=0.5)


async def test_what_takes_no_digits_in_a_call_is_passed_over(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.invited
    async def invited(context: CallContext) -> None:
        await context.accept()

    @bot.dtmf()
    async def digit(context: DtmfContext) -> None:
        seen.append(context.digit)

    async with running(bot) as desk:
        call = await desk.peer("alice").call()
        await call.accepted()
        await call.dial("12")
        await call.hang_up()
        await trio.sleep(1)
        assert seen == ["1", "2"]


async def test_a_plain_function_runs_in_a_thread_and_delays_nobody() -> None:
    bot, seen = Bot("app", account="desk", threads=2), list[str]()
    blocked = threading.Event()

    @bot.message("^block")
    def block(context: MessageContext) -> None:
        assert blocked.wait(10)
        seen.append(threading.current_thread().name)
        trio.from_thread.run(context.reply, "done")

    @bot.message()
    async def release(context: MessageContext) -> None:
        blocked.set()

    async with running(bot) as desk:
        alice, bob = desk.peer("alice"), desk.peer("bob")
        await alice.say("block")
        await bob.say("go on")
        # Threads are in no hurry on the mock clock: they are waited for, not slept for.
        while not seen:
            await trio.to_thread.run_sync(blocked.wait, 0.01)
        await alice.heard("done", within=60)
        assert seen != [threading.current_thread().name]


async def test_what_is_asked_in_the_thread_itself_is_refused_and_stops_nobody() -> None:
    """It would wake nobody: neither this session nor any other of the same Signal."""
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.message("^direct")
    def direct(context: MessageContext) -> None:
        session = context.session
        for ask in (
            lambda: session.message_instant_send("alice", "never sent"),
            lambda: session.message_instant_send("alice", b"never sent"),
            lambda: session.channel("room"),
            lambda: session.channel_invite_user2("room", "alice"),
            lambda: session.watch("alice").begin(),
            lambda: session.invoke("user_logout", {}),
            lambda: bot.signal.login("other", "_no_need_token"),
            session.logout,
        ):
            with pytest.raises(RuntimeError, match=r"trio\.from_thread\.run_sync\(METHOD"):
                ask()
        trio.from_thread.run_sync(session.message_instant_send, "alice", "sent")
        seen.append("asked")
        bot.stop()

    with trio.fail_after(20):
        async with running(bot) as desk:
            alice = desk.peer("alice")
            await alice.say("direct")
            await alice.heard("sent", within=60)
            while not seen:
                await trio.to_thread.run_sync(time.sleep, 0.01)
            while "does not run" not in repr(bot):
                await trio.to_thread.run_sync(time.sleep, 0.01)


async def test_what_a_plain_function_returns_to_be_awaited_is_awaited() -> None:
    bot, done = Bot("app", account="desk"), trio.Event()

    async def later(context: MessageContext) -> None:
        await context.reply("later")
        done.set()

    @bot.message()
    def now(context: MessageContext) -> Awaitable[None]:
        return later(context)

    async with running(bot) as desk:
        alice = desk.peer("alice")
        await alice.say("x")
        await done.wait()
        await alice.heard("later")


async def test_no_more_threads_run_than_the_bot_has() -> None:
    bot = Bot("app", account="desk", threads=2)
    lock, count, most = threading.Lock(), 0, 0
    gate = threading.Event()

    @bot.message()
    def block(context: MessageContext) -> None:
        nonlocal count, most
        with lock:
            count += 1
            most = max(most, count)
        assert gate.wait(10)
        with lock:
            count -= 1

    async with running(bot) as desk:
        for number in range(6):
            await desk.peer(f"p{number}").say("x")
        await trio.to_thread.run_sync(gate.wait, 0.2)
        gate.set()
        bot.stop()
        await desk.session.wait_logged_out()
        assert most == 2


async def test_middleware_goes_around_handlers_in_order(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.middleware
    async def outer(context: Context, call_next: Callable[[], Awaitable[None]]) -> None:
        seen.append(f"outer {type(context).__name__}")
        await call_next()
        seen.append("outer done")

    @bot.middleware
    async def no_mallory(context: Context, call_next: Callable[[], Awaitable[None]]) -> None:
        if context.account != "mallory":
            await call_next()

    @bot.message("^/do")
    async def do(context: MessageContext) -> None:
        seen.append(context.account)

    async with running(bot) as desk:
        for account, text in (("alice", "/do"), ("mallory", "/do"), ("alice", "else")):
            await desk.peer(account).say(text)
            await trio.sleep(1)
        around = ["outer MessageContext", "outer done"]
        assert seen == [around[0], "alice", *around[1:], *around, *around]


async def test_what_the_bot_sends_to_itself_is_told_to_no_handler(
    autojump_clock: MockClock,
) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.message()
    async def all_(context: MessageContext) -> None:
        seen.append(context.account)

    async with running(bot) as desk:
        await bot.send("desk", "hello me")
        await bot.send("alice", "hello")
        await desk.peer("alice").heard("hello")
        assert seen == []


async def test_what_came_while_it_was_away_is_handled_with_its_login(
    autojump_clock: MockClock,
) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.message()
    async def all_(context: MessageContext) -> None:
        seen.append(context.text)

    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        alice = await signal.login("alice", "_no_need_token")
        for number in range(40):
            await alice.message_instant_send("desk", f"{number}")
        async with running(bot, server):
            await trio.sleep(1)
        assert seen == [f"{number}" for number in range(40)]


async def test_a_bot_runs_again_and_not_twice_at_a_time(autojump_clock: MockClock) -> None:
    bot = Bot("app", account="desk")

    @bot.message()
    async def echo(context: MessageContext) -> None:
        await context.reply(context.text)

    for _ in range(2):
        async with running(bot) as desk:
            await desk.peer("alice").say("hi")
            with pytest.raises(RuntimeError, match="runs already"):
                await bot.run(server=desk.server)
            await bot.signal.user_set_attr("state", "busy")
            assert await bot.signal.user_get_attr(bot.account, "state") == "busy"
            bot.stop()
            await desk.session.wait_logged_out()
    with pytest.raises(RuntimeError, match="does not run"):
        await bot.send("alice", "hello")
    with pytest.raises(RuntimeError, match="does not run"):
        _ = bot.signal
    bot.stop()
    assert repr(bot) == "<Bot 'desk' in 'app': does not run>"


async def test_what_was_read_is_handled_before_it_stops(autojump_clock: MockClock) -> None:
    bot, seen = Bot("app", account="desk"), list[str]()

    @bot.message()
    async def slow(context: MessageContext) -> None:
        await trio.sleep(float(context.text))
        await context.reply("done")
        seen.append(context.text)

    async with running(bot) as desk:
        await desk.peer("alice").say("3")
        await desk.peer("bob").say("30")
        await trio.sleep(1)
        bot.stop()
        assert await desk.session.wait_logged_out() is ECode.LOGOUT_E_USER
        assert seen == ["3"]


async def test_a_refused_account_ends_its_run(autojump_clock: MockClock) -> None:
    async with local_server(listens=False) as server:
        with pytest.raises(LoginError) as refused:
            await Bot("app", account="not an account").run(server=server)
        assert refused.value.ecode is ECode.LOGIN_E_INVALID_USER


async def test_another_login_ends_its_run_and_cancels_its_handlers(
    autojump_clock: MockClock,
) -> None:
    bot, ends = Bot("app", account="desk"), list[object]()

    @bot.message()
    async def waits(context: MessageContext) -> None:
        try:
            await context.ask("well?", timeout=1000)
        except trio.Cancelled:
            ends.append("cancelled")
            raise

    async def run(*, task_status: trio.TaskStatus[LoginSession]) -> None:
        with pytest.raises(LogoutError) as ended:
            await bot.run(server=server, task_status=task_status)
        ends.append(ended.value.ecode)

    async with (
        local_server(listens=False) as server,
        Signal("app", server=server) as signal,
        trio.open_nursery() as nursery,
    ):
        alice = await signal.login("alice", "_no_need_token")
        await nursery.start(run)
        await alice.message_instant_send("desk", "hi")
        await trio.sleep(1)
        await signal.login("desk", "_no_need_token")
    assert ends == ["cancelled", ECode.LOGOUT_E_KICKED]


async def test_a_channel_that_cannot_be_joined_ends_its_run(autojump_clock: MockClock) -> None:
    async with local_server(listens=False) as server:
        with pytest.raises(SignalError) as failed:
            await Bot("app", account="desk", channel="x" * 200).run(server=server)
        assert failed.value.ecode is ECode.GENERAL_E_LARGE_PARAM
