"""Bots that share one `Signal`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import ECode, LoginError, LogoutError, Signal
from signal_sdk.router import Bot, MessageContext
from signal_sdk.testing.server import local_server


def echo(account: str) -> Bot:
    bot = Bot("another app", account=account, server="nowhere.invalid:1")

    @bot.message()
    async def answer(context: MessageContext) -> None:
        await context.reply(f"{account}: {context.text}")

    return bot


@asynccontextmanager
async def shared() -> AsyncIterator[Signal]:
    async with local_server(listens=False) as server, Signal("app", server=server) as signal:
        yield signal


async def test_each_hears_what_is_its_own_and_stops_by_itself(autojump_clock: MockClock) -> None:
    bots = [echo(f"bot{number}") for number in range(3)]
    async with shared() as signal, trio.open_nursery() as nursery:
        for bot in bots:
            session = await nursery.start(bot.run_in, signal)
            assert bot.session is session
            assert bot.signal is signal
        alice = await signal.login("alice", "_no_need_token")
        assert signal.accounts == {"alice", "bot0", "bot1", "bot2"}

        async def answers() -> list[str]:
            heard = list[str]()
            async with alice.messages() as messages:
                for bot in bots:
                    await alice.message_instant_send(bot.account, "hi")
                with trio.move_on_after(1):
                    async for message in messages:
                        heard.append(message.text)
            return heard

        assert sorted(await answers()) == ["bot0: hi", "bot1: hi", "bot2: hi"]
        bots[1].stop()
        await trio.sleep(1)
        assert signal.accounts == {"alice", "bot0", "bot2"}
        assert sorted(await answers()) == ["bot0: hi", "bot2: hi"]
        # Once more, in the same one: what was said meanwhile has waited for it.
        await nursery.start(bots[1].run_in, signal)
        assert sorted(await answers()) == ["bot0: hi", "bot1: hi", "bot1: hi", "bot2: hi"]
        for bot in bots:
            bot.stop()


async def test_the_end_of_its_session_ends_its_run_alone(autojump_clock: MockClock) -> None:
    first, second = echo("first"), echo("second")
    ends = list[ECode]()

    async def run(*, task_status: trio.TaskStatus[object]) -> None:
        with pytest.raises(LogoutError) as ended:
            await first.run_in(signal, task_status=task_status)
        ends.append(ended.value.ecode)

    async with (
        local_server(listens=False) as server,
        Signal("app", server=server) as signal,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(run)
        await nursery.start(second.run_in, signal)
        await server.node.operator.kick("app", "first")
        await trio.sleep(1)
        assert ends == [ECode.LOGOUT_E_KICKED]
        assert signal.accounts == {"second"}
        second.stop()


async def test_a_run_that_is_cancelled_logs_its_account_out(autojump_clock: MockClock) -> None:
    bot = echo("bot")
    async with shared() as signal:
        async with trio.open_nursery() as nursery:
            await nursery.start(bot.run_in, signal)
            alice = await signal.login("alice", "_no_need_token")
            nursery.cancel_scope.cancel()
        assert signal.accounts == {"alice"}
        await trio.sleep(1)
        assert await alice.query_user_status("bot") == 0


async def test_an_account_that_is_logged_in_there_is_no_bots(autojump_clock: MockClock) -> None:
    async with shared() as signal:
        await signal.login("bot", "_no_need_token")
        with pytest.raises(RuntimeError, match="'bot' is logged in in this Signal already"):
            await echo("bot").run_in(signal)
        assert signal.accounts == {"bot"}
        async with trio.open_nursery() as nursery:
            its = echo("twice")
            await nursery.start(its.run_in, signal)
            with pytest.raises(RuntimeError, match="runs already"):
                await its.run_in(signal)
            its.stop()


async def test_what_cannot_log_in_says_so(autojump_clock: MockClock) -> None:
    async with shared() as signal:
        with pytest.raises(LoginError):
            await echo("not an account").run_in(signal)
        assert signal.accounts == set()
    with pytest.raises(RuntimeError, match="inside the Signal's block"):
        await echo("bot").run_in(signal)
