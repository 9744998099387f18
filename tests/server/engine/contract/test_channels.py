"""The engine contract: channels, their events, their history and their rates."""

from __future__ import annotations

import attrs
import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import ChannelKey, Known
from signal_sdk.wire import built_in
from tests.server.engine.contract.harness import BOB, BOUNDS, HALL, ROOM, House, Node

# --- messages ---


async def test_message_ids_rise_by_one_in_each_channel(node: Node) -> None:
    ann = await node.log_in()
    for key in (ROOM, HALL):
        await node.engine.subscribe(key)
    await ann.join()
    await ann.set("a", "b", "hall")
    for text in "xy":
        for channel in ("room", "hall"):
            assert await ann.say(text, channel) is None
    heard = await node.take("event")
    for key in (ROOM, HALL):
        assert [msgid for _, of, msgid, _ in heard if of == key] == [1, 2, 3]
    assert [content.msg for *_, content in heard if hasattr(content, "msg")].count("x") == 2


async def test_nothing_is_published_where_there_is_no_channel(node: Node) -> None:
    ann = await node.log_in()
    await node.engine.subscribe(ROOM)
    assert await ann.say("x") is None
    assert await node.take() == []
    assert (await node.statistics()).channels == 0


async def test_what_is_for_members_only_is_refused_to_others(node: Node) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await bob.join()
    await node.engine.subscribe(ROOM)
    for channel in ("room", "nowhere"):
        with pytest.raises(SignalError, match="'ann' is not in the channel") as caught:
            await ann.say("x", channel, members_only=True)
        assert caught.value.ecode is ECode.SENDMESSAGE_E_OTHER
    assert await bob.say("mine", members_only=True) is None
    assert await ann.say("ours") is None
    assert await node.told() == [("msg", "bob", "mine"), ("msg", "ann", "ours")]


