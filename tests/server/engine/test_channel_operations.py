"""The engine contract: channels, their events, and their attributes."""

from __future__ import annotations

from signal_sdk.server.engine.base import AccountKey, ChannelKey, Engine, Event, Roster
from tests.server.engine.contract import (
    ANN,
    BOB,
    NOW,
    ROOM,
    Delivered,
    join,
    leaving,
    log_in,
    message,
    messages,
    move,
)


async def history(engine: Engine, after: int, now: float = NOW) -> list[Event] | None:
    events = await engine.history(ROOM, after, now)
    return None if events is None else list(events)


async def test_a_join_tells_the_others_and_lists_who_is_there(
    engine: Engine, delivered: Delivered
) -> None:
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    roster = await join(engine, ann)
    assert roster is not None
    assert (roster.num, roster.total, list(roster.newest)) == (1, 1, [("ann", ann.uid)])
    roster = await join(engine, bob, BOB)
    assert roster is not None
    assert list(roster.newest) == [("ann", ann.uid), ("bob", bob.uid)]
    assert [entry[:3] for entry in delivered.take()] == [("event", ROOM, 1), ("event", ROOM, 2)]
    presence = await engine.presence(ANN)
    assert presence is not None
    assert presence.channel == "room"
    assert await engine.is_member(ROOM, "ann")
    assert not await engine.is_member(ROOM, "eve")


async def test_joining_again_changes_nothing(engine: Engine, delivered: Delivered) -> None:
    ann = await log_in(engine)
    await join(engine, ann)
    delivered.take()
    roster = await join(engine, ann)
    assert roster is not None
    assert (roster.num, roster.total) == (1, 1)
    assert delivered.take() == []


async def test_joining_another_leaves_the_first_in_one_step(
    engine: Engine, delivered: Delivered
) -> None:
    hall = ChannelKey("app", "hall")
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    await join(engine, ann)
    await join(engine, bob, BOB)
    delivered.take()
    joined = await move(engine, ann, hall, farewell=leaving("ann"))
    assert joined is not None
    assert joined.left is not None
    assert (joined.left.num, joined.left.idle_since) == (1, None)
    assert list(joined.roster.newest) == [("ann", ann.uid)]
    first, second = delivered.take()
    assert first == ("event", ROOM, 3, leaving("ann"))
    assert second[:3] == ("event", hall, 1)
    assert not await engine.is_member(ROOM, "ann")
    presence = await engine.presence(ANN)
    assert presence is not None
    assert presence.channel == "hall"
    # Nobody is told where nobody is to be, and the last one is said to be that.
    moved = await move(engine, bob, hall, BOB)
    assert moved is not None
    assert moved.left is not None
    assert moved.left.idle_since == NOW
    assert [key for _, key, *_ in delivered.take()] == [hall]
    again = await move(engine, bob, hall, BOB, farewell=leaving("bob"))
    assert again is not None
    assert again.left is None
    assert delivered.take() == []


async def test_an_older_generation_joins_nothing(engine: Engine, delivered: Delivered) -> None:
    first = await log_in(engine)
    await log_in(engine)
    delivered.take()
    assert await join(engine, first) is None
    assert await join(engine, first, AccountKey("app", "nobody")) is None
    assert delivered.take() == []
    assert not await engine.is_member(ROOM, "ann")


async def test_a_roster_names_the_newest_and_counts_all(engine: Engine) -> None:
    for number in range(10):
        key = AccountKey("app", f"u{number}")
        await join(engine, await log_in(engine, key), key)
    roster = await engine.roster(ROOM, 3)
    assert (roster.num, roster.total) == (10, 10)
    assert [account for account, _ in roster.newest] == ["u7", "u8", "u9"]
    assert roster.msgid == 10
    assert list((await engine.roster(ROOM, 0)).newest) == []
    assert await engine.roster(ChannelKey("app", "nowhere"), 3) == Roster()


async def test_leaving_tells_the_channel_and_says_when_it_became_empty(
    engine: Engine, delivered: Delivered
) -> None:
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    await join(engine, ann)
    await join(engine, bob, BOB)
    delivered.take()
    left = await engine.leave(ROOM, "ann", ann.generation, leaving("ann"), now=NOW)
    assert left is not None
    assert (left.num, left.idle_since) == (1, None)
    left = await engine.leave(ROOM, "bob", bob.generation, None, now=NOW + 1)
    assert left is not None
    assert (left.num, left.idle_since) == (0, NOW + 1)
    assert delivered.take() == [("event", ROOM, 3, leaving("ann"))]
    assert await engine.leave(ROOM, "ann", ann.generation, leaving("ann"), now=NOW) is None
    presence = await engine.presence(ANN)
    assert presence is not None
    assert presence.channel is None
    # Those who were there count.
    assert (await engine.roster(ROOM, 0)).total == 2


async def test_an_older_generation_ends_no_membership(engine: Engine, delivered: Delivered) -> None:
    """What a session that was taken over still had under way is not its successor's."""
    ann = await log_in(engine)
    await join(engine, ann)
    successor = await log_in(engine)
    delivered.take()
    assert await engine.leave(ROOM, "ann", ann.generation, leaving("ann"), now=NOW) is None
    assert delivered.take() == []
    assert await engine.is_member(ROOM, "ann")
    assert successor.channel == "room"


