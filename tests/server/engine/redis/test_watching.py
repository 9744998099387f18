"""A watched account: what becomes of it while Redis is away, and when its node dies."""

from __future__ import annotations

from signal_sdk.server.engine.attribute_facts import PresenceChanged, presence_number
from signal_sdk.server.engine.base import LIFE_SECONDS, Asked, Attribute, Attributes, Watched
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


async def test_when_a_node_dies_a_watcher_elsewhere_hears_once_and_in_time_who_is_offline(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    now = 1_000_000.0
    settings = {"prefix": f"{redis_prefix}:", "now": lambda: now}
    async with nodes(2, shared_redis.unix_url, **settings) as (here, there):
        ann = await there.log_in(ANN)
        watched = await waited(here.engine.watch(ANN))
        assert watched.is_online
        for _ in range(3):
            now += 1
            for node in (here, there):
                await waited(node.engine.sweep())
        assert here.heard.all == []
        # From here on the other says nothing any more; nobody may come to it, either.
        died = now
        session = None
        while session is None or session.lease_ends is None:
            now += 1
            assert now - died <= LIFE_SECONDS + 2
            await waited(here.engine.sweep())
            session = await waited(here.engine.presence(ANN))
        ends = session.lease_ends
        while now < ends:
            # Its client has until then to come to the node that is left.
            assert not [it for it in here.heard.all if it[0] == "watched"]
            now = min(now + 1, ends)
            await waited(here.engine.sweep())
        now = ends + 1
        await waited(here.engine.sweep())
        await until(lambda: any(it[0] == "watched" for it in here.heard.all))
        for _ in range(30):
            now += 1
            await waited(here.engine.sweep())
        [(_, key, fact)] = [it for it in here.heard.all if it[0] == "watched"]
        assert key == ANN.account
        number = presence_number(ann.generation, is_online=False)
        assert fact == PresenceChanged(False, number)
        assert number > watched.presence
