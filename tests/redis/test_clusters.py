"""The helpers of Cluster and Sentinel: slots that move, and a master that dies."""

from __future__ import annotations

import pytest

from tests.redis.clusters import MASTERS, SLOTS, RedisCluster
from tests.redis.resp import ReplyError
from tests.redis.sentinels import RedisSentinel

KEY = "{app}key"


@pytest.mark.xdist_group("redis-cluster")
def test_each_master_has_its_share_and_says_who_has_what_is_not_its_own(
    shared_cluster: RedisCluster,
) -> None:
    assert len(set(shared_cluster.urls)) == MASTERS
    owners = {shared_cluster.owner(slot) for slot in range(0, SLOTS, 100)}
    assert owners == set(shared_cluster.nodes)
    slot = shared_cluster.slot(KEY)
    owner = shared_cluster.owner(slot)
    with pytest.raises(ReplyError, match=rf"MOVED {slot} 127\.0\.0\.1:{owner.port}"):
        shared_cluster.others(owner)[0].command("GET", KEY)


@pytest.mark.xdist_group("redis-cluster")
def test_a_slot_moves_with_all_that_is_in_it(shared_cluster: RedisCluster) -> None:
    shared_cluster.command(KEY, "SET", KEY, "value")
    slot = shared_cluster.slot(KEY)
    before = shared_cluster.owner(slot)
    after = shared_cluster.others(before)[0]
    shared_cluster.move(range(slot - 5, slot + 5), after)
    assert shared_cluster.owner(slot) is after
    assert after.command("GET", KEY) == "value"
    with pytest.raises(ReplyError, match="MOVED"):
        before.command("GET", KEY)


@pytest.mark.xdist_group("redis-cluster")
def test_a_slot_that_is_moving_sends_those_on_who_ask_for_what_has_gone(
    shared_cluster: RedisCluster,
) -> None:
    key, stays = "{moving}key", "{moving}stays"
    shared_cluster.command(key, "SET", key, "value")
    slot = shared_cluster.slot(key)
    before = shared_cluster.owner(slot)
    after = shared_cluster.others(before)[0]
    with shared_cluster.moving(slot, after):
        # Whoever else uses this Cluster may have a key that fell into the same slot.
        carried = shared_cluster.carry(slot, after)
        assert [name for name in carried if name.startswith("{moving}")] == [key]
        with pytest.raises(ReplyError, match=rf"ASK {slot} 127\.0\.0\.1:{after.port}"):
            before.command("GET", key)
        with after.connect() as connection:
            connection.command("ASKING")
            assert connection.command("GET", key) == "value"
            connection.command("ASKING")
            connection.command("SET", stays, "there")
    assert shared_cluster.command(key, "MGET", key, stays) == ["value", "there"]


def test_a_master_that_dies_is_followed_by_its_replica() -> None:
    with RedisSentinel() as redis:
        before, after = redis.master, redis.replica
        with before.connect() as connection:
            # WAIT asks for what its own connection has written.
            connection.command("SET", "key", "value")
            assert connection.command("WAIT", 1, 5000) == 1
        assert redis.kill_master() is after
        assert redis.master is after
        assert not before.is_running
        assert after.command("GET", "key") == "value"
