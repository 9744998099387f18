"""A Redis that is full: whatever would change something is refused and has changed nothing, what
only asks is answered, and it goes on when there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, Asked
from signal_sdk.server.engine.pending import waited
from signal_sdk.wire import events
from tests.redis.servers import RedisServer
from tests.server.engine.contract.harness import login_facts
from tests.server.engine.redis.nodes import ANN, BOB, ROOM, Node, nodes, post, until

EVE = AccountKey("app", "eve")
OF_NODES = ("heard", "nodes")
"""Keys that tell who lives."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer(appends=True, config=["maxmemory-policy noeviction"]) as server:
        yield server


def fill(redis: RedisServer) -> None:
    redis.command("CONFIG", "SET", "maxmemory", "1mb")


def make_room(redis: RedisServer) -> None:
    redis.command("CONFIG", "SET", "maxmemory", "0")


def all_of(redis: RedisServer) -> dict[str, Any]:
    """All that is there."""
    names = [key for key in redis.keys("signal:") if not key.endswith(OF_NODES)]
    return {name: redis.command("DUMP", name) for name in names}


def changes(node: Node, asked: Asked) -> dict[str, Callable[[], Any]]:
    """Each operation that changes something."""
    engine = node.engine
    message = events.ChannelMessage(channel="room", account="ann", uid=1, msg="x")
    invitation: Any = {"call_id": "id", "timeout": 20, "is_online": False}
    return {
        "log_in": lambda: engine.log_in(EVE, login_facts(EVE)),
        "log_in again": lambda: engine.log_in(ANN, login_facts(ANN)),
        "join": lambda: engine.join(asked, "hall", newest=1),
        "publish": lambda: engine.publish(asked, message, members_only=True),
        "set_channel_attr": lambda: engine.set_channel_attr(
            asked, "room", "name", "new", members_only=False
        ),
        "del_channel_attr": lambda: engine.del_channel_attr(
            asked, "room", "name", members_only=False
        ),
        "clear_channel_attrs": lambda: engine.clear_channel_attrs(
            asked, "room", members_only=False
        ),
        "set_user_attr": lambda: engine.set_user_attr(asked, "name", "new"),
        "post": lambda: engine.post(asked, post(BOB, "x")),
        "post to nobody": lambda: engine.post(asked, post(EVE, "x")),
        "invite": lambda: engine.invite(asked, "bob", "other", "", **invitation),
        "step": lambda: engine.step(asked, "bob", "room", events.VOIP_BYE, ""),
        "keep": lambda: engine.keep(asked),
    }


async def begin(node: Node) -> Asked:
    """Some of everything is there."""
    ann, bob = await node.log_in(ANN), await node.log_in(BOB)
    await node.join(ANN, ann)
    engine, asked = node.engine, Asked(ANN, ann.generation)
    await waited(engine.set_channel_attr(asked, "room", "name", "value", members_only=False))
    await waited(engine.set_user_attr(asked, "name", "value"))
    await waited(engine.post(Asked(BOB, bob.generation), post(ANN, "for ann")))
    await waited(engine.invite(asked, "bob", "room", "", call_id="id", timeout=90, is_online=False))
    return Asked(ANN, ann.generation, 7, 0, "done")


async def test_each_change_is_refused_and_has_changed_nothing(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with nodes(1, redis.unix_url) as (node,):
        asked = await begin(node)
        fill(redis)
        before = all_of(redis)
        for name, change in changes(node, asked).items():
            with pytest.raises(SignalError, match="Redis is full") as caught:
                await waited(change())
            assert caught.value.ecode is ECode.GENERAL_E_FAILED, name
            assert all_of(redis) == before, name
        make_room(redis)
        for name, change in changes(node, asked).items():
            if name not in {"log_in again", "join"}:
                result = await waited(change())
                # All have one request's number, whose reply is known from the first on.
                assert result is None or name == "log_in" or result.reply == "done", name
    told = [it.message for it in caplog.records if "maxmemory" in it.message]
    assert len(told) == 1
    caplog.clear()


async def test_what_only_asks_is_answered(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with nodes(1, redis.unix_url) as (node,):
        asked = await begin(node)
        engine = node.engine
        questions: list[Callable[[], Any]] = [
            lambda: engine.presence(ANN),
            engine.online,
            lambda: engine.roster(ROOM, 10),
            lambda: engine.is_member(ROOM, "ann"),
            lambda: engine.joined_at(ROOM, "ann"),
            lambda: engine.history(ROOM, 0),
            lambda: engine.channel_attrs(ROOM),
            lambda: engine.user_attrs(ANN),
            lambda: engine.read_inbox(ANN, 0, 10),
            lambda: engine.calls_of(ANN),
            lambda: engine.recall(asked),
        ]
        before = [await waited(question()) for question in questions]
        assert all(before[:-1])
        fill(redis)
        assert [await waited(question()) for question in questions] == before
        caplog.clear()


async def test_whoever_is_there_stays_and_may_go(redis: RedisServer) -> None:
    async with nodes(2, redis.unix_url, life_seconds=60) as (here, there):
        asked = await begin(here)
        engine = here.engine
        fill(redis)
        await waited(engine.sweep())
        # Its connection is lost, and it comes to another node.
        await waited(engine.disconnect(ANN, asked.generation))
        found = await waited(there.engine.resume(login_facts(ANN).line_digest))
        assert found is not None
        _, ann = found
        assert ann.channel == "room"
        # What is handled is dropped.
        page = await waited(there.engine.read_inbox(ANN, 0, 10))
        assert [entry.line for entry in page.entries] == ["for ann"]
        page = await waited(there.engine.read_inbox(ANN, page.entries[0].version, 10))
        assert page.entries == []
        await waited(there.engine.leave(Asked(ANN, ann.generation), "room"))
        assert await waited(there.engine.end(ANN, ann.generation))
        assert await waited(there.engine.presence(ANN)) is None


async def test_a_connection_that_is_lost_is_made_anew(redis: RedisServer) -> None:
    async with nodes(1, redis.unix_url) as (node,):
        await begin(node)
        fill(redis)
        node.lose()
        await until(lambda: not node.is_up)
        await until(lambda: node.is_up)
        assert await waited(node.engine.presence(ANN)) is not None


async def test_a_new_node_begins(redis: RedisServer) -> None:
    async with nodes(1, redis.unix_url) as (node,):
        await begin(node)
    fill(redis)
    async with nodes(1, redis.unix_url) as (node,):
        assert await waited(node.engine.presence(ANN)) is not None


async def test_what_was_done_before_is_not_refused(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answer was lost, and the request comes again."""
    async with nodes(1, redis.unix_url) as (node,):
        asked = await begin(node)
        assert await waited(node.engine.post(asked, post(BOB, "x"))) is None
        fill(redis)
        known = await waited(node.engine.post(asked, post(BOB, "x")))
        assert known is not None
        assert known.reply == "done"
        caplog.clear()
