"""The engine contract: the lives of nodes that share a state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest
import trio
from msgspec.structs import replace

from signal_sdk.server.engine.base import (
    LIFE_SECONDS,
    PLACE_SECONDS,
    AccountKey,
    FencedError,
    Place,
)
from signal_sdk.wire import built_in
from tests.server.engine.contract.harness import (
    ANN,
    BOB,
    MOVES,
    ONLINE,
    ROOM,
    House,
    Node,
    User,
    line_digest,
)

WATCHER = AccountKey("app", "watcher")


@pytest.fixture(autouse=True)
def _a_silent_node_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    caplog.clear()


async def neighbours(house: House) -> tuple[Node, Node]:
    """The first node, where somebody watches, and another with two users in a channel."""
    here, there = house.node, await house.add_node()
    watcher = await here.log_in(WATCHER)
    await watcher.join(ONLINE.channel)
    for key in (ROOM, ONLINE):
        await here.engine.subscribe(key)
    return here, there


async def in_the_room(node: Node, key: AccountKey) -> User:
    user = await node.log_in(key)
    await user.set_own(built_in.CONN_TIMEOUT, 20)
    await user.join()
    return user


async def test_another_node_s_start_touches_nobody(house: House) -> None:
    ann = await in_the_room(house.node, ANN)
    await house.node.take()
    there = await house.add_node()
    await trio.sleep(60)
    assert await house.engine.presence(ANN) == await there.engine.presence(ANN)
    presence = await there.engine.presence(ANN)
    assert presence is not None
    assert presence.lease_ends is None
    assert presence.generation == ann.generation
    assert await house.node.take() == []


async def test_what_one_node_does_the_others_see_and_hear(house: House) -> None:
    here, there = await neighbours(house)
    await here.take()
    ann = await in_the_room(there, ANN)
    await ann.say("hi")
    await ann.post("for bob")
    await here.log_in(BOB)
    assert await here.told() == [("join", "ann"), ("msg", "ann", "hi")]
    assert await house.members() == ["ann"]
    assert await house.inbox(BOB) == [(1, "for bob")]
    assert (await here.statistics()) == (await there.statistics())


@pytest.mark.parametrize("how", ["dies", "stops"])
async def test_a_node_s_end_is_that_of_each_of_its_connections_once(house: House, how: str) -> None:
    here, there = await neighbours(house)
    third = await house.add_node()
    await third.engine.subscribe(ROOM)
    ann, bob = await in_the_room(there, ANN), await in_the_room(there, BOB)
    for node in (here, third):
        await node.take()
    gone_at = house.wall()
    if how == "dies":
        there.die()
        await trio.sleep(LIFE_SECONDS - 2)
        for key in (ANN, BOB):
            presence = await here.engine.presence(key)
            assert presence is not None
            assert presence.lease_ends is None
        await trio.sleep(4)
    else:
        await there.stop()
    began = house.wall()
    for user in (ann, bob):
        presence = await here.engine.presence(user.key)
        assert presence is not None
        assert presence.lease_ends is not None
        assert gone_at + 20 <= presence.lease_ends <= began + 20
        assert presence.generation == user.generation
    assert await here.take() == []
    # One of them comes back, to a node that is there.
    back = await third.resume(BOB)
    await trio.sleep(25)
    assert await here.told() == await third.told() == [("leave", "ann")]
    assert [it for it in await here.told(ONLINE) if len(it) == 3] == [
        ("offline", ONLINE.channel, "ann")
    ]
    assert await here.engine.presence(BOB) == back.presence
    await trio.sleep(60)
    assert await here.take() == await third.take() == []
    assert await house.members() == ["bob"]


async def test_a_dead_node_is_handed_nothing(house: House) -> None:
    here, there = await neighbours(house)
    await there.engine.subscribe(ROOM)
    ann = await here.log_in()
    await in_the_room(there, BOB)
    there.is_silent = True
    await trio.sleep(LIFE_SECONDS + 2)
    await there.take()
    await ann.say("x")
    await ann.post("x")
    assert await there.take() == []
    # What waits for who was there is there, and whoever takes the account over kicks nobody.
    assert await house.inbox(BOB) == [(1, "x")]
    await here.log_in(BOB)
    assert await there.take() == []
    house.nodes.remove(there)
    there.scope.cancel()


async def test_a_node_that_was_silent_finds_itself_fenced_and_lives_anew(house: House) -> None:
    here, there = await neighbours(house)
    ann, bob = await in_the_room(there, ANN), await in_the_room(there, BOB)
    await there.engine.subscribe(ROOM)
    there.is_silent = True
    await trio.sleep(LIFE_SECONDS + 2)
    for node in (here, there):
        await node.take()
    there.is_silent = False
    await trio.sleep(2)
    assert await there.take() == [("fencing",)]
    # Its connections are over; what it says of them then makes no lease longer.
    before = await here.engine.presence(ANN)
    for user in (ann, bob):
        await user.disconnect()
    assert await here.engine.presence(ANN) == before
    # And who comes to it now stays.
    back = await there.resume(BOB)
    await trio.sleep(60)
    assert await there.engine.presence(BOB) == back.presence
    assert await here.told() == [("leave", "ann")]
    assert await there.take() == []
    await here.log_in(BOB, line="new")
    assert await there.take() == [("kick", "bob", back.generation)]


async def test_who_comes_to_a_node_before_it_knows_is_of_its_new_life(house: House) -> None:
    here, there = await neighbours(house)
    # A node that has nobody may be no node to others.
    await there.log_in(AccountKey("app", "eve"))
    there.is_silent = True
    await trio.sleep(LIFE_SECONDS + 2)
    await there.take()
    for key in (ANN, BOB):
        await in_the_room(there, key)
    assert await there.take() == [("fencing",)]
    await trio.sleep(LIFE_SECONDS + 2)
    for key in (ANN, BOB):
        presence = await here.engine.presence(key)
        assert presence is not None
        # It is silent still: that is noticed, as any node's.
        assert presence.lease_ends is not None


ASKING: dict[str, Callable[[User], Awaitable[object]]] = {
    "publish": lambda it: it.say("x"),
    "post": lambda it: it.post("x"),
    "join": lambda it: it.join("hall"),
    "leave": lambda it: it.leave(),
    "set": lambda it: it.set("a", "1"),
    "del": lambda it: it.node.engine.del_channel_attr(it.asked(), "room", "a", members_only=False),
    "clear": lambda it: it.node.engine.clear_channel_attrs(it.asked(), "room", members_only=False),
    "set own": lambda it: it.set_own("a", "1"),
    "invite": lambda it: it.call(),
    "step": lambda it: it.step("accept", "bob"),
    "keep": lambda it: it.node.engine.keep(it.asked(1)),
}


@pytest.mark.parametrize("what", ASKING)
async def test_whatever_a_dead_node_asks_for_its_sessions_is_refused(
    house: House, what: str
) -> None:
    """It has woken, and knows of nothing: nobody else has come to it, nor has it swept."""
    here, there = await neighbours(house)
    ann, bob = await in_the_room(there, ANN), await here.log_in(BOB)
    there.is_silent = True
    await trio.sleep(LIFE_SECONDS + 2)
    for node in (here, there):
        await node.take()
    before = await here.engine.presence(ANN)
    with pytest.raises(FencedError):
        await ASKING[what](ann)
    # It is told by then: its connections are over before the refusal would go out on them, and
    # their clients ask again when they are back.
    assert there.heard.all == [("fencing",)]
    assert await here.take() == []
    # What is under way still of those sessions once it lives anew is refused as well.
    there.is_silent = False
    await trio.sleep(2)
    assert await there.take() == [("fencing",)]
    with pytest.raises(FencedError):
        await ASKING[what](ann)
    assert await here.take() == await there.take() == []
    assert await here.engine.presence(ANN) == before
    assert await house.inbox(BOB) == []
    assert await there.engine.user_attrs(ANN) == {built_in.CONN_TIMEOUT: 20}
    assert await here.engine.channel_attrs(ROOM) == {}
    # Whoever comes back may ask again.
    await (await there.resume(ANN)).say("y")
    assert await here.told() == [("msg", "ann", "y")]
    assert await bob.end()


async def test_a_dead_node_that_is_alone_lives_anew_and_does_what_is_due(house: House) -> None:
    here, there = await neighbours(house)
    ann = await in_the_room(there, ANN)
    there.is_silent = True
    await trio.sleep(LIFE_SECONDS + 3)
    here.die()
    await there.take()
    with pytest.raises(FencedError):
        await ann.say("x")
    there.is_silent = False
    await trio.sleep(2)
    assert await there.take() == [("fencing",)]
    await (await there.resume(ANN)).disconnect()
    await trio.sleep(21)
    assert await there.engine.presence(ANN) is None


async def test_what_is_due_when_a_node_has_died_is_done_on_time(house: House) -> None:
    """The node that died was the first: its clock stands still."""
    first, second = house.node, await house.add_node()
    ann = await in_the_room(second, ANN)
    await first.engine.subscribe(ROOM)
    first.die()
    await ann.disconnect()
    await trio.sleep(19)
    assert await second.engine.presence(ANN) is not None
    await trio.sleep(2)
    assert await second.engine.presence(ANN) is None


async def test_a_short_silence_is_nothing(house: House) -> None:
    here, there = await neighbours(house)
    ann = await in_the_room(there, ANN)
    await here.take()
    for _ in range(5):
        there.is_silent = True
        await trio.sleep(LIFE_SECONDS - 3)
        there.is_silent = False
        await trio.sleep(2)
    assert await there.take() == []
    assert await here.engine.presence(ANN) == (await there.engine.presence(ANN))
    assert await ann.end()


async def test_a_login_elsewhere_is_no_dead_node_s_affair(house: House) -> None:
    """Of two lives of an account, the later one's node counts."""
    here, there = await neighbours(house)
    await in_the_room(there, ANN)
    newer = await here.log_in(line="newer")
    there.die()
    await trio.sleep(60)
    assert await here.engine.presence(ANN) == newer.presence


