"""A session in many channels: each is joined, heard and left by itself, over cuts as well."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk import Channel, ECode, Gap, LoginError, LoginSession, Signal, SignalError
from signal_sdk.server.operator.operator import Operator
from signal_sdk.testing.server import local_server
from tests.client.fakes import TOKEN, FakeServer, Heard
from tests.client.test_resume import NO_TOKEN, Wire, World
from tests.server.helpers import dev_config, journal_server, killed

KICKED = ECode.LEAVECHANNEL_E_KICKED


class Ear:
    """What each of ann's channels heard."""

    def __init__(self, world: World) -> None:
        self._session = world.a
        self.heard: dict[str, Heard] = {}

    async def join(self, *names: str) -> list[Channel]:
        for name in names:
            self.heard.setdefault(name, Heard())
        return [
            await it for it in [self._session.channel_join(n, self.heard[n].channel) for n in names]
        ]

    def texts(self, name: str) -> list[str]:
        return [text for *_, text in self.heard[name].of("on_message_channel_receive")]


@pytest.fixture
def limits() -> dict[str, Any]:
    """Of the server's."""
    return {}


@pytest.fixture
async def world(limits: dict[str, Any]) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(local_server(dev_config(**limits), listens=False))
        made = World(server)
        signal = await stack.enter_async_context(Signal("app", server=made.wire))
        other = await stack.enter_async_context(Signal("app", server=server))
        made.a = await signal.login("ann", NO_TOKEN, made.ann.login, many_channels=True)
        made.b = await other.login("bob", NO_TOKEN, made.bob.login, many_channels=True)
        yield made


@pytest.fixture
def ear(world: World) -> Ear:
    return Ear(world)


@pytest.fixture
def operator(world: World) -> Operator:
    return world.wire.server.node.operator


async def say(session: LoginSession, name: str, *texts: str) -> None:
    for text in texts:
        await session.message_channel_send_force(name, text)


async def test_each_channel_is_joined_heard_and_left_by_itself(
    world: World, ear: Ear, operator: Operator, autojump_clock: MockClock
) -> None:
    room, hall = await ear.join("room", "hall")
    assert [it.is_joined for it in (room, hall)] == [True, True]
    assert (await ear.join("room")) == [room]
    await say(world.b, "room", "1", "2")
    await say(world.b, "hall", "3")
    await room.message_channel_send("own")
    await room.channel_set_attr("topic", "tea")
    await trio.sleep(1)
    assert (ear.texts("room"), ear.texts("hall")) == (["1", "2", "own"], ["3"])
    assert ear.heard["hall"].of("on_channel_attr_updated") == []
    assert ear.heard["room"].of("on_channel_attr_updated")[-1][2:] == ("topic", "tea", "update")
    assert [it.text for it in (await hall.history()).messages] == ["3"]
    presence = await operator.presence("app", "ann")
    assert (presence.channels, presence.channel) == (("room", "hall"), "hall")
    [online] = [it for it in (await operator.online("app")).items if it.account == "ann"]
    assert online.channels == ("room", "hall")
    connections = (await operator.connections("app")).items
    assert {it.account: it.channels for it in connections} == {"ann": ("room", "hall"), "bob": ()}
    await room.channel_leave()
    left = await ear.heard["room"].wait("on_channel_leaved")
    assert left[1:] == (room, ECode.LEAVECHANNEL_E_BYUSER)
    assert [it.is_joined for it in (room, hall)] == [False, True]
    with pytest.raises(SignalError) as caught:
        await room.message_channel_send("late")
    assert caught.value.ecode is ECode.SENDMESSAGE_E_OTHER
    await say(world.b, "room", "4")
    await say(world.b, "hall", "5")
    await trio.sleep(1)
    assert (ear.texts("room"), ear.texts("hall")) == (["1", "2", "own"], ["3", "5"])
    [again] = await ear.join("room")
    assert again is not room
    await say(world.b, "room", "6")
    await trio.sleep(1)
    assert ear.texts("room")[-1] == "6"


async def test_streams_are_each_channels_own(world: World, autojump_clock: MockClock) -> None:
    async with world.a.channel("room") as room, world.a.channel("hall") as hall:
        for name in ("hall", "room"):
            await say(world.b, name, f"in {name}")
        for channel in (room, hall):
            async for event in channel.events():
                if getattr(event, "text", None):
                    assert getattr(event, "text", None) == f"in {channel.name}"
                    break


async def test_who_comes_and_goes_is_told_for_each(world: World, autojump_clock: MockClock) -> None:
    ear = Ear(world)
    await ear.join("room", "hall")
    there = await world.b.channel_join("room", world.bob.channel)
    await world.b.channel_join("hall", world.bob.channel)
    await there.channel_leave()
    await trio.sleep(1)
    names = ("on_channel_user_joined", "on_channel_user_leaved")
    assert [name for name, *_ in ear.heard["room"].of(*names)] == list(names)
    assert [name for name, *_ in ear.heard["hall"].of(*names)] == ["on_channel_user_joined"]


