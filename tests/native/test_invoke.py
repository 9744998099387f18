"""Every function that a native client may call, and its answer, word for word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signal_sdk.errors import SignalError
from signal_sdk.testing.native_peer import NativePeer
from tests.native.helpers import ROOM, Natives
from tests.native.test_channels import ATTR, members


async def ask(peer: NativePeer, function: str, **args: Any) -> str:
    """Call a function, and return its answer's text."""
    return await peer._ask(function, **args)


async def test_user_query_user_status(native: Natives) -> None:
    alice, _ = await members(native)
    for account, status in (("bob", 1), ("nobody", 0)):
        assert await alice.call("user_query_user_status", account=account) == {
            "result": "ok",
            "account": account,
            "status": status,
        }


async def test_user_set_attr(native: Natives) -> None:
    alice, _ = await members(native)
    assert await alice.call("user_set_attr", name="mood", value="grüße 🎉") == {
        "result": "ok",
        "reason": "",
    }


async def test_user_get_attr(native: Natives) -> None:
    alice, bob = await members(native)
    await alice.call("user_set_attr", name="mood", value="grüße 🎉")
    assert await bob.call("user_get_attr", account="alice", name="mood") == {
        "result": "ok",
        "account": "alice",
        "name": "mood",
        "value": "grüße 🎉",
    }


async def test_user_get_attr_all(native: Natives) -> None:
    """Its `json` is text that holds JSON."""
    alice, bob = await members(native)
    await alice.call("user_set_attr", name="mood", value="sunny")
    await alice.call("user_set_attr", name="age", value="7")
    assert await bob.call("user_get_attr_all", account="alice") == {
        "result": "ok",
        "account": "alice",
        "json": '{"mood":"sunny","age":"7"}',
    }
    assert (await bob.call("user_get_attr_all", account="nobody"))["json"] == "{}"


async def test_channel_query_num(native: Natives) -> None:
    _, bob = await members(native)
    assert await bob.call("channel_query_num", name=ROOM) == {"result": "ok", "num": 2}


async def test_channel_query_user_isin(native: Natives) -> None:
    _, bob = await members(native)
    for account, isin in (("alice", 1), ("nobody", 0)):
        found = await bob.call("channel_query_user_isin", name=ROOM, account=account)
        assert found == {"result": "ok", "isin": isin}


@pytest.mark.parametrize("function", ["channel_query_userlist", "channel_query_userlist_all"])
async def test_channel_query_userlist(native: Natives, function: str) -> None:
    alice, bob = await members(native)
    found = await bob.call(function, name=ROOM)
    assert found["num"] == 2
    assert found["list"] == [["alice", alice.uid], ["bob", bob.uid]]


async def test_channel_query_userlist_all_of_the_newest(native: Natives) -> None:
    _, bob = await members(native)
    found = await bob.call("channel_query_userlist_all", name=ROOM, num=1)
    assert (found["num"], found["list"]) == (2, [["bob", bob.uid]])


async def test_channel_set_attr(native: Natives) -> None:
    alice, bob = await members(native)
    found = await bob.call("channel_set_attr", channel=ROOM, name="topic", value="rain")
    assert found == {"result": "ok"}
    await alice.expect(ATTR, ROOM, "topic", "rain", "update")


async def test_channel_del_attr(native: Natives) -> None:
    alice, bob = await members(native)
    await bob.call("channel_set_attr", channel=ROOM, name="topic", value="rain")
    found = await bob.call("channel_del_attr", channel=ROOM, name="topic")
    assert found == {"result": "ok"}
    await alice.expect(ATTR, ROOM, "topic", "rain", "update")
    await alice.expect(ATTR, ROOM, "topic", "", "del")


async def test_channel_clear_attr(native: Natives) -> None:
    alice, bob = await members(native)
    await bob.call("channel_set_attr", channel=ROOM, name="topic", value="rain")
    assert await bob.call("channel_clear_attr", channel=ROOM) == {"result": "ok"}
    await alice.expect(ATTR, ROOM, "topic", "rain", "update")
    await alice.expect(ATTR, ROOM, "", "", "clear")


