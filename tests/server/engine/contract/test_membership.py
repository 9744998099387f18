"""The engine contract: who is in which channel, and what the others are told of it."""

from __future__ import annotations

import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, ChannelKey, Known, Roster
from signal_sdk.wire import built_in
from tests.server.engine.contract.harness import (
    ANN,
    BOB,
    HALL,
    MOVES,
    ONLINE,
    ROOM,
    House,
    Node,
    User,
)


async def two(node: Node) -> tuple[User, User]:
    return await node.log_in(), await node.log_in(BOB)


async def test_a_join_tells_the_others_and_says_how_things_stand(node: Node) -> None:
    ann, bob = await two(node)
    await node.engine.subscribe(ROOM)
    await ann.set("topic", "tea")
    joined = await ann.join()
    ann_there, bob_there = ("ann", ann.presence.uid), ("bob", bob.presence.uid)
    assert (joined.roster.num, joined.roster.total) == (1, 1)
    assert (list(joined.roster.newest), dict(joined.attributes)) == ([ann_there], {"topic": "tea"})
    joined = await bob.join()
    assert list(joined.roster.newest) == [ann_there, bob_there]
    heard = await node.take("event")
    assert [(key, msgid) for _, key, msgid, _ in heard] == [(ROOM, 1), (ROOM, 2), (ROOM, 3)]
    # What follows this is what the member hears.
    assert joined.roster.msgid == 3
    presence = await node.engine.presence(ANN)
    assert presence is not None
    assert presence.channel == "room"
    assert await node.engine.is_member(ROOM, "ann")
    assert not await node.engine.is_member(ROOM, "eve")


async def test_a_join_says_what_counts_its_channel_keeps(node: Node) -> None:
    ann, bob = await two(node)
    await ann.set(built_in.AUTO_UPDATE_NUM, 1)
    await ann.set(built_in.AUTO_UPDATE_TOTAL_NUM, 1)
    await ann.join()
    await ann.leave()
    joined = await bob.join()
    assert joined.attributes[built_in.MEMBER_NUM] == "1"
    assert joined.attributes[built_in.TOTAL_MEMBER_NUM] == "2"


async def test_joining_again_changes_nothing(node: Node) -> None:
    ann = await node.log_in()
    await node.engine.subscribe(ROOM)
    await ann.join()
    await node.take()
    joined = await ann.join()
    assert (joined.roster.num, joined.roster.total, joined.roster.msgid) == (1, 1, 1)
    assert await node.take() == []


async def test_a_member_that_joins_another_channel_has_left_the_first(node: Node) -> None:
    ann, bob = await two(node)
    for key in (ROOM, HALL):
        await node.engine.subscribe(key)
    await bob.join("hall")
    await ann.join("room")
    await node.take()
    joined = await ann.join("hall")
    assert joined.roster.num == 2
    assert await node.told(ROOM) == [("leave", "ann")]
    assert await node.told(HALL) == [("join", "ann")]
    assert await node.house.members(ROOM) == []
    assert await node.house.members(HALL) == ["bob", "ann"]
    presence = await node.engine.presence(ANN)
    assert presence is not None
    assert presence.channel == "hall"


async def test_leaving_tells_the_channel(node: Node) -> None:
    ann, bob = await two(node)
    await node.engine.subscribe(ROOM)
    await ann.join()
    await bob.join()
    await node.take()
    await ann.leave()
    assert await node.told() == [("leave", "ann")]
    with pytest.raises(SignalError, match="'ann' is not in the channel 'room'") as caught:
        await ann.leave()
    assert caught.value.ecode is ECode.LEAVECHANNEL_E_OTHER
    assert await node.take() == []
    presence = await node.engine.presence(ANN)
    assert presence is not None
    assert presence.channel is None
    # Those who were there count.
    roster = await node.engine.roster(ROOM, 10)
    assert (roster.num, roster.total) == (1, 2)


async def test_a_roster_names_the_newest_and_counts_all(node: Node) -> None:
    for number in range(10):
        await (await node.log_in(AccountKey("app", f"u{number}"))).join()
    roster = await node.engine.roster(ROOM, 3)
    assert (roster.num, roster.total, roster.msgid) == (10, 10, 10)
    assert [account for account, _ in roster.newest] == ["u7", "u8", "u9"]
    assert list((await node.engine.roster(ROOM, 0)).newest) == []
    assert await node.engine.roster(ChannelKey("app", "nowhere"), 3) == Roster()