@pytest.mark.parametrize("limits", [{"session_channels": 2}])
async def test_over_the_bound_a_join_is_refused_and_the_others_stay(
    world: World, ear: Ear, autojump_clock: MockClock
) -> None:
    room, hall = await ear.join("room", "hall")
    with pytest.raises(SignalError, match="the channels that a session is in: 2") as caught:
        await ear.join("yard")
    assert caught.value.ecode is ECode.JOINCHANNEL_E_OTHER
    failed = await ear.heard["yard"].wait("on_channel_join_failed")
    assert failed[-1] is ECode.JOINCHANNEL_E_OTHER
    await hall.channel_leave()
    await ear.join("yard")
    assert room.is_joined


async def test_the_end_of_the_session_is_the_end_of_each(
    world: World, ear: Ear, operator: Operator, autojump_clock: MockClock
) -> None:
    await ear.join("room", "hall")
    await operator.kick("app", "ann")
    assert (await world.ann.wait("on_logout"))[-1] is ECode.LOGOUT_E_KICKED
    for name in ("room", "hall"):
        [(_, _, code)] = ear.heard[name].of("on_channel_leaved")
        assert code is ECode.LEAVECHANNEL_E_LOGOUT
        assert (await operator.members("app", name)).items == []


async def test_an_operator_takes_it_out_of_one(
    world: World, ear: Ear, operator: Operator, autojump_clock: MockClock
) -> None:
    room, hall = await ear.join("room", "hall")
    await operator.remove("app", "ann", "room")
    assert (await ear.heard["room"].wait("on_channel_leaved"))[1:] == (room, KICKED)
    assert hall.is_joined
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    await operator.remove("app", "ann", "hall")
    world.wire.is_down = False
    assert (await ear.heard["hall"].wait("on_channel_leaved"))[1:] == (hall, KICKED)
    await trio.sleep(120)
    assert (await operator.presence("app", "ann")).channels == ()
    assert len(ear.heard["room"].of("on_channel_leaved")) == 1


async def test_what_was_missed_is_told_for_each_after_a_lost_connection(
    world: World, ear: Ear, autojump_clock: MockClock
) -> None:
    room, hall, yard = await ear.join("room", "hall", "yard")
    await say(world.b, "room", "0")
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    sending = hall.message_channel_send("own")
    leaving = yard.channel_leave()
    for number in range(1, 30):
        await say(world.b, "room", str(number))
        await say(world.b, "hall", str(-number))
        await trio.sleep(0.1)
    world.wire.is_down = False
    await sending
    await leaving
    await say(world.b, "room", "30")
    await say(world.b, "yard", "late")
    await trio.sleep(5)
    assert ear.texts("room") == [str(it) for it in range(31)]
    assert ear.texts("hall") == [*(str(-it) for it in range(1, 30)), "own"]
    assert ear.texts("yard") == []
    assert world.ann.of("on_error", "on_logout") == []
    assert room.is_joined


@pytest.mark.parametrize("limits", [{"history_events": 4}])
async def test_what_is_not_held_is_a_gap_of_its_channel(
    world: World, ear: Ear, autojump_clock: MockClock
) -> None:
    room, hall = await ear.join("room", "hall")
    await say(world.b, "room", "0")
    gaps = {it.name: it.gap for it in (room, hall)}
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    there = await world.b.channel_join("room")
    await say(world.b, "room", *"12345")
    await say(world.b, "hall", "6")
    world.wire.is_down = False
    assert await gaps["room"] == Gap(2, 9)
    await say(world.b, "room", "7")
    await trio.sleep(5)
    assert (ear.texts("room"), ear.texts("hall")) == (["0", "7"], ["6"])
    assert not gaps["hall"].is_done
    # Who has come in the gap is found out.
    assert [it[2] for it in ear.heard["room"].of("on_channel_user_joined")] == ["bob"]
    assert there.is_joined


@pytest.mark.parametrize("limits", [{"questions_per_second": 5}])
async def test_who_has_come_to_more_channels_than_may_be_asked_about_in_a_second(
    world: World, ear: Ear, autojump_clock: MockClock
) -> None:
    names = [f"c{number}" for number in range(12)]
    await ear.join(*names)
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    # The server forgets the session meanwhile, and so what was said in the channels.
    await trio.sleep(200)
    for name in names:
        await world.b.channel_join(name)
    world.wire.is_down = False
    await trio.sleep(30)
    for name in names:
        assert [it[2] for it in ear.heard[name].of("on_channel_user_joined")] == ["bob"]


