"""The sample bots, each a real process at a server."""

from __future__ import annotations

import signal

import pytest

from signal_sdk.testing.server import LocalServer
from tests.samples.peer import APP, peer
from tests.samples.programs import Program, program

STAYING = ("echo_bot", "presence_listener", "call_desk", "help_bot")
ALL = (*STAYING, "many_bots", "visitor")

MENU = "Dial 1 for our opening hours, 2 for a colleague, 9 to hang up."
HOURS = "We are open from 9 to 5, Monday to Friday."


def sample(name: str, server: LocalServer, *args: str) -> tuple[str, ...]:
    """The command line of a sample, as its first lines say it."""
    return (f"samples/{name}.py", "--server", server.address, "--app", APP, *args)


async def ready(running: Program) -> Program:
    """Wait until a bot that stays has said that it is there."""
    await running.expect("^(echo|desk|helper) is online|listens to")
    return running


# --- What all have in common


@pytest.mark.parametrize("name", STAYING)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_bot_that_is_interrupted_logs_out_and_exits_with_0(
    server: LocalServer, name: str, number: signal.Signals
) -> None:
    async with program(*sample(name, server)) as bot:
        await ready(bot)
        assert server.node.sessions
        bot.send(number)
        assert await bot.end() == 0
    assert bot.lines == []
    async with peer(server, "alice") as alice:
        for account in ("echo", "desk", "helper", "listener"):
            assert not await alice.session.query_user_status(account)


@pytest.mark.parametrize("name", ALL)
async def test_a_bot_without_a_server_says_so_in_one_line(name: str) -> None:
    async with program(f"samples/{name}.py", "--server", "127.0.0.1:1") as bot:
        assert await bot.end() == 1
    [line] = bot.lines
    assert line.startswith("error: ")
    assert "127.0.0.1:1" in line


@pytest.mark.parametrize("name", ["echo_bot", "call_desk", "presence_listener"])
async def test_a_bot_that_is_logged_out_says_why_in_one_line(
    server: LocalServer, name: str
) -> None:
    async with program(*sample(name, server)) as bot:
        await ready(bot)
        account = {"echo_bot": "echo", "call_desk": "desk"}.get(name, "listener")
        async with peer(server, account):
            assert await bot.end() == 1
    assert bot.lines[-1] == "error: logged out: the account logged in elsewhere (103)"


@pytest.mark.parametrize("name", ALL)
async def test_a_bot_explains_its_arguments(name: str) -> None:
    async with program(f"samples/{name}.py", "--help") as bot:
        assert await bot.end() == 0
    assert any("--server" in line for line in bot.lines)


# --- One by one


async def test_the_echo_bot_answers_with_the_same_text(server: LocalServer) -> None:
    async with program(*sample("echo_bot", server)) as bot, peer(server, "alice") as alice:
        await ready(bot)
        for text in ("Hello!", "", "  two  spaces\nand a line 🦉"):
            await alice.session.message_instant_send("echo", text)
            assert await alice.hear() == ("echo", text)
            await bot.expect("alice says ")


async def test_the_echo_bot_greets_and_answers_in_the_lobby(server: LocalServer) -> None:
    async with program(*sample("echo_bot", server)) as bot, peer(server, "alice") as alice:
        await ready(bot)
        async with alice.session.channel_join("lobby", alice) as lobby:
            assert await alice.hear() == ("echo in lobby", "Welcome, alice!")
            await lobby.message_channel_send("nothing to be answered")
            await lobby.message_channel_send("echo echo twice")
            assert await alice.hear() == ("echo in lobby", "echo twice")
            await lobby.message_channel_send("echo the last")
            assert await alice.hear() == ("echo in lobby", "the last")
        await bot.expect("alice has left lobby")
        assert not alice.has_heard_more


async def test_the_echo_bot_does_not_answer_itself(server: LocalServer) -> None:
    async with program(*sample("echo_bot", server)) as bot, peer(server, "alice") as alice:
        await ready(bot)
        await alice.session.message_instant_send("echo", "once")
        assert await alice.hear() == ("echo", "once")
        # Whoever sends as alice what comes back to alice gets one answer, and no more.
        await alice.session.message_instant_send("alice", "to myself")
        assert await alice.hear() == ("alice", "to myself")
        assert not alice.has_heard_more


async def test_fifty_bots_of_five_apps_talk_in_rings(server: LocalServer) -> None:
    async with program(*sample("many_bots", server, "--laps", "2")) as bots:
        await bots.expect(r"^50 bots are online")
        assert await bots.end() == 0
    *rings, summary = bots.lines
    assert sorted(rings) == [
        f"{APP}-{number}: the ring is closed after 20 messages" for number in range(1, 6)
    ]
    assert summary.startswith("50 bots in 5 apps: 100 messages in ")
    assert server.node.sessions == 0


async def test_the_listener_prints_who_comes_and_goes_and_joins_and_leaves(
    server: LocalServer,
) -> None:
    async with program(*sample("presence_listener", server)) as listener:
        await ready(listener)
        async with peer(server, "alice") as alice:
            await listener.expect(r"^\d\d:\d\d:\d\d alice is online$")
            async with alice.session.channel_join("tea room"):
                await listener.expect(r"^\d\d:\d\d:\d\d alice has joined 'tea room'$")
            await listener.expect("alice has left 'tea room'$")
        await listener.expect("alice is offline$")


# --- The desk


