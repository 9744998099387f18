"""What a node and its Redis know of each other after they could not speak: who is connected, who is
alive, and what was told meanwhile.
"""

from __future__ import annotations

import pytest
import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import LIFE_SECONDS, AccountKey, Asked, Presence
from signal_sdk.server.engine.pending import waited
from tests.redis.proxies import proxied
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import (
    ANN,
    BOB,
    LOOK_SECONDS,
    ROOM,
    WAIT_SECONDS,
    Node,
    nodes,
    post,
    until,
)


async def presence(node: Node, key: AccountKey = ANN) -> Presence:
    found: Presence | None = await waited(node.engine.presence(key))
    assert found is not None
    return found


async def until_leased(node: Node) -> None:
    """Until the lease of ann's session begins."""
    for _ in range(int(WAIT_SECONDS / LOOK_SECONDS)):
        if (await presence(node)).lease_ends is not None:
            return
        await trio.sleep(LOOK_SECONDS)
    raise AssertionError("its lease does not begin")


async def test_who_leaves_while_redis_is_away_has_left_when_it_is_back() -> None:
    with RedisServer(appends=True) as redis:
        async with nodes(1, redis.unix_url) as (node,):
            ann, bob = await node.log_in(ANN), await node.log_in(BOB)
            redis.kill()
            await until(lambda: not node.is_up)
            # It is no failure: nothing is left for the node to do.
            await waited(node.engine.disconnect(ANN, ann.generation))
            redis.start()
            await until(lambda: node.is_up)
            await until_leased(node)
            assert await presence(node, BOB) == bob


@pytest.mark.parametrize("is_cut", [True, False])
async def test_a_login_whose_answer_was_lost_is_nobody_s(
    shared_redis: RedisServer, redis_prefix: str, is_cut: bool
) -> None:
    """It is found with the next connection, or, where it comes to Redis later still, by how many
    there are.
    """
    async with (
        proxied(shared_redis.path) as proxy,
        nodes(1, proxy.url, prefix=f"{redis_prefix}:") as (node,),
        nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (other,),
    ):
        bob = await node.log_in(BOB)
        if is_cut:
            lost = proxy.swallow()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_log_in_in_vain, node)
                await lost.wait()
                proxy.swallows = False
                proxy.cut()
            await until(lambda: node.is_up)
        else:
            # As if that were done once the next connection is there.
            other.engine.node = node.engine.node
            await other.log_in(ANN)
            for _ in range(20):
                await waited(node.engine.sweep())
        await until_leased(node)
        assert await presence(node, BOB) == bob


async def _log_in_in_vain(node: Node) -> None:
    with pytest.raises(SignalError, match="is away"):
        await node.log_in(ANN)


async def test_nodes_that_could_not_say_that_they_live_are_not_dead(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    now = 1_000_000.0
    settings = {"prefix": f"{redis_prefix}:", "now": lambda: now}
    async with nodes(2, shared_redis.unix_url, **settings) as (here, there):
        await here.log_in(ANN)
        await there.log_in(BOB)
        for _ in range(int(LIFE_SECONDS) + 2):
            now += 1
            for node in (here, there):
                await waited(node.engine.sweep())
        # Redis, or what leads to it, is away for all.
        now += 60
        for _ in range(3):
            await waited(here.engine.sweep())
            now += 1
        assert (await presence(here, BOB)).lease_ends is None
        await waited(there.engine.sweep())
        assert there.heard.all == []
        # Of one that stays silent then it is known.
        for _ in range(int(LIFE_SECONDS) + 2):
            now += 1
            await waited(here.engine.sweep())
        assert (await presence(here, BOB)).lease_ends is not None
        await waited(there.engine.sweep())
        assert there.heard.all == [("fencing",)]


async def test_what_was_told_to_a_silent_node_that_was_not_dead_it_hears(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    settings = {"prefix": f"{redis_prefix}:", "life_seconds": 0.3}
    async with nodes(2, shared_redis.unix_url, **settings) as (here, there):
        ann, bob = await here.log_in(ANN), await there.log_in(BOB)
        await here.join(ANN, ann)
        await waited(here.engine.subscribe(ROOM))
        await trio.sleep(0.5)
        await there.say(BOB, bob, "x", 1)
        await waited(there.engine.post(Asked(BOB, bob.generation), post(ANN, "x")))
        # It may be dead to the others, for all that it knows.
        await waited(here.engine.presence(ANN))
        assert here.heard.all == []
        await waited(here.engine.sweep())
        await until(lambda: len(here.heard.all) >= 2)
        assert sorted(here.heard.all) == [("entry", "ann", 1), ("event", 2)]
