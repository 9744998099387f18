"""Attributes of users and channels, and what each of the built-in ones does."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.config import AppConfig
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import APP, LogIn, dev_config, is_refusal, members, settle, told
from tests.wire_client import WireClient, logged_in


async def set_attr(client: WireClient, name: str, value: Any, channel: str = "room") -> None:
    reply = await client.call("channel_set_attr", channel=channel, name=name, value=value)
    assert reply["result"] == "ok", reply


async def attrs_of(client: WireClient, channel: str = "room") -> dict[str, Any]:
    """A channel's attributes, as a join tells them; the client is a member then."""
    attrs: dict[str, Any] = (await client.call("channel_join", name=channel))["attrs"]
    return attrs


async def updates(client: WireClient) -> list[tuple[str, Any, str]]:
    """Take the attribute updates seen so far: (name, value, type)."""
    return [
        (content["name"], content["value"], content["type"])
        for _, kind, content in await told(client)
        if kind == "channel_attr_update"
    ]


# --- users ---


async def test_a_users_attributes_can_be_set_and_read_by_all(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    reply = await ann.call("user_set_attr", name="mood", value="good")
    assert (reply["result"], reply["reason"]) == ("ok", "")
    await ann.call("user_set_attr", name="data", value={"a": 1})
    reply = await bob.call("user_get_attr", account="ann", name="mood")
    assert (reply["account"], reply["name"], reply["value"]) == ("ann", "mood", "good")
    reply = await bob.call("user_get_attr_all", account="ann")
    # A text that holds JSON: no client is known that takes an object.
    assert (reply["account"], reply["json"]) == ("ann", '{"mood":"good","data":{"a":1}}')


async def test_a_user_attribute_that_was_never_set_is_empty(log_in: LogIn) -> None:
    ann = await log_in("ann")
    assert (await ann.call("user_get_attr", account="nobody", name="mood"))["value"] == ""
    assert (await ann.call("user_get_attr_all", account="nobody"))["json"] == "{}"


async def test_user_attributes_outlive_the_session(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("user_set_attr", name="mood", value="good")
    await ann.call("user_logout")
    bob = await log_in("bob")
    assert (await bob.call("user_get_attr", account="ann", name="mood"))["value"] == "good"


@pytest.mark.parametrize(
    ("name", "value", "ecode"),
    [("x" * 129, "", 1005), ("", "", 1004), ("a\nb", "", 1004), ("a", "x" * 1025, 1005)],
)
async def test_a_wrong_user_attribute_is_refused(
    log_in: LogIn, name: str, value: str, ecode: int
) -> None:
    ann = await log_in("ann")
    assert is_refusal(await ann.call("user_set_attr", name=name, value=value), ecode)
    assert (await ann.call("user_get_attr_all", account="ann"))["json"] == "{}"


# --- channels ---


async def test_every_member_hears_of_every_change(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(bob, "topic", "tea")
    assert await told(ann) == [
        (
            "room",
            "channel_attr_update",
            {
                "channel": "room",
                "account": "bob",
                "uid": bob.uid,
                "name": "topic",
                "value": "tea",
                "type": "update",
            },
        )
    ]
    assert (await bob.call("channel_del_attr", channel="room", name="topic"))["result"] == "ok"
    assert await told(bob) == []
    assert (await ann.call("channel_clear_attr", channel="room"))["result"] == "ok"
    assert await updates(ann) == [("topic", "", "del"), ("", "", "clear")]


async def test_attributes_are_there_for_whoever_joins(log_in: LogIn) -> None:
    ann = await log_in("ann")
    for name, value in (("a", "1"), ("b", {"x": [2]}), ("a", "3")):
        await set_attr(ann, name, value)
    assert await attrs_of(ann) == {"a": "3", "b": {"x": [2]}}
    await ann.call("channel_del_attr", channel="room", name="a")
    assert await attrs_of(ann) == {"b": {"x": [2]}}
    await ann.call("channel_clear_attr", channel="room")
    assert await attrs_of(ann) == {}


async def test_deleting_what_is_not_there_fails_and_tells_nobody(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    assert is_refusal(await ann.call("channel_del_attr", channel="room", name="a"), 1001)
    assert is_refusal(await ann.call("channel_del_attr", channel="no", name="a"), 1001)
    assert await told(ann) == []


async def test_clearing_what_is_empty_is_told(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    assert (await ann.call("channel_clear_attr", channel="room"))["result"] == "ok"
    assert await updates(ann) == [("", "", "clear")]


@pytest.mark.parametrize(
    ("name", "value", "ecode"),
    [
        ("x" * 129, "", 1005),
        ("", "", 1004),
        ("a", "x" * 8097, 1005),
        ("_channel_ttl", "soon", 1004),
        ("_channel_ttl", -1, 1004),
        ("_channel_ttl", 1.5, 1004),
        ("_channel_ttl", True, 1004),
        ("_channel_ttl", 2**31, 1004),
        ("_userNotification", "", 1004),
        ("_auto_update_num", "-1", 1004),
        ("_auto_update_total_num", [1], 1004),
        ("_sendmsg_limit", None, 1004),
        ("_setattr_limit", "1e3", 1004),
        ("_member_num", "5", 1004),
        ("_total_member_num", "5", 1004),
    ],
)
async def test_a_wrong_channel_attribute_is_refused(
    log_in: LogIn, name: str, value: object, ecode: int
) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    reply = await ann.call("channel_set_attr", channel="room", name=name, value=value)
    assert is_refusal(reply, ecode)
    assert await updates(ann) == []


async def test_a_value_of_8096_characters_is_allowed(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await set_attr(ann, "a", "😀" * 8096)
    assert (await attrs_of(ann))["a"] == "😀" * 8096


# --- _userNotification ---


@pytest.mark.parametrize("value", [0, "0"])
async def test_user_notification_0_silences_joins_and_leaves(log_in: LogIn, value: object) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_userNotification", value)
    await told(ann)
    await bob.call("channel_join", name="room")
    await bob.call("channel_sendmsg", name="room", msg="hi")
    await bob.call("channel_join", name="elsewhere")
    await bob.call("channel_join", name="room")
    await bob.call("user_logout")
    assert [kind for _, kind, _ in await told(ann)] == ["channel_msg"]


@pytest.mark.parametrize("how", ["1", "delete", "clear"])
async def test_user_notification_1_is_the_default(log_in: LogIn, how: str) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_userNotification", 0)
    if how == "1":
        await set_attr(ann, "_userNotification", "1")
    elif how == "delete":
        await ann.call("channel_del_attr", channel="room", name="_userNotification")
    else:
        await ann.call("channel_clear_attr", channel="room")
    await told(ann)
    await bob.call("channel_join", name="room")
    await bob.call("channel_leave", name="room")
    assert [kind for _, kind, _ in await told(ann)] == ["channel_user_join", "channel_user_leave"]


# --- _channel_ttl ---


async def exists(client: WireClient) -> bool:
    """Is the attribute `a` still there? Asks without joining the channel."""
    reply = await client.call("channel_del_attr", channel="room", name="a")
    if reply["result"] != "ok":
        return False
    await set_attr(client, "a", "1")
    return True


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(None, 7200), (10, 10), ("10", 10), ("0", 0), ("3600", 3600)]
)
async def test_an_empty_channel_is_destroyed_with_its_attributes_after_channel_ttl(
    log_in: LogIn, ttl: object, seconds: int
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "a", "1")
    if ttl is not None:
        await set_attr(ann, "_channel_ttl", ttl)
    await trio.sleep(2 * seconds if seconds < 1000 else 1)
    assert await exists(bob)
    await ann.call("channel_leave", name="room")
    if seconds:
        await trio.sleep(seconds - 0.5)
        assert await exists(bob)
    await trio.sleep(1)
    assert not await exists(bob)
    assert await attrs_of(bob) == {}


async def test_a_join_saves_the_channel_and_the_next_leave_begins_anew(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "a", "1")
    await set_attr(ann, "_channel_ttl", 10)
    await ann.call("channel_leave", name="room")
    await trio.sleep(8)
    await ann.call("channel_join", name="room")
    await trio.sleep(60)
    assert await exists(bob)
    await ann.call("channel_leave", name="room")
    await trio.sleep(8)
    assert await exists(bob)
    await trio.sleep(3)
    assert not await exists(bob)


async def test_a_channel_that_only_an_attribute_made_dies_too(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await set_attr(ann, "a", "1")
    await set_attr(ann, "_channel_ttl", 10)
    await trio.sleep(9)
    assert await exists(ann)
    await trio.sleep(2)
    assert not await exists(ann)


async def test_a_new_ttl_counts_from_when_the_channel_became_empty(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await set_attr(ann, "a", "1")
    await trio.sleep(100)
    await set_attr(ann, "_channel_ttl", 150)
    await trio.sleep(49)
    assert await exists(ann)
    await trio.sleep(2)
    assert not await exists(ann)
    await set_attr(ann, "a", "1")
    await trio.sleep(100)
    await set_attr(ann, "_channel_ttl", 50)
    await trio.sleep(0.1)
    assert not await exists(ann)


@pytest.mark.parametrize("how", ["delete", "clear"])
async def test_without_its_ttl_an_empty_channel_still_dies_after_the_default(
    server: LocalServer, log_in: LogIn, how: str
) -> None:
    ann = await log_in("ann")
    await set_attr(ann, "_channel_ttl", 10)
    if how == "delete":
        await ann.call("channel_del_attr", channel="room", name="_channel_ttl")
    else:
        await ann.call("channel_join", name="room")
        await ann.call("channel_clear_attr", channel="room")
        await ann.call("channel_leave", name="room")
    await trio.sleep(7199)
    assert channels_of(server)
    await trio.sleep(2)
    assert not channels_of(server)


async def test_presence_that_ends_empties_the_channel(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_channel_ttl", 10)
    ann.link.abort()
    await settle()
    await trio.sleep(120 + 9)
    assert channels_of(server)
    await trio.sleep(2)
    assert not channels_of(server)


def channels_of(server: LocalServer) -> int:
    return server.node.statistics().channels


def due_of(server: LocalServer) -> int:
    """How much is due at a time."""
    return server.node.statistics().due


async def test_nothing_is_kept_of_a_channel_that_died(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    for name in ("_channel_ttl", "_auto_update_num", "_auto_update_total_num"):
        # They are all due in the same moment.
        await set_attr(ann, name, 10)
    await ann.call("channel_leave", name="room")
    await trio.sleep(30)
    assert not channels_of(server)
    assert due_of(server) == 0


@pytest.mark.parametrize("function", ["channel_del_attr", "channel_clear_attr"])
async def test_nothing_is_kept_of_a_channel_that_does_not_exist(
    server: LocalServer, log_in: LogIn, function: str
) -> None:
    """And nothing is looked through for it: it is forgotten with all that is as old."""
    ann = await log_in("ann")
    for number in range(50):
        await ann.call(function, channel=f"room{number}", name="a")
        await trio.sleep(0.2)
    assert due_of(server) == 0
    assert server.node.statistics().rated <= 11


# --- _member_num, _auto_update_num, _total_member_num, _auto_update_total_num ---


async def test_auto_update_num_pushes_the_number_of_members_when_it_has_changed(
    log_in: LogIn,
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_auto_update_num", "5")
    await updates(ann)
    await trio.sleep(5.1)
    assert await updates(ann) == [("_member_num", "1", "update")]
    await trio.sleep(20)
    assert await updates(ann) == []
    await bob.call("channel_join", name="room")
    await trio.sleep(1)
    assert await updates(ann) == []
    await trio.sleep(4.1)
    assert await updates(ann) == [("_member_num", "2", "update")]
    await bob.call("channel_leave", name="room")
    await trio.sleep(5.1)
    assert await updates(ann) == [("_member_num", "1", "update")]


async def test_the_number_of_members_is_right_for_whoever_joins(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await set_attr(ann, "_auto_update_num", 3600)
    assert await attrs_of(ann) == {"_auto_update_num": 3600, "_member_num": "1"}
    assert (await attrs_of(bob))["_member_num"] == "2"


@pytest.mark.parametrize("how", ["0", "delete", "clear"])
async def test_auto_update_num_can_be_turned_off(log_in: LogIn, how: str) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_auto_update_num", 5)
    if how == "0":
        await set_attr(ann, "_auto_update_num", 0)
    elif how == "delete":
        await ann.call("channel_del_attr", channel="room", name="_auto_update_num")
    else:
        await ann.call("channel_clear_attr", channel="room")
    await updates(ann)
    assert "_member_num" not in await attrs_of(bob)
    await trio.sleep(20)
    assert await updates(ann) == []


async def test_another_interval_replaces_the_first(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_auto_update_num", 5)
    await set_attr(ann, "_auto_update_num", 60)
    await updates(ann)
    await bob.call("channel_join", name="room")
    await trio.sleep(59)
    assert await updates(ann) == []
    await trio.sleep(2)
    assert await updates(ann) == [("_member_num", "2", "update")]


async def test_total_member_num_needs_both_and_counts_every_join(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_auto_update_total_num", 5)
    await updates(ann)
    await trio.sleep(11)
    assert await updates(ann) == []
    assert "_total_member_num" not in await attrs_of(ann)
    await set_attr(ann, "_auto_update_num", 3600)
    await updates(ann)
    await bob.call("channel_join", name="room")
    await bob.call("channel_leave", name="room")
    await bob.call("channel_join", name="room")
    await trio.sleep(5.1)
    assert await updates(ann) == [("_total_member_num", "3", "update")]
    attrs = await attrs_of(bob)
    assert (attrs["_member_num"], attrs["_total_member_num"]) == ("2", "3")


async def test_a_pushed_number_is_a_change_by_the_system(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_auto_update_num", 1)
    await told(ann)
    await trio.sleep(5.1)
    ((_, _, content),) = await told(ann)
    assert (content["account"], content["uid"]) == ("_agora_system", 0)


async def test_counts_are_not_pushed_more_often_than_is_configured(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_auto_update_num", 1)
    await told(ann)
    await trio.sleep(4.5)
    assert await told(ann) == []
    await trio.sleep(0.5)
    assert len(await told(ann)) == 1


async def test_a_channel_that_is_empty_has_no_timer_but_for_its_end(
    server: LocalServer, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    for number in range(10):
        await set_attr(ann, "_auto_update_num", 5, channel=f"room{number}")
    assert due_of(server) == 10
    await ann.call("channel_join", name="room3")
    await told(ann)
    await trio.sleep(5.1)
    assert await updates(ann) == [("_member_num", "1", "update")]
    await ann.call("channel_leave", name="room3")
    assert due_of(server) == 10


# --- _sendmsg_limit, _setattr_limit, and the default ---


async def test_sendmsg_limit_bounds_the_messages_of_a_second(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_sendmsg_limit", "3")
    await told(ann)
    replies = [await ann.call("channel_sendmsg", name="room", msg="hi") for _ in range(4)]
    assert [reply["result"] for reply in replies] == ["ok"] * 3 + ["failed"]
    assert is_refusal(replies[3], 400)
    assert len(await told(ann)) == 3
    await trio.sleep(1)
    assert (await ann.call("channel_sendmsg", name="room", msg="hi"))["result"] == "ok"


async def test_a_channel_takes_sixty_changes_in_a_second_from_all_its_users(
    log_in: LogIn,
) -> None:
    """More than a page makes at once: the old SDKs tell nobody of a change that was refused."""
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    for number in range(30):
        await set_attr(ann, "a", number)
        await set_attr(bob, "b", number)
    for reply in (
        await ann.call("channel_set_attr", channel="room", name="a", value="too much"),
        await bob.call("channel_del_attr", channel="room", name="a"),
        await ann.call("channel_clear_attr", channel="room"),
    ):
        assert is_refusal(reply, 1001)
        assert "60 attribute changes in a second" in reply["reason"]
    assert len(await updates(ann)) == 60
    await set_attr(ann, "a", "another channel's rate is another", channel="other")
    await trio.sleep(1)
    await set_attr(ann, "a", "again")


@pytest.mark.parametrize("limit", [2, 70])
async def test_setattr_limit_has_precedence_over_the_default(log_in: LogIn, limit: int) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    await set_attr(ann, "_setattr_limit", limit)
    await trio.sleep(1)
    for number in range(limit):
        await set_attr(ann, "a", number)
    reply = await ann.call("channel_set_attr", channel="room", name="a", value="x")
    assert is_refusal(reply, 1001)


async def test_anybody_of_the_app_may_look_after_a_channel(log_in: LogIn) -> None:
    ann, bot = await log_in("ann"), await log_in("bot")
    await ann.call("channel_join", name="room")
    await set_attr(bot, "topic", "tea")
    assert await members(bot, "room") == ["ann"]
    assert await updates(ann) == [("topic", "tea", "update")]


OUTSIDERS_MAY_NOT = [
    ("channel_clear_attr", {}),
    ("channel_set_attr", {"name": "_sendmsg_limit", "value": 1}),
    ("channel_set_attr", {"name": "_setattr_limit", "value": 1}),
    ("channel_del_attr", {"name": "_sendmsg_limit"}),
    ("channel_del_attr", {"name": "_setattr_limit"}),
]
"""By which somebody who is not there could silence a channel, or take its attributes away."""


@pytest.mark.parametrize(("function", "args"), OUTSIDERS_MAY_NOT)
async def test_an_outsider_neither_clears_a_channel_nor_bounds_it(
    log_in: LogIn, function: str, args: dict[str, Any]
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await ann.call("channel_join", name="room")
    for name, value in (("topic", "tea"), ("_sendmsg_limit", 5), ("_setattr_limit", 50)):
        await set_attr(ann, name, value)
    before = await attrs_of(ann)
    await told(ann)
    reply = await bob.call(function, channel="room", **args)
    assert is_refusal(reply, 1001)
    assert "'bob' is not in the channel 'room'" in reply["reason"]
    assert await told(ann) == []
    assert await attrs_of(ann) == before
    # Neither before anybody is there.
    assert is_refusal(await bob.call(function, channel="tomorrow", **args), 1001)
    await bob.call("channel_join", name="room")
    assert (await bob.call(function, channel="room", **args))["result"] == "ok"


@pytest.mark.parametrize("managers", [("caretaker",), ("*",)])
@pytest.mark.parametrize(("function", "args"), OUTSIDERS_MAY_NOT)
async def test_a_manager_looks_after_channels_from_outside(
    autojump_clock: MockClock, managers: tuple[str, ...], function: str, args: dict[str, Any]
) -> None:
    app = AppConfig(id=APP, channel_managers=managers)
    config = attrs.evolve(dev_config(), apps=(app,))
    async with (
        local_server(config, listens=False) as server,
        logged_in(server, "ann") as ann,
        logged_in(server, "caretaker") as caretaker,
        logged_in(server, "bob") as bob,
    ):
        await ann.call("channel_join", name="room")
        for name in ("_sendmsg_limit", "_setattr_limit"):
            await set_attr(ann, name, 50)
        refused = (await bob.call(function, channel="room", **args))["result"] == "failed"
        assert refused is ("*" not in managers)
        if refused:
            assert (await caretaker.call(function, channel="room", **args))["result"] == "ok"


# --- how many ---


async def test_a_user_and_a_channel_have_no_more_attributes_than_allowed(
    autojump_clock: MockClock,
) -> None:
    """What is there can still be changed, and what is deleted makes room."""
    async with (
        local_server(dev_config(attributes=2), listens=False) as server,
        logged_in(server, "ann") as ann,
    ):
        for name in ("a", "b", "a"):
            await set_attr(ann, name, "1")
            assert (await ann.call("user_set_attr", name=name, value="1"))["result"] == "ok"
        more = await ann.call("channel_set_attr", channel="room", name="c", value="1")
        assert is_refusal(more, 1001)
        assert is_refusal(await ann.call("user_set_attr", name="c", value="1"), 1001)
        await ann.call("channel_del_attr", channel="room", name="a")
        await set_attr(ann, "c", "1")
        assert sorted(await attrs_of(ann)) == ["b", "c"]


async def test_the_attributes_of_a_channel_fit_into_the_answer_to_who_joins_it(
    log_in: LogIn, autojump_clock: MockClock
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    reply: dict[str, Any] = {}
    kept = 0
    while reply.get("ecode") != 1005:
        reply = await ann.call(
            "channel_set_attr", channel="room", name=f"n{kept}", value="\n" * 30_000
        )
        kept += reply["result"] == "ok"
        await trio.sleep(0.1)
    assert kept == 17
    assert len((await bob.call("channel_join", name="room"))["attrs"]) == kept
    # What is there may still be changed, once the last try, as long as the others, is paid.
    await trio.sleep(2)
    reply = await ann.call("channel_set_attr", channel="room", name="n0", value="short")
    assert reply["result"] == "ok"


async def test_the_attributes_of_a_user_fit_into_one_answer(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    reply: dict[str, Any] = {}
    kept = 0
    while reply.get("ecode") != 1005:
        reply = await ann.call("user_set_attr", name=f"n{kept}", value="\n" * 4000)
        kept += reply["result"] == "ok"
        await trio.sleep(0.01)
    assert kept == 130
    assert len(json.loads((await bob.call("user_get_attr_all", account="ann"))["json"])) == kept
