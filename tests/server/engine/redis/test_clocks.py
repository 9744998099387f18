"""Two nodes whose clocks differ by 90 s: Redis' clock decides what is over, and when. By the real
clock, which one node's is behind and the other's ahead of.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.clock import clocks
from signal_sdk.server.engine.base import AccountKey, Asked, Post
from signal_sdk.server.engine.pending import waited
from signal_sdk.wire import built_in
from tests.redis.servers import RedisServer
from tests.server.engine.contract.harness import login_facts
from tests.server.engine.redis.nodes import ANN, BOB, Node, OpenRedisEngine, until

OFF_SECONDS = (-45.0, 45.0)
SLACK_SECONDS = 2.0


@asynccontextmanager
async def two_nodes(redis: RedisServer, prefix: str) -> AsyncIterator[list[Node]]:
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        made = []
        for off in OFF_SECONDS:
            engine = OpenRedisEngine([redis.unix_url], prefix=f"{prefix}:", life_seconds=3)
            node = Node(engine)
            engine.attach(node.heard, clocks(lambda off=off: time.time() + off, reactor))  # type: ignore[misc]
            await nursery.start(engine.run)
            made.append(node)
        yield made
        nursery.cancel_scope.cancel()


async def sweep(nodes: list[Node], seconds: float) -> None:
    for _ in range(int(seconds / 0.25)):
        for node in nodes:
            await waited(node.engine.sweep())
        await trio.sleep(0.25)


async def test_from_its_start_on_a_node_goes_by_redis_clock(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with two_nodes(shared_redis, redis_prefix) as nodes:
        for node in nodes:
            # Nothing was swept yet: whose token is checked now, is checked by this.
            assert abs(node.engine.token_time() - time.time()) < SLACK_SECONDS
        await sweep(nodes, 0.5)
        for node in nodes:
            assert abs(node.engine.token_time() - time.time()) < SLACK_SECONDS


async def test_nobody_is_dead_or_late_by_another_s_clock(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with two_nodes(shared_redis, redis_prefix) as nodes:
        behind, ahead = nodes
        ann, bob = await behind.log_in(ANN), await ahead.log_in(BOB)
        await waited(
            behind.engine.set_user_attr(Asked(ANN, ann.generation), built_in.CONN_TIMEOUT, 20)
        )
        await waited(
            ahead.engine.invite(
                *(Asked(BOB, bob.generation), "ann", "room", ""),
                call_id="id",
                timeout=30,
                is_online=True,
            )
        )
        await sweep(nodes, 4)
        # Longer than a node may be silent.
        assert [it for node in nodes for it in node.heard.all if it[0] != "entry"] == []
        assert len(await waited(behind.engine.calls_of(ANN))) == 1
        await waited(behind.engine.disconnect(ANN, ann.generation))
        left = await waited(ahead.engine.presence(ANN))
        assert left is not None
        assert left.lease_ends is not None
        assert abs(left.lease_ends - time.time() - 20) < SLACK_SECONDS
        await sweep(nodes, 1)
        assert await waited(ahead.engine.presence(ANN)) == left


@pytest.mark.parametrize("sender", [0, 1])
async def test_an_entry_is_good_for_as_long_as_its_sender_said(
    shared_redis: RedisServer, redis_prefix: str, sender: int
) -> None:
    async with two_nodes(shared_redis, redis_prefix) as nodes:
        here, there = nodes[sender], nodes[1 - sender]
        ann = await here.log_in(ANN)
        for text, ttl in (("short", 1), ("long", 60)):
            # As the rules have it: by the node's own clock.
            expires = time.time() + OFF_SECONDS[sender] + ttl
            post = Post(key=BOB, sender="ann", line=text, expires=expires)
            await waited(here.engine.post(Asked(ANN, ann.generation), post))
        page = await waited(there.engine.read_inbox(BOB, 0, 10))
        assert [it.line for it in page.entries] == ["short", "long"]
        await sweep(nodes, 1.5)
        page = await waited(there.engine.read_inbox(BOB, 0, 10))
        assert [it.line for it in page.entries] == ["long"]


async def test_a_token_ends_by_redis_clock(shared_redis: RedisServer, redis_prefix: str) -> None:
    async with two_nodes(shared_redis, redis_prefix) as nodes:
        began = time.time()
        for number, node in enumerate(nodes):
            key = AccountKey("app", f"user{number}")
            await waited(node.engine.log_in(key, login_facts(key, token_expires=int(began) + 3)))
        await sweep(nodes, 1)
        assert [node.heard.all for node in nodes] == [[], []]
        await until(lambda: all(node.heard.all for node in nodes))
        assert abs(time.time() - int(began) - 3) < SLACK_SECONDS
        assert [it[0] for node in nodes for it in node.heard.all] == ["expiry", "expiry"]
