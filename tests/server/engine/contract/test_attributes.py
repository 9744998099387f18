"""The engine contract: attributes of channels and of users, and what they bring about."""

from __future__ import annotations

import attrs
import pytest
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import ChannelKey, Known, Roster
from signal_sdk.wire import built_in, names
from tests.server.engine.contract.harness import ANN, BOB, BOUNDS, ROOM, House, Node, User


async def delete(user: User, name: str, channel: str = "room", **more: bool) -> Known | None:
    more.setdefault("members_only", False)
    known: Known | None = await user.node.engine.del_channel_attr(
        user.asked(), channel, name, **more
    )
    return known


async def clear(user: User, channel: str = "room", **more: bool) -> Known | None:
    more.setdefault("members_only", False)
    known: Known | None = await user.node.engine.clear_channel_attrs(user.asked(), channel, **more)
    return known


async def test_attributes_are_set_deleted_and_cleared_each_with_its_event(node: Node) -> None:
    ann = await node.log_in()
    await node.engine.subscribe(ROOM)
    assert dict(await node.engine.channel_attrs(ROOM)) == {}
    # Setting makes the channel, which is empty.
    await ann.set("a", "1")
    assert (await node.statistics()).channels == 1
    await ann.set("b", [2])
    assert dict(await node.engine.channel_attrs(ROOM)) == {"a": "1", "b": [2]}
    await delete(ann, "a")
    with pytest.raises(SignalError, match="'room' has no attribute 'a'") as caught:
        await delete(ann, "a")
    assert caught.value.ecode is ECode.GENERAL_E_FAILED
    await clear(ann)
    assert dict(await node.engine.channel_attrs(ROOM)) == {}
    assert await node.told() == [
        ("set", "ann", "a", "1"),
        ("set", "ann", "b", [2]),
        ("del", "ann", "a"),
        ("clear", "ann"),
    ]
    with pytest.raises(SignalError, match="'nowhere' has no attribute"):
        await delete(ann, "a", "nowhere")
    await clear(ann, "nowhere")
    assert await node.take() == []
    assert (await node.statistics()).channels == 1


async def test_what_is_for_members_only_is_refused_to_others(node: Node) -> None:
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await bob.join()
    await bob.set("a", "1", members_only=True)
    for attempt in (
        ann.set("a", "2", members_only=True),
        delete(ann, "a", members_only=True),
        clear(ann, members_only=True),
    ):
        with pytest.raises(SignalError, match="'ann' is not in the channel 'room'") as caught:
            await attempt
        assert caught.value.ecode is ECode.GENERAL_E_FAILED
    assert dict(await node.engine.channel_attrs(ROOM)) == {"a": "1"}
    await delete(bob, "a", members_only=True)
    await clear(bob, members_only=True)


async def test_attribute_changes_have_a_rate_and_a_channel_its_own(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, channel_attributes_per_second=3))
    ann = await node.log_in()
    await ann.set("a", 1)
    await delete(ann, "a")
    await clear(ann)
    for attempt in (ann.set("a", 2), delete(ann, "a"), clear(ann)):
        with pytest.raises(SignalError, match="more than 3 attribute changes") as caught:
            await attempt
        assert caught.value.ecode is ECode.GENERAL_E_FAILED
        assert 0 < (caught.value.retry_after or 0) <= 1
    assert dict(await node.engine.channel_attrs(ROOM)) == {}
    await ann.set("a", 1, "hall")
    await trio.sleep(1.1)
    # Its own holds instead, be it higher or lower.
    await ann.set(built_in.SETATTR_LIMIT, 5)
    for number in range(4):
        await ann.set("a", number)
    with pytest.raises(SignalError, match="more than 5 attribute changes"):
        await ann.set("a", 9)


async def test_user_attributes_outlive_presence_and_need_none(node: Node) -> None:
    assert dict(await node.engine.user_attrs(ANN)) == {}
    ann = await node.log_in()
    for name, value in (("name", "Ann"), ("data", {"a": [1, None]}), ("name", "Anna")):
        await ann.set_own(name, value)
    expected = {"name": "Anna", "data": {"a": [1, None]}}
    assert dict(await node.engine.user_attrs(ANN)) == expected
    await ann.end()
    assert dict(await node.engine.user_attrs(ANN)) == expected


# --- the end of a channel ---


async def there_is(node: Node, key: ChannelKey = ROOM) -> bool:
    return (await node.statistics()).channels > 0


