"""The engine contract: a session that may be in many channels is in each of them by itself."""

from __future__ import annotations

from typing import Any

import pytest

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import ChannelKey, Known, Presence
from signal_sdk.server.engine.bounds import Bounds, QuotaError
from signal_sdk.server.engine.happened import Join, Leave
from tests.server.engine.contract.harness import ANN, BOB, HALL, ROOM, House, Node, User

YARD = ChannelKey("app", "yard")


async def in_many(node: Node, *channels: str, **more: Any) -> User:
    """Ann, in these channels."""
    ann = await node.log_in(many_channels=True, **more)
    for channel in channels:
        await ann.join(channel)
    return ann


async def presence_of(node: Node) -> Presence:
    presence: Presence | None = await node.engine.presence(ANN)
    assert presence is not None
    return presence


async def test_a_join_leaves_no_other_channel(node: Node) -> None:
    for key in (ROOM, HALL):
        await node.engine.subscribe(key)
    ann = await in_many(node, "room", "hall")
    assert await node.told(ROOM) == [("join", "ann")]
    assert await node.told(HALL) == [("join", "ann")]
    presence = await presence_of(node)
    assert (presence.channels, presence.channel) == (("room", "hall"), "hall")
    for key in (ROOM, HALL):
        assert await node.house.members(key) == ["ann"]
        assert await node.engine.is_member(key, "ann")
        # Which was the last that it had seen of each is its client's to know.
        assert await node.engine.joined_at(key, "ann") == 0
    assert not await node.engine.is_member(YARD, "ann")
    await ann.say("x", "room", members_only=True)
    await ann.set("_channel_ttl", 60, "hall", members_only=True)
    with pytest.raises(SignalError, match="'ann' is not in the channel 'yard'"):
        await ann.say("x", "yard", members_only=True)
    # Joining again changes nothing.
    assert (await ann.join("room")).roster.total == 1
    assert (await presence_of(node)).channels == ("room", "hall")


async def test_each_is_left_by_itself(node: Node) -> None:
    await node.engine.subscribe(ROOM)
    await node.engine.subscribe(HALL)
    ann = await in_many(node, "room", "hall", "yard")
    await node.take()
    await ann.leave("room")
    assert await node.told(ROOM) == [("leave", "ann")]
    assert await node.told(HALL) == []
    with pytest.raises(SignalError, match="'ann' is not in the channel 'room'") as caught:
        await ann.leave("room")
    assert caught.value.ecode is ECode.LEAVECHANNEL_E_OTHER
    assert (await presence_of(node)).channels == ("hall", "yard")
    await ann.leave("yard")
    await ann.leave("hall")
    presence = await presence_of(node)
    assert (presence.channels, presence.many_channels) == ((), True)
    await ann.join("room")
    await ann.join("hall")
    assert (await presence_of(node)).channels == ("room", "hall")


async def test_of_more_than_are_allowed_the_last_is_refused(node: Node) -> None:
    node.engine.bound(Bounds(session_channels=2))
    ann, bob = await in_many(node, "room", "hall"), await node.log_in(BOB)
    with pytest.raises(QuotaError, match="the channels that a session is in: 2") as caught:
        await ann.join("yard")
    assert (caught.value.ecode, caught.value.limit) == (
        ECode.JOINCHANNEL_E_OTHER,
        "session_channels",
    )
    assert await node.engine.channel(YARD) is None
    await ann.join("hall")
    await ann.leave("room")
    await ann.join("yard")
    assert (await presence_of(node)).channels == ("hall", "yard")
    # It is no bound of other sessions.
    node.engine.bound(Bounds(session_channels=1))
    await bob.join("room")
    await bob.join("hall")
    assert await node.house.members(ROOM) == []


async def test_its_end_leaves_all(node: Node) -> None:
    for key in (ROOM, HALL):
        await node.engine.subscribe(key)
    node.engine.keep_happenings(("join", "leave"), 10)
    ann = await in_many(node, "room", "hall")
    await node.take()
    await ann.end()
    for key in (ROOM, HALL):
        assert await node.told(key) == [("leave", "ann")]
        assert await node.house.members(key) == []
    # And hooks are told of each.
    kept = await node.engine.take_happenings("app", 10, seconds=1)
    assert [(type(it), it.channel) for it in kept] == [
        (Join, "room"),
        (Join, "hall"),
        (Leave, "room"),
        (Leave, "hall"),
    ]


