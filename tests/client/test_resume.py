"""A session that loses its connection, against the real server: nothing is lost, nothing comes
twice.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import CallState, LoginSession, Signal
from signal_sdk.errors import LinkError
from signal_sdk.net.reactor import Reactor
from signal_sdk.testing import FaultyNetwork
from signal_sdk.testing.server import LocalServer, local_server
from signal_sdk.websocket.link import Link
from tests.client.fakes import Heard

NO_TOKEN = "_no_need_token"


class Wire:
    """A dialer whose last link can be cut, and that leads wherever it is told to."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self.is_down = False
        self._links: list[Link] = []

    async def dial(self, appid: str, reactor: Reactor, *, avoid: str = "") -> Link:
        if self.is_down:
            raise LinkError("down")
        self._links.append(await self.server.dial(appid, reactor, avoid=avoid))
        return self._links[-1]

    def cut(self) -> None:
        self._links[-1].abort()


class World:
    """Ann, whose wire is cut, and Bob, whose is not."""

    def __init__(self, server: LocalServer) -> None:
        self.wire = Wire(server)
        self.ann, self.bob = Heard(), Heard()
        self.a: LoginSession
        self.b: LoginSession

    def texts(self, name: str) -> list[str]:
        return [text for *_, text in self.ann.of(name)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(local_server(listens=False))
        made = World(server)
        signal = await stack.enter_async_context(Signal("app", server=made.wire))
        other = await stack.enter_async_context(Signal("app", server=server))
        made.a = await signal.login("ann", NO_TOKEN, made.ann.login)
        made.b = await other.login("bob", NO_TOKEN, made.bob.login)
        yield made


async def test_what_happens_meanwhile_is_told_after_it(
    world: World, autojump_clock: MockClock
) -> None:
    room = await world.a.channel_join("room", world.ann.channel)
    there = await world.b.channel_join("room", world.bob.channel)
    await there.message_channel_send("0")
    await world.b.message_instant_send("ann", "0")
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    for number in range(1, 40):
        await there.message_channel_send(str(number))
        await world.b.message_instant_send("ann", str(number))
        await trio.sleep(0.1)
    await there.channel_set_attr("topic", "cuts")
    await there.channel_leave()
    world.wire.is_down = False
    await world.ann.wait("on_reconnected")
    sent = room.message_channel_send("back")
    await world.ann.wait("on_channel_user_leaved")
    await world.ann.wait("on_message_instant_receive", 40)
    await sent
    await trio.sleep(5)
    numbers = [str(number) for number in range(40)]
    assert world.texts("on_message_channel_receive") == [*numbers, "back"]
    assert world.texts("on_message_instant_receive") == numbers
    assert world.ann.of("on_channel_attr_updated")[-1][2:] == ("topic", "cuts", "update")
    assert world.ann.of("on_error", "on_logout", "on_channel_leaved") == []
    # The others have not noticed.
    assert world.bob.of("on_channel_user_leaved") == []


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_sent_over_cuts_arrives_once_and_in_order(
    world: World, seed: int, autojump_clock: MockClock
) -> None:
    rng = random.Random(seed)
    got: list[str] = []
    world.bob.on("on_message_instant_receive", lambda *args: got.append(args[-1]))
    await world.a.channel_join("room", world.ann.channel)
    await world.b.channel_join("room", world.bob.channel)
    room: Any = world.a.channel_join("room")
    operations = []
    for number in range(60):
        operations += [
            world.a.message_instant_send("bob", str(number)),
            room.message_channel_send(str(number)),
        ]
        if rng.random() < 0.3:
            for _ in range(rng.randrange(6)):
                await trio.lowlevel.checkpoint()
            world.wire.cut()
        await trio.sleep(rng.random())
    for operation in operations:
        await operation
    await world.ann.wait("on_message_channel_receive", 60)
    await world.bob.wait("on_message_channel_receive", 60)
    await trio.sleep(5)
    numbers = [str(number) for number in range(60)]
    assert got == numbers
    assert world.texts("on_message_channel_receive") == numbers
    assert [text for *_, text in world.bob.of("on_message_channel_receive")] == numbers
    assert world.ann.of("on_error", "on_logout") == world.bob.of("on_error") == []
    assert len(world.ann.of("on_reconnected")) > 5


async def test_a_call_goes_on_over_a_cut(world: World, autojump_clock: MockClock) -> None:
    world.bob.on("on_invite_received", lambda _, call: setattr(call, "cb", world.bob.call))
    call = world.a.channel_invite_user2("room", "bob", "", world.ann.call)
    await wait_all_tasks_blocked()
    world.wire.cut()
    await call
    _, answering = await world.bob.wait("on_invite_received")
    await world.ann.wait("on_invite_received_by_peer")
    world.wire.cut()
    await answering.channel_invite_accept("")
    await world.ann.wait("on_invite_accepted_by_peer")
    digits = call.channel_invite_dtmf("1")
    world.wire.cut()
    await digits
    await world.bob.wait("on_invite_msg")
    ending = call.channel_invite_end()
    world.wire.cut()
    await ending
    await world.bob.wait("on_invite_end_by_peer")
    await trio.sleep(5)
    assert call.state is answering.state is CallState.ENDED
    assert len(world.bob.of("on_invite_received", "on_invite_msg", "on_invite_end_by_peer")) == 3
    assert world.ann.of("on_invite_failed", "on_error") == []


@pytest.mark.parametrize("seed", range(3))
async def test_moves_between_channels_over_cuts_end_where_the_user_wants_to_be(
    world: World, seed: int, autojump_clock: MockClock
) -> None:
    rng = random.Random(seed)
    names = ["one", "two", "three"]
    for number in range(30):
        channel = world.a.channel_join(rng.choice(names), world.ann.channel)
        if rng.random() < 0.3:
            channel.channel_leave()
        for _ in range(rng.randrange(8)):
            await trio.lowlevel.checkpoint()
        if number % 3 == 0:
            world.wire.cut()
        await trio.sleep(rng.choice([0, 0.1, 1]))
    last = await world.a.channel_join("last", world.ann.channel)
    await trio.sleep(5)
    assert last.is_joined
    for name in names:
        assert await world.b.channel_query_user_is_in(name, "ann") is False
    assert await world.b.channel_query_user_is_in("last", "ann") is True
    await last.message_channel_send("here")
    await world.ann.wait("on_message_channel_receive")
    assert world.ann.of("on_error", "on_channel_join_failed") == []


async def test_a_server_without_a_memory_is_logged_in_to_anew(
    world: World, autojump_clock: MockClock
) -> None:
    room = await world.a.channel_join("room", world.ann.channel)
    await world.a.channel_invite_user2("room", "bob", "", world.ann.call)
    gap = room.gap
    async with (
        local_server(listens=False) as another,
        Signal("app", server=another) as signal,
    ):
        carol = await signal.login("carol", NO_TOKEN)
        there = await carol.channel_join("room")
        await carol.message_instant_send("ann", "while you were away")
        world.wire.server = another
        world.wire.cut()
        await gap
        await world.ann.wait("on_channel_user_joined")
        await there.message_channel_send("hello")
        await world.ann.wait("on_message_channel_receive")
        await world.ann.wait("on_message_instant_receive")
        await world.ann.wait("on_invite_failed")
        assert world.ann.of("on_invite_failed")[0][-1] == 702
        assert [name for name in world.ann.names if name.startswith("on_channel_")] == [
            "on_channel_joined",
            "on_channel_user_list",
            "on_channel_user_joined",
        ]
        assert room.is_joined
        await world.a.logout()


async def test_another_login_meanwhile_ends_the_session(
    world: World, autojump_clock: MockClock
) -> None:
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    async with Signal("app", server=world.wire.server) as elsewhere:
        await elsewhere.login("ann", NO_TOKEN)
        world.wire.is_down = False
        ended = await world.a.wait_logged_out()
    await world.ann.wait("on_logout")
    assert (ended, world.ann.of("on_logout")) == (103, [("on_logout", 103)])


async def test_a_half_open_connection_is_replaced(heard: Heard, autojump_clock: MockClock) -> None:
    """Nobody says that it is dead; both sides notice, and the session goes on."""
    async with (
        local_server(listens=False) as server,
        FaultyNetwork(server, seed=1) as network,
        Signal("app", server=network) as signal,
    ):
        session = await signal.login("ann", NO_TOKEN, heard.login)
        began = trio.current_time()
        network.half_open_all()
        await heard.wait("on_reconnected")
        assert 19 <= trio.current_time() - began <= 21
        assert await session.query_user_status("ann")
