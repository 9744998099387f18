"""Every function that a page may call by the web SDK's `invoke`."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.web.test_channels import ROOM, join
from tests.web.web_peer import WebObject, WebPeer


@attrs.frozen
class Members:
    """Two sessions, both in the channel, and alice's channel object."""

    alice: WebObject
    bob: WebObject
    room: WebObject


@pytest.fixture
async def members(web: WebPeer) -> Members:
    alice, bob = await web.login("alice"), await web.login("bob")
    room = await join(alice)
    await join(bob)
    return Members(alice, bob, room)


async def test_user_query_user_status(members: Members) -> None:
    for account, status in (("bob", 1), ("nobody", 0)):
        assert await members.alice.invoke("user_query_user_status", account=account) == {
            "result": "ok",
            "account": account,
            "status": status,
        }


async def test_user_set_attr(members: Members) -> None:
    assert await members.alice.invoke("user_set_attr", name="mood", value="grüße 🎉") == {
        "result": "ok",
        "reason": "",
    }


async def test_user_get_attr(members: Members) -> None:
    await members.alice.invoke("user_set_attr", name="mood", value="grüße 🎉")
    assert await members.bob.invoke("user_get_attr", account="alice", name="mood") == {
        "result": "ok",
        "account": "alice",
        "name": "mood",
        "value": "grüße 🎉",
    }


async def test_user_get_attr_all(members: Members) -> None:
    await members.alice.invoke("user_set_attr", name="mood", value="sunny")
    await members.alice.invoke("user_set_attr", name="age", value="7")
    assert await members.bob.invoke("user_get_attr_all", account="alice") == {
        "result": "ok",
        "account": "alice",
        "json": '{"mood":"sunny","age":"7"}',
    }


async def test_channel_query_num(members: Members) -> None:
    assert await members.bob.invoke("channel_query_num", name=ROOM) == {"result": "ok", "num": 2}


async def test_channel_query_user_isin(members: Members) -> None:
    for account, isin in (("alice", 1), ("nobody", 0)):
        found = await members.bob.invoke("channel_query_user_isin", name=ROOM, account=account)
        assert found == {"result": "ok", "isin": isin}


@pytest.mark.parametrize("function", ["channel_query_userlist", "channel_query_userlist_all"])
async def test_channel_query_userlist(members: Members, function: str) -> None:
    found = await members.bob.invoke(function, name=ROOM)
    assert found["num"] == 2
    assert sorted(account for account, _uid in found["list"]) == ["alice", "bob"]


async def test_channel_query_userlist_all_of_the_newest(members: Members) -> None:
    found = await members.bob.invoke("channel_query_userlist_all", name=ROOM, num=1)
    assert found["num"] == 2
    assert [account for account, _uid in found["list"]] == ["bob"]


async def test_channel_set_attr(members: Members) -> None:
    found = await members.bob.invoke("channel_set_attr", channel=ROOM, name="topic", value="rain")
    assert found == {"result": "ok"}
    await members.room.expect("onChannelAttrUpdated", "topic", "rain", "update")


async def test_channel_del_attr(members: Members) -> None:
    await members.bob.invoke("channel_set_attr", channel=ROOM, name="topic", value="rain")
    found = await members.bob.invoke("channel_del_attr", channel=ROOM, name="topic")
    assert found == {"result": "ok"}
    await members.room.expect("onChannelAttrUpdated", "topic", "rain", "update")
    await members.room.expect("onChannelAttrUpdated", "topic", "", "del")


async def test_channel_clear_attr(members: Members) -> None:
    await members.bob.invoke("channel_set_attr", channel=ROOM, name="topic", value="rain")
    assert await members.bob.invoke("channel_clear_attr", channel=ROOM) == {"result": "ok"}
    await members.room.expect("onChannelAttrUpdated", "topic", "rain", "update")
    await members.room.expect("onChannelAttrUpdated", "", "", "clear")


async def test_changes_of_several_attributes_are_events_of_each(members: Members) -> None:
    values = {"topic": "rain", "mood": "grey"}
    change: dict[str, Any] = {"set": values, "if": {"topic": 0}}
    found = await members.bob.invoke("channel_change_attrs", channel=ROOM, **change)
    assert found["revision"] > 0
    for name, value in values.items():
        await members.room.expect("onChannelAttrUpdated", name, value, "update")
    refused = await members.bob.invoke("channel_change_attrs", channel=ROOM, **change)
    assert (refused["revision"], refused["conflict"]["revision"]) == (0, found["revision"])
    read = await members.alice.invoke("channel_read_attrs", channel=ROOM)
    assert read["attributes"]["topic"] == ["rain", found["revision"], 0]
    await members.bob.invoke("channel_change_attrs", channel=ROOM, **{"del": ["mood"]})
    await members.room.expect("onChannelAttrUpdated", "mood", "", "del")


async def test_one_that_watches_passes_over_what_it_does_not_know(members: Members) -> None:
    stands = await members.bob.invoke("user_watch", account="alice")
    assert (stands["online"], stands["attributes"]) == (1, {})
    await members.alice.invoke("user_set_attr", name="mood", value="fine")
    again = await members.bob.invoke("user_watch", account="alice")
    assert again["attributes"]["mood"] == ["fine", again["revision"], 0]
    assert await members.bob.invoke("user_unwatch", account="alice") == {"result": "ok"}


async def test_an_unknown_function_fails(members: Members) -> None:
    error, _ = await members.alice.request("invoke", "io.agora.signal.make_coffee", {})
    assert error
    await members.alice.sync()
