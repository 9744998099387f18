"""The login storm: many clients that come at once, each with a token, each into a channel.

Owns: its sizes, and what is made of a round. Must not know how clients log in.
"""

from __future__ import annotations

import time
from typing import Final

from benchmarks import idle, results, servers
from benchmarks.bench import Bench
from benchmarks.clients import open_clients
from benchmarks.process import own_cpu_seconds
from benchmarks.results import Metric, Metrics, Work
from benchmarks.servers import Peer

NAME: Final = "storm"
TITLE: Final = "Login storm: connect, log in with a token, join a channel of 10; 100 at a time"
COLUMNS: Final = (
    Metric("rate", "logins/s"),
    Metric("server_us", "server µs", 0),
    Metric("load_us", "load µs", 0),
    results.P50,
    results.P99,
    results.P999,
)
PEERS: Final = (
    servers.OURS,
    servers.OURS_JOURNAL,
    servers.WS,
    servers.SOCKET_IO,
    servers.PYTHON_SOCKET_IO,
    servers.NATS,
)
LOGINS: Final = 5_000
AT_ONCE: Final = 100
MEMBERS: Final = 10
"""Of each channel. Ours tells the members of each join; the others tell nobody."""
WARM_UP_LOGINS: Final = 200


def run(bench: Bench) -> Work:
    """All peers."""
    work = Work(NAME, TITLE, COLUMNS)
    count = 300 if bench.is_quick else LOGINS
    for peer in bench.turns(PEERS):
        work.add(peer.label, {"logins": count}, measure(peer, bench, count))
    return work


def measure(peer: Peer, bench: Bench, count: int) -> Metrics:
    """`count` logins at a fresh server, after a few that are not counted."""
    plans = idle.plans(WARM_UP_LOGINS + count, MEMBERS)
    with peer.serving(bench.cores.measured) as server:
        process, dialect, port = server.process, server.dialect, server.port
        clients = open_clients(dialect, port, plans[:WARM_UP_LOGINS], at_once=AT_ONCE).clients
        try:
            cpu, own = process.cpu_seconds(), own_cpu_seconds()
            began = time.perf_counter()
            opened = open_clients(dialect, port, plans[WARM_UP_LOGINS:], at_once=AT_ONCE)
            took = time.perf_counter() - began
            clients += opened.clients
            cpu, own = process.cpu_seconds() - cpu, own_cpu_seconds() - own
        finally:
            for client in clients:
                client.close()
    return {
        "rate": count / took,
        "server_us": cpu / count * 1e6,
        "load_us": own / count * 1e6,
        **results.latencies(opened.microseconds),
    }