@pytest.mark.parametrize("seed", range(2))
async def test_over_cuts_all_arrives_once_and_in_order(
    world: World, ear: Ear, operator: Operator, seed: int, autojump_clock: MockClock
) -> None:
    rng = random.Random(seed)
    names = [f"c{number}" for number in range(8)]
    channels = await ear.join(*names)
    operations = []
    for number in range(40):
        channel = rng.choice(channels)
        operations.append(channel.message_channel_send(f"{channel.name} {number}"))
        operations.append(
            world.b.message_channel_send_force(rng.choice(names), f"from bob {number}")
        )
        if rng.random() < 0.3:
            for _ in range(rng.randrange(6)):
                await trio.lowlevel.checkpoint()
            world.wire.cut()
        await trio.sleep(rng.random())
    for operation in operations:
        await operation
    await trio.sleep(5)
    heard = [text for name in names for text in ear.texts(name)]
    assert len(heard) == len(set(heard)) == 80
    for name in names:
        own = [int(text.split()[-1]) for text in ear.texts(name) if text.startswith(name)]
        assert own == sorted(own)
    assert world.ann.of("on_error", "on_logout") == []
    assert set((await operator.presence("app", "ann")).channels) == set(names)


@pytest.mark.parametrize("seed", range(4))
async def test_joins_and_leaves_over_cuts_end_where_the_user_has_asked_for(
    world: World, ear: Ear, operator: Operator, seed: int, autojump_clock: MockClock
) -> None:
    rng = random.Random(seed)
    names = [f"c{number}" for number in range(4)]
    wanted: dict[str, Channel] = {}
    for _ in range(40):
        name = rng.choice(names)
        if name in wanted:
            wanted.pop(name).channel_leave()
        else:
            wanted[name] = world.a.channel_join(name)
        if rng.random() < 0.3:
            for _ in range(rng.randrange(6)):
                await trio.lowlevel.checkpoint()
            world.wire.cut()
        await trio.sleep(rng.random())
    await trio.sleep(30)
    assert all(it.is_joined for it in wanted.values())
    assert set((await operator.presence("app", "ann")).channels) == set(wanted)


async def test_a_server_that_knows_the_session_no_more_is_joined_again(
    autojump_clock: MockClock,
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(local_server(dev_config(), listens=False))
        wire, heard = Wire(first), Heard()
        signal = await stack.enter_async_context(Signal("app", server=wire))
        ann = await signal.login("ann", NO_TOKEN, heard.login, many_channels=True)
        channels = [ann.channel_join(name, heard.channel) for name in ("room", "hall")]
        for it in channels:
            await it
        gaps = [it.gap for it in channels]
        wire.server = await stack.enter_async_context(local_server(dev_config(), listens=False))
        wire.cut()
        for gap in gaps:
            await gap
        presence = await wire.server.node.operator.presence("app", "ann")
        assert set(presence.channels) == {"room", "hall"}
        assert all(it.is_joined for it in channels)
        assert heard.of("on_channel_leaved") == []


async def test_it_goes_on_behind_a_server_that_was_killed(
    tmp_path: Any, autojump_clock: MockClock
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(journal_server(tmp_path / "data"))
        wire, heard = Wire(first), Heard()
        signal = await stack.enter_async_context(Signal("app", server=wire))
        ann = await signal.login("ann", NO_TOKEN, heard.login, many_channels=True)
        channels = [ann.channel_join(name, heard.channel) for name in ("room", "hall")]
        for it in channels:
            await it
        left = killed(tmp_path / "data")
        wire.server = await stack.enter_async_context(journal_server(left))
        wire.cut()
        await heard.wait("on_reconnected")
        for it in channels:
            await it.message_channel_send(f"in {it.name}")
        await heard.wait("on_message_channel_receive", 2)
        assert heard.of("on_logout", "on_channel_leaved") == []
        presence = await wire.server.node.operator.presence("app", "ann")
        assert set(presence.channels) == {"room", "hall"}


async def test_another_login_without_it_ends_all_of_it(
    world: World, ear: Ear, operator: Operator, autojump_clock: MockClock
) -> None:
    await ear.join("room", "hall")
    async with Signal("app", server=world.wire.server) as signal:
        other = await signal.login("ann", NO_TOKEN)
        assert (await world.ann.wait("on_logout"))[-1] is ECode.LOGOUT_E_KICKED
        assert (await operator.presence("app", "ann")).channels == ()
        room = await other.channel_join("room")
        await other.channel_join("hall")
        assert not room.is_joined
        assert (await operator.presence("app", "ann")).channels == ("hall",)


# --- against a server of any kind ---


async def test_without_it_nothing_is_said_of_it(
    server: FakeServer, signal: Signal, heard: Heard, autojump_clock: MockClock
) -> None:
    signal.login("alice", TOKEN, heard.login)
    peer = await server.accept()
    asked = await peer.expect("login")
    assert "many_channels" not in asked
    peer.let_in()


async def test_a_server_that_knows_nothing_of_it_is_an_error_and_told_goodbye(
    server: FakeServer, signal: Signal, heard: Heard, autojump_clock: MockClock
) -> None:
    session = signal.login("alice", TOKEN, heard.login, many_channels=True)
    peer = await server.accept()
    asked = await peer.expect("login")
    assert asked["many_channels"] is True
    peer.let_in()
    await peer.expect_call("user_logout")
    with pytest.raises(LoginError, match="in one channel at a time only") as caught:
        await session
    assert caught.value.ecode is ECode.LOGIN_E_OTHER
    await heard.wait("on_login_failed")
    assert heard.names == ["on_login_failed"]