async def test_message_ids_rise_by_one_in_each_channel(
    engine: Engine, delivered: Delivered
) -> None:
    await join(engine, await log_in(engine))
    other = ChannelKey("app", "other")
    await engine.set_channel_attr(other, "a", "b", message("set"), account="ann", now=NOW)
    for text in "xy":
        assert await engine.publish(ROOM, messages(text), now=NOW)
        assert await engine.publish(other, messages(text), now=NOW)
    events = delivered.take()
    assert [msgid for _, key, msgid, _ in events if key == ROOM] == [1, 2, 3]
    assert [msgid for _, key, msgid, _ in events if key == other] == [1, 2, 3]


async def test_events_that_belong_together_are_delivered_together(
    engine: Engine, delivered: Delivered
) -> None:
    await join(engine, await log_in(engine))
    delivered.take()
    assert await engine.publish(ROOM, messages("one", "two"), now=NOW)
    assert delivered.take() == [
        ("event", ROOM, 2, message("one")),
        ("event", ROOM, 3, message("two")),
    ]


async def test_nothing_is_published_where_there_is_no_channel(
    engine: Engine, delivered: Delivered
) -> None:
    assert not await engine.publish(ROOM, messages("x"), now=NOW)
    assert delivered.take() == []


async def test_attributes_are_set_deleted_and_cleared_each_with_its_event(
    engine: Engine, delivered: Delivered
) -> None:
    assert dict(await engine.channel_attrs(ROOM)) == {}
    # Setting makes the channel, which is empty.
    made = await engine.set_channel_attr(ROOM, "a", "1", message("set a"), account="ann", now=NOW)
    assert made == NOW
    await join(engine, await log_in(engine))
    delivered.take()
    there = await engine.set_channel_attr(ROOM, "b", [2], message("set b"), account="ann", now=NOW)
    assert there is None
    assert dict(await engine.channel_attrs(ROOM)) == {"a": "1", "b": [2]}
    assert await engine.del_channel_attr(ROOM, "a", message("del a"), now=NOW)
    assert not await engine.del_channel_attr(ROOM, "a", message("del a again"), now=NOW)
    assert await engine.clear_channel_attrs(ROOM, message("clear"), now=NOW)
    assert dict(await engine.channel_attrs(ROOM)) == {}
    assert [content.msg for *_, content in delivered.take()] == ["set b", "del a", "clear"]
    nowhere = ChannelKey("app", "nowhere")
    assert not await engine.del_channel_attr(nowhere, "a", message("x"), now=NOW)
    assert not await engine.clear_channel_attrs(nowhere, message("x"), now=NOW)
    assert delivered.take() == []


async def test_a_channel_is_destroyed_only_if_it_was_empty_all_the_time(engine: Engine) -> None:
    ann = await log_in(engine)
    await join(engine, ann)
    await engine.set_channel_attr(ROOM, "a", "1", message("x"), account="ann", now=NOW)
    assert not await engine.destroy_channel(ROOM, NOW)
    await engine.leave(ROOM, "ann", ann.generation, None, now=NOW + 1)
    await join(engine, ann)
    await engine.leave(ROOM, "ann", ann.generation, None, now=NOW + 2)
    assert not await engine.destroy_channel(ROOM, NOW + 1)
    assert dict(await engine.channel_attrs(ROOM)) == {"a": "1"}
    assert await engine.destroy_channel(ROOM, NOW + 2)
    assert not await engine.destroy_channel(ROOM, NOW + 2)
    assert dict(await engine.channel_attrs(ROOM)) == {}
    assert await engine.roster(ROOM, 10) == Roster()


async def test_a_channel_keeps_its_latest_events(engine: Engine) -> None:
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), account="ann", now=NOW)
    assert await engine.publish(ROOM, messages("2", "3"), now=NOW)
    first, second, third = (
        Event(number, message(f"{number}"), int(NOW * 1000)) for number in (1, 2, 3)
    )
    assert await history(engine, 0) == [first, second, third]
    assert await history(engine, 2) == [third]
    assert await history(engine, 3) == []
    # The oldest of five is not held any more.
    assert await engine.publish(ROOM, messages("4", "5"), now=NOW)
    assert await history(engine, 0) is None
    assert [event.msgid for event in await history(engine, 1) or ()] == [2, 3, 4, 5]
    assert await history(engine, 5) == []


async def test_what_a_channel_never_had_is_not_its_history(engine: Engine) -> None:
    """A msgid from before a server's end, or another server's."""
    assert await history(engine, 0) is None
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), account="ann", now=NOW)
    assert await history(engine, 2) is None


async def test_a_channels_events_are_forgotten_in_time(engine: Engine) -> None:
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), account="ann", now=NOW)
    assert await history(engine, 0, NOW + 59.9) != []
    assert await history(engine, 0, NOW + 60) is None
    assert await history(engine, 1, NOW + 60) == []


async def test_the_sweep_forgets_events_that_nobody_asks_for(engine: Engine) -> None:
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), account="ann", now=NOW)
    await engine.sweep(NOW + 59)
    assert await history(engine, 0) != []
    await engine.sweep(NOW + 60)
    assert await history(engine, 0) is None
    # And goes on with those of later.
    await engine.publish(ROOM, messages("2"), now=NOW)
    assert [event.msgid for event in await history(engine, 1) or ()] == [2]
    await engine.sweep(NOW + 61)
    assert await history(engine, 1) is None
