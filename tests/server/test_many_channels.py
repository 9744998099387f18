"""A session in many channels, on the wire: what its client says and is told, and what others see of
it: nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.engine.base import ChannelKey
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import OURS, LogIn, dev_config, members, resume, settle, slow_engine, told
from tests.wire_client import WireClient, logged_in, wire_client

MANY: dict[str, Any] = {**OURS, "many_channels": True}


async def joined(client: WireClient, *names: str) -> None:
    for name in names:
        assert (await client.call("channel_join", name=name))["result"] == "ok"


async def said(asker: WireClient, name: str, text: str) -> None:
    assert (await asker.call("channel_sendmsg", name=name, msg=text, force=1))["err"] == ""
    await settle()


async def texts(client: WireClient) -> list[tuple[str, int, str]]:
    """The messages of channels that it was told: (channel, msgid, message)."""
    await settle()
    return [
        (channel, msgid, content["msg"])
        for channel, msgid, kind, content in client.channel_events()
        if kind == "channel_msg"
    ]


@pytest.mark.parametrize("flag", [{}, {"many_channels": False}])
async def test_without_the_flag_a_session_is_in_one_channel(
    server: LocalServer, log_in: LogIn, flag: dict[str, Any]
) -> None:
    bob = await log_in("bob")
    async with wire_client(server.connect()) as ann:
        answer = await ann.login("ann", **OURS, **flag)
        # And no other field than ever is in the answer.
        assert {"channels", "removed_from"} & answer.keys() == set()
        await joined(ann, "room", "hall")
        assert (await members(bob, "room"), await members(bob, "hall")) == ([], ["ann"])
        assert "one channel" in (await ann.call("channel_catch_up", name="hall"))["err"]


async def test_the_answer_to_the_login_says_that_it_is_known(
    server: LocalServer, log_in: LogIn
) -> None:
    bob = await log_in("bob")
    async with wire_client(server.connect()) as ann:
        answer = await ann.login("ann", **MANY)
        assert (answer["channels"], answer["removed_from"]) == ([], [])
        await joined(ann, "room", "hall")
        assert (await members(bob, "room"), await members(bob, "hall")) == (["ann"], ["ann"])
        for name in ("room", "hall", "elsewhere"):
            await said(bob, name, "x")
        assert [channel for channel, *_ in await texts(ann)] == ["room", "hall"]
        await ann.call("channel_leave", name="room")
        for name in ("room", "hall"):
            await said(bob, name, "y")
        assert [channel for channel, *_ in await texts(ann)] == ["hall"]


async def test_who_comes_back_asks_for_what_it_has_missed_of_each(
    server: LocalServer, log_in: LogIn
) -> None:
    bob = await log_in("bob")
    async with logged_in(server, "ann", **MANY) as ann:
        await joined(ann, "room", "hall", "yard")
        await said(bob, "room", "0")
        line = ann.line
    await server.node.operator.remove("app", "ann", "yard")
    await said(bob, "room", "1")
    await said(bob, "hall", "2")
    async with wire_client(server.connect()) as ann:
        answer = await resume(ann, line)
        assert (answer["channels"], answer["removed_from"]) == (["room", "hall"], ["yard"])
        await said(bob, "room", "3")
        # It hears of none that it has not asked for.
        assert await texts(ann) == []
        room = await ann.call("channel_catch_up", name="room", msgid=2)
        assert (room["result"], room["msgid"], room["gap"]) == ("ok", 4, 0)
        assert await texts(ann) == [("room", 3, "1"), ("room", 4, "3")]
        await said(bob, "room", "4")
        assert await texts(ann) == [("room", 5, "4")]
        # What is heard already is not told again.
        assert (await ann.call("channel_catch_up", name="room", msgid=1))["gap"] == 0
        assert await texts(ann) == []
        yard = await ann.call("channel_catch_up", name="yard", msgid=1)
        assert yard["ecode"] == 601
        other = await ann.call("channel_catch_up", name="other")
        assert other["ecode"] == 600
        for name in ("yard", "other"):
            assert not server.node._hub.is_heard(ChannelKey("app", name))
        # Joining one that it is in hears it as well, from there on.
        assert (await ann.call("channel_join", name="hall"))["msgid"] == 2
        await said(bob, "hall", "5")
        assert await texts(ann) == [("hall", 3, "5")]
    await settle()
    for name in ("room", "hall"):
        assert not server.node._hub.is_heard(ChannelKey("app", name))


async def test_what_is_not_held_any_more_is_a_gap() -> None:
    async with (
        local_server(dev_config(history_events=2), listens=False) as server,
        logged_in(server, "bob") as bob,
    ):
        async with logged_in(server, "ann", **MANY) as ann:
            await joined(ann, "room")
            line = ann.line
        for number in range(5):
            await said(bob, "room", str(number))
        async with wire_client(server.connect()) as ann:
            await resume(ann, line)
            room = await ann.call("channel_catch_up", name="room", msgid=1)
            assert (room["msgid"], room["gap"]) == (6, 1)
            await said(bob, "room", "on")
            assert await texts(ann) == [("room", 7, "on")]


@pytest.mark.parametrize("wait", range(0, 40, 3))
async def test_a_removal_while_it_catches_up_is_told_and_nothing_behind_it(
    wait: int, autojump_clock: MockClock
) -> None:
    async with (
        local_server(dev_config(), listens=False, engine=slow_engine(wait)) as server,
        logged_in(server, "bob") as bob,
    ):
        async with logged_in(server, "ann", **MANY) as ann:
            await joined(ann, "room", "hall")
            line = ann.line
        await settle()
        async with wire_client(server.connect()) as ann, trio.open_nursery() as nursery:
            await resume(ann, line)
            caught_up = ann.request("channel_catch_up", name="room", msgid=1)
            hall = ann.request("channel_catch_up", name="hall", msgid=1)
            await trio.sleep(wait * 0.003)
            nursery.start_soon(server.node.operator.remove, "app", "ann", "room")
            answer = await ann.reply(caught_up)
            await trio.sleep(5)
            events = ann.channel_events()
            leaves = [it for it in events if it[3].get("ecode") == 601]
            assert answer.get("ecode") == 601 or len(leaves) == 1
            assert (await ann.reply(hall))["gap"] == 0
            for name in ("room", "hall"):
                await bob.call("channel_sendmsg", name=name, msg="x", force=1)
            await trio.sleep(5)
            assert [(channel, text) for channel, _, text in await texts(ann)] == [("hall", "x")]


async def test_a_page_sees_one_at_most(server: LocalServer, log_in: LogIn) -> None:
    """An account whose session held many is a web page's now, which keeps nothing of them."""
    bob = await log_in("bob")
    async with logged_in(server, "ann", **MANY) as before:
        await joined(before, "room", "hall")
        ann = await log_in("ann")
        await before.wait_closed()
        assert (await members(bob, "room"), await members(bob, "hall")) == ([], [])
        await joined(ann, "hall", "room")
        assert (await members(bob, "room"), await members(bob, "hall")) == (["ann"], [])
        assert await told(ann) == []


async def test_its_connection_hears_nothing_behind_its_end(
    server: LocalServer, log_in: LogIn
) -> None:
    async with logged_in(server, "ann", **MANY) as ann:
        await joined(ann, *(f"c{number}" for number in range(20)))
        for number in range(19):
            await ann.call("channel_leave", name=f"c{number}")
        await joined(ann, "last")
        connection = server.node._hub.find(next(iter(server.node._hub._holders)))
        assert connection is not None
        look = connection.look()
        assert look is not None
        assert look.channels == ("c19", "last")
        await ann.call("user_logout")
    await settle()
    assert not server.node._hub._listeners
