"""The programs in docs/router.md do what they say, and its table names what there is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

import signal_sdk.router
from signal_sdk.router import Bot, Context
from tests.router.desk import running

TEXT = (Path(__file__).parents[2] / "docs" / "router.md").read_text()


def programs() -> dict[str, Any]:
    names: dict[str, Any] = {
        "__name__": "bot",
        "Context": Context,
        "Callable": Callable,
        "Awaitable": Awaitable,
    }
    first, second = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(first, "docs/router.md", "exec"), names)  # noqa: S102  our own document
    bot: Bot = names["bot"]

    @bot.message("^/fail")
    async def fail(_: object) -> None:
        raise KeyError("oh")

    names["second"] = compile(second, "docs/router.md", "exec")
    return names


async def test_the_programs_do_what_they_say(autojump_clock: MockClock) -> None:
    names = programs()
    async with running(names["bot"]) as desk:
        alice = desk.peer("alice")
        await alice.join("lobby")
        await alice.heard("Welcome, alice!", channel="lobby")
        await alice.say("/help")
        await alice.heard("I know /help, /order and /add A B.")
        await alice.say("/add 20 22")
        await alice.heard("42")
        await alice.say("/order")
        await alice.heard("What would you like?")
        await alice.say("tea")
        await alice.heard("Ordered: tea")
        call = await alice.call()
        await call.accepted()
        await call.dial("1")
        await alice.heard("We are open from 9 to 5.")


async def test_the_middleware_and_the_error_handler_do_what_they_say(
    autojump_clock: MockClock,
) -> None:
    names = programs()
    exec(names["second"], names)  # noqa: S102  our own document
    async with running(names["bot"]) as desk:
        alice, bob = desk.peer("alice"), desk.peer("staff-bob")
        for peer in (alice, bob):
            await peer.say("/fail")
        await bob.heard("Sorry, that went wrong.")
        await trio.sleep(1)
        assert alice.transcript == []


def test_the_page_names_every_decorator_and_class() -> None:
    decorators = {name for name in vars(Bot) if name in re.findall(r"@bot\.(\w+)", TEXT)}
    assert decorators == {
        *("message", "channel_message", "joined", "left", "invited"),
        *("dtmf", "call_ended", "middleware", "error"),
    }
    for name in signal_sdk.router.__all__:
        assert re.search(rf"\b{name}\b", TEXT) or name in ("ChannelContext", "Context"), name