async def test_the_desk_answers_a_call_and_what_is_dialled(server: LocalServer) -> None:
    async with program(*sample("call_desk", server)) as desk, peer(server, "alice") as alice:
        await ready(desk)
        call = await alice.session.channel_invite_user2("tea", "desk", "", alice)
        assert await alice.hear() == ("accepted", {"say": f"Welcome! {MENU}"})
        await call.channel_invite_dtmf("1")
        assert await alice.hear() == ("desk", HOURS)
        await call.channel_invite_dtmf("5#")
        assert await alice.hear() == ("desk", MENU)
        assert await alice.hear() == ("desk", MENU)
        await call.channel_invite_dtmf("91")
        assert await alice.hear() == ("ended", {"say": "Goodbye."})
        await desk.expect("the call with alice is over")
        assert not alice.has_heard_more


async def test_the_desk_transfers_a_caller_to_the_colleague(server: LocalServer) -> None:
    async with (
        program(*sample("call_desk", server, "--colleague", "bob")) as desk,
        peer(server, "alice") as alice,
        peer(server, "bob") as bob,
    ):
        await ready(desk)
        call = await alice.session.channel_invite_user2("tea", "desk", "", alice)
        await alice.hear()
        await call.channel_invite_dtmf("2")
        assert await alice.hear() == ("ended", {"say": "Please call bob.", "transfer": "bob"})
        assert await bob.hear() == ("desk", "alice will call you about tea.")


async def test_the_desk_says_that_the_colleague_is_not_there(server: LocalServer) -> None:
    async with program(*sample("call_desk", server)) as desk, peer(server, "alice") as alice:
        await ready(desk)
        call = await alice.session.channel_invite_user2("tea", "desk", "", alice)
        await alice.hear()
        await call.channel_invite_dtmf("2")
        assert await alice.hear() == ("desk", f"colleague is not here. {MENU}")
        await call.channel_invite_end()
        await desk.expect("alice has hung up")


async def test_the_desk_refuses_calls_about_the_closed_channel(server: LocalServer) -> None:
    async with program(*sample("call_desk", server)) as desk, peer(server, "alice") as alice:
        await ready(desk)
        await alice.session.channel_invite_user2("closed", "desk", "", alice)
        assert await alice.hear() == ("refused", {"say": "The desk is closed."})


async def test_the_desk_serves_several_callers_at_once(server: LocalServer) -> None:
    async with (
        program(*sample("call_desk", server)) as desk,
        peer(server, "alice") as alice,
        peer(server, "bob") as bob,
    ):
        await ready(desk)
        first = await alice.session.channel_invite_user2("tea", "desk", "", alice)
        second = await bob.session.channel_invite_user2("tea", "desk", "", bob)
        assert (await alice.hear())[0] == (await bob.hear())[0] == "accepted"
        await first.channel_invite_dtmf("9")
        assert (await alice.hear())[0] == "ended"
        await second.channel_invite_dtmf("1")
        assert await bob.hear() == ("desk", HOURS)


# --- The visitor


async def test_the_visitor_does_all_that_it_came_for(server: LocalServer) -> None:
    async with (
        program(*sample("echo_bot", server)) as echo,
        program(*sample("call_desk", server)) as desk,
    ):
        await ready(echo)
        await ready(desk)
        async with program(*sample("visitor", server)) as visitor:
            await visitor.expect("reads: 'Hello!'")
            await visitor.expect("reads in lobby: 'Welcome, visitor!'")
            await visitor.expect("reads in lobby: 'Good morning!'")
            await visitor.expect("hears: 'Please call colleague.'")
            await visitor.expect("hears: 'How can I help you[?]'")
            await visitor.expect("has done all that it came for")
            assert await visitor.end() == 0


# --- The bot of handlers


async def test_the_help_bot_helps_takes_orders_and_answers_calls(server: LocalServer) -> None:
    async with program(*sample("help_bot", server)) as bot, peer(server, "alice") as alice:
        await ready(bot)
        say = alice.session.message_instant_send
        await say("helper", "/add 20 -22")
        assert await alice.hear() == ("helper", "-2")
        for said, heard in (
            ("/order", "What would you like?"),
            ("tea", "How many of tea?"),
            ("three", "A number, please."),
        ):
            await say("helper", said)
            assert await alice.hear() == ("helper", heard)
        assert await alice.hear() == ("helper", "How many of tea?")
        await say("helper", "3")
        assert await alice.hear() == ("helper", "3 x tea: ordered.")
        async with alice.session.channel_join("lobby", alice) as lobby:
            assert await alice.hear() == ("helper in lobby", "Welcome, alice!")
            await lobby.message_channel_send("/who is here?")
            assert await alice.hear() == ("helper in lobby", "alice, helper")
        call = await alice.session.channel_invite_user2("tea", "helper", "", alice)
        kind, _ = await alice.hear()
        assert kind == "accepted"
        await call.channel_invite_dtmf("1")
        assert await alice.hear() == ("helper", HOURS)
        await call.channel_invite_dtmf("59")
        assert await alice.hear() == ("helper", "Nothing is behind 5.")
        assert await alice.hear() == ("ended", {"say": "Goodbye."})
        assert not alice.has_heard_more


async def test_the_help_bot_says_why_it_was_logged_out(server: LocalServer) -> None:
    async with program(*sample("help_bot", server)) as bot:
        await ready(bot)
        async with peer(server, "helper"):
            assert await bot.end() == 1
    assert bot.lines[-1] == "error: the account logged in elsewhere (103 LOGOUT_E_KICKED)"
