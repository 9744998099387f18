"""The engine contract: several attributes changed at once under a revision, where they are as they
are wanted to be; attributes that end by themselves; and who watches an account's.
"""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    Attribute,
    AttributeChange,
    Attributes,
    AttributesChanged,
    Changed,
    Known,
    PresenceChanged,
    Watched,
)
from signal_sdk.server.engine.bounds import QuotaError
from signal_sdk.wire import built_in, names
from tests.server.engine.attribute_model import MOST, Model, rounded, some_change
from tests.server.engine.contract.harness import ANN, BOB, BOUNDS, ROOM, House, Node, User

OPEN = '{"revision":'
OWNERS = pytest.mark.parametrize("channel", [None, "room"])


async def change(
    user: User, channel: str | None = None, asked: Asked | None = None, **what: Any
) -> Changed:
    """A change that was not made before."""
    members_only = what.pop("members_only", False)
    found = await user.node.engine.change_attributes(
        asked or user.asked(reply=OPEN),
        channel,
        AttributeChange(**what),
        members_only=members_only,
    )
    assert isinstance(found, Changed)
    return found


async def read(node: Node, channel: str | None = None) -> Attributes:
    engine = node.engine
    found: Attributes = await (
        engine.user_attributes(ANN) if channel is None else engine.channel_attributes(ROOM)
    )
    return found


def brief(found: Attributes) -> dict[str, tuple[Any, int]]:
    """Values and revisions."""
    return {name: (it.value, it.revision) for name, it in found.values.items()}


# --- revisions ---


@OWNERS
async def test_all_that_is_changed_at_once_has_one_revision(
    node: Node, channel: str | None
) -> None:
    ann = await node.log_in()
    assert await read(node, channel) == Attributes()
    first = await change(ann, channel, set={"a": 1, "b": ["x"]})
    assert first == Changed(1)
    assert brief(await read(node, channel)) == {"a": (1, 1), "b": (["x"], 1)}
    second = await change(ann, channel, set={"c": "3"}, delete=("a",))
    assert second == Changed(2)
    found = await read(node, channel)
    assert found.revision == 2
    assert brief(found) == {"b": (["x"], 1), "c": ("3", 2)}
    # What is deleted last has been the last change, too.
    assert await change(ann, channel, delete=("c",)) == Changed(3)
    assert (await read(node, channel)).revision == 3


