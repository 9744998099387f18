"""Messages that go to Redis together: each has its own outcome, and they keep their order."""

from __future__ import annotations

import re
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Final

import pytest
import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    FencedError,
    Known,
    OvertakenError,
    Pending,
    Post,
    UnknownError,
)
from signal_sdk.server.engine.bounds import Bounds, QuotaError
from signal_sdk.server.engine.pending import ended, waited
from signal_sdk.server.engine.redis import changes, pipeline
from signal_sdk.server.engine.redis.connection import Connection
from signal_sdk.wire.events import ChannelMessage
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import ANN, BOB, EVE, ROOM, Heard, Node, nodes, post, until

Outcome = Pending[Known | None]
ENGINE: Final = "signal_sdk.server.engine"
CALLS: Final = 7
"""How many of its own functions the engine may call for a message, until it has its outcome."""
HEADS = (1, 31, 32, 255, 256, 65_535, 65_536)
"""Sizes around which the head of a text is another."""


class Commands:
    """Counts what is asked of Redis, by the names of functions."""

    def __init__(self) -> None:
        self.all = b""

    def count(self, function: str) -> int:
        return self.all.count(b"_%b\r\n" % function.encode())


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    seen, send = Commands(), Connection.send

    async def watched(connection: Connection, data: bytes) -> None:
        seen.all += data
        await send(connection, data)

    monkeypatch.setattr(Connection, "send", watched)
    return seen


def asked_by(key: AccountKey, generation: int, callid: int | None = None) -> Asked:
    return Asked(key, generation, callid, 0, "done")


def waiting(node: Node) -> int:
    return sum(map(len, node.engine.pipelines))


async def lines_of(node: Node, key: AccountKey) -> list[str]:
    page = await waited(node.engine.read_inbox(key, 0, 1000))
    return [entry.line for entry in page.entries]


async def outcome_of(outcome: Outcome) -> str | None:
    """What came of it: "" where it is done, the reply where it was, or the name of the refusal."""
    try:
        known = await waited(outcome)
    except SignalError as exc:
        return type(exc).__name__
    return known.reply if known else ""


async def test_what_is_posted_in_one_pass_is_few_commands_and_keeps_its_order(
    shared_redis: RedisServer, redis_prefix: str, commands: Commands
) -> None:
    count = 2 * changes.MOST_TOGETHER + 1
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann, _ = await node.log_in(ANN), await node.log_in(BOB)
        asked = asked_by(ANN, ann.generation)
        outcomes = [node.engine.post(asked, post(BOB, f"{it}")) for it in range(count)]
        assert waiting(node) == count
        assert [await outcome_of(it) for it in outcomes] == [""] * count
        assert waiting(node) == 0
        assert commands.count("post") == 3
        assert node.heard.all == [("entry", "bob", 1 + it) for it in range(count)]
        assert await lines_of(node, BOB) == [f"{it}" for it in range(count)]


