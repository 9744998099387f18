"""Costs: what a connection, a member and a message that waits take of a node and of its Redis.

Owns: what is put there, and what each of it is divided by. Must not know how the loads read.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from typing import Final

import attrs

from benchmarks import nodes, results, servers
from benchmarks.bench import Bench
from benchmarks.clients import Client, KeepAlive, Plan, logged_in
from benchmarks.dialects import text_of
from benchmarks.nodes import Nodes
from benchmarks.process import BenchmarkError
from benchmarks.results import Metric, Metrics, Work

NAME: Final = "costs"
TITLE: Final = "What each takes of a node, and of its Redis"
COLUMNS: Final = (
    results.SERVER_US,
    Metric("redis_us", "redis µs", 2),
    Metric("node_kib", "node KiB", 2),
    Metric("redis_bytes", "redis bytes"),
)
CONNECTIONS: Final = 2000
CHANNELS: Final = 20
MESSAGES: Final = 10_000
AWAY: Final = 100
BYTES: Final = 100
MAX_ROUNDS: Final = 3
ACK_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 10.0


@attrs.frozen
class Used:
    """What has been used so far, and is in use."""

    server_us: float
    redis_us: float
    node_kib: float
    redis_bytes: float

    @classmethod
    def by(cls, there: Nodes) -> Used:
        node = there.servers[0].process
        return cls(
            there.cpu_seconds() * 1e6,
            there.redis_seconds() * 1e6,
            node.rss_bytes() / 1024,
            _redis_bytes(there.redis_port),
        )

    def since(self, before: Used, count: int) -> Metrics:
        """How much more that is than before, by so many."""
        then = attrs.asdict(before)
        return {name: (now - then[name]) / count for name, now in attrs.asdict(self).items()}


def run(bench: Bench) -> Work:
    """One node on a Redis; each round begins with both of them fresh."""
    work = Work(NAME, TITLE, COLUMNS)
    idle_seconds = 1.0 if bench.is_quick else IDLE_SECONDS
    count = 100 if bench.is_quick else CONNECTIONS
    messages = 500 if bench.is_quick else MESSAGES
    for peer in bench.turns([servers.OURS_REDIS], at_most=MAX_ROUNDS):
        with nodes.serving(bench, peer, 1) as there:
            server = there.servers[0]
            # Whatever is made once is there by then.
            with logged_in(server.dialect, server.port, [Plan("first", "first")]) as first:
                before = Used.by(there)
                plans = [Plan(f"user{number}") for number in range(count)]
                with logged_in(server.dialect, server.port, plans):
                    logged = Used.by(there)
                    work.add(peer.label, {"what": "a connection"}, logged.since(before, count))
                    # What is measured is real time in which nothing is said.
                    time.sleep(idle_seconds)
                    each = Used.by(there).since(logged, count)
                    second = {name: each[name] / idle_seconds for name in ("server_us", "redis_us")}
                    work.add(peer.label, {"what": "a second of it, idle"}, second)
                rooms = [
                    Plan(f"member{number}", f"hall{number % CHANNELS}") for number in range(count)
                ]
                before = Used.by(there)
                with logged_in(server.dialect, server.port, rooms):
                    case = {"what": f"a connection, one of {count // CHANNELS} in a channel"}
                    work.add(peer.label, dict(case), Used.by(there).since(before, count))
                before = Used.by(there)
                _write(first[0], server.dialect.ack, messages)
                case = {"what": f"a message of {BYTES} characters that waits"}
                work.add(peer.label, dict(case), Used.by(there).since(before, messages))
    return work


def _write(client: Client, ack: bytes, count: int) -> None:
    """So many messages to those who are away, each acknowledged."""
    drafts = [client.voice.to_peer(f"away{number}", text_of(BYTES)) for number in range(AWAY)]
    keep_alive = KeepAlive(IDLE_SECONDS, if_needed=True)
    keep_alive.add(client)
    ends = time.monotonic() + ACK_SECONDS
    done = 0
    for number in range(count):
        client.send(drafts[number % AWAY].fill(number, 0))
        while done < number - AWAY:
            done += _read(client, ack, ends)
    while done < count:
        done += _read(client, ack, ends)


def _read(client: Client, ack: bytes, ends: float) -> int:
    if time.monotonic() > ends:
        raise BenchmarkError("messages were not acknowledged in time")
    client.send(b"")
    return client.count(ack, client.read())


def _redis_bytes(port: int) -> float:
    done = subprocess.run(
        ("redis-cli", "-p", str(port), "info", "memory"),
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    found: Sequence[str] = re.findall(r"^used_memory:(\d+)", done.stdout, re.MULTILINE)
    return float(found[0])