async def test_old_ways_to_change_give_revisions_too(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann = await here.log_in()
    await ann.set_own("a", 1)
    await ann.set("a", 1)
    await ann.set("b", 1)
    assert brief(await read(there)) == {"a": (1, 1)}
    assert brief(await read(there, "room")) == {"a": (1, 2), "b": (1, 3)}
    await here.engine.del_channel_attr(ann.asked(), "room", "b", members_only=False)
    await here.engine.put_user_attr(ANN, "a", 2)
    assert brief(await read(there)) == {"a": (2, 5)}
    found = await read(there, "room")
    assert (found.revision, brief(found)) == (4, {"a": (1, 2)})
    await here.engine.clear_channel_attrs(ann.asked(), "room", members_only=False)
    assert await read(there, "room") == Attributes(6)


# --- conditions ---


@OWNERS
async def test_a_change_is_made_only_where_all_is_as_it_wants_it(
    house: House, channel: str | None
) -> None:
    here, there = house.node, await house.add_node()
    ann = await here.log_in()
    assert await change(ann, channel, set={"a": 1}, conditions={"a": 0}) == Changed(1)
    await change(ann, channel, set={"b": 1})
    for conditions, revision in (
        ({"a": 0}, None),
        ({"a": 2}, None),
        ({"a": 1, "b": 1}, None),
        ({"a": 1, "none": 1}, None),
        ({"a": 1}, 1),
        ({}, 3),
    ):
        refused = await change(
            ann, channel, set={"a": 9}, delete=("b",), conditions=conditions, revision=revision
        )
        assert refused.revision == 0
        assert refused.present is not None
        assert refused.present.revision == 2
        assert brief(refused.present) == {"a": (1, 1), "b": (1, 2)}
    assert brief(await read(there, channel)) == {"a": (1, 1), "b": (1, 2)}
    assert await here.engine.last_revision("app") == 2
    done = await change(
        ann, channel, set={"a": 9}, delete=("b",), conditions={"a": 1, "x": 0}, revision=2
    )
    assert done == Changed(3)
    assert brief(await read(there, channel)) == {"a": (9, 3)}


async def test_a_refusal_tells_of_what_was_named_and_of_nothing_else(node: Node) -> None:
    ann = await node.log_in()
    await change(ann, set={"a": 1, "b": 2, "c": 3, "d": 4})
    refused = await change(ann, set={"b": 1}, delete=("c",), conditions={"a": 7, "none": 0})
    assert refused.present is not None
    assert set(refused.present.values) == {"a", "b", "c"}


async def test_of_two_who_change_the_same_from_the_same_one_does(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await here.log_in(), await there.log_in(BOB)
    await ann.set("lead", "none")
    found = [await change(it, "room", set={"lead": 1}, conditions={"lead": 1}) for it in (ann, bob)]
    assert [it.revision for it in found] == [2, 0]
    assert found[1].present is not None
    assert brief(found[1].present) == {"lead": (1, 2)}


async def test_a_revision_of_before_a_channel_ended_is_none_of_the_next_one_s(node: Node) -> None:
    ann = await node.log_in()
    await change(ann, "room", set={"a": 1, built_in.CHANNEL_TTL: 5})
    await trio.sleep(6)
    assert await read(node, "room") == Attributes()
    await ann.set("a", 1)
    refused = await change(ann, "room", set={"a": 2}, conditions={"a": 1})
    assert refused.present is not None
    assert brief(refused.present)["a"] == (1, 2)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_revisions_and_ends_outlive_the_process(lasting: House, how: str) -> None:
    ann = await lasting.node.log_in()
    await change(ann, set={"a": 1})
    await change(ann, set={"gone": 1}, ttl=500)
    await change(ann, set={"soon": 1}, ttl=5)
    await change(ann, delete=("gone",))
    await change(ann, "room", set={"b": 1}, ttl=30)
    before = await read(lasting.node), await read(lasting.node, "room")
    await lasting.settle()
    node = await lasting.reopen(how)
    assert (await read(node), await read(node, "room")) == before
    assert before[0].revision == 4
    again = await node.log_in(line="2")
    for old in ({"a": 3}, {"gone": 2}):
        assert (await change(again, set={"a": 2}, conditions=old)).revision == 0
    await trio.sleep(31)
    assert brief(await read(node)) == {"a": (1, 1)}
    assert not (await read(node, "room")).values


# --- what comes again ---


@OWNERS
async def test_what_comes_again_is_answered_as_it_was_and_not_done_again(
    node: Node, channel: str | None
) -> None:
    ann = await node.log_in()
    engine = node.engine

    async def ask(number: int, **what: Any) -> Changed | Known:
        asked = ann.asked(number, reply=OPEN)
        found: Changed | Known = await engine.change_attributes(
            asked, channel, AttributeChange(**what), members_only=False
        )
        return found

    assert await ask(1, set={"a": 1}, conditions={"a": 0}) == Changed(1)
    assert await ask(1, set={"a": 1}, conditions={"a": 0}) == Known('{"revision":1}')
    refused = await ask(2, set={"a": 2}, conditions={"a": 0})
    assert isinstance(refused, Changed)
    assert refused.revision == 0
    # That it was refused is not changed by what comes later.
    await ask(3, delete=("a",))
    assert await ask(2, set={"a": 2}, conditions={"a": 0}) == Known('{"revision":0}')
    assert not (await read(node, channel)).values


async def test_what_was_over_a_bound_is_not_done_behind_what_came_later(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, attributes=1))
    ann = await node.log_in()
    await change(ann, set={"a": 1})
    asked = ann.asked(1, reply=OPEN)
    with pytest.raises(SignalError, match="the most allowed"):
        await change(ann, asked=asked, set={"b": 1})
    await change(ann, asked=ann.asked(2, reply=OPEN), delete=("a",))
    with pytest.raises(SignalError, match="what was asked for later"):
        await change(ann, asked=asked, set={"b": 1})


# --- bounds ---


@OWNERS
async def test_bounds_are_of_all_of_a_change_together(node: Node, channel: str | None) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, attributes=3, app_bytes=100))
    ann = await node.log_in()
    await change(ann, channel, set={"a": 1, "b": 1})
    with pytest.raises(SignalError, match="has 3 attributes, the most allowed"):
        await change(ann, channel, set={"c": 1, "d": 1})
    # What goes makes room for what comes.
    await change(ann, channel, set={"c": 1, "d": 1}, delete=("a",))
    with pytest.raises(SignalError, match="the bytes of all that the app keeps: 100"):
        await change(ann, channel, set={"c": "x" * 50, "d": "x" * 50})
    await change(ann, channel, set={"d": "x" * 90}, delete=("b", "c"))
    await change(ann, channel, set={"c": "y" * 90}, delete=("d",))
    assert set((await read(node, channel)).values) == {"c"}
    node.engine.bound(BOUNDS)
    with pytest.raises(SignalError, match="all attributes together would have"):
        await change(ann, channel, set={f"a{n}": "x" * 8000 for n in range(140)})


