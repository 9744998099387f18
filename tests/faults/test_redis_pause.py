"""A real server on Redis that is stopped (SIGSTOP) for longer than a node may be silent, and goes
on (SIGCONT): the others took it for dead, which it finds out. Its clients' connections are broken,
and they come back to its new life. Nothing is lost or done twice.

    python -m tests.faults.test_redis_pause

does that in full: for 30 s, three times, with lives and leases as servers have them.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import pytest

from tests.faults.redis_nodes import FULL, SETTLE_SECONDS, SHORT, Lives, Load
from tests.redis.servers import RedisServer

FENCED: Final = "this node was silent, and the others took it for dead"


def stop_nodes(folder: Path, stops: int, seconds: float, lives: Lives) -> None:
    """Stop one node after the other, for so long."""
    with RedisServer(appends=True) as redis, Load(folder, redis.url, lives) as load:
        for number in range(stops):
            node = load.nodes[number % 2]
            ghosts = load.ghosts(node, f"ghost{number}")
            time.sleep(1)
            assert node.program is not None
            node.program.process.send_signal(signal.SIGSTOP)
            ghosts.kill()
            load.gone(f"ghost{number}", at=time.monotonic(), life=lives.life)
            time.sleep(seconds)
            node.program.process.send_signal(signal.SIGCONT)
            node.program.expect_within(FENCED)
            load.wait_until_back(node)
        # The original page fetches no more than 30 messages in a second of what has waited for it.
        told = load.result(f"{stops} stops of {seconds:g} s", SETTLE_SECONDS + 2 * seconds)
    came_back = {name for names in load.sessions[:stops] for name in names}
    assert {name for name, it in told.items() if it["reconnected"]} == came_back


@pytest.mark.xdist_group("redis-load")
@pytest.mark.timeout(240)
def test_a_node_that_was_stopped_finds_itself_fenced_and_its_clients_come_back(
    tmp_path: Path,
) -> None:
    stop_nodes(tmp_path, 1, SHORT.life + 3, SHORT)


def _in_full() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        stop_nodes(Path(folder), 3, 30.0, FULL)
    sys.stdout.write(f"({time.monotonic() - began:.0f} s)\n")


if __name__ == "__main__":
    _in_full()
