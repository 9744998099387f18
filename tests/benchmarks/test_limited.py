"""What is measured of limits, so small that its figures say nothing: a server that runs takes up
those that it is given.
"""

from __future__ import annotations

import os
import sys

import pytest
import trio

from benchmarks import dialects, limited, servers, watched
from benchmarks.bench import Bench
from benchmarks.process import Cores
from benchmarks.servers import Server
from signal_sdk import Signal, SignalError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="the server and who loads it have a core each",
)


async def refused(server: Server, messages: int) -> list[str]:
    """Why, of so many messages that are sent at once."""
    found: list[str] = []
    async with (
        Signal(dialects.APP_ID, server=f"ws://127.0.0.1:{server.port}") as signal,
        signal.login("ann", dialects.token("ann")) as ann,
    ):
        for operation in [ann.message_instant_send("bob", "hi") for _ in range(messages)]:
            try:
                await operation
            except SignalError as exc:
                found.append(exc.reason.partition(";")[0])
    return found


def test_a_server_that_runs_takes_up_its_limits() -> None:
    peer = servers.BY_NAME[servers.OURS]
    with peer.serving(Cores.choose().measured) as server:
        assert trio.run(refused, server, 20) == []
        server.set_limits({"user_messages_per_second": 2})
        watched.until_calm(server)
        reasons = trio.run(refused, server, 20)
        assert set(reasons) == {"more than 2 messages in a second from one user"}
        server.set_limits({"user_messages_per_second": 0})
        watched.until_calm(server)
        assert trio.run(refused, server, 20) == []


def test_what_is_counted_is_compared_with_what_is_not() -> None:
    bench = Bench(rounds=1, is_quick=True, cores=Cores.choose(), chosen=(servers.OURS,))
    work = limited.run(bench)
    for row in work.rows:
        is_compared = row.peer == limited.COUNTED
        assert [ratio > 0 for ratio in row.values("times")] == [True] * is_compared
    assert {row.peer for row in work.rows} == {limited.UNCOUNTED, limited.COUNTED}
