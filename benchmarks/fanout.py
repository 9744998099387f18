"""Fan-out: messages through one large channel.

Owns: the sizes, and what is made of a round. Must not know how the load reads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import attrs

from benchmarks import results, servers
from benchmarks.bench import Bench
from benchmarks.channel_load import ChannelLoad
from benchmarks.clients import Plan, logged_in
from benchmarks.dialects import text_of
from benchmarks.results import Case, Metrics, Work
from benchmarks.servers import Server

NAME: Final = "fanout"
TITLE: Final = "Fan-out: one member speaks, every member of the channel hears it"
COLUMNS: Final = (
    results.RATE,
    results.SERVER_US,
    results.LOAD_US,
    results.P50,
    results.P99,
    results.P999,
)
PEERS: Final = (
    servers.OURS,
    servers.WS,
    servers.SOCKET_IO,
    servers.PYTHON_SOCKET_IO,
    servers.NATS,
)
MEMBERS: Final = (500, 2000)
BYTES: Final = (100, 1000)
IN_FLIGHT: Final = (1, 8, 32)
ROUND_SECONDS: Final = 2.0
WARM_UP: Final = 0.25
"""A warm-up's share of a round's time."""
CHANNEL: Final = "hall"


def run(bench: Bench) -> Work:
    """All sizes, for all peers."""
    work = Work(NAME, TITLE, COLUMNS)
    members = (50, 200) if bench.is_quick else MEMBERS
    seconds = 0.2 if bench.is_quick else ROUND_SECONDS
    for peer in bench.turns(PEERS):
        for count in members:
            with (
                peer.serving(bench.cores.measured) as server,
                channel(server, count) as load,
            ):
                for size in BYTES:
                    for in_flight in IN_FLIGHT:
                        case: Case = {"members": count, "bytes": size, "in flight": in_flight}
                        metrics = measure(server, load, size, in_flight, seconds)
                        work.add(peer.label, case, metrics)
    return work


@contextlib.contextmanager
def channel(server: Server, count: int, *, slow_bytes: int = 0) -> Iterator[ChannelLoad]:
    """A channel of `count` members, the first of whom speaks. With `slow_bytes`, the second is to
    be a slow reader, with a receive buffer of so many bytes.
    """
    # The first, who is there first, has joins told to nobody: only messages are measured.
    plans = [Plan(f"member{number}", CHANNEL, silently=not number) for number in range(count)]
    if slow_bytes:
        plans[1] = attrs.evolve(plans[1], receive_bytes=slow_bytes)
    with (
        logged_in(server.dialect, server.port, plans[:1]) as first,
        logged_in(server.dialect, server.port, plans[1:]) as others,
    ):
        load = ChannelLoad(server.dialect, first + others, has_slow=bool(slow_bytes))
        try:
            yield load
        finally:
            load.close()


def measure(
    server: Server, load: ChannelLoad, size: int, in_flight: int, seconds: float
) -> Metrics:
    """One round with messages of `size` bytes, after a warm-up that is not counted."""
    message = load.voice.to_channel(CHANNEL, text_of(size))
    load.run(message, in_flight, seconds * WARM_UP)
    cpu = server.process.cpu_seconds()
    seen = load.run(message, in_flight, seconds)
    cpu = server.process.cpu_seconds() - cpu
    return {
        "rate": seen.deliveries / seen.seconds,
        "server_us": cpu / seen.deliveries * 1e6,
        "load_us": seen.load_cpu_seconds / seen.deliveries * 1e6,
        **results.latencies(seen.latencies_us),
    }
