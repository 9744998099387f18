"""What a node hears, of very much: on another connection it hears all of it again, and it hears no
more of it where it begins anew, though it may not ask for so much at once. By the real clock.
"""

from __future__ import annotations

from typing import Final

import pytest
import trio

from signal_sdk.server.engine.base import AccountKey, Asked, ChannelKey, Presence
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import errands, pipeline
from signal_sdk.server.engine.redis.servers import slot_of
from signal_sdk.wire.events import ChannelMessage
from tests.redis.clusters import RedisCluster
from tests.redis.servers import RedisServer
from tests.server.engine.contract.harness import login_facts
from tests.server.engine.redis.nodes import BOB, Node, nodes, post, until

CHANNELS: Final = [ChannelKey("app", f"room{number}") for number in range(60)]
WATCHED: Final = [AccountKey("app", f"user{number}") for number in range(30)]


@pytest.fixture
def most_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer commands may be under way than there are topics."""
    monkeypatch.setattr(pipeline, "MAX_ASKED", 40)
    monkeypatch.setattr(errands, "AT_ONCE", 8)


async def member_of_all(node: Node) -> Presence:
    """Bob, who is in all channels."""
    bob: Presence | None = await waited(
        node.engine.log_in(BOB, login_facts(BOB, many_channels=True))
    )
    assert bob is not None
    for key in CHANNELS:
        await waited(node.engine.join(Asked(BOB, bob.generation), key.channel, newest=1))
    return bob


async def say_in_all(node: Node, bob: Presence) -> None:
    for key in CHANNELS:
        said = ChannelMessage(channel=key.channel, account=BOB.account, uid=1, msg="x")
        asked = Asked(BOB, bob.generation)
        await waited(node.engine.publish(asked, said, members_only=True))


async def hear_all(node: Node) -> None:
    for key in CHANNELS:
        await waited(node.engine.subscribe(key))
    for account in WATCHED:
        await waited(node.engine.watch(account))


@pytest.mark.usefixtures("most_asked")
@pytest.mark.parametrize("times", [1, 3])
async def test_however_much_a_node_hears_it_hears_all_of_it_on_another_connection(
    shared_redis: RedisServer, redis_prefix: str, times: int
) -> None:
    """Also where that is lost before all is heard again."""
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        bob = await member_of_all(there)
        await hear_all(here)
        for _ in range(times):
            here.lose()
            await until(lambda: not here.is_up)
            await until(lambda: here.is_up)
        here.lose()
        await say_in_all(there, bob)
        for account in WATCHED:
            await there.log_in(account)
        await until(lambda: here.heard.all.count(("event", 2)) == len(CHANNELS))
        # Not only was it filled in: what is said from here on is heard, too.
        await say_in_all(there, bob)
        await until(lambda: here.heard.all.count(("event", 3)) == len(CHANNELS))
        online = {it[1] for it in here.heard.all if it[0] == "watched" and it[2].is_online}
        assert online == {it.account for it in WATCHED}


@pytest.mark.usefixtures("most_asked")
@pytest.mark.xdist_group("redis-cluster")
async def test_however_much_a_node_hears_it_hears_all_of_it_from_where_its_slot_moves(
    shared_cluster: RedisCluster, redis_prefix: str
) -> None:
    url = shared_cluster.urls[0].replace("redis:", "redis+cluster:")
    async with nodes(2, url, prefix=f"{redis_prefix}:") as (here, there):
        bob = await member_of_all(there)
        await hear_all(here)
        slot = slot_of("app")
        target = shared_cluster.others(shared_cluster.owner(slot))[0]
        await trio.to_thread.run_sync(shared_cluster.move, range(slot, slot + 1), target)
        await say_in_all(there, bob)
        await until(lambda: here.heard.all.count(("event", 2)) == len(CHANNELS))
        await say_in_all(there, bob)
        await until(lambda: here.heard.all.count(("event", 3)) == len(CHANNELS))
        # And each once.
        assert len([it for it in here.heard.all if it[0] == "event"]) == 2 * len(CHANNELS)


@pytest.mark.usefixtures("most_asked")
async def test_however_much_a_node_hears_it_hears_nothing_of_it_where_it_begins_anew(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        bob = await member_of_all(there)
        await hear_all(here)
        (connection,) = there.engine.pipelines

        async def heard() -> int:
            named = await waited(connection.raw("PUBSUB", "SHARDCHANNELS", f"{redis_prefix}:*"))
            return len([it for it in named if b":e:" in it or b":w:" in it])

        assert await heard() == len(CHANNELS) + len(WATCHED)
        here.engine.be_reborn()
        # One whom somebody wants to hear by then is heard.
        await waited(here.engine.subscribe(CHANNELS[-1]))
        left = await heard()
        for _ in range(10_000):
            if left > 1:
                left = await heard()
        assert left == 1
        await say_in_all(there, bob)
        await until(lambda: ("event", 2) in here.heard.all)
        assert [it for it in here.heard.all if it[0] == "event"] == [("event", 2)]


async def test_in_however_many_apps_sessions_hear_what_they_were_told_meanwhile(
    shared_redis: RedisServer, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_ASKED", 100)
    monkeypatch.setattr(errands, "AT_ONCE", 8)
    apps = [f"app{number}" for number in range(60)]
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        senders = {}
        for app in apps:
            await here.log_in(AccountKey(app, "ann"))
            senders[app] = await there.log_in(AccountKey(app, "bob"))
        here.lose()
        for app, bob in senders.items():
            asked = Asked(AccountKey(app, "bob"), bob.generation)
            await waited(there.engine.post(asked, post(AccountKey(app, "ann"), app)))
        await until(lambda: here.heard.all.count(("entry", "ann", 1)) == len(apps))
        # Also what they are told from here on.
        for app, bob in senders.items():
            asked = Asked(AccountKey(app, "bob"), bob.generation)
            await waited(there.engine.post(asked, post(AccountKey(app, "ann"), app)))
        await until(lambda: here.heard.all.count(("entry", "ann", 2)) == len(apps))
        # Those of before are not told again.
        assert here.heard.all.count(("entry", "ann", 1)) == len(apps)