async def test_channel_join_and_channel_leave(native: Natives) -> None:
    alice, bob = await members(native)
    await alice.call("channel_set_attr", channel=ROOM, name="topic", value="rain")
    joined = await bob.call("channel_join", name=ROOM)
    assert (joined["result"], joined["attrs"]) == ("ok", {"topic": "rain"})
    assert joined["list"] == [["alice", alice.uid], ["bob", bob.uid]]
    assert await bob.call("channel_leave", name=ROOM) == {"result": "ok"}


async def test_user_getmsg_tells_lines_without_ids(native: Natives) -> None:
    """A native client reads lines of the older form, too, which is what it is told."""
    alice, bob = await members(native)
    await alice.message_instant_send("bob", "hello you")
    answer = await bob.call("user_getmsg", ver_clear=0, max=30)
    [[version, line]] = answer["msgs"]
    assert (answer["result"], version) == ("ok", 1)
    src, dst, flag, kind, _time, content = line.split(" ", 6)[1:]
    assert line.startswith("msg-v2 ")
    assert (src, dst, flag, kind) == ("alice", "bob", "v1:E:3600", "instant")
    assert content == "hello you"


async def test_a_pushed_entry_is_such_a_line_too(native: Natives) -> None:
    alice = await native.login("alice")
    bob, tap = await native.tapped_login("bob")
    await alice.message_instant_send("bob", "hello you")
    await bob.expect("on_message_instant_receive", "alice", 0, "hello you")
    word, kind, text = tap.heard.packets[-1].text.split(" ", 2)
    assert (word, kind) == ("notify", "recvmsg")
    version, line = json.loads(text)
    assert version == 1
    assert line.startswith("msg-v2 alice bob v1:E:3600 instant ")
    assert line.endswith(" hello you")


async def test_user_setfg_makes_no_difference(native: Natives) -> None:
    alice, bob = await members(native)
    for isfg in (False, True):
        assert await bob.call("user_setfg", isfg=isfg) == {"result": "ok"}
        await alice.message_channel_send("hello")
        await bob.expect("on_message_channel_receive", ROOM, "alice", alice.uid, "hello")


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("appmsg_send", {"msg": "hello"}),
        ("appmsg_send2", {"msg": "hello"}),
        ("user_ext_call", {"package": "a", "func": "b", "args": "{}", "callid": 1}),
        ("make_coffee", {}),
    ],
)
async def test_an_unknown_function_fails(
    native: Natives, function: str, args: dict[str, Any]
) -> None:
    """And those that were the vendor's other services: what fails says why, and the session goes
    on.
    """
    alice, bob = await members(native)
    answer = json.loads(await ask(alice, function, **args))
    assert answer["result"] == "failed"
    assert answer["reason"]
    with pytest.raises(SignalError) as caught:
        await alice.call(function, **args)
    assert (caught.value.ecode, caught.value.reason) == (1001, answer["reason"])
    await alice.message_instant_send("bob", "still here")
    await bob.expect("on_message_instant_receive", "alice", 0, "still here")


async def test_a_request_that_names_another_line_fails(native: Natives) -> None:
    """By these two words the original ends its session."""
    alice, bob = await members(native)
    alice.line_id = bob.line_id
    with pytest.raises(SignalError) as caught:
        await alice.message_channel_send("as bob")
    assert caught.value.reason == "wrong line"


async def test_arguments_that_are_wrong_are_refused_by_their_name(native: Natives) -> None:
    alice, _ = await members(native)
    with pytest.raises(SignalError, match="account"):
        await alice.call("user_query_user_status", account="a b")
    with pytest.raises(SignalError, match="peer"):
        await alice.call("user_sendmsg", flag="v1:E:60", t="instant", content="x")