async def test_when_a_member_joined_is_known(node: Node) -> None:
    ann, bob = await two(node)
    assert await node.engine.joined_at(ROOM, "ann") == 0
    await ann.join()
    await bob.join()
    assert await node.engine.joined_at(ROOM, "ann") == 1
    assert await node.engine.joined_at(ROOM, "bob") == 2
    await ann.say("x")
    await ann.join()
    assert await node.engine.joined_at(ROOM, "ann") == 3
    assert await node.engine.joined_at(HALL, "ann") == 0


# --- what is not told ---


async def test_a_channel_that_wants_no_notification_is_told_of_nobody(node: Node) -> None:
    ann, bob = await two(node)
    await node.engine.subscribe(ROOM)
    await ann.set(built_in.USER_NOTIFICATION, "0")
    await node.take()
    await ann.join()
    await bob.join()
    await bob.leave()
    assert await node.take() == []
    await ann.set(built_in.USER_NOTIFICATION, "1")
    await node.take()
    await bob.join()
    await bob.end()
    assert await node.told() == [("join", "bob"), ("leave", "bob")]


async def test_the_special_channel_of_moves_hears_of_every_channel_s(node: Node) -> None:
    ann, bob = await two(node)
    watcher = await node.log_in(AccountKey("app", "watcher"))
    await watcher.join(MOVES.channel)
    for key in (MOVES, ONLINE):
        await node.engine.subscribe(key)
    await node.take()
    await ann.set(built_in.USER_NOTIFICATION, "0")
    await ann.join("room")
    await bob.join("hall")
    await bob.join("room")
    await ann.leave("room")
    await bob.end()
    assert [it for it in await node.told(MOVES) if len(it) == 3] == [
        ("join", "room", "ann"),
        ("join", "hall", "bob"),
        ("leave", "hall", "bob"),
        ("join", "room", "bob"),
        ("leave", "room", "ann"),
        ("leave", "room", "bob"),
    ]
    # Nobody is in the other: it is not there.
    assert await node.take() == []


async def test_nobody_is_told_who_is_in_a_special_channel(node: Node) -> None:
    for key in (MOVES, ONLINE):
        await node.engine.subscribe(key)
    watcher = await node.log_in(AccountKey("app", "watcher"))
    await watcher.join(MOVES.channel)
    await watcher.join(ONLINE.channel)
    await watcher.leave(ONLINE.channel)
    assert await node.take() == []


async def test_the_special_channels_say_it_in_both_ways(node: Node) -> None:
    """As a member's join, and as a message with its facts."""
    watcher = await node.log_in(AccountKey("app", "watcher"))
    await watcher.join(ONLINE.channel)
    await node.engine.subscribe(ONLINE)
    ann = await node.log_in()
    await ann.end()
    name = ONLINE.channel
    assert await node.told(ONLINE) == [
        ("join", "ann"),
        ("online", name, "ann"),
        ("leave", "ann"),
        ("offline", name, "ann"),
    ]


# --- joining and hearing begin together ---


@pytest.mark.parametrize("turn", range(5))
async def test_whoever_subscribes_and_then_joins_hears_all_that_follows_the_join(
    house: House, turn: int
) -> None:
    """However long either takes, and whatever is said meanwhile, at another node."""
    here, there = house.node, await house.add_node()
    ann, bob = await here.log_in(), await there.log_in(BOB)
    await bob.join()
    count = 40

    async def talk() -> None:
        for number in range(count):
            await bob.say(f"{number}")
            await trio.sleep(0.0003)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        await trio.sleep(0.001 * turn)
        await here.engine.subscribe(ROOM)
        joined = await ann.join()
    heard = [it for it in await here.take("event") if it[2] > joined.roster.msgid]
    last = (await house.engine.roster(ROOM, 0)).msgid
    assert [msgid for _, _, msgid, _ in heard] == [*range(joined.roster.msgid + 1, last + 1)]
    assert last == 2 + count


# --- what comes again ---


async def test_a_join_that_comes_again_says_how_things_stand_where_it_still_holds(
    node: Node,
) -> None:
    ann, bob = await two(node)
    await node.engine.subscribe(ROOM)
    await ann.join(asked=ann.asked(1))
    await bob.join()
    await node.take()
    joined = await ann.join(asked=ann.asked(1))
    assert (joined.roster.num, joined.roster.total) == (2, 2)
    assert await node.take() == []
    await ann.join("hall")
    known = await node.engine.join(ann.asked(1, reply="other"), "room", newest=1)
    assert known == Known("done")
    assert await node.house.members(HALL) == ["ann"]


async def test_a_leave_that_comes_again_leaves_nothing_else(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    assert await node.engine.leave(ann.asked(1, reply="left"), "room") is None
    await ann.join()
    assert await node.engine.leave(ann.asked(1), "room") == Known("left")
    assert await node.engine.is_member(ROOM, "ann")