async def test_it_is_taken_up_again_with_all_of_them(house: House) -> None:
    here = house.node
    there = await house.add_node()
    ann = await in_many(here, "room", "hall")
    await ann.disconnect()
    back = await there.resume()
    assert (back.presence.channels, back.presence.many_channels) == (("room", "hall"), True)
    await back.join("yard")
    assert (await presence_of(here)).channels == ("room", "hall", "yard")


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
async def test_a_login_of_the_other_kind_begins_anew(
    node: Node, keeps: bool, first: bool, second: bool
) -> None:
    ann = await node.log_in(many_channels=first)
    await ann.join("hall")
    await ann.join("room")
    await node.take()
    other = await node.log_in(line="other", keeps=keeps, many_channels=second)
    assert await node.take("kick") == [("kick", "ann", ann.generation)]
    assert (other.presence.channels, other.presence.many_channels) == ((), second)
    assert await node.house.members(ROOM) == []
    assert await node.house.members(HALL) == []
    await other.join("hall")
    await other.join("room")
    assert (await presence_of(node)).channels == (("hall", "room") if second else ("room",))


async def test_a_login_that_keeps_all_is_in_all(node: Node) -> None:
    await in_many(node, "room", "hall")
    again = await node.log_in(line="other", keeps=True, many_channels=True)
    assert again.presence.channels == ("room", "hall")
    assert await node.house.members(HALL) == ["ann"]


async def test_an_operator_takes_it_out_of_each_by_itself(node: Node) -> None:
    ann = await in_many(node, "room", "hall", "yard")
    await node.take()
    for channel in ("room", "yard"):
        assert await node.engine.remove(ANN, channel)
        assert not await node.engine.remove(ANN, channel)
    told = [(account, channel) for _, account, _, channel, _ in await node.take("removal")]
    assert told == [("ann", "room"), ("ann", "yard")]
    presence = await presence_of(node)
    assert (presence.channels, presence.removed) == (("hall",), ("room", "yard"))
    await ann.disconnect()
    back = await node.resume()
    assert back.presence.removed == ("room", "yard")
    await back.join("room")
    presence = await presence_of(node)
    assert (presence.channels, presence.removed) == (("hall", "room"), ("yard",))
    await back.join("yard")
    assert (await presence_of(node)).removed == ()


async def test_a_request_that_comes_again_changes_nothing(node: Node) -> None:
    ann = await in_many(node)
    await ann.join("room", ann.asked(1, reply="joined"))
    await ann.join("hall", ann.asked(2, reply="joined"))
    # It is there still: it is told how things stand.
    assert (await ann.join("room", ann.asked(1, reply="joined"))).roster.total == 1
    assert await node.engine.leave(ann.asked(3), "room") is None
    known = await node.engine.join(ann.asked(1, reply="joined"), "room", newest=1)
    assert known == Known("joined")
    assert (await presence_of(node)).channels == ("hall",)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_all_of_it_outlives_the_server(lasting: House, how: str) -> None:
    await in_many(lasting.node, "room", "hall", "yard", "den")
    for channel in ("yard", "den"):
        assert await lasting.engine.remove(ANN, channel)
    node = await lasting.reopen(how)
    back = await node.resume()
    assert sorted(back.presence.channels) == ["hall", "room"]
    assert (back.presence.removed, back.presence.many_channels) == (("yard", "den"), True)
    assert await lasting.members() == ["ann"]
    await back.leave("hall")
    node = await lasting.reopen(how)
    assert (await node.resume()).presence.channels == ("room",)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_that_it_may_be_in_many_outlives_the_server(lasting: House, how: str) -> None:
    await in_many(lasting.node)
    node = await lasting.reopen(how)
    back = await node.resume()
    for channel in ("room", "hall"):
        await back.join(channel)
    assert (await presence_of(node)).channels == ("room", "hall")