@pytest.mark.parametrize(
    ("server", "said_then"),
    [("shared_redis", ("event", "outcome")), ("shared_valkey", ("outcome", "event"))],
)
async def test_what_one_read_brings_is_handed_on_together(
    server: str,
    said_then: tuple[str, str],
    request: pytest.FixtureRequest,
    redis_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a member is written to once for all of it, and nobody waits for a turn more. Whether
    what a function publishes comes before its answer is the server's choice.
    """
    redis: RedisServer = request.getfixturevalue(server)
    async with nodes(1, redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann, _ = await node.log_in(ANN), await node.log_in(BOB)
        await node.join(ANN, ann)
        await waited(node.engine.subscribe(ROOM))
        heard = node.heard.all

        @contextmanager
        def together(_: Heard) -> Iterator[None]:
            heard.append(("begins",))
            yield
            heard.append(("ends",))

        monkeypatch.setattr(Heard, "together", together)
        asked = asked_by(ANN, ann.generation)
        message = ChannelMessage(channel=ROOM.channel, account=ANN.account, uid=1, msg="x")
        said = [node.engine.publish(asked, message, members_only=True) for _ in range(3)]
        outcome = node.engine.post(asked, post(BOB, "y"))
        for it in (*said, outcome):
            it.when_done(partial(heard.append, ("outcome",)))
        await waited(outcome)
        await until(lambda: heard[-1] == ("ends",))
        assert [it[0] for it in heard if it[0] != "begins"] == [
            *(*said_then, *said_then, *said_then, "entry", "outcome"),
            "ends",
        ]


async def test_more_than_a_socket_takes_at_once_goes_out_whole(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        (pipeline,) = node.engine.pipelines
        texts = [b"%d" % number * 4_000_000 for number in range(3)]
        found = [pipeline.raw("ECHO", text) for text in texts]
        for text, reply in zip(texts, found, strict=True):
            assert await waited(reply) == text


async def test_a_socket_that_has_nothing_after_all_is_read_again(
    shared_redis: RedisServer, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was said to have something: that it has not is no end of the connection."""
    waits, connections = 0, 0
    wait_readable = trio.lowlevel.wait_readable

    async def wait(sock: socket.socket) -> None:
        nonlocal waits
        waits += 1
        if waits == 2:
            await trio.lowlevel.checkpoint()
        else:
            await wait_readable(sock)

    class Counted(Connection):
        def __init__(self, *args: Any) -> None:
            nonlocal connections
            connections += 1
            super().__init__(*args)

    monkeypatch.setattr(trio.lowlevel, "wait_readable", wait)
    monkeypatch.setattr(pipeline, "Connection", Counted)
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        (one,) = node.engine.pipelines
        for text in (b"one", b"two", b"three"):
            assert await waited(one.raw("ECHO", text)) == text
    assert waits > 2
    assert connections == 1


async def test_each_has_its_own_outcome(
    shared_redis: RedisServer, redis_prefix: str, commands: Commands
) -> None:
    bounds = Bounds(inbox_sender_messages=2)
    url, prefix = shared_redis.unix_url, f"{redis_prefix}:"
    async with nodes(2, url, prefix=prefix, bounds=bounds) as (here, there):
        ann, _ = await here.log_in(ANN), await here.log_in(BOB)
        await there.log_in(EVE)
        await waited(here.engine.post(asked_by(ANN, ann.generation, 1), post(BOB, "before")))
        nobody, damaged = AccountKey("app", "nobody"), AccountKey("app", "damaged")
        await waited(here.engine.post(asked_by(ANN, ann.generation), post(damaged, "x")))
        shared_redis.command("SET", f"{prefix}{{app}}:i:damaged", "no list")
        engine, before = here.engine, commands.count("post")
        outcomes = {
            "known": engine.post(asked_by(ANN, ann.generation, 1), post(BOB, "again")),
            "fenced": engine.post(asked_by(ANN, ann.generation - 1), post(BOB, "fenced")),
            "here": engine.post(asked_by(ANN, ann.generation, 2), post(BOB, "here")),
            "full": engine.post(asked_by(ANN, ann.generation, 3), post(BOB, "full")),
            "damaged": engine.post(asked_by(ANN, ann.generation, 4), post(damaged, "y")),
            "there": engine.post(asked_by(ANN, ann.generation, 5), post(EVE, "there")),
            "nowhere": engine.post(asked_by(ANN, ann.generation, 6), post(nobody, "nowhere")),
            "twice": engine.post(asked_by(ANN, ann.generation, 6), post(nobody, "twice")),
        }
        assert {what: await outcome_of(it) for what, it in outcomes.items()} == {
            "known": "done",
            "fenced": FencedError.__name__,
            "here": "",
            "full": QuotaError.__name__,
            "damaged": SignalError.__name__,
            "there": "",
            "nowhere": "",
            "twice": "done",
        }
        assert commands.count("post") == before + 1
        assert [await lines_of(here, it) for it in (BOB, EVE, nobody)] == [
            ["before", "here"],
            ["there"],
            ["nowhere"],
        ]
        assert here.heard.all == [("entry", "bob", 1), ("entry", "bob", 2)]
        await until(lambda: there.heard.all == [("entry", "eve", 1)])
        # What was refused was not kept, and may come again, but not behind what came later.
        assert await waited(engine.recall(asked_by(ANN, ann.generation, 3))) is None
        shared_redis.command("DEL", f"{prefix}{{app}}:i:damaged")
        late = engine.post(asked_by(ANN, ann.generation, 4), post(damaged, "y"))
        assert await outcome_of(late) == OvertakenError.__name__
        again = engine.post(asked_by(ANN, ann.generation, 7), post(damaged, "y"))
        assert await outcome_of(again) == ""


async def test_what_else_is_asked_comes_in_between(
    shared_redis: RedisServer, redis_prefix: str, commands: Commands
) -> None:
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann = await node.log_in(ANN)
        asked = asked_by(ANN, ann.generation)
        first = node.engine.post(asked, post(BOB, "first"))
        page = node.engine.read_inbox(BOB, 0, 10)
        second = node.engine.post(asked, post(BOB, "second"))
        for outcome in (first, second):
            assert await outcome_of(outcome) == ""
        assert [entry.line for entry in (await waited(page)).entries] == ["first"]
        assert commands.count("post") == 2
        assert await lines_of(node, BOB) == ["first", "second"]


async def test_apps_do_not_part_what_goes_together(
    shared_redis: RedisServer, redis_prefix: str, commands: Commands
) -> None:
    other = AccountKey("other", "ann")
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        asked = [asked_by(it, (await node.log_in(it)).generation) for it in (ANN, other)]
        outcomes = [
            node.engine.post(it, post(AccountKey(it.key.app, "bob"), f"{number}"))
            for number in range(10)
            for it in asked
        ]
        assert {await outcome_of(it) for it in outcomes} == {""}
        assert commands.count("post") == 2


async def test_of_what_was_not_answered_nothing_is_known(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann = await node.log_in(ANN)
        asked = asked_by(ANN, ann.generation)
        outcomes = [node.engine.post(asked, post(BOB, f"{it}")) for it in range(3)]
        node.lose()
        assert {await outcome_of(it) for it in outcomes} == {UnknownError.__name__}
        assert waiting(node) == 0
        assert await outcome_of(node.engine.post(asked, post(BOB, "away"))) == SignalError.__name__
        await until(lambda: node.is_up)
        assert await outcome_of(node.engine.post(asked, post(BOB, "back"))) == ""


async def test_what_goes_together_counts_as_much_as_it_is(
    shared_redis: RedisServer, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = changes.MOST_TOGETHER
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann = await node.log_in(ANN)
        asked = asked_by(ANN, ann.generation)
        monkeypatch.setattr(pipeline, "MAX_ASKED", most)
        outcomes = [node.engine.post(asked, post(BOB, f"{it}")) for it in range(most + 2)]
        assert waiting(node) == most
        found = [await outcome_of(it) for it in outcomes]
        assert found == [""] * most + [SignalError.__name__] * 2
        assert await outcome_of(node.engine.post(asked, post(BOB, "later"))) == ""


@pytest.mark.parametrize("how", ["reborn", "mute"])
async def test_a_node_that_may_be_dead_to_others_hands_nothing_on(
    shared_redis: RedisServer, redis_prefix: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What is posted then is done all the same, and waits for whoever comes back."""
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann, _ = await node.log_in(ANN), await node.log_in(BOB)
        outcome = node.engine.post(asked_by(ANN, ann.generation), post(BOB, "x"))
        if how == "reborn":
            monkeypatch.setattr(node.engine, "node", "another")
        else:
            monkeypatch.setattr(node.engine, "_is_mute", lambda _: True)
        assert await outcome_of(outcome) == ""
        monkeypatch.undo()
        assert node.heard.all == []
        assert await lines_of(node, BOB) == ["x"]


async def test_a_callback_that_fails_takes_nothing_from_the_others(
    shared_redis: RedisServer,
    redis_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann, _ = await node.log_in(ANN), await node.log_in(BOB)
        asked, deliver = asked_by(ANN, ann.generation), Heard.deliver_entry

        def deliver_entry(heard: Heard, key: AccountKey, version: int, line: str) -> None:
            if version == 1:
                raise ValueError("no")
            deliver(heard, key, version, line)

        monkeypatch.setattr(Heard, "deliver_entry", deliver_entry)
        outcomes = [node.engine.post(asked, post(BOB, f"{it}")) for it in range(2)]
        assert [await outcome_of(it) for it in outcomes] == ["", ""]
        assert node.heard.all == [("entry", "bob", 2)]
    assert [it.message for it in caplog.records] == ["what was posted cannot be delivered"]
    caplog.clear()


async def test_what_an_inbox_has_is_counted_out_again(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    """Of an entry in the way, Redis looks at the head alone."""
    prefix = f"{redis_prefix}:"
    senders = ["s", "s" * 31, "s" * 32, "s" * 40]
    async with nodes(1, shared_redis.unix_url, prefix=prefix) as (node,):
        ann = await node.log_in(ANN)
        asked, expires = asked_by(ANN, ann.generation), trio.current_time() + 100
        for size in HEADS:
            for sender in senders:
                entry = Post(key=BOB, sender=sender, line="x" * size, expires=expires)
                assert await outcome_of(node.engine.post(asked, entry)) == ""
        own = f"{prefix}{{app}}:a:bob"
        assert int(shared_redis.command("HGET", own, "ib")) == sum(HEADS) * len(senders)
        page = await waited(node.engine.read_inbox(BOB, 0, 100))
        assert [len(it.line) for it in page.entries] == [it for it in HEADS for _ in senders]
        node.engine.post(asked, post(BOB, "the last"))
        await waited(node.engine.read_inbox(BOB, page.entries[-1].version, 100))
        found = shared_redis.command("HGETALL", own)
        assert ("ib", "8") in set(zip(found[::2], found[1::2], strict=True))
        assert {it for it in found[::2] if it.startswith("s:")} == {"s:eve"}
        assert shared_redis.command("HGET", f"{prefix}{{app}}:app", "b") == "8"


@pytest.mark.parametrize("is_older", [False, True])
async def test_another_node_is_told_in_one_message_where_it_knows_that(is_older: bool) -> None:
    with RedisServer() as redis:
        async with nodes(2, redis.unix_url) as (here, there):
            if is_older:
                there.engine.node = "0123456789abcdef"
            ann, _ = await here.log_in(ANN), await there.log_in(BOB)
            await there.log_in(EVE)
            asked, before = asked_by(ANN, ann.generation), calls_of(redis, "spublish")
            outcomes = [here.engine.post(asked, post(it, "x")) for it in (BOB, EVE, BOB, ANN, EVE)]
            assert [await outcome_of(it) for it in outcomes] == [""] * 5
            told = [("entry", name, 1 + at) for at in range(2) for name in ("bob", "eve")]
            await until(lambda: len(there.heard.all) == len(told))
            assert there.heard.all == told
            assert here.heard.all == [("entry", "ann", 1)]
            assert calls_of(redis, "spublish") == before + (len(told) if is_older else 1)


async def test_many_messages_to_a_full_inbox_cost_one_look_at_it() -> None:
    bounds = Bounds(inbox_sender_messages=3)
    with RedisServer() as redis:
        async with nodes(1, redis.unix_url, bounds=bounds) as (node,):
            ann = await node.log_in(ANN)
            asked = asked_by(ANN, ann.generation)

            def said(seconds: float) -> Outcome:
                expires = trio.current_time() + seconds
                return node.engine.post(asked, Post(BOB, "eve", "x", expires))

            for outcome in [said(100), said(100), said(0.4)]:
                assert await outcome_of(outcome) == ""
            before = calls_of(redis, "lrange")
            refused = [await outcome_of(it) for it in [said(100) for _ in range(20)]]
            assert refused == [QuotaError.__name__] * 20
            # One at the head, and one at all.
            assert calls_of(redis, "lrange") == before + 2
            await trio.sleep(0.5)
            assert await outcome_of(said(100)) == ""


def calls_of(redis: RedisServer, command: str) -> int:
    """How often a command was called."""
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", redis.command("INFO", "commandstats"))
    return int(found[1]) if found else 0


@contextmanager
def counted(calls: list[str]) -> Iterator[None]:
    """What the engine calls within this."""

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and ENGINE in frame.f_globals["__name__"]:
            calls.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


async def test_a_message_takes_few_calls(shared_redis: RedisServer, redis_prefix: str) -> None:
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann, _ = await node.log_in(ANN), await node.log_in(BOB)
        asked, count = asked_by(ANN, ann.generation), 10 * changes.MOST_TOGETHER
        posts = [post(BOB, f"{it}") for it in range(count)]
        calls: list[str] = []
        with counted(calls):
            outcomes = [node.engine.post(asked, it) for it in posts]
            await ended(outcomes[-1])
        assert all(it.is_done for it in outcomes)
        assert 4 * count < len(calls) <= CALLS * count, Counter(calls).most_common(9)