async def test_each_attribute_of_a_channel_counts_as_one_change(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, channel_attributes_per_second=3))
    ann = await node.log_in()
    await change(ann, "room", set={"a": 1, "b": 1})
    with pytest.raises(SignalError, match="more than 3 attribute changes") as caught:
        await change(ann, "room", set={"a": 2}, delete=("b",))
    assert 0 < (caught.value.retry_after or 0) <= 1
    await change(ann, "room", set={"a": 3})
    await trio.sleep(1.1)
    # What is more than is allowed in a second at all has a whole one.
    await change(ann, "room", set=dict.fromkeys("abcdef", 1))
    with pytest.raises(SignalError, match="more than 3 attribute changes"):
        await ann.set("a", 9)
    await trio.sleep(1.1)
    await ann.set("a", 9)


async def test_members_only_and_fenced_hold_for_changes(node: Node) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await bob.join()
    with pytest.raises(SignalError, match="'ann' is not in the channel 'room'"):
        await change(ann, "room", set={"a": 1}, members_only=True)
    await change(bob, "room", set={"a": 1}, members_only=True)
    await ann.end()
    for channel in (None, "room"):
        with pytest.raises(SignalError, match="logged in elsewhere"):
            await change(ann, channel, set={"a": 1})


async def test_a_channel_is_told_of_each_in_order_and_made_where_there_is_none(node: Node) -> None:
    ann = await node.log_in()
    await node.engine.subscribe(ROOM)
    # Nothing is made in order to be without something.
    assert await change(ann, "room", delete=("a",)) == Changed(1)
    assert (await node.statistics()).channels == 0
    await change(ann, "room", set={"b": 1, "a": 2})
    await change(ann, "room", set={"a": 3}, delete=("b", "none"))
    assert await node.told() == [
        ("set", "ann", "b", 1),
        ("set", "ann", "a", 2),
        ("del", "ann", "b"),
        ("set", "ann", "a", 3),
    ]


async def test_a_built_in_attribute_works_as_it_does_set_alone(node: Node) -> None:
    ann = await node.log_in()
    await change(ann, "room", set={built_in.CHANNEL_TTL: "10", "a": 1})
    await change(ann, set={built_in.CONN_TIMEOUT: "20"})
    await trio.sleep(9)
    assert (await node.statistics()).channels == 1
    await change(ann, "room", delete=(built_in.CHANNEL_TTL,))
    await trio.sleep(9)
    assert (await node.statistics()).channels == 1
    await change(ann, "room", set={built_in.CHANNEL_TTL: 1})
    await trio.sleep(2)
    assert (await node.statistics()).channels == 0
    await ann.disconnect()
    await trio.sleep(21)
    assert await node.engine.presence(ANN) is None


# --- ends ---


@OWNERS
async def test_an_attribute_ends_when_its_time_is_over(house: House, channel: str | None) -> None:
    here, there = house.node, await house.add_node()
    ann = await here.log_in()
    await ann.join()
    await there.engine.subscribe(ROOM)
    begun = house.wall()
    await change(ann, channel, set={"a": 1, "b": 1}, ttl=10)
    await change(ann, channel, set={"c": 1})
    await change(ann, channel, set={"d": 1}, ttl=20.5)
    # Who sets it anew says anew when it ends.
    await change(ann, channel, set={"b": 2})
    ends = {name: it.expires for name, it in (await read(there, channel)).values.items()}
    assert ends["a"] == pytest.approx(begun + 10, abs=0.5)
    assert ends["d"] == pytest.approx(begun + 20.5, abs=0.5)
    assert (ends["b"], ends["c"]) == (None, None)
    await trio.sleep(9)
    assert len((await read(there, channel)).values) == 4
    await there.take()
    await trio.sleep(2)
    found = await read(here, channel)
    assert (set(found.values), found.revision) == ({"b", "c", "d"}, 5)
    expected = [("del", names.SYSTEM_ACCOUNT, "a")] if channel else []
    assert await there.told() == expected
    await trio.sleep(11)
    assert set((await read(there, channel)).values) == {"b", "c"}


async def test_what_has_ended_is_absent_to_a_change(node: Node) -> None:
    ann = await node.log_in()
    for channel in (None, "room"):
        await change(ann, channel, set={"a": 1}, ttl=0.2)
        await trio.sleep(0.2)
        done = await change(ann, channel, set={"a": 2}, conditions={"a": 0}, ttl=1)
        assert done.revision > 0
    await trio.sleep(2)
    for channel in (None, "room"):
        assert not (await read(node, channel)).values


async def test_an_account_lasts_as_long_as_its_last_attribute(node: Node) -> None:
    ann = await node.log_in()
    await change(ann, set={"a": 1}, ttl=10)
    await ann.end()
    await trio.sleep(9)
    assert (await node.statistics()).accounts == 1
    await trio.sleep(3)
    assert (await node.statistics()).accounts == 0


