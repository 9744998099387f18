"""The programs in docs/router.md do what they say, and its table names what there is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

import signal_sdk.router
from signal_sdk import Signal
from signal_sdk.router import Bot, Context
from signal_sdk.router.decorators import Decorators
from signal_sdk.testing.scripted_peer import ScriptedPeer
from signal_sdk.testing.server import local_server
from tests.router.desk import running

TEXT = (Path(__file__).parents[2] / "docs" / "router.md").read_text()


def programs() -> dict[str, Any]:
    names: dict[str, Any] = {
        "__name__": "bot",
        "Context": Context,
        "Callable": Callable,
        "Awaitable": Awaitable,
    }
    first, usher, main, second = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    for program in (first, usher, main):
        exec(compile(program, "docs/router.md", "exec"), names)  # noqa: S102  our own document
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


async def test_the_bots_that_share_a_signal_do_what_they_say(
    autojump_clock: MockClock,
) -> None:
    names = programs()
    image = b"\x89PNG"
    async with (
        local_server(listens=False) as server,
        Signal("demo", server=server) as signal,
        trio.open_nursery() as nursery,
    ):
        names["Signal"] = partial(Signal, server=server)
        nursery.start_soon(names["main"])
        while names["usher"]._life is None:  # noqa: ASYNC110  it tells nobody but its run
            await trio.sleep(0.1)
        peer = ScriptedPeer(signal, "peer", bot=lambda: "usher")
        await peer.say("/help", to="desk")
        await peer.heard("I know /help, /order and /add A B.", by="desk")
        await peer.say("/open bar")
        await peer.heard("I am in bar, lobby, stage.", by="usher")
        await peer.join("bar")
        await peer.say_in_channel("/where")
        await peer.heard("This is bar.", channel="bar")
        await peer.say("/close bar")
        await peer.heard("I am in lobby, stage.")
        await peer.join("stage")
        await peer.heard("peer is on stage.", channel="stage")
        alice = await signal.login("alice", "_no_need_token", takes_bytes=True)
        async with alice.messages() as messages:
            await alice.message_instant_send("usher", image)
            assert (await anext(messages)).text == "What is it called?"
            await alice.message_instant_send("usher", "Sunset")
            await peer.heard("Sunset", channel="stage")
            assert (await anext(messages)).data == image
        nursery.cancel_scope.cancel()


def test_the_page_names_every_decorator_and_class() -> None:
    decorators = {name for name in vars(Decorators) if not name.startswith("_")}
    assert decorators == set(re.findall(r"@(?:bot|usher)\.(\w+)", TEXT))
    for name in signal_sdk.router.__all__:
        assert re.search(rf"\b{name}\b", TEXT) or name in ("ChannelContext", "Context"), name
