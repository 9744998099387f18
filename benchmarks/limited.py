"""What limits cost: our server while all that has one is counted, beside itself while nothing is.

Owns: these loads, and what is counted. Must not know how the loads read.
"""

from __future__ import annotations

from typing import Final

import attrs

from benchmarks import direct, fanout, results, servers, watched
from benchmarks.bench import Bench
from benchmarks.process import BenchmarkError
from benchmarks.results import Case, Metric, Work
from benchmarks.servers import Peer, Server

NAME: Final = "limits"
TITLE: Final = "Limits: all that has one is counted, and nothing is"
COLUMNS: Final = (
    results.RATE,
    results.SERVER_US,
    Metric("times", "server, times uncounted", 3),
    results.LOAD_US,
    results.P50,
    results.P99,
)
PEERS: Final = (servers.OURS,)
UNCOUNTED: Final = "ours, no limits"
COUNTED: Final = "ours, all limits"
OUT_OF_REACH: Final = 100_000_000
RATES: Final = (
    "user_messages_per_second",
    "channel_messages_per_second",
    "frames_per_second",
    "changes_per_second",
    "questions_per_second",
    "inbox_sender_messages",
)
"""What the loads are over by far where it is the default: what is out of their reach is counted all
the same.
"""
QUOTAS: Final = {
    "inbox_messages": 10_000,
    "inbox_bytes": 16 * 1024 * 1024,
    "app_accounts": 1_000_000,
    "app_channels": 100_000,
    "app_bytes": 1024 * 1024 * 1024,
}
"""What they are not over: the defaults."""
LIMITS: Final = {
    UNCOUNTED: dict.fromkeys(RATES, 0) | dict.fromkeys(QUOTAS, 0),
    COUNTED: dict.fromkeys(RATES, OUT_OF_REACH) | QUOTAS,
}
MEMBERS: Final = 500
BYTES: Final = 100
IN_FLIGHT: Final = 8
SECONDS: Final = 0.5
PARTS: Final = 4
"""How many turns each way has in a round. A server and its load have states that last for seconds,
and differ by more than counting costs: what is compared is as near to each other as can be.
"""


@attrs.frozen
class _Way:
    """Our server with limits, or without."""

    peer: Peer
    name: str

    @property
    def label(self) -> str:
        return self.peer.called(self.name)

    def take_up(self, server: Server) -> None:
        """Have the server count, or not. Raises `BenchmarkError` where it does not take that."""
        server.set_limits(LIMITS[self.name])
        watched.until_calm(server)
        if "configuration in force stays" in (said := server.process.output()):
            raise BenchmarkError(f"the server does not take up its limits: {said[-500:]}")


def run(bench: Bench) -> Work:
    """Both loads, each on one server, which counts or not by turns: two servers differ by more than
    counting costs.
    """
    work = Work(NAME, TITLE, COLUMNS)
    members, clients = (50, 20) if bench.is_quick else (MEMBERS, direct.CLIENTS)
    seconds, parts = (0.3, 1) if bench.is_quick else (SECONDS, PARTS)
    for peer in bench.peers(PEERS):
        ways = [_Way(peer, UNCOUNTED), _Way(peer, COUNTED)]
        with peer.serving(bench.cores.measured) as server, direct.ring(server, clients) as ring:
            for in_flight in direct.IN_FLIGHT:
                case: Case = {
                    "load": "point to point",
                    "clients": clients,
                    "in flight": in_flight,
                }
                for way in bench.in_turns([ways], parts=parts):
                    way.take_up(server)
                    work.add(way.label, case, direct.measure(server, ring, in_flight, seconds))
        with (
            peer.serving(bench.cores.measured) as server,
            fanout.channel(server, members) as load,
        ):
            case = {"load": "fan-out", "clients": members, "in flight": IN_FLIGHT}
            for way in bench.in_turns([ways], parts=parts):
                way.take_up(server)
                metrics = fanout.measure(server, load, BYTES, IN_FLIGHT, seconds)
                work.add(way.label, case, metrics)
        work.compare(ways[0].label, results.SERVER_US, "times")
    return work
