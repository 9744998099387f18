"""A slow reader: what one member that reads slowly does to the others.

Owns: its sizes, and what is made of a round. Must not know how the load reads.
"""

from __future__ import annotations

from typing import Final

from benchmarks import fanout, results, servers
from benchmarks.bench import Bench
from benchmarks.channel_load import ChannelLoad
from benchmarks.dialects import text_of
from benchmarks.results import Metric, Metrics, Work
from benchmarks.servers import Server

NAME: Final = "slow_reader"
TITLE: Final = "One slow reader among many, 1,000 bytes, 50 messages a second: the others' latency"
COLUMNS: Final = (
    Metric("p99_ms", "p99 ms without", 2),
    Metric("slow_p99_ms", "p99 ms with", 2),
    Metric("change_percent", "change of p99 in %", 1),
    Metric("slow_p999_ms", "p99.9 ms with", 2),
    results.SERVER_US,
    Metric("slow_server_us", "server µs with", 2),
)
PEERS: Final = (servers.OURS, servers.WS, servers.SOCKET_IO, servers.NATS)
"""Without python-socketio, which cannot keep up with this rate."""
MEMBERS: Final = 500
BYTES: Final = 1000
PER_SECOND: Final = 50.0
ROUND_SECONDS: Final = 10.0
RECEIVE_BYTES: Final = 4096
"""The slow reader's receive buffer: what it does not read soon waits at the server."""


def run(bench: Bench) -> Work:
    """All peers."""
    work = Work(NAME, TITLE, COLUMNS)
    count = 50 if bench.is_quick else MEMBERS
    seconds = 0.6 if bench.is_quick else ROUND_SECONDS
    slow_first: dict[str, bool] = {}
    for peer in bench.turns(PEERS):
        with (
            peer.serving(bench.cores.measured) as server,
            fanout.channel(server, count, slow_bytes=RECEIVE_BYTES) as load,
        ):
            # Whichever comes second finds a warmer server: each does so in every other turn.
            is_slow_first = slow_first.get(peer.label, False)
            metrics = measure(server, load, seconds, slow_first=is_slow_first)
            slow_first[peer.label] = not is_slow_first
            work.add(peer.label, {"members": count}, metrics)
    return work


def measure(
    server: Server, load: ChannelLoad, seconds: float, *, slow_first: bool = False
) -> Metrics:
    """One round without the slow reader, and one with it."""
    message = load.voice.to_channel(fanout.CHANNEL, text_of(BYTES))
    load.run_paced(message, PER_SECOND, seconds / 4)
    found: Metrics = {}
    for reads_slowly in (slow_first, not slow_first):
        load.reads_slowly = reads_slowly
        cpu = server.process.cpu_seconds()
        seen = load.run_paced(message, PER_SECOND, seconds)
        cpu = server.process.cpu_seconds() - cpu
        metrics = {
            **results.latencies(seen.latencies_us),
            "server_us": cpu / seen.deliveries * 1e6,
        }
        prefix = "slow_" if reads_slowly else ""
        found.update({prefix + name: figure for name, figure in metrics.items()})
    found["change_percent"] = (found["slow_p99_ms"] / found["p99_ms"] - 1) * 100
    return found
