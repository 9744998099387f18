"""Redis is elsewhere while nodes talk: the slots of a Cluster move, and a replica becomes the
master. By the real clock.
"""

from __future__ import annotations

import pytest
import trio

from signal_sdk.server.engine.redis.servers import slot_of
from tests.redis.clusters import RedisCluster
from tests.redis.sentinels import RedisSentinel
from tests.server.engine.redis.nodes import nodes, until
from tests.server.engine.redis.talk import talking

MOVES = 6


@pytest.mark.xdist_group("redis-cluster")
async def test_slots_that_move_while_messages_flow_lose_and_double_nothing(
    shared_cluster: RedisCluster, redis_prefix: str
) -> None:
    url = shared_cluster.urls[0].replace("redis:", "redis+cluster:")
    slot = slot_of("app")
    async with nodes(2, url, prefix=f"{redis_prefix}:") as made:
        async with talking(made) as talk:
            for number in range(MOVES):
                targets = shared_cluster.others(shared_cluster.owner(slot))
                moved = range(slot, slot + 1)
                await trio.to_thread.run_sync(shared_cluster.move, moved, targets[number % 2])
                await talk.goes_on()
        await talk.check()


async def test_a_failover_while_messages_flow_loses_and_doubles_nothing() -> None:
    with RedisSentinel(appends=True) as sentinel:
        async with nodes(2, sentinel.url, replicas=1) as made:
            async with talking(made) as talk:
                before = sentinel.master
                await trio.sleep(0.5)
                after = await trio.to_thread.run_sync(sentinel.kill_master)
                await until(lambda: all(node.is_up for node in made))
                # Until there is a replica again, nothing is acknowledged.
                before.start()
                before.command("REPLICAOF", "127.0.0.1", after.port)
                await talk.goes_on()
            # What only one of them had, and was not acknowledged, may have been heard.
            await talk.check(may_miss=True)
        assert talk.refused