# --- watching ---


async def watched(node: Node) -> list[Any]:
    return [fact for *_, fact in await node.take("watched")]


async def test_a_watcher_hears_of_presence_and_of_each_change(house: House) -> None:
    here, there = house.node, await house.add_node()
    before = await there.engine.watch(ANN)
    assert (before.is_online, before.attributes) == (False, Attributes())
    ann = await here.log_in()
    await change(ann, set={"a": 1, "b": 2})
    await ann.set_own("c", 3)
    await here.engine.put_user_attr(ANN, "a", 4)
    await change(ann, set={"a": 5}, delete=("b", "none"))
    await here.engine.drop_user_attr(ANN, "c")
    await ann.set("a", 1)
    await ann.end()
    came, *changes, went = await watched(there)
    assert isinstance(came, PresenceChanged)
    assert isinstance(went, PresenceChanged)
    assert (came.is_online, went.is_online) == (True, False)
    assert before.presence < came.presence < went.presence
    assert changes == [
        AttributesChanged(revision=1, set={"a": Attribute(1, 1), "b": Attribute(2, 1)}),
        AttributesChanged(revision=2, set={"c": Attribute(3, 2)}),
        AttributesChanged(revision=3, set={"a": Attribute(4, 3)}),
        AttributesChanged(revision=4, set={"a": Attribute(5, 4)}, deleted=("b",)),
        AttributesChanged(revision=5, deleted=("c",)),
    ]
    assert await watched(here) == []


async def test_what_a_watcher_is_told_fits_how_things_stand(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann = await here.log_in()
    await change(ann, set={"a": 1})
    now = await there.engine.watch(ANN)
    assert now == Watched(True, now.presence, Attributes(1, {"a": Attribute(1, 1)}))
    # A connection that is lost and comes back is no coming and going, and a kick is both.
    await ann.disconnect()
    await there.resume()
    assert await watched(there) == []
    await here.log_in(line="2")
    [went, came] = await watched(there)
    assert (went.is_online, came.is_online) == (False, True)
    assert now.presence < went.presence < came.presence
    again = await there.engine.watch(ANN)
    assert again.presence == came.presence
    # Once is enough.
    await here.engine.put_user_attr(ANN, "a", 2)
    assert len(await watched(there)) == 1


async def test_a_watcher_hears_of_ends(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann = await here.log_in()
    await ann.set_own(built_in.CONN_TIMEOUT, 20)
    await change(ann, set={"a": 1}, ttl=5)
    await there.engine.watch(ANN)
    await ann.disconnect()
    await trio.sleep(6)
    assert await watched(there) == [AttributesChanged(revision=3, deleted=("a",))]
    await trio.sleep(20)
    [went] = await watched(there)
    assert isinstance(went, PresenceChanged)
    assert not went.is_online


async def test_who_watches_no_more_is_told_nothing_nor_who_watches_another_s(house: House) -> None:
    here, there = house.node, await house.add_node()
    other = AccountKey("other", "ann")
    await here.engine.watch(other)
    await there.engine.watch(ANN)
    there.engine.unwatch(ANN)
    there.engine.unwatch(BOB)
    ann = await here.log_in()
    await ann.set_own("a", 1)
    assert (await watched(here), await watched(there)) == ([], [])


async def test_a_node_that_is_gone_watches_nobody(house: House) -> None:
    there = await house.add_node()
    await there.engine.watch(ANN)
    await there.stop()
    await house.add_node()
    await house.node.log_in()
    assert await watched(house.node) == []


@pytest.mark.parametrize("seed", range(3))
async def test_any_changes_are_as_a_model_has_them(house: House, seed: int) -> None:
    """As tests/server/engine/test_attribute_model.py has it of the embedded engine."""
    chance, model = random.Random(seed), Model()
    nodes = [house.node, await house.add_node()]
    for node in nodes:
        node.engine.bound(attrs.evolve(BOUNDS, attributes=MOST))
    ann = await nodes[0].log_in()
    for _ in range(30):
        if chance.random() < 0.3:
            await trio.sleep(10)
            model.pass_time(house.wall())
        owner = chance.choice([None, "room"])
        wanted = some_change(chance, model, owner)
        expected = model.change(owner, wanted, house.wall())
        found: Any
        try:
            found = await nodes[0].engine.change_attributes(
                ann.asked(reply=OPEN), owner, wanted, members_only=False
            )
        except QuotaError:
            found = None
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert found.revision == expected.revision
            assert rounded(found.present) == rounded(expected.present)
        for name, owned in model.owners.items():
            there = await read(nodes[1], name)
            assert rounded(there) == rounded(Attributes(owned.revision, owned.values))
    assert await nodes[1].engine.last_revision("app") == model.last
