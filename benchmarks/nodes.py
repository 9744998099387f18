"""Nodes on one Redis: what a message costs through it, and a channel that two nodes share.

Owns: the Redis, the nodes on it, and what is made of a round. Must not know how the loads read.

Redis runs on the load's core, as the rates then show: what it takes is told beside what the nodes
take. All nodes are on one core.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from benchmarks import direct, fanout, results, servers
from benchmarks.bench import Bench
from benchmarks.channel_load import ChannelLoad
from benchmarks.clients import Plan, logged_in
from benchmarks.dialects import text_of
from benchmarks.direct import DirectLoad
from benchmarks.process import Process, running
from benchmarks.results import Case, Metric, Metrics, Work
from benchmarks.servers import Peer, Server

NAME: Final = "nodes"
TITLE: Final = "Nodes on one Redis: point to point, and one channel"
COLUMNS: Final = (
    Metric("rate", "messages or deliveries/s"),
    results.SERVER_US,
    Metric("redis_us", "redis µs", 2),
    results.LOAD_US,
    results.P50,
    results.P99,
)
DIRECT: Final = (servers.OURS, servers.OURS_REDIS, servers.SOCKET_IO, servers.SOCKET_IO_REDIS)
FANOUT: Final = (servers.OURS, servers.OURS_REDIS)
CLIENTS: Final = 200
MEMBERS: Final = 500
IN_FLIGHT: Final = (1, 4)
MESSAGES_IN_FLIGHT: Final = 8
READY: Final = "Ready to accept connections"
TO_ONE: Final = "point to point"
TO_ALL: Final = "channel"


@attrs.frozen
class Nodes:
    """The nodes that serve, and the Redis that they share, where they do."""

    servers: list[Server]
    redis: Process | None
    redis_port: int = 0

    def cpu_seconds(self) -> float:
        """What all nodes have used so far."""
        return sum(server.process.cpu_seconds() for server in self.servers)

    def redis_seconds(self) -> float:
        """What their Redis has."""
        return self.redis.cpu_seconds() if self.redis is not None else 0.0


def run(bench: Bench) -> Work:
    """Point to point on one node, and a channel on one and on two."""
    work = Work(NAME, TITLE, COLUMNS)
    seconds = 0.3 if bench.is_quick else direct.ROUND_SECONDS
    count = 20 if bench.is_quick else CLIENTS
    for peer in bench.turns(DIRECT):
        with serving(bench, peer, 1) as nodes, direct.ring(nodes.servers[0], count) as load:
            for in_flight in IN_FLIGHT:
                case: Case = {"what": TO_ONE, "nodes": 1, "clients": count, "in flight": in_flight}
                work.add(peer.label, case, to_one(nodes, load, in_flight, seconds))
    count = 50 if bench.is_quick else MEMBERS
    for peer in bench.turns(FANOUT):
        for number in (1, 2) if peer.name == servers.OURS_REDIS else (1,):
            with serving(bench, peer, number) as nodes, channel(nodes, count) as hall:
                case = {
                    "what": TO_ALL,
                    "nodes": number,
                    "clients": count,
                    "in flight": MESSAGES_IN_FLIGHT,
                }
                work.add(peer.label, case, to_all(nodes, hall, seconds))
    return work


def to_one(nodes: Nodes, load: DirectLoad, in_flight: int, seconds: float) -> Metrics:
    """One round of messages between two accounts each."""
    before = nodes.redis_seconds()
    metrics = direct.measure(nodes.servers[0], load, in_flight, seconds)
    # Of the warm-up, which `measure` does not count, a fifth is Redis's, too.
    spent = (nodes.redis_seconds() - before) / (1 + direct.WARM_UP)
    return {**metrics, "redis_us": spent / load.received * 1e6}


def to_all(nodes: Nodes, load: ChannelLoad, seconds: float) -> Metrics:
    """One round of messages to a channel, whose members are at all nodes."""
    message = load.voice.to_channel(fanout.CHANNEL, text_of(fanout.BYTES[0]))
    load.run(message, MESSAGES_IN_FLIGHT, seconds * fanout.WARM_UP)
    cpu, redis = nodes.cpu_seconds(), nodes.redis_seconds()
    seen = load.run(message, MESSAGES_IN_FLIGHT, seconds)
    cpu, redis = nodes.cpu_seconds() - cpu, nodes.redis_seconds() - redis
    return {
        "rate": seen.deliveries / seen.seconds,
        "server_us": cpu / seen.deliveries * 1e6,
        "redis_us": redis / seen.deliveries * 1e6,
        "load_us": seen.load_cpu_seconds / seen.deliveries * 1e6,
        **results.latencies(seen.latencies_us),
    }


@contextlib.contextmanager
def channel(nodes: Nodes, count: int) -> Iterator[ChannelLoad]:
    """A channel of `count` members, in turn at each node; the first speaks."""
    plans = [Plan(f"member{i}", fanout.CHANNEL, silently=not i) for i in range(count)]
    homes = nodes.servers
    with contextlib.ExitStack() as stack:
        first = homes[0]
        members = stack.enter_context(logged_in(first.dialect, first.port, plans[:1]))
        for index, home in enumerate(homes):
            mine = [plan for i, plan in enumerate(plans) if i and i % len(homes) == index]
            members += stack.enter_context(logged_in(home.dialect, home.port, mine))
        load = ChannelLoad(first.dialect, members)
        stack.callback(load.close)
        yield load


@contextlib.contextmanager
def serving(bench: Bench, peer: Peer, count: int) -> Iterator[Nodes]:
    """So many nodes of the peer, fresh, on the measured core, and a Redis where it needs one."""
    with contextlib.ExitStack() as stack:
        redis, port, url = None, 0, ""
        if peer.needs_redis:
            redis, port = stack.enter_context(redis_on(bench.cores.load))
            url = f"redis://127.0.0.1:{port}"
        homes = [
            stack.enter_context(peer.serving(bench.cores.measured, redis=url)) for _ in range(count)
        ]
        yield Nodes(homes, redis, port)


@contextlib.contextmanager
def redis_on(core: int) -> Iterator[tuple[Process, int]]:
    """A Redis that keeps all in memory, and its port."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        folder = Path(name)
        command = (
            servers.redis_command(),
            *("--bind", "127.0.0.1", "--port", str(port), "--dir", name),
            *("--save", "", "--appendonly", "no"),
        )
        with running("redis", command, core=core, folder=folder) as process:
            process.wait_for(READY)
            yield process, port
