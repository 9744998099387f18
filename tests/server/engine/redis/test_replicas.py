"""What is durable once replicas have it: by the real clock, with real replicas."""

from __future__ import annotations

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.pending import Pending, waited
from tests.redis.sentinels import RedisSentinel
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import ANN, BOB, Node, nodes, until


async def durable(node: Node) -> SignalError | None:
    outcome: Pending[SignalError | None] = Pending()
    node.engine.when_durable(outcome.resolve)
    return await waited(outcome)


async def test_a_change_is_durable_once_the_replica_has_it_or_known_not_to_be() -> None:
    with RedisSentinel() as sentinel:
        async with nodes(1, sentinel.url, replicas=1) as [node]:
            await node.log_in(ANN)
            assert await durable(node) is None
            sentinel.replica.kill()
            await node.log_in(ANN)
            refusal = await durable(node)
        assert refusal is not None
        assert refusal.ecode == ECode.GENERAL_E_FAILED
        assert "replicas" in refusal.reason


async def test_a_node_follows_its_sentinels_to_the_new_master() -> None:
    with RedisSentinel() as sentinel:
        async with nodes(1, sentinel.url, replicas=1) as [node]:
            made = await node.log_in(ANN)
            assert await durable(node) is None
            after = await trio.to_thread.run_sync(sentinel.kill_master)
            await until(lambda: node.is_up)
            # What was durable is there, and more can be done.
            assert await waited(node.engine.presence(ANN)) == made
            assert (await node.log_in(BOB)).generation == 1
        assert after.info("replication")["role"] == "master"


async def test_without_replicas_what_is_in_redis_is_durable(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as [node]:
        await node.log_in(ANN)
        told: list[SignalError | None] = []
        node.engine.when_durable(told.append)
        assert told == [None]
