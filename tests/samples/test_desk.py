"""One desk in four styles, each a real process at a server: whoever comes to it cannot tell which.

Visitors are an account of our SDK, and a page of the original web SDK under Node.
"""

from __future__ import annotations

from functools import partial
from signal import SIGINT

import pytest
import trio

from signal_sdk.testing.server import LocalServer
from tests.samples.peer import APP, peer
from tests.samples.programs import Program, program
from tests.samples.visitors import DESK, OurVisitor, Visitor, WebVisitor
from tests.web.web_peer import cut, web_peer

STYLES = ("callbacks", "streams", "asyncio", "router")
HASTY_APP = "hasty"
HASTY = 0.05
"""How long a desk waits for the answer of somebody who gives none."""
HELP = "I know /help, /order, /orders, and calls: dial 1 for our hours, 2 for orders, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."

pytestmark = pytest.mark.parametrize("style", STYLES)


def desk(style: str, server: LocalServer, *args: str) -> tuple[str, ...]:
    return (f"samples/desk/with_{style}.py", "--server", server.address, *args)


async def ready(running: Program) -> None:
    await running.expect("^desk is online$")


async def is_gone(server: LocalServer) -> bool:
    async with peer(server, "witness") as witness:
        return not await witness.session.query_user_status(DESK)


async def visit(visitor: Visitor, server: LocalServer, orders: int) -> None:
    """All that a desk does, where `orders` were made before."""

    async def talk(*lines: tuple[str, str]) -> None:
        for said, heard in lines:
            await visitor.say(said)
            assert await visitor.hear() == heard

    await talk(
        ("/help", HELP),
        ("hello", f"Pardon? {HELP}"),
        ("/orders", f"{orders} orders so far."),
        ("/order", "What would you like?"),
        ("tea", "How many of tea?"),
        ("three", "A number, please."),
    )
    assert await visitor.hear() == "How many of tea?"
    # What is said while the desk has no connection is answered when it has one again.
    cut(server, DESK, app=APP)
    await talk(("3", f"3 x tea: order {orders + 1}."), ("/orders", f"{orders + 1} orders so far."))
    await visitor.join()
    assert "Welcome, " in await visitor.hear_in_lobby()
    assert await visitor.call() == {"say": HELP}
    await visitor.dial("12")
    assert await visitor.hear() == HOURS
    assert await visitor.hear() == f"{orders + 1} orders so far."
    await visitor.dial("#9")
    assert await visitor.hear() == "Nothing is behind #."
    assert await visitor.hear_end() == {"say": "Goodbye."}


async def test_a_desk_serves_our_sdk_and_the_web_sdk_and_ends_in_good_order(
    server: LocalServer, style: str
) -> None:
    async with (
        program(*desk(style, server, "--app", APP)) as running,
        peer(server, "alice") as alice,
        web_peer(server) as web,
    ):
        await ready(running)
        await visit(OurVisitor(alice), server, 0)
        await visit(await WebVisitor.log_in(web, "page"), server, 1)
        assert await alice.hear() == ("desk in lobby", "Welcome, page!")
        assert not alice.has_heard_more
        running.send(SIGINT)
        assert await running.end() == 0
        lost = "the connection is lost: attempt 1"
        assert [line for line in running.lines if line != lost] == []
        assert await is_gone(server)


async def test_who_orders_and_says_nothing_more_holds_nobody_up_and_ends_are_one_line(
    server: LocalServer, style: str
) -> None:
    """The desk's own ends are a login elsewhere, and a server that is not there."""

    async def order(number: int) -> None:
        async with peer(server, f"user{number}", app=HASTY_APP) as user:
            visitor = OurVisitor(user)
            await visitor.say("/order")
            assert await visitor.hear() == "What would you like?"
            assert await visitor.hear() == "Never mind: /order begins again."
            await visitor.say("/help")
            assert await visitor.hear() == HELP

    args = ("--app", HASTY_APP, "--patience", f"{HASTY}")
    async with (
        program(*desk(style, server, *args)) as running,
        program(f"samples/desk/with_{style}.py", "--server", "127.0.0.1:1") as lost,
    ):
        await ready(running)
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(partial(order, number))
        async with peer(server, DESK, app=HASTY_APP):
            assert await running.end() == 1
        assert running.lines == ["error: the account logged in elsewhere (103 LOGOUT_E_KICKED)"]
        assert await lost.end() == 1
        [line] = lost.lines
        assert line.startswith("error: ")
        assert "127.0.0.1:1" in line
