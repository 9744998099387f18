"""Every function that an original Java program may call by its name."""

from __future__ import annotations

import json

import attrs
import pytest

from tests.peers.helpers import ROOM, Javas
from tests.peers.java_peer import JavaPeer, Refused


@attrs.frozen
class Members:
    """Two clients, both in the channel."""

    alice: JavaPeer
    bob: JavaPeer


@pytest.fixture
async def members(java: Javas) -> Members:
    alice, bob = await java.pair()
    await alice.channel_join(ROOM)
    await bob.channel_join(ROOM)
    return Members(alice, bob)


async def test_user_query_user_status(members: Members) -> None:
    for account, status in (("bob", 1), ("nobody", 0)):
        assert await members.alice.call("user_query_user_status", account=account) == {
            "result": "ok",
            "account": account,
            "status": status,
        }


async def test_user_attributes(members: Members) -> None:
    alice, bob = members.alice, members.bob
    assert await alice.call("user_set_attr", name="mood", value="grüße 🎉") == {
        "result": "ok",
        "reason": "",
    }
    assert await bob.call("user_get_attr", account="alice", name="mood") == {
        "result": "ok",
        "account": "alice",
        "name": "mood",
        "value": "grüße 🎉",
    }
    await alice.call("user_set_attr", name="other", value='"value":"attrs":')
    found = await bob.call("user_get_attr_all", account="alice")
    assert isinstance(found["json"], str)
    assert json.loads(found["json"]) == {"mood": "grüße 🎉", "other": '"value":"attrs":'}


async def test_channel_query_num(members: Members) -> None:
    assert await members.bob.call("channel_query_num", name=ROOM) == {"result": "ok", "num": 2}


async def test_channel_query_user_isin(members: Members) -> None:
    for account, isin in (("alice", 1), ("nobody", 0)):
        found = await members.bob.call("channel_query_user_isin", name=ROOM, account=account)
        assert found == {"result": "ok", "isin": isin}


@pytest.mark.parametrize("function", ["channel_query_userlist", "channel_query_userlist_all"])
async def test_channel_query_userlist(members: Members, function: str) -> None:
    found = await members.bob.call(function, name=ROOM)
    assert found["num"] == 2
    assert found["list"] == [["alice", members.alice.uid], ["bob", members.bob.uid]]


async def test_channel_query_userlist_all_of_the_newest(members: Members) -> None:
    found = await members.bob.call("channel_query_userlist_all", name=ROOM, num=1)
    assert (found["num"], found["list"]) == (2, [["bob", members.bob.uid]])


async def test_channel_attributes(members: Members) -> None:
    alice, bob = members.alice, members.bob
    said = {"channel": ROOM, "name": "topic"}
    assert await bob.call("channel_set_attr", **said, value="rain") == {"result": "ok"}
    await alice.expect("onChannelAttrUpdated", "topic", "rain", "update")
    assert await bob.call("channel_del_attr", **said) == {"result": "ok"}
    await alice.expect("onChannelAttrUpdated", "topic", "", "del")
    assert await bob.call("channel_clear_attr", channel=ROOM) == {"result": "ok"}
    await alice.expect("onChannelAttrUpdated", "", "", "clear")


async def test_an_unknown_function_fails(members: Members) -> None:
    with pytest.raises(Refused, match="function 'make_coffee' is not known to the server"):
        await members.alice.call("make_coffee")
