"""The engine contract: what an operator may ask for."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from msgspec.structs import replace

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.server.engine import happened
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.engine.bounds import QuotaError
from signal_sdk.server.engine.call_table import call_key
from signal_sdk.server.engine.happened import KINDS, Follow, Why
from signal_sdk.wire import built_in, events, names
from tests.server.engine.contract.harness import (
    ANN,
    BOB,
    BOUNDS,
    HALL,
    MOVES,
    ONLINE,
    ROOM,
    House,
    Node,
    brief,
)

CALL = call_key("app", "room", "ann", "bob")
SYSTEM = names.SYSTEM_ACCOUNT


async def everything(operation: Any, limit: int, *args: Any) -> list[Any]:
    """All parts of a list."""
    items, cursor = [], ""
    for _ in range(1000):
        part = await operation(*args, cursor, limit)
        items += part.items
        cursor = part.cursor
        if not cursor:
            return items
    raise AssertionError("a list has no end")


async def twice(house: House, operation: str, *args: Any) -> list[bool]:
    """The same is asked at both nodes at once: what each is told, sorted."""
    outcomes: list[bool] = []

    async def ask(node: Node) -> None:
        outcomes.append(await getattr(node.engine, operation)(*args))

    async with trio.open_nursery() as nursery:
        for node in house.nodes:
            nursery.start_soon(ask, node)
    return sorted(outcomes)


# --- telling ---


async def test_what_an_operator_says_is_an_entry_as_any(house: House) -> None:
    here, there = house.node, await house.add_node()
    await there.log_in(BOB)
    await here.engine.tell(house.post("hello", BOB, SYSTEM))
    assert await there.entries() == [("bob", 1, "hello")]
    assert await here.entries() == []
    # Nobody has to know whom it is for.
    await here.engine.tell(house.post("hello", AccountKey("app", "cid"), SYSTEM))
    assert await house.inbox(AccountKey("app", "cid")) == [(1, "hello")]


async def test_an_inbox_has_no_more_room_for_an_operator_than_for_others(house: House) -> None:
    house.engine.bound(attrs.evolve(BOUNDS, inbox_messages=2))
    for text in "xy":
        await house.engine.tell(house.post(text, BOB, SYSTEM))
    with pytest.raises(QuotaError, match="the inbox of 'bob' is full") as caught:
        await house.engine.tell(house.post("z", BOB, SYSTEM))
    assert caught.value.limit == "inbox_messages"
    house.engine.bound(attrs.evolve(BOUNDS, app_accounts=1))
    with pytest.raises(QuotaError, match="the accounts that the app has"):
        await house.engine.tell(house.post("x", ANN, SYSTEM))
    assert await house.inbox(BOB) == [(1, "x"), (2, "y")]


async def test_a_channel_is_told_as_by_a_member_within_its_rate(house: House) -> None:
    here, there = house.node, await house.add_node()
    for node in house.nodes:
        node.engine.bound(attrs.evolve(BOUNDS, channel_messages_per_second=2))
    ann = await there.log_in()
    await ann.join()
    await there.engine.subscribe(ROOM)
    await house.settle()
    message = events.ChannelMessage(channel="room", account=SYSTEM, uid=0, msg={"a": 1}, id="7")
    assert await here.engine.tell_channel(ROOM, message)
    await ann.say("x")
    with pytest.raises(SignalError, match="more than 2 messages in a second") as caught:
        await here.engine.tell_channel(ROOM, message)
    assert 0 < (caught.value.retry_after or 0) <= 1
    heard = [content for *_, content in await there.take("event")]
    assert heard[0] == message
    assert [brief(it) for it in heard] == [("msg", SYSTEM, {"a": 1}), ("msg", "ann", "x")]
    assert not await here.engine.tell_channel(HALL, message)


# --- ending ---


async def test_who_is_kicked_is_offline_and_all_hear_of_it(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await there.log_in(), await here.log_in(BOB)
    await ann.join()
    await bob.join()
    await bob.call("ann")
    for key in (ROOM, ONLINE, MOVES):
        await here.engine.subscribe(key)
    await house.settle()
    await here.take()
    assert await here.engine.kick(ANN)
    assert await there.take("kick") == [("kick", "ann", ann.generation)]
    assert await here.told() == [("leave", "ann")]
    assert await here.entries() == [("bob", 1, "voip_invite_bye")]
    assert await here.engine.presence(ANN) is None
    assert await house.members() == ["bob"]
    with pytest.raises(SignalError):
        await ann.say("late")
    assert not await here.engine.kick(ANN)
    assert not await here.engine.kick(AccountKey("app", "nobody"))


@pytest.mark.parametrize("operation", ["kick", "remove", "end_call"])
async def test_of_two_who_end_the_same_at_once_one_is_told_that_it_is_over(
    house: House, operation: str
) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await here.log_in(), await there.log_in(BOB)
    await ann.join()
    await ann.call()
    await house.settle()
    args: dict[str, tuple[Any, ...]] = {
        "kick": (ANN,),
        "remove": (ANN, "room"),
        "end_call": (CALL, ""),
    }
    assert await twice(house, operation, *args[operation]) == [False, True]
    assert (await bob.end()) is True


async def test_who_is_without_a_connection_is_kicked_without_a_word(node: Node) -> None:
    ann = await node.log_in()
    await ann.disconnect()
    assert await node.engine.kick(ANN)
    assert await node.take("kick") == []
    assert (await node.statistics()).online == 0


async def test_who_is_taken_out_of_a_channel_hears_so_and_the_others_that_he_left(
    house: House,
) -> None:
    here, there = house.node, await house.add_node()
    ann, bob = await there.log_in(), await here.log_in(BOB)
    await ann.join()
    await bob.join()
    for key in (ROOM, MOVES):
        await here.engine.subscribe(key)
    await house.settle()
    await here.take()
    await there.take()
    msgid = (await here.engine.roster(ROOM, 0)).msgid
    assert await here.engine.remove(ANN, "room")
    assert await there.take("removal") == [("removal", "ann", ann.generation, "room", msgid + 1)]
    [(_, _, heard_as, content)] = await here.take("event")
    assert (heard_as, brief(content)) == (msgid + 1, ("leave", "ann"))
    assert await house.members() == ["bob"]
    presence = await here.engine.presence(ANN)
    assert (presence.channel, presence.removed) == (None, ("room",))
    assert presence.generation == ann.generation
    assert not await here.engine.remove(ANN, "room")
    assert not await here.engine.remove(BOB, "hall")
    assert not await here.engine.remove(AccountKey("app", "nobody"), "room")
    # It is no ban.
    await ann.join()
    presence = await here.engine.presence(ANN)
    assert (presence.channel, presence.removed) == ("room", ())


async def test_who_is_away_is_known_to_be_taken_out_until_he_joins_again(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await ann.disconnect()
    assert await node.engine.remove(ANN, "room")
    assert await node.take("removal") == []
    back = await node.resume()
    assert (back.presence.channel, back.presence.removed) == (None, ("room",))
    await back.join("hall")
    await back.leave("hall")
    assert (await node.engine.presence(ANN)).removed == ()
    await back.join()
    assert await node.engine.remove(ANN, "room")
    # A session of its own begins anew.
    anew = await node.log_in(line="other", keeps=True)
    assert (anew.presence.channel, anew.presence.removed) == (None, ())


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_that_somebody_was_taken_out_outlives_the_server(lasting: House, how: str) -> None:
    ann = await lasting.node.log_in()
    await ann.join()
    assert await lasting.engine.remove(ANN, "room")
    node = await lasting.reopen(how)
    presence = await node.engine.presence(ANN)
    assert (presence.channel, presence.removed) == (None, ("room",))
    assert await lasting.members() == []


async def test_a_channel_that_tells_of_no_leaves_tells_of_none(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await ann.set(built_in.USER_NOTIFICATION, 0)
    await node.engine.subscribe(ROOM)
    await node.take()
    msgid = (await node.engine.roster(ROOM, 0)).msgid
    assert await node.engine.remove(ANN, "room")
    assert await node.take() == [("removal", "ann", ann.generation, "room", msgid + 1)]
    # It was the last one.
    await node.house.pass_hours(built_in.DEFAULT_CHANNEL_TTL_SECONDS + 1)
    assert await node.engine.channel(ROOM) is None


async def test_both_sides_hear_that_a_call_has_ended(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, _ = await here.log_in(), await there.log_in(BOB)
    assert not await here.engine.end_call(CALL, "")
    await ann.call(call_id="first")
    await house.settle()
    await there.take()
    assert not await here.engine.end_call(CALL, "second")
    assert await here.engine.end_call(CALL, "first")
    assert await here.entries() == [("ann", 1, "voip_invite_bye")]
    assert await there.entries() == [("bob", 2, "voip_invite_bye")]
    assert await here.engine.calls_of(ANN) == []
    assert await here.engine.call(CALL) is None
    # The next one about the same is another call.
    await ann.call(call_id="second")
    assert (await here.engine.call(CALL)).id == "second"
    # Nothing is due of the first one any more.
    await trio.sleep(1)
    assert (await here.statistics()).due == 1


async def test_a_call_with_somebody_who_is_nowhere_leaves_nothing(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, inbox_messages=1))
    ann = await node.log_in()
    await ann.call("cid")
    assert await node.engine.end_call(call_key("app", "room", "ann", "cid"), "")
    cid = AccountKey("app", "cid")
    assert [version for version, _ in await node.house.inbox(cid)] == [1, 2]
    assert (await node.statistics()).calls == 0


# --- attributes ---


async def test_an_operator_sets_and_deletes_what_an_account_has(house: House) -> None:
    here, there = house.node, await house.add_node()
    await here.engine.put_user_attr(BOB, "mood", {"x": [1]})
    await here.engine.put_user_attr(BOB, "mood", "good")
    assert await there.engine.user_attrs(BOB) == {"mood": "good"}
    assert not await here.engine.drop_user_attr(BOB, "other")
    assert await there.engine.drop_user_attr(BOB, "mood")
    assert not await there.engine.drop_user_attr(BOB, "mood")
    assert await here.engine.user_attrs(BOB) == {}
    # Nothing is left of it.
    assert (await here.statistics()).accounts == 0


async def test_an_operators_attributes_have_the_bounds_of_others(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, attributes=2, app_accounts=1))
    for name in ("a", "b"):
        await node.engine.put_user_attr(ANN, name, "x")
        await node.engine.put_channel_attr(ROOM, name, "x")
    with pytest.raises(QuotaError, match="'ann' has 2 attributes"):
        await node.engine.put_user_attr(ANN, "c", "x")
    with pytest.raises(QuotaError, match="the channel 'room' has 2 attributes"):
        await node.engine.put_channel_attr(ROOM, "c", "x")
    with pytest.raises(QuotaError, match="the accounts that the app has"):
        await node.engine.put_user_attr(BOB, "a", "x")
    node.engine.bound(attrs.evolve(BOUNDS, app_bytes=20))
    with pytest.raises(QuotaError, match="the bytes of all that the app keeps"):
        await node.engine.put_user_attr(BOB, "a", "x" * 20)
    assert (await node.statistics()).accounts == 1
    # What is deleted has no bytes any more.
    for name in ("a", "b"):
        assert await node.engine.drop_user_attr(ANN, name)
        assert await node.engine.drop_channel_attr(ROOM, name)
    await node.engine.put_user_attr(BOB, "a", "x" * 18)


async def test_the_lease_is_as_long_as_an_operator_says(node: Node) -> None:
    ann = await node.log_in()
    await node.engine.put_user_attr(ANN, built_in.CONN_TIMEOUT, "30")
    await ann.disconnect()
    await trio.sleep(29)
    assert await node.engine.presence(ANN) is not None
    await trio.sleep(2)
    assert await node.engine.presence(ANN) is None
    ann = await node.log_in()
    assert await node.engine.drop_user_attr(ANN, built_in.CONN_TIMEOUT)
    await ann.disconnect()
    await trio.sleep(119)
    assert await node.engine.presence(ANN) is not None


async def test_a_channel_hears_what_an_operator_sets_as_from_the_server(house: House) -> None:
    here, there = house.node, await house.add_node()
    await there.engine.subscribe(ROOM)
    await here.engine.put_channel_attr(ROOM, "topic", "x")
    assert await here.engine.drop_channel_attr(ROOM, "topic")
    assert not await here.engine.drop_channel_attr(ROOM, "topic")
    assert not await here.engine.drop_channel_attr(HALL, "topic")
    heard = await there.take("event")
    assert [brief(content) for *_, content in heard] == [
        ("set", SYSTEM, "topic", "x"),
        ("del", SYSTEM, "topic"),
    ]
    assert {content.uid for *_, content in heard} == {0}
    # It is nobody's, and ends like any other.
    assert (await here.statistics()).accounts == 0
    await house.pass_hours(built_in.DEFAULT_CHANNEL_TTL_SECONDS + 1)
    assert (await here.statistics()).channels == 0


async def test_an_operators_changes_count_in_a_channels_rate(node: Node) -> None:
    node.engine.bound(attrs.evolve(BOUNDS, channel_attributes_per_second=2, app_channels=1))
    await node.engine.put_channel_attr(ROOM, "a", "x")
    assert await node.engine.drop_channel_attr(ROOM, "a")
    for change in (
        node.engine.put_channel_attr(ROOM, "a", "x"),
        node.engine.drop_channel_attr(ROOM, "a"),
    ):
        with pytest.raises(SignalError, match="more than 2 attribute changes"):
            await change
    with pytest.raises(QuotaError, match="the app's channels"):
        await node.engine.put_channel_attr(HALL, "a", "x")


async def test_what_a_built_in_attribute_does_it_does_for_an_operator(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await node.engine.subscribe(ROOM)
    await node.engine.put_channel_attr(ROOM, built_in.AUTO_UPDATE_NUM, "1")
    await trio.sleep(2)
    assert ("set", SYSTEM, built_in.MEMBER_NUM, "1") in await node.told()
    await node.engine.put_channel_attr(ROOM, built_in.CHANNEL_TTL, 0)
    await ann.leave()
    await trio.sleep(1)
    assert await node.engine.channel(ROOM) is None


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_what_an_operator_sets_outlives_the_server(lasting: House, how: str) -> None:
    await lasting.engine.put_user_attr(ANN, "a", 1)
    await lasting.engine.put_user_attr(ANN, "gone", 1)
    await lasting.engine.drop_user_attr(ANN, "gone")
    await lasting.engine.put_channel_attr(ROOM, "b", 2)
    await lasting.engine.tell(lasting.post("hello", BOB, SYSTEM))
    await lasting.reopen(how)
    assert await lasting.engine.user_attrs(ANN) == {"a": 1}
    assert await lasting.engine.channel_attrs(ROOM) == {"b": 2}
    assert [text for _, text in await lasting.inbox(BOB)] == ["hello"]


# --- looking ---


async def test_an_inbox_is_looked_at_and_nothing_is_handled(house: House) -> None:
    ann = await house.node.log_in()
    assert await house.engine.inbox_size(BOB) == (0, 0)
    assert await house.engine.peek(BOB, 0, 10) == []
    for number in range(250):
        await ann.post(f"{number}", ttl=2 if number % 2 else 1000)
    count, size = await house.engine.inbox_size(BOB)
    assert (count, size) == (250, sum(len(it.line) for it in await house.engine.peek(BOB, 0, 999)))
    await trio.sleep(2.5)
    assert [it.version for it in await house.engine.peek(BOB, 0, 3)] == [1, 3, 5]
    assert [it.version for it in await house.engine.peek(BOB, 4, 2)] == [5, 7]
    assert [it.version for it in await house.engine.peek(BOB, 247, 9)] == [249]
    assert await house.engine.peek(BOB, 250, 9) == []
    assert len(await house.inbox(BOB, limit=999)) == 125
    assert await house.inbox(BOB, ver_clear=200, limit=2) == [(201, "200"), (203, "202")]
    assert [it.version for it in await house.engine.peek(BOB, 0, 2)] == [201, 203]


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_all_who_are_online_are_listed_once(house: House, limit: int) -> None:
    here, there = house.node, await house.add_node()
    for number in range(7):
        node = here if number % 2 else there
        await node.log_in(AccountKey("app", f"user{number}"))
        await here.engine.put_user_attr(AccountKey("app", f"away{number}"), "a", 1)
        await node.log_in(AccountKey("other", f"user{number}"))
    await house.settle()
    found = await everything(here.engine.online_in, limit, "app")
    assert sorted(name for name, _ in found) == [f"user{number}" for number in range(7)]
    assert {presence.device for _, presence in found} == {"websdk"}
    assert await everything(here.engine.online_in, limit, "none") == []


async def test_a_list_goes_on_where_it_was_whoever_comes_and_goes(house: House) -> None:
    engine = house.engine
    users = [await house.node.log_in(AccountKey("app", f"user{number:02}")) for number in range(20)]
    for user in users:
        await user.join()
    first = await engine.online_in("app", "", 10)
    members = await engine.members(ROOM, "", 10)
    gone = {name for name, _ in first.items[:5]} | {name for name, _ in members.items[5:]}
    for user in users:
        if user.key.account in gone:
            assert await user.end()
    await house.settle()
    for operation, part, args in (
        (engine.online_in, first, ("app",)),
        (engine.members, members, (ROOM,)),
    ):
        rest = await operation(*args, part.cursor, 1000)
        names_found = [name for name, _ in (*part.items, *rest.items)]
        assert len(set(names_found)) == len(names_found)
        assert {user.key.account for user in users} - gone <= set(names_found)


async def test_all_are_listed_after_a_restart_too(lasting: House) -> None:
    keys = [AccountKey("app", f"user{number}") for number in (5, 2, 9, 1)]
    for key in keys:
        await lasting.engine.put_channel_attr(ChannelKey("app", key.account), "a", "b")
        user = await lasting.node.log_in(key)
        if key.account == "user2":
            await user.end()
            await lasting.node.log_in(key)
    node = await lasting.reopen()
    await node.log_in(ANN)
    online = await everything(node.engine.online_in, 2, "app")
    assert sorted(name for name, _ in online) == ["ann", "user1", "user2", "user5", "user9"]
    channels = await everything(node.engine.channels_in, 3, "app")
    assert sorted(it.name for it in channels) == sorted(key.account for key in keys)


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_all_members_are_listed_once(node: Node, limit: int) -> None:
    users = [await node.log_in(AccountKey("app", f"user{number}")) for number in range(9)]
    for user in users:
        await user.join()
    found = await everything(node.engine.members, limit, ROOM)
    assert sorted(found) == sorted((it.key.account, it.presence.uid) for it in users)
    assert await everything(node.engine.members, limit, HALL) == []


async def test_channels_are_listed_and_looked_at(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await ann.say("x")
    started = node.house.wall()
    weird = ["a*b", "a?[b]", "c\\d", "é", "plain"]
    for name in weird:
        await ann.set("topic", "x", name)
    other = await node.log_in(AccountKey("other", "eve"))
    await other.join("elsewhere")
    found = {it.name: it for it in await everything(node.engine.channels_in, 1000, "app")}
    assert found.keys() == {"room", *weird}
    some = await everything(node.engine.channels_in, 300, "app")
    assert {it.name for it in some} == found.keys()
    room = await node.engine.channel(ROOM)
    assert room == found["room"]
    assert (room.num, room.total, room.msgid, room.idle_since) == (1, 1, 2, None)
    assert abs(found["é"].idle_since - started) < 1
    assert await node.engine.channel(HALL) is None
    assert await node.engine.channel(ChannelKey("none", "room")) is None


async def test_calls_are_listed_and_looked_at(node: Node) -> None:
    ann, eve = await node.log_in(), await node.log_in(AccountKey("other", "eve"))
    for number in range(5):
        await ann.call(f"user{number}", call_id=f"id{number}")
    await eve.call("ann")
    assert (await node.engine.call(call_key("app", "room", "user3", "ann"))).id == "id3"
    assert await node.engine.call(CALL) is None
    for limit in (1, 2, 1000):
        found = await everything(node.engine.calls_in, limit, "app")
        assert {(it.id, it.caller, it.callee, it.channel, it.state) for it in found} == {
            (f"id{number}", "ann", f"user{number}", "room", "inviting") for number in range(5)
        }


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "[1]", "9" * 30, '["a","b"]', "\x00"])
async def test_what_is_no_cursor_is_refused(node: Node, cursor: str) -> None:
    for operation in (node.engine.online_in, node.engine.channels_in, node.engine.calls_in):
        with pytest.raises(ParameterError, match="cursor is none that") as caught:
            await operation("app", cursor, 10)
        assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


# --- what happens by it ---


async def test_what_an_operator_does_happens_as_anything_else(house: House) -> None:
    here, there = house.node, await house.add_node()
    ann, _ = await there.log_in(), await there.log_in(BOB)
    await ann.join()
    await ann.call(call_id="id")
    everything_of = Follow(
        frozenset(KINDS), accounts=frozenset({"bob"}), channels=frozenset({"room"})
    )
    await here.engine.follow("app", everything_of)
    await house.settle()
    here.heard.happened.clear()
    message = events.ChannelMessage(channel="room", account=SYSTEM, uid=0, msg={"a": "é"})
    await here.engine.tell_channel(ROOM, message)
    await here.engine.tell(house.post("hello", BOB, SYSTEM))
    await here.engine.tell(house.post("hello", AccountKey("app", "cid"), SYSTEM))
    await here.engine.remove(ANN, "room")
    await here.engine.end_call(CALL, "")
    await here.engine.kick(ANN)
    await house.settle()
    call: dict[str, Any] = {"call": "id", "caller": "ann", "callee": "bob", "channel": "room"}
    assert [replace(it, number=0, time=0) for it in here.heard.happened] == [
        happened.Message(app="app", channel="room", sender=SYSTEM, size=len('{"a":"é"}') + 1),
        happened.Message(app="app", account="bob", sender=SYSTEM, size=5),
        happened.Absent(app="app", account="cid", sender=SYSTEM, size=5),
        happened.Leave(app="app", account="ann", channel="room", members=0),
        happened.Call(app="app", state="ended", why=Why.OPERATOR, **call),
        happened.Logout(app="app", account="ann", why=Why.OPERATOR),
    ]


async def test_what_is_said_in_a_channel_need_be_no_text(node: Node) -> None:
    ann = await node.log_in()
    await ann.join()
    await node.engine.follow("app", Follow(frozenset(KINDS), channels=frozenset({"room"})))
    await node.engine.subscribe(ROOM)
    value: Any = {"a": [1]}
    await ann.say(value)
    assert await node.told() == [("msg", "ann", value)]
    await node.house.settle()
    [message] = [it for it in node.heard.happened if isinstance(it, happened.Message)]
    assert message.size == len('{"a":[1]}')
