"""Real servers on one Redis, under the load of real programs of both SDKs: nodes are killed, and
Redis is. Of what was acknowledged nothing is lost, nothing comes twice, and who is in a channel is
right again in time.

    python -m tests.faults.test_redis_kills

does that in full: 20 kills of each, with lives and leases as servers have them.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import pytest

from tests.faults.redis_nodes import FULL, SHORT, Lives, Load
from tests.redis.servers import RedisServer

KILLS: Final = 3
KILLS_IN_FULL: Final = 20


def kill_nodes(folder: Path, kills: int, lives: Lives) -> None:
    """Kill one node after the other."""
    draw = random.Random(20)
    with RedisServer(appends=True) as redis, Load(folder, redis.url, lives) as load:
        for number in range(kills):
            node = load.nodes[number % 2]
            names = (f"ghost{number}", f"spirit{number}")
            ghosts = load.ghosts(node, *names)
            time.sleep(draw.uniform(0.3, 1.5))
            node.kill()
            load.gone(*names, at=time.monotonic(), life=lives.life)
            ghosts.kill()
            time.sleep(draw.uniform(0.0, 0.3))
            node.start()
            load.wait_until_back(node)
        told = load.result(f"{kills} kills of nodes")
    for name, it in told.items():
        assert it["reconnected"] == 0 if name == "watcher" else it["reconnected"] > 0, name


def kill_redis(folder: Path, kills: int, lives: Lives) -> None:
    """Kill Redis; who leaves meanwhile is gone all the same."""
    draw = random.Random(21)
    longest = 0.0
    with RedisServer(appends=True) as redis, Load(folder, redis.url, lives) as load:
        for number in range(kills):
            names = (f"ghost{number}", f"spirit{number}")
            ghosts = load.ghosts(load.nodes[number % 2], *names)
            time.sleep(draw.uniform(0.3, 1.5))
            redis.kill()
            at = time.monotonic()
            ghosts.kill()
            time.sleep(draw.uniform(0.0, 0.3))
            redis.start()
            for node in load.nodes:
                node.wait_until_ready()
            away = time.monotonic() - at
            longest = max(longest, away)
            load.gone(*names, at=at, life=away)
        told = load.result(f"{kills} kills of Redis, away for {longest:.1f} s at most")
    # Connections stay.
    assert {it["reconnected"] for it in told.values()} == {0}


@pytest.mark.xdist_group("redis-load")
@pytest.mark.timeout(240)
def test_of_what_was_acknowledged_nothing_is_lost_when_nodes_are_killed(tmp_path: Path) -> None:
    kill_nodes(tmp_path, KILLS, SHORT)


@pytest.mark.xdist_group("redis-load")
@pytest.mark.timeout(240)
def test_of_what_was_acknowledged_nothing_is_lost_when_redis_is_killed(tmp_path: Path) -> None:
    kill_redis(tmp_path, KILLS, SHORT)


def _in_full() -> None:
    for kill in (kill_nodes, kill_redis):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            kill(Path(folder), KILLS_IN_FULL, FULL)
        sys.stdout.write(f"({time.monotonic() - began:.0f} s)\n")


if __name__ == "__main__":
    _in_full()