async def test_a_message_that_comes_again_is_published_once(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await node.engine.subscribe(ROOM)
    assert await ann.say("x", asked=ann.asked(1, reply="first")) is None
    assert await ann.say("x", asked=ann.asked(1, reply="second")) == Known("first")
    assert await node.told() == [("msg", "ann", "x")]


# --- rates ---


async def test_a_channel_has_so_many_messages_in_a_second_over_all_nodes(house: House) -> None:
    here, there = house.node, await house.add_node()
    for node in house.nodes:
        node.engine.bound(attrs.evolve(BOUNDS, channel_messages_per_second=3))
    ann, bob = await here.log_in(), await there.log_in(BOB)
    await ann.join()
    await bob.join()
    await house.settle()
    await here.engine.subscribe(ROOM)
    for user in (ann, bob, ann):
        await user.say("x")
    for user in (ann, bob):
        with pytest.raises(SignalError, match="more than 3 messages in a second") as caught:
            await user.say("too much")
        assert caught.value.ecode is ECode.SENDMESSAGE_E_OTHER
        assert 0 < (caught.value.retry_after or 0) <= 1
    await ann.say("elsewhere", "hall")
    await trio.sleep(1.1)
    await ann.say("again")
    assert [it[2] for it in await here.told()] == ["x", "x", "x", "again"]


async def test_a_channels_own_limit_holds_where_it_is_the_lower(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await ann.set(built_in.SENDMSG_LIMIT, 2)
    await ann.say("x")
    await ann.say("x")
    with pytest.raises(SignalError, match="more than 2 messages"):
        await ann.say("x")
    node.engine.bound(attrs.evolve(BOUNDS, channel_messages_per_second=1))
    await trio.sleep(1.1)
    await ann.say("x")
    with pytest.raises(SignalError, match="more than 1 messages"):
        await ann.say("x")


async def test_what_is_refused_over_a_rate_may_come_again_under_its_number(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await ann.set(built_in.SENDMSG_LIMIT, 1)
    await node.engine.subscribe(ROOM)
    await node.take()
    await ann.say("x", asked=ann.asked(1))
    with pytest.raises(SignalError):
        await ann.say("y", asked=ann.asked(2))
    # What was done before is not counted, nor refused.
    assert await ann.say("x", asked=ann.asked(1)) == Known("done")
    await trio.sleep(1.1)
    assert await ann.say("y", asked=ann.asked(2)) is None
    assert [it[2] for it in await node.told()] == ["x", "y"]


async def test_rates_are_forgotten(node: Node) -> None:
    ann = await node.log_in()
    node.engine.bound(attrs.evolve(BOUNDS, channel_messages_per_second=5))
    for number in range(20):
        await ann.say("x", f"room{number}")
    await trio.sleep(5)
    assert (await node.statistics()).rated == 0


# --- history ---


async def test_a_channel_keeps_its_latest_events(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    for text in "23":
        await ann.say(text)
    kept = await node.house.history(ROOM, 0) or []
    assert [it.msgid for it in kept] == [1, 2, 3]
    assert await node.house.history(ROOM, 2) == kept[2:]
    assert await node.house.history(ROOM, 3) == []
    # The oldest of five is not held any more.
    for text in "45":
        await ann.say(text)
    assert await node.house.history(ROOM, 0) is None
    assert [it.msgid for it in await node.house.history(ROOM, 1) or ()] == [2, 3, 4, 5]
    assert await node.house.history(ROOM, 5) == []


async def test_what_a_channel_never_had_is_not_its_history(node: Node) -> None:
    """A msgid from before a server's end, or another server's."""
    ann = await node.log_in()
    assert await node.house.history(ROOM, 0) is None
    await ann.join()
    assert await node.house.history(ROOM, 2) is None


async def test_a_channels_events_are_forgotten_in_time(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await trio.sleep(59)
    assert await node.house.history(ROOM, 0) != []
    await trio.sleep(2)
    assert await node.house.history(ROOM, 0) is None
    assert await node.house.history(ROOM, 1) == []
    # And it goes on with those of later.
    await ann.say("x")
    assert [it.msgid for it in await node.house.history(ROOM, 1) or ()] == [2]
    await trio.sleep(61)
    assert await node.house.history(ROOM, 1) is None


async def test_a_subscription_shows_in_the_statistics(house: House) -> None:
    here, there = house.node, await house.add_node()
    assert (await here.statistics()).listening == 0
    for node in (here, here, there):
        await node.engine.subscribe(ROOM)
    assert (await here.statistics()).listening == 1
    here.engine.unsubscribe(ROOM)
    here.engine.unsubscribe(ChannelKey("app", "never"))
    assert (await here.statistics()).listening == 1
    there.engine.unsubscribe(ROOM)
    assert (await here.statistics()).listening == 0


async def test_the_past_of_a_channel_is_its_newest_messages(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await ann.say("x")
    past = await node.engine.past(ROOM, "ann", 10)
    # Joining was an event, too.
    assert [(it.msgid, it.message.account, it.message.msg) for it in past.said] == [(2, "ann", "x")]
    assert past.is_whole
    await ann.say("y")
    for most, texts in ((0, []), (1, ["y"]), (2, ["x", "y"])):
        past = await node.engine.past(ROOM, "ann", most)
        assert [it.message.msg for it in past.said] == texts
        assert past.is_whole is (most == 2)
    await ann.set("a", "b")
    await ann.say("z")
    past = await node.engine.past(ROOM, "ann", 10)
    # The oldest is not held any more, which was the join.
    assert [it.message.msg for it in past.said] == ["x", "y", "z"]
    assert not past.is_whole


async def test_the_past_is_for_members(node: Node) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await ann.join()
    await ann.say("x")
    for key in (ROOM, HALL):
        with pytest.raises(SignalError, match="'bob' is not in the channel") as caught:
            await node.engine.past(key, bob.key.account, 10)
        assert caught.value.ecode is ECode.GENERAL_E_FAILED


# --- who is handed what ---


async def test_a_node_is_handed_nothing_of_what_it_has_not_subscribed_to(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await here.log_in(), await there.log_in(BOB)
    await ann.join()
    await bob.join("hall")
    await here.engine.subscribe(ROOM)
    await there.engine.subscribe(HALL)
    await there.engine.subscribe(HALL)
    await house.settle()
    for node in house.nodes:
        await node.take()
    await ann.say("in the room")
    await bob.say("in the hall", "hall")
    assert [it[2] for it in await there.told(HALL)] == ["in the hall"]
    assert [it[2] for it in await here.told(ROOM)] == ["in the room"]
    assert here.heard.all == there.heard.all == []
    here.engine.unsubscribe(ROOM)
    await bob.say("nobody", "room")
    assert await here.take() == await there.take() == []
    await here.engine.subscribe(ROOM)
    await bob.say("again", "room")
    assert [it[2] for it in await here.told(ROOM)] == ["again"]


async def test_all_nodes_hear_the_same_in_the_same_order(house: House) -> None:
    nodes = [house.node, await house.add_node(), await house.add_node()]
    users = [await node.log_in(type(BOB)("app", f"u{n}")) for n, node in enumerate(nodes)]
    for node in nodes:
        await node.engine.subscribe(ROOM)
    for user in users:
        await user.join()

    async with trio.open_nursery() as nursery:
        for number in range(20):
            for user in users:
                nursery.start_soon(user.say, f"{number}")
    first, *others = [await node.take("event") for node in nodes]
    assert [msgid for _, _, msgid, _ in first] == [*range(1, 64)]
    assert others == [first, first]
