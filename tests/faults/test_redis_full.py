"""A Redis that is full at times, under the load of real programs of both SDKs: connections stay, of
what was acknowledged nothing is lost, and nothing comes twice.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from tests.faults.redis_nodes import SHORT, Load
from tests.redis.servers import RedisServer

TIMES: Final = 2
FULL_SECONDS: Final = 1.5


@pytest.mark.xdist_group("redis-load")
@pytest.mark.timeout(240)
def test_of_what_was_acknowledged_nothing_is_lost_when_redis_is_full(tmp_path: Path) -> None:
    with RedisServer(appends=True) as redis, Load(tmp_path, redis.url, SHORT) as load:
        for number in range(TIMES):
            name = f"ghost{number}"
            ghost = load.ghosts(load.nodes[number % 2], name)
            time.sleep(1)
            redis.command("CONFIG", "SET", "maxmemory", "1mb")
            ghost.kill()
            load.gone(name, at=time.monotonic(), life=0.0)
            time.sleep(FULL_SECONDS)
            redis.command("CONFIG", "SET", "maxmemory", "0")
        told = load.result(f"{TIMES} times full for {FULL_SECONDS} s")
    assert {it["reconnected"] for it in told.values()} == {0}
    assert all(told[name]["unknown"] for name in ("ann", "web1", "room1"))