async def test_when_the_first_node_stops_what_is_due_is_still_done(house: House) -> None:
    first, second = house.node, await house.add_node()
    third = await house.add_node()
    ann = await in_the_room(second, ANN)
    await ann.disconnect()
    await first.stop()
    await trio.sleep(19)
    assert await third.engine.presence(ANN) is not None
    await trio.sleep(2)
    assert await third.engine.presence(ANN) is None
    await second.stop()
    bob = await in_the_room(third, BOB)
    await bob.post("x", to=ANN)
    await bob.disconnect()
    await trio.sleep(21)
    assert await third.engine.presence(BOB) is None


# --- all nodes are gone ---


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_whoever_was_online_has_lost_the_connection(lasting: House, how: str) -> None:
    ann, bob = await in_the_room(lasting.node, ANN), await in_the_room(lasting.node, BOB)
    await bob.disconnect()
    before = await lasting.engine.presence(BOB)
    await trio.sleep(10)
    began = lasting.wall()
    node = await lasting.reopen(how)
    await node.engine.subscribe(ROOM)
    presence = await node.engine.presence(ANN)
    assert presence is not None
    assert presence.lease_ends is not None
    assert presence.lease_ends >= began + 20
    now = await node.engine.presence(BOB)
    assert before is not None
    assert now is not None
    assert now.lease_ends == before.lease_ends
    assert await lasting.members() == ["ann", "bob"]
    back = await node.resume(ANN)
    assert back.generation > ann.generation
    assert back.presence.channel == "room"
    await trio.sleep(30)
    assert await node.told() == [("leave", "bob")]
    assert await lasting.members() == ["ann"]
    assert await node.engine.resume(line_digest(BOB, "")) is None


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_moves_of_who_was_there_are_told_when_a_lease_is_over(
    lasting: House, how: str
) -> None:
    watcher = await lasting.node.log_in(WATCHER)
    await watcher.join(MOVES.channel)
    await in_the_room(lasting.node, ANN)
    node = await lasting.reopen(how)
    await node.engine.subscribe(MOVES)
    await trio.sleep(30)
    assert await node.told(MOVES) == [("leave", "ann"), ("leave", "room", "ann")]


# --- where nodes are ---

HERE = Place(web=(("192.0.2.1", 8001), ("sig.example", 8001)), native=(), connections=3)
THERE = Place(web=(("192.0.2.2", 8001),), native=(("192.0.2.2", 8003),), connections=0)


async def test_each_node_hears_where_all_are_that_have_said_so_lately(house: House) -> None:
    here, there = house.node, await house.add_node()
    assert await here.engine.announce(HERE) == [HERE]
    assert await there.engine.announce(None) == [HERE]
    await trio.sleep(PLACE_SECONDS - 1)
    assert sorted(await there.engine.announce(THERE), key=at) == [HERE, THERE]
    # The first has said nothing for too long, and what it says then is what counts.
    await trio.sleep(PLACE_SECONDS - 1)
    assert await there.engine.announce(THERE) == [THERE]
    fuller = replace(HERE, connections=4)
    assert sorted(await here.engine.announce(fuller), key=at) == [fuller, THERE]
    # Nobody is to come to it any more.
    assert await here.engine.announce(None) == [THERE]
    assert await there.engine.announce(THERE) == [THERE]


def at(place: Place) -> tuple[tuple[str, int], ...]:
    return place.web
