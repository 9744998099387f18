"""Our server's wires side by side: a channel whose members are on WebSocket, on the native SDK's
wire, or half on each; and idle connections of each kind.

Owns: these sizes, and what is made of a round. Must not know how the load reads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from benchmarks import fanout, idle, results, servers
from benchmarks.bench import Bench
from benchmarks.channel_load import ChannelLoad
from benchmarks.clients import Plan, logged_in
from benchmarks.results import Case, Metric, Work
from benchmarks.servers import Server

NAME: Final = "wires"
TITLE: Final = "WebSocket and the original native SDK's wire, through one server"
COLUMNS: Final = (
    results.RATE,
    results.SERVER_US,
    results.LOAD_US,
    results.P99,
    Metric("kib", "idle: KiB each (process ÷ connections)", 2),
    Metric("server_percent", "idle: server % of a core", 2),
)
WEB: Final = "WebSocket"
HALF: Final = "half on each"
NATIVE: Final = "native"
MEMBERS: Final = 500
BYTES: Final = (100, 1000)
IN_FLIGHT: Final = (1, 8)


def run(bench: Bench) -> Work:
    """All mixtures, by turns."""
    work = Work(NAME, TITLE, COLUMNS)
    members = 50 if bench.is_quick else MEMBERS
    seconds = 0.2 if bench.is_quick else fanout.ROUND_SECONDS
    peers = {WEB: servers.OURS, HALF: servers.OURS_BOTH, NATIVE: servers.OURS_NATIVE}
    for peer in bench.turns(tuple(peers.values())):
        name = peer.called(next(wire for wire, its in peers.items() if its == peer.name))
        with peer.serving(bench.cores.measured) as server, channel(server, members) as load:
            for size in BYTES:
                for in_flight in IN_FLIGHT:
                    case: Case = {"members": members, "bytes": size, "in flight": in_flight}
                    work.add(name, case, fanout.measure(server, load, size, in_flight, seconds))
    count = 500 if bench.is_quick else idle.CONNECTIONS
    watched = 2.0 if bench.is_quick else idle.WATCH_SECONDS
    alone = (peers[WEB], peers[NATIVE])
    for peer in bench.turns(alone, at_most=idle.MAX_ROUNDS):
        name = peer.called(next(wire for wire, its in peers.items() if its == peer.name))
        work.add(name, {"connections": count}, idle.measure(peer, bench, count, watched))
    return work


@contextlib.contextmanager
def channel(server: Server, count: int) -> Iterator[ChannelLoad]:
    """A channel of `count` members, every second of them on the server's other wire, where it has
    one that is used.
    """
    hall = fanout.CHANNEL
    plans = [Plan(f"member{number}", hall, silently=not number) for number in range(count)]
    here, there = (plans[::2], plans[1::2]) if server.other else (plans, [])
    with contextlib.ExitStack() as stack:
        log_in = stack.enter_context
        first = log_in(logged_in(server.dialect, server.port, here[:1]))
        members = first + log_in(logged_in(server.dialect, server.port, here[1:]))
        if server.other:
            others = log_in(logged_in(*server.other, there, already=members))
            # By turns, as those who come to a real channel.
            members = [each for pair in zip(members, others, strict=True) for each in pair]
        load = ChannelLoad(server.dialect, members)
        stack.callback(load.close)
        yield load
