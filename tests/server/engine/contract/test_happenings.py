"""What happens is told to those who follow it, on whatever node, and kept for hooks until they have
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.happened import (
    HOOKED,
    KINDS,
    MESSAGE,
    NOTHING,
    Absent,
    Backlog,
    Call,
    Follow,
    Happening,
    Join,
    Leave,
    Login,
    Logout,
    Message,
    Why,
)
from signal_sdk.testing.server import EPOCH
from signal_sdk.wire import events
from tests.server.engine.contract.harness import ANN, BOB, SETTLED_SECONDS, House, Node

ALL = Follow(frozenset(KINDS), accounts=frozenset({"ann"}), channels=frozenset({"room"}))
LEASE_SECONDS = 30.0


def bare(happenings: Sequence[Happening]) -> list[Happening]:
    """Without their numbers and times, which have to be near now."""
    now = int((EPOCH + trio.current_time()) * 1000)
    assert all(now - 200_000 <= it.time <= now + 1 for it in happenings)
    return [replace(it, number=0, time=0) for it in happenings]


async def heard(node: Node) -> list[Happening]:
    """What the node was told of since it was asked last."""
    await trio.sleep(SETTLED_SECONDS)
    await node.house.backend.settle(node.engine)
    found = bare(node.heard.happened)
    node.heard.happened.clear()
    return found


async def taken(node: Node, most: int = 1000) -> list[Happening]:
    """What is kept for hooks, which the node takes, and leaves there."""
    await trio.sleep(SETTLED_SECONDS)
    found = await node.engine.take_happenings("app", most, seconds=10)
    assert found is not None
    return list(found)


def login(account: str) -> Login:
    return Login(app="app", account=account, device="websdk")


def logout(account: str, why: str = Why.LOGOUT) -> Logout:
    return Logout(app="app", account=account, why=why)


def call(state: str, why: str = "") -> Call:
    facts: Any = {"call": "1", "caller": "ann", "callee": "bob", "channel": "talk"}
    return Call(app="app", state=state, why=why, **facts)


async def test_who_comes_and_goes_is_told_to_the_node_that_follows(house: House) -> None:
    here, there = house.node, await house.add_node()
    await there.engine.follow("app", ALL)
    ann = await here.log_in()
    await ann.join()
    bob = await here.log_in(BOB)
    await bob.join()
    assert await heard(there) == [
        login("ann"),
        Join(app="app", account="ann", channel="room", members=1),
        login("bob"),
        Join(app="app", account="bob", channel="room", members=2),
    ]
    await ann.join("hall")
    await ann.end()
    await bob.leave()
    assert await heard(there) == [
        Leave(app="app", account="ann", channel="room", members=1),
        Join(app="app", account="ann", channel="hall", members=1),
        Leave(app="app", account="ann", channel="hall", members=0),
        logout("ann"),
        Leave(app="app", account="bob", channel="room", members=0),
    ]
    assert here.heard.happened == []


async def test_why_a_session_ends_is_told(house: House) -> None:
    node = house.node
    await node.engine.follow("app", Follow(frozenset({"logout"})))
    first = await node.log_in(line="1")
    second = await node.log_in(line="2")
    assert await heard(node) == [logout("ann", Why.KICKED)]
    await second.set_own("_conn_timeout", 20)
    await second.disconnect()
    await trio.sleep(LEASE_SECONDS)
    assert await heard(node) == [logout("ann", Why.LOST)]
    expires = int(EPOCH + trio.current_time() + 10)
    third = await node.log_in(line="3", token_expires=expires)
    await trio.sleep(15)
    assert await heard(node) == [logout("ann", Why.EXPIRED)]
    fourth = await node.log_in(line="4")
    await node.engine.end(ANN, fourth.generation, expires=True, why=Why.REVOKED)
    assert await heard(node) == [logout("ann", Why.REVOKED)]
    for over in (first, second, third, fourth):
        assert not await over.end()
    assert await heard(node) == []


async def test_a_login_that_keeps_the_presence_is_none(house: House) -> None:
    node = house.node
    await node.engine.follow("app", ALL)
    await node.log_in()
    await node.log_in(line="2", keeps=True)
    await node.resume(line="2")
    assert await heard(node) == [login("ann")]


async def test_a_call_s_states_are_told(house: House) -> None:
    node = house.node
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await node.engine.follow("app", Follow(frozenset({"call"})))
    for kinds, ends in (
        ((events.VOIP_ACK, events.VOIP_ACCEPT, events.VOIP_MSG, events.VOIP_BYE), Why.BYE),
        ((events.VOIP_REFUSE,), Why.REFUSED),
    ):
        await ann.call(channel="talk", call_id="1")
        for kind in kinds:
            await bob.step(kind, channel="talk")
        states = [call("inviting"), call("ringing"), call("accepted")][: len(kinds)]
        assert await heard(node) == [*states, call("ended", ends)]
    await ann.call(channel="talk", call_id="1", timeout=5)
    await trio.sleep(6)
    assert await heard(node) == [call("inviting"), call("ended", Why.UNANSWERED)]
    await ann.call(channel="talk", call_id="1")
    await ann.end()
    assert await heard(node) == [call("inviting"), call("ended", Why.GONE)]
    ann = await node.log_in()
    await bob.end()
    await ann.call(channel="talk", call_id="1", timeout=5)
    await trio.sleep(6)
    assert await heard(node) == [call("inviting"), call("ended", Why.OFFLINE)]


async def test_a_message_for_who_is_not_there_is_told(house: House) -> None:
    node = house.node
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await node.engine.follow("app", Follow(frozenset({"absent"})))
    absent = Absent(app="app", account="bob", sender="ann", size=3)
    await ann.post("one")
    assert await heard(node) == []
    await bob.disconnect()
    await ann.post("two")
    assert await heard(node) == [absent]
    bob = await node.resume(BOB)
    await ann.post("one")
    await bob.end()
    await ann.post("tüo")
    await ann.call()
    assert await heard(node) == [replace(absent, size=4)]


async def test_messages_are_told_to_who_names_one_of_their_ends(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await here.log_in(), await here.log_in(BOB)
    await ann.join()
    only = frozenset({MESSAGE})
    await there.engine.follow("app", Follow(only, accounts=frozenset({"bob"})))
    await here.engine.follow("app", Follow(only, channels=frozenset({"room"})))
    await ann.post("one")
    await bob.post("to", ANN)
    await ann.post("self", ANN)
    await ann.say("all")
    await ann.say("nobody", "hall")
    await bob.say("mine")
    room = Message(app="app", sender="ann", channel="room", size=3)
    mine = Message(app="app", sender="bob", channel="room", size=4)
    assert await heard(here) == [room, mine]
    assert await heard(there) == [
        Message(app="app", sender="ann", account="bob", size=3),
        Message(app="app", sender="bob", account="ann", size=2),
        mine,
    ]


async def test_who_follows_no_more_is_told_nothing(house: House) -> None:
    node = house.node
    await node.engine.follow("app", ALL)
    await node.engine.follow("app", NOTHING)
    await node.log_in()
    assert await heard(node) == []
    await node.engine.follow("app", Follow(frozenset({"logout"})))
    await node.log_in(BOB)
    await (await node.log_in(line="2")).end()
    assert await heard(node) == [logout("ann", Why.KICKED), logout("ann")]


async def test_who_follows_is_told_for_as_long_as_it_lives(house: House) -> None:
    """However long nothing happens, and whichever app others are in."""
    node, other = house.node, await house.add_node()
    await other.engine.follow("app", ALL)
    await trio.sleep(100)
    await node.log_in()
    assert await heard(other) == [login("ann")]


async def test_what_was_refused_has_not_happened(house: House) -> None:
    node = house.node
    ann = await node.log_in()
    node.engine.keep_happenings(HOOKED, 100)
    await node.engine.follow("app", ALL)
    with pytest.raises(SignalError):
        await ann.leave()
    with pytest.raises(SignalError):
        await ann.step(events.VOIP_BYE, "bob")
    with pytest.raises(SignalError):
        await ann.say("one", members_only=True)
    assert await heard(node) == []
    assert await taken(node) == []


async def test_what_comes_again_has_happened_once(house: House) -> None:
    node = house.node
    node.engine.keep_happenings(HOOKED, 100)
    ann = await node.log_in()
    await ann.join(asked=ann.asked(1))
    await ann.join(asked=ann.asked(1))
    for _ in range(2):
        await ann.post("x", asked=ann.asked(2))
    kinds = [it.kind for it in await taken(node)]
    assert kinds == ["login", "join", "absent"]


# --- kept for hooks ---


async def test_what_is_kept_has_numbers_and_stays_until_it_is_done(house: House) -> None:
    node = house.node
    node.engine.keep_happenings(("login", "join"), 100)
    await node.engine.follow("app", ALL)
    ann = await node.log_in()
    await ann.join()
    await ann.leave()
    await node.log_in(BOB)
    found = await taken(node)
    assert [(it.number, it.kind) for it in found] == [(1, "login"), (2, "join"), (3, "login")]
    assert bare(found) == [
        login("ann"),
        Join(app="app", account="ann", channel="room", members=1),
        login("bob"),
    ]
    assert [it.number for it in node.heard.happened] == [1, 2, 0, 3]
    assert node.heard.kept
    assert await taken(node) == found
    assert await taken(node, 2) == found[:2]
    assert await node.engine.happenings_done("app", 2)
    assert await taken(node) == found[2:]
    assert await node.engine.backlogs() == {"app": Backlog(kept=1, oldest=found[2].time)}
    assert await node.engine.happenings_done("app", 3)
    assert await taken(node) == []
    await ann.join()
    assert [it.number for it in await taken(node)] == [4]


async def test_of_too_many_the_oldest_go_and_are_counted(house: House) -> None:
    node = house.node
    node.engine.keep_happenings(("join",), 3)
    ann = await node.log_in()
    for number in range(5):
        await ann.join(f"room{number}")
    found = await taken(node)
    assert [it.number for it in found] == [3, 4, 5]
    backlog = (await node.engine.backlogs())["app"]
    assert (backlog.kept, backlog.dropped) == (3, 2)


async def test_one_node_takes_what_is_kept_until_its_time_is_over(house: House) -> None:
    here, there = house.node, await house.add_node()
    for node in (here, there):
        node.engine.keep_happenings(HOOKED, 100)
    await here.log_in()
    await here.log_in(BOB)
    found = await taken(here)
    assert len(found) == 2
    assert await there.engine.take_happenings("app", 10, seconds=10) is None
    assert not await there.engine.happenings_done("app", 1)
    await trio.sleep(11)
    assert await taken(there) == found
    assert not await here.engine.happenings_done("app", 2)
    assert await there.engine.happenings_done("app", 1)
    assert await taken(there) == found[1:]


async def test_who_has_sent_all_leaves_the_next_to_others(house: House) -> None:
    here, there = house.node, await house.add_node()
    for node in (here, there):
        node.engine.keep_happenings(HOOKED, 100)
    ann = await here.log_in()
    await taken(here)
    assert await here.engine.happenings_done("app", 1)
    await taken(here)
    await ann.end()
    assert [it.number for it in await taken(there)] == [2]


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_what_is_kept_outlives_the_process(lasting: House, how: str) -> None:
    house, node = lasting, lasting.node
    node.engine.keep_happenings(HOOKED, 100)
    ann = await node.log_in()
    await ann.join()
    found = await taken(node)
    await node.engine.happenings_done("app", 1)
    await trio.sleep(SETTLED_SECONDS)
    again = await house.reopen(how)
    again.engine.keep_happenings(HOOKED, 100)
    assert await taken(again) == found[1:]
    await again.log_in(BOB)
    assert [it.number for it in await taken(again)] == [2, 3]
    # Where nothing is left, no number is given twice either.
    await again.engine.happenings_done("app", 3)
    again = await house.reopen(how)
    again.engine.keep_happenings(HOOKED, 100)
    await again.log_in(line="2")
    assert [it.number for it in await taken(again)][-1] == 6
