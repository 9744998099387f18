"""Idle connections: what many logged-in clients cost that only ping.

Owns: this load, its sizes, and what is made of a round. Must not know how servers are started.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Final

from benchmarks import servers
from benchmarks.bench import Bench
from benchmarks.clients import Client, KeepAlive, Plan, logged_in, read_and_answer
from benchmarks.process import own_cpu_seconds
from benchmarks.results import Metric, Metrics, Work
from benchmarks.servers import Peer, Server

NAME: Final = "idle"
TITLE: Final = "Idle connections, each logged in, in a channel of 100, and pinging every 10 s"
COLUMNS: Final = (
    Metric("kib", "KiB each (process ÷ connections)", 1),
    Metric("added_kib", "KiB each further one (than the first 100)", 1),
    Metric("server_percent", "server % of a core", 2),
    Metric("load_percent", "load % of a core", 2),
)
PEERS: Final = (
    servers.OURS,
    servers.WS,
    servers.SOCKET_IO,
    servers.PYTHON_SOCKET_IO,
    servers.NATS,
)
CONNECTIONS: Final = 10_000
MEMBERS: Final = 100
"""Of each channel."""
PING_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 2.0
WATCH_SECONDS: Final = 20.0
"""Two rounds of pings."""
FIRST: Final = 100
"""How many clients a server has before it is looked at what each further one takes: the first ones
use up what an empty process has free.
"""
MAX_ROUNDS: Final = 3
"""Memory hardly differs from round to round, and logging in takes its time."""


def run(bench: Bench) -> Work:
    """All peers."""
    work = Work(NAME, TITLE, COLUMNS)
    count = 500 if bench.is_quick else CONNECTIONS
    seconds = 2.0 if bench.is_quick else WATCH_SECONDS
    for peer in bench.turns(PEERS, at_most=MAX_ROUNDS):
        work.add(peer.label, {"connections": count}, measure(peer, bench, count, seconds))
    return work


def plans(count: int, members: int = MEMBERS) -> list[Plan]:
    """Clients in channels of `members`."""
    return [Plan(f"user{number}", f"room{number // members}") for number in range(count)]


def measure(peer: Peer, bench: Bench, count: int, seconds: float) -> Metrics:
    """`count` connections to a fresh server, watched for `seconds`."""
    settle = SETTLE_SECONDS if seconds > 5 else 0.5
    every = plans(count)
    few = min(FIRST, count // 5)
    with (
        peer.serving(bench.cores.measured, PING_SECONDS) as server,
        logged_in(server.dialect, server.port, every[:few]) as first,
    ):
        keep_quiet(first, settle)
        before = server.process.rss_bytes()
        with logged_in(server.dialect, server.port, every[few:], already=first) as others:
            clients = [*first, *others]
            keep_quiet(clients, settle)
            metrics = _watch(server, clients, seconds)
            added = server.process.rss_bytes() - before
            return metrics | {"added_kib": added / len(others) / 1024}


def _watch(server: Server, clients: Sequence[Client], seconds: float) -> Metrics:
    cpu, own = server.process.cpu_seconds(), own_cpu_seconds()
    began = time.monotonic()
    keep_quiet(clients, seconds)
    took = time.monotonic() - began
    cpu, own = server.process.cpu_seconds() - cpu, own_cpu_seconds() - own
    rss = server.process.rss_bytes()
    return {
        "kib": rss / len(clients) / 1024,
        "server_percent": cpu / took * 100,
        "load_percent": own / took * 100,
    }


def keep_quiet(clients: Sequence[Client], seconds: float) -> None:
    """Say nothing but pings, and answers to pings, for `seconds`."""
    keep_alive = KeepAlive(PING_SECONDS)
    keep_alive.add_all(clients)
    by_fd = {client.fd: client for client in clients}
    ends = time.monotonic() + seconds
    with select.epoll() as poll:
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        while (left := ends - time.monotonic()) > 0:
            keep_alive.tick()
            for fd, _ in poll.poll(min(left, 0.01)):
                read_and_answer(by_fd[fd])
