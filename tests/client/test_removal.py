"""An operator takes a session out of its channel: what the SDK tells, on one connection and over
several, against the real server.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from signal_sdk import CallState, ECode, SignalError
from signal_sdk.server.operator.facts import NotThereError
from signal_sdk.server.operator.operator import Operator
from tests.client.test_resume import World, world

__all__ = ["world"]

KICKED = ECode.LEAVECHANNEL_E_KICKED


@pytest.fixture
def operator(world: World) -> Operator:
    return world.wire.server.node.operator


async def test_the_session_hears_that_it_was_removed_and_the_others_that_it_left(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    room = await world.a.channel_join("room", world.ann.channel)
    there = await world.b.channel_join("room", world.bob.channel)
    await operator.remove("app", "ann", "room")
    assert await world.ann.wait("on_channel_leaved") == ("on_channel_leaved", room, KICKED)
    assert await world.bob.wait("on_channel_user_leaved") == (
        "on_channel_user_leaved",
        there,
        "ann",
        world.a.uid,
    )
    assert not room.is_joined
    with pytest.raises(SignalError, match="not in the channel 'room' any more") as caught:
        await room.message_channel_send("late")
    assert caught.value.ecode == 400
    # It hears nothing of the channel any more, nor of its own leave.
    await there.message_channel_send("x")
    await trio.sleep(60)
    assert world.ann.of("on_message_channel_receive") == []
    assert world.ann.of("on_channel_user_leaved") == []
    # It is no ban.
    again = await world.a.channel_join("room", world.ann.channel)
    await there.message_channel_send("y")
    assert (await world.ann.wait("on_message_channel_receive"))[-1] == "y"
    assert again.is_joined


async def test_who_is_away_hears_of_it_when_it_comes_back_and_does_not_go_back(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    room = await world.a.channel_join("room", world.ann.channel)
    await world.b.channel_join("room", world.bob.channel)
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    await operator.remove("app", "ann", "room")
    await world.bob.wait("on_channel_user_leaved")
    world.wire.is_down = False
    assert await world.ann.wait("on_channel_leaved") == ("on_channel_leaved", room, KICKED)
    await trio.sleep(120)
    assert (await operator.presence("app", "ann")).channel is None
    assert [it.account for it in (await operator.members("app", "room")).items] == ["bob"]
    # Once is enough, however often it comes back.
    world.wire.cut()
    await world.ann.wait("on_reconnecting", 2)
    await trio.sleep(60)
    assert len(world.ann.of("on_channel_leaved")) == 1


async def test_who_was_told_and_loses_the_connection_is_not_told_of_another(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    await world.a.channel_join("room", world.ann.channel)
    await operator.remove("app", "ann", "room")
    await world.ann.wait("on_channel_leaved")
    hall = await world.a.channel_join("hall", world.ann.channel)
    world.wire.cut()
    await world.ann.wait("on_reconnected")
    await trio.sleep(60)
    assert hall.is_joined
    assert len(world.ann.of("on_channel_leaved")) == 1
    assert (await operator.presence("app", "ann")).channel == "hall"


async def test_a_leave_that_is_under_way_has_succeeded(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    room = await world.a.channel_join("room", world.ann.channel)
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    leaving = room.channel_leave()
    await operator.remove("app", "ann", "room")
    world.wire.is_down = False
    await leaving
    await world.ann.wait("on_channel_leaved")
    assert world.ann.of("on_channel_leaved") == [("on_channel_leaved", room, KICKED)]


async def test_a_message_that_is_under_way_is_refused(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    room = await world.a.channel_join("room", world.ann.channel)
    there = await world.b.channel_join("room", world.bob.channel)
    world.wire.is_down = True
    world.wire.cut()
    await world.ann.wait("on_reconnecting")
    sending = room.message_channel_send("too late")
    await operator.remove("app", "ann", "room")
    world.wire.is_down = False
    with pytest.raises(SignalError):
        await sending
    await there.message_channel_send("last")
    await world.bob.wait("on_message_channel_receive")
    assert [text for *_, text in world.bob.of("on_message_channel_receive")] == ["last"]


async def test_a_session_that_moves_meanwhile_is_where_it_goes(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    await world.a.channel_join("room", world.ann.channel)
    moving = world.a.channel_join("hall", world.ann.channel)
    await operator.remove("app", "ann", "room")
    hall = await moving
    assert hall.is_joined
    assert (await operator.presence("app", "ann")).channel == "hall"
    await operator.remove("app", "ann", "hall")
    assert (await world.ann.wait("on_channel_leaved", 2))[1:] == (hall, KICKED)


async def test_the_special_channels_can_be_left_so_too(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    special = await world.a.channel_join("_agora_user_online", world.ann.channel)
    await operator.remove("app", "ann", "_agora_user_online")
    assert (await world.ann.wait("on_channel_leaved"))[1:] == (special, KICKED)
    with pytest.raises(NotThereError, match="'ann' is not in the channel"):
        await operator.remove("app", "ann", "_agora_user_online")


async def test_who_is_kicked_hears_so_and_does_not_come_back(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    room = await world.a.channel_join("room", world.ann.channel)
    await operator.kick("app", "ann")
    assert (await world.ann.wait("on_logout"))[-1] == ECode.LOGOUT_E_KICKED
    assert world.ann.of("on_channel_leaved") == [
        ("on_channel_leaved", room, ECode.LEAVECHANNEL_E_LOGOUT)
    ]
    await trio.sleep(300)
    assert not (await operator.presence("app", "ann")).online
    with pytest.raises(NotThereError, match="'ann' is not online"):
        await operator.kick("app", "ann")


async def test_a_message_of_an_operator_is_heard_once_by_its_id(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    for _ in range(2):
        await operator.send("app", "ann", "hello", message_id="7")
    await operator.send("app", "ann", "hello", sender="support", message_id="8")
    await operator.send("app", "ann", {"n": 1})
    await world.ann.wait("on_message_instant_receive", 3)
    await world.a.channel_join("room", world.ann.channel)
    for _ in range(2):
        await operator.send_to_channel("app", "room", "all", message_id="7")
    await operator.send_to_channel("app", "room", "all", sender="support")
    await operator.send_to_channel("app", "room", "mine", sender="bob")
    await world.ann.wait("on_message_channel_receive", 3)
    await wait_all_tasks_blocked()
    assert [rest for _, *rest in world.ann.of("on_message_instant_receive")] == [
        ["_agora_system", 0, "hello"],
        ["support", 0, "hello"],
        ["_agora_system", 0, '{"n":1}'],
    ]
    heard = [tuple(rest) for _, _, *rest in world.ann.of("on_message_channel_receive")]
    assert heard == [
        ("_agora_system", 0, "all"),
        ("support", 0, "all"),
        ("bob", world.b.uid, "mine"),
    ]


async def test_both_sides_hear_that_an_operator_has_ended_their_call(
    world: World, operator: Operator, autojump_clock: MockClock
) -> None:
    world.bob.on("on_invite_received", lambda _, call: setattr(call, "cb", world.bob.call))
    call = world.a.channel_invite_user2("room", "bob", "extra", cb=world.ann.call)
    await world.ann.wait("on_invite_received_by_peer")
    [facts] = (await operator.calls("app")).items
    assert (facts.caller, facts.callee, facts.channel, facts.state) == (
        "ann",
        "bob",
        "room",
        "ringing",
    )
    await operator.end_call("app", "room", "bob", "ann", call_id=facts.id)
    for heard in (world.ann, world.bob):
        await heard.wait("on_invite_end_by_peer")
    assert call.state is CallState.ENDED
    with pytest.raises(NotThereError, match="there is no such call"):
        await operator.end_call("app", "room", "ann", "bob")
