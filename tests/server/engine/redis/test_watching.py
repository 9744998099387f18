"""A watched account: what becomes of it while Redis is away. By the real clock."""

from __future__ import annotations

from signal_sdk.server.engine.base import Asked, Attribute, Attributes, Watched
from signal_sdk.server.engine.pending import waited
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import ANN, nodes, until


async def test_behind_a_lost_connection_a_node_is_told_how_things_stand(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        ann = await there.log_in(ANN)
        asked = Asked(ANN, ann.generation)
        await waited(here.engine.watch(ANN))
        here.lose()
        await waited(there.engine.set_user_attr(asked, "a", 1))
        await until(lambda: here.is_up and len(here.heard.all) > 0)
        [(_, _, fact)] = [it for it in here.heard.all if it[0] == "watched"][-1:]
        assert isinstance(fact, Watched)
        assert fact.is_online
        # What is told from then on is heard as ever.
        await waited(there.engine.set_user_attr(asked, "a", 2))

        def latest() -> object:
            found = [it[2] for it in here.heard.all if it[0] == "watched"]
            last = found[-1]
            return last.attributes if isinstance(last, Watched) else last

        await until(lambda: getattr(latest(), "revision", 0) == 2)
        now = await waited(here.engine.watch(ANN))
        assert now.attributes == Attributes(2, {"a": Attribute(2, 2)})
