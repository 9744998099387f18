"""The engine contract: a request that comes again is answered as it was, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from signal_sdk.server.engine import core
from signal_sdk.server.engine.base import Asked, Joined, Known, OvertakenError
from tests.server.engine.contract.harness import ANN, BOB, BOUNDS, HALL, ROOM, House, Node, User

Operation = Callable[[User, Asked], Awaitable[Known | Joined | None]]

OPERATIONS: dict[str, Operation] = {
    "join": lambda it, asked: it.node.engine.join(asked, "hall", newest=9),
    "leave": lambda it, asked: it.node.engine.leave(asked, "room"),
    "publish": lambda it, asked: it.say("x", asked=asked),
    "set": lambda it, asked: it.node.engine.set_channel_attr(
        asked, "room", "a", 2, members_only=False
    ),
    "del": lambda it, asked: it.node.engine.del_channel_attr(
        asked, "room", "a", members_only=False
    ),
    "clear": lambda it, asked: it.node.engine.clear_channel_attrs(
        asked, "room", members_only=False
    ),
    "set own": lambda it, asked: it.node.engine.set_user_attr(asked, "a", 1),
    "post": lambda it, asked: it.post("x", asked=asked),
    "invite": lambda it, asked: it.call("bob", "hall", asked=asked),
    "step": lambda it, asked: it.step("voip_invite_bye", "bob", asked=asked),
    "keep": lambda it, asked: it.node.engine.keep(asked),
}


async def all_there_is(node: Node) -> list[object]:
    engine = node.engine
    return [
        await engine.presence(ANN),
        [await engine.roster(key, 10) for key in (ROOM, HALL)],
        dict(await engine.channel_attrs(ROOM)),
        dict(await engine.user_attrs(ANN)),
        await node.house.inbox(BOB),
        list(await engine.calls_of(ANN)),
    ]


@pytest.mark.parametrize("what", OPERATIONS)
async def test_a_change_that_is_asked_for_twice_is_made_once(node: Node, what: str) -> None:
    for key in (ROOM, HALL):
        await node.engine.subscribe(key)
    ann = await node.log_in()
    await node.log_in(BOB)
    await ann.join()
    await ann.set("a", 1)
    await ann.call()
    before = await all_there_is(node)
    await node.take()
    first = await OPERATIONS[what](ann, ann.asked(7, reply="first"))
    assert first is None or (what == "join" and isinstance(first, Joined))
    after = await all_there_is(node)
    assert (after == before) is (what == "keep")
    heard = [it[0] for it in await node.take()]
    told = {"post": "entry", "invite": "entry", "step": "entry", "set own": "", "keep": ""}
    assert set(heard) == {told.get(what, "event")} - {""}
    again = await OPERATIONS[what](ann, ann.asked(7, reply="second"))
    if what == "join":
        assert again == first
    else:
        assert again == Known("first")
    assert await all_there_is(node) == after
    assert await node.take() == []
    assert await node.engine.recall(ann.asked(7)) is not None
    # Once it is acknowledged, nothing is known of it.
    assert await node.engine.recall(ann.asked(8, ack=7)) is None
    assert await node.engine.recall(ann.asked(7)) is None


@pytest.mark.parametrize("what", OPERATIONS)
async def test_what_has_no_number_is_a_new_request_each_time(node: Node, what: str) -> None:
    ann = await node.log_in()
    await node.log_in(BOB)
    await ann.join()
    await ann.set("a", 1)
    await ann.call()
    outcome = await OPERATIONS[what](ann, ann.asked())
    assert not isinstance(outcome, Known)
    assert await node.engine.recall(ann.asked()) is None


@pytest.mark.parametrize("what", OPERATIONS)
async def test_what_a_later_request_has_overtaken_is_not_done(node: Node, what: str) -> None:
    """It was refused, and who asks has not heard of it: done now, it would be out of its order."""
    ann = await node.log_in()
    await node.log_in(BOB)
    await ann.join()
    await ann.set("a", 1)
    await ann.call()
    await OPERATIONS[what](ann, ann.asked(8))
    after = await all_there_is(node)
    await node.take()
    with pytest.raises(OvertakenError):
        await OPERATIONS[what](ann, ann.asked(7))
    assert await all_there_is(node) == after
    assert await node.take() == []
    assert await recalled(ann, 7, 8) == [None, "done"]


async def test_a_request_of_another_kind_overtakes_nothing(node: Node) -> None:
    """One that is answered otherwise: a client joins its channel again ahead of what it sends."""
    ann = await node.log_in()
    await node.log_in(BOB)
    await ann.join(asked=ann.asked(9, reply="joined"))
    assert await ann.post("x", asked=ann.asked(7)) is None
    assert await ann.post("y", asked=ann.asked(8)) is None
    with pytest.raises(OvertakenError):
        await ann.post("z", asked=ann.asked(6))
    assert await node.house.inbox(BOB) == [(1, "x"), (2, "y")]


async def test_numbers_that_are_nearly_alike_are_two(node: Node) -> None:
    ann = await node.log_in()
    await node.log_in(BOB)
    for number in range(3):
        assert await ann.post(f"{number}", asked=ann.asked(2**62 + number)) is None
    for number in range(3):
        assert await ann.post("again", asked=ann.asked(2**62 + number)) == Known("done")
    assert await node.house.inbox(BOB) == [(1, "0"), (2, "1"), (3, "2")]


async def recalled(user: User, *callids: int, ack: int = 0) -> list[str | None]:
    found = [await user.node.engine.recall(user.asked(callid, ack)) for callid in callids]
    return [known.reply if known else None for known in found]


async def kept(user: User, *callids: int, text: str = "") -> None:
    for callid in callids:
        await user.node.engine.keep(user.asked(callid, reply=text or f"{callid}"))


@pytest.mark.parametrize("durably", [True, False])
async def test_a_reply_is_kept_until_it_is_acknowledged(node: Node, *, durably: bool) -> None:
    ann = await node.log_in()
    for callid in (3, 4, 6):
        if durably:
            await kept(ann, callid)
        else:
            await ann.say("x", asked=ann.asked(callid, reply=f"{callid}"))
    assert await recalled(ann, 3, 4, 5, 6) == ["3", "4", None, "6"]
    assert await recalled(ann, 3, 4, 6, ack=4) == [None, None, "6"]
    # An older `ack` brings nothing back.
    assert await recalled(ann, 3, 4, 6, ack=0) == [None, None, "6"]
    assert await recalled(ann, 6, ack=99) == [None]


async def test_an_acknowledgement_comes_with_the_next_change(node: Node) -> None:
    ann = await node.log_in()
    await kept(ann, 1, 2, 3)
    await ann.post("x", asked=ann.asked(4, ack=2))
    assert await recalled(ann, 1, 2, 3, 4) == [None, None, "3", "done"]


async def test_the_first_reply_is_the_reply(node: Node) -> None:
    ann = await node.log_in()
    assert await node.engine.keep(ann.asked(7, reply="first")) is None
    assert await node.engine.keep(ann.asked(7, reply="second")) == Known("first")


async def test_replies_are_one_sessions_and_outlive_its_resume(house: House) -> None:
    there = await house.add_node()
    ann = await house.node.log_in()
    await kept(ann, 1)
    await ann.disconnect()
    back = await there.resume()
    assert await recalled(back, 1) == ["1"]
    # Whoever is not the session any more is told nothing.
    assert await recalled(ann, 1) == [None]
    newer = await there.log_in(line="another")
    assert await recalled(newer, 1) == [None]


async def test_replies_end_with_their_session(node: Node) -> None:
    ann = await node.log_in()
    await kept(ann, 1)
    await ann.end()
    assert await recalled(await node.log_in(), 1) == [None]


async def test_replies_that_nobody_acknowledges_have_a_bound(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "MAX_REPLIES", 20)
    node.engine.bound(BOUNDS)
    ann = await node.log_in()
    await kept(ann, *range(1, 23), text="x")
    assert await recalled(ann, 1, 2, 3, 22) == [None, None, "x", "x"]


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_what_was_answered_durably_is_known_to_the_next_process(
    lasting: House, how: str
) -> None:
    ann = await lasting.node.log_in()
    await ann.post("x", asked=ann.asked(1, reply="posted"))
    await ann.set_own("a", 1)
    await kept(ann, 2)
    node = await lasting.reopen(how)
    ann = await node.resume()
    assert await ann.post("x", asked=ann.asked(1)) == Known("posted")
    assert await lasting.inbox(BOB) == [(1, "x")]
    assert await recalled(ann, 1, 2, ack=1) == [None, "2"]
    node = await lasting.reopen(how)
    ann = await node.log_in(line="new")
    assert await recalled(ann, 1, 2) == [None, None]


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_message_to_a_channel_is_not_overtaken_by_what_outlives_it(
    lasting: House, how: str
) -> None:
    """That it was done may be lost with the process."""
    ann = await lasting.node.log_in()
    await ann.say("x", asked=ann.asked(1))
    await ann.post("x", asked=ann.asked(2))
    node = await lasting.reopen(how)
    ann = await node.resume()
    assert await ann.say("x", asked=ann.asked(1)) in (None, Known("done"))
    assert await ann.post("x", asked=ann.asked(2)) == Known("done")