async def test_a_channel_ends_a_while_after_its_last_member_has_gone(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await ann.set(built_in.CHANNEL_TTL, 30)
    await trio.sleep(60)
    assert await there_is(node)
    await ann.leave()
    await trio.sleep(29)
    assert dict(await node.engine.channel_attrs(ROOM)) != {}
    # Somebody comes in between: it begins anew.
    await ann.join()
    await trio.sleep(40)
    await ann.leave()
    await trio.sleep(29)
    assert await there_is(node)
    await trio.sleep(2)
    assert not await there_is(node)
    assert dict(await node.engine.channel_attrs(ROOM)) == {}
    assert await node.engine.roster(ROOM, 10) == Roster()


async def test_a_channel_that_nobody_ever_joined_ends_too(node: Node) -> None:
    ann = await node.log_in()
    await ann.set("a", 1)
    assert (await node.statistics()).due == 1
    await ann.set("b", 1)
    assert (await node.statistics()).due == 1
    await ann.set(built_in.CHANNEL_TTL, 30, "hall")
    await trio.sleep(31)
    assert (await node.statistics()).channels == 1
    await ann.set(built_in.CHANNEL_TTL, 5)
    await trio.sleep(2)
    assert (await node.statistics()).channels == 0
    assert (await node.statistics()).due == 0


@pytest.mark.parametrize("how", ["del", "clear", "longer"])
async def test_a_channels_ttl_may_be_changed_while_it_is_empty(node: Node, how: str) -> None:
    ann = await node.log_in()
    await ann.set(built_in.CHANNEL_TTL, 10)
    await trio.sleep(5)
    if how == "del":
        await delete(ann, built_in.CHANNEL_TTL)
    elif how == "clear":
        await clear(ann)
    else:
        await ann.set(built_in.CHANNEL_TTL, 60)
    await trio.sleep(50)
    assert await there_is(node)
    if how == "longer":
        await trio.sleep(6)
        assert not await there_is(node)


async def test_a_channel_ends_though_its_last_member_ends_without_a_word(node: Node) -> None:
    ann = await node.log_in()
    await ann.set(built_in.CHANNEL_TTL, 10)
    await ann.set_own(built_in.CONN_TIMEOUT, 20)
    await ann.join()
    await ann.disconnect()
    await trio.sleep(29)
    assert await there_is(node)
    await trio.sleep(2)
    assert not await there_is(node)


# --- the counts that are pushed ---


async def counted(node: Node) -> list[tuple[object, object]]:
    told = await node.told()
    return [(it[2], it[3]) for it in told if it[:2] == ("set", names.SYSTEM_ACCOUNT)]


async def test_counts_are_pushed_where_they_changed_and_only_then(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await here.log_in(), await there.log_in(BOB)
    await here.engine.subscribe(ROOM)
    await ann.set(built_in.AUTO_UPDATE_NUM, 5)
    await ann.set(built_in.AUTO_UPDATE_TOTAL_NUM, 10)
    await ann.join()
    await trio.sleep(4)
    assert await counted(here) == []
    await trio.sleep(2)
    assert await counted(here) == [(built_in.MEMBER_NUM, "1")]
    await trio.sleep(5)
    assert await counted(here) == [(built_in.TOTAL_MEMBER_NUM, "1")]
    await trio.sleep(60)
    assert await counted(here) == []
    await bob.join()
    await bob.leave()
    await bob.join()
    await trio.sleep(11)
    assert sorted(await counted(here)) == [
        (built_in.MEMBER_NUM, "2"),
        (built_in.TOTAL_MEMBER_NUM, "3"),
    ]
    attributes = await here.engine.channel_attrs(ROOM)
    assert (attributes[built_in.MEMBER_NUM], attributes[built_in.TOTAL_MEMBER_NUM]) == ("2", "3")


async def test_counts_are_pushed_no_oftener_than_the_bounds_say_nor_to_nobody(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, count_push_seconds=10))
    ann, bob = await node.log_in(), await node.log_in(BOB)
    await node.engine.subscribe(ROOM)
    await ann.join()
    await ann.set(built_in.AUTO_UPDATE_NUM, 1)
    await trio.sleep(9)
    assert await counted(node) == []
    await trio.sleep(2)
    assert await counted(node) == [(built_in.MEMBER_NUM, "1")]
    await bob.join()
    await delete(ann, built_in.AUTO_UPDATE_NUM)
    await trio.sleep(30)
    assert await counted(node) == []
    await ann.set(built_in.AUTO_UPDATE_NUM, 1)
    await ann.leave()
    await bob.leave()
    await trio.sleep(30)
    assert await counted(node) == []
    # Its end is all that is due.
    assert (await node.statistics()).due == 1


async def test_a_total_is_counted_only_where_the_number_is(node: Node) -> None:
    ann = await node.log_in()
    await node.engine.subscribe(ROOM)
    await ann.join()
    await ann.set(built_in.AUTO_UPDATE_TOTAL_NUM, 5)
    await trio.sleep(11)
    assert await counted(node) == []
    assert built_in.TOTAL_MEMBER_NUM not in await node.engine.channel_attrs(ROOM)


async def test_an_attribute_change_that_comes_again_is_made_and_told_once(node: Node) -> None:
    ann = await node.log_in()
    await node.engine.subscribe(ROOM)
    engine = node.engine

    async def set_a() -> Known | None:
        known: Known | None = await engine.set_channel_attr(
            ann.asked(1), "room", "a", 1, members_only=False
        )
        return known

    assert [await set_a(), await set_a()] == [None, Known("done")]
    await ann.set("a", 2)
    assert await set_a() == Known("done")
    assert dict(await engine.channel_attrs(ROOM)) == {"a": 2}
    for _ in range(2):
        await engine.del_channel_attr(ann.asked(2), "room", "a", members_only=False)
    await ann.set("b", 1)
    for _ in range(2):
        await engine.clear_channel_attrs(ann.asked(3), "room", members_only=False)
    assert [it[0] for it in await node.told()] == ["set", "set", "del", "set", "clear"]
