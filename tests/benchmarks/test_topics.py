"""What is measured of hearing from Redis, so small that its figures say nothing: whatever is
published each way is heard, and counted.
"""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks import topics
from benchmarks.hearer import PUBSUB, STREAM
from benchmarks.process import Cores

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="Redis has a core of its own, and so has whoever hears it",
)


# One stream for all is read as the streams of channels are.
@pytest.mark.parametrize("way", [PUBSUB, STREAM])
def test_all_that_is_published_is_heard(way: str) -> None:
    found = topics.measure(Cores.choose(), way, 1, 3, "one", 0.02)
    assert found.redis_us > 0
    assert found.hearers_us > 0
    assert 0 < found.p50_ms <= found.p99_ms
