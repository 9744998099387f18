"""Point to point: many clients, each of whom sends to the next one and waits for acknowledgements.

Owns: this load, its sizes, and what is made of a round. Must not know how servers are started.

Every client always has the same number of messages sent and not yet acknowledged. A round ends when
every message has been acknowledged and delivered.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import clients as sockets
from benchmarks import results, servers
from benchmarks.bench import Bench
from benchmarks.clients import PING_SECONDS, Client, KeepAlive, Plan, logged_in
from benchmarks.dialects import NUMBER, Dialect, text_of
from benchmarks.process import BenchmarkError, own_cpu_seconds
from benchmarks.results import Case, Metric, Metrics, Work
from benchmarks.servers import Server

NAME: Final = "direct"
TITLE: Final = "Point to point with acknowledgement, 100 bytes"
COLUMNS: Final = (
    Metric("rate", "messages/s"),
    results.SERVER_US,
    results.LOAD_US,
    results.P50,
    results.P99,
    results.P999,
    Metric("ack_p50_ms", "ack p50 ms", 2),
    Metric("ack_p99_ms", "ack p99 ms", 2),
)
PEERS: Final = (
    servers.OURS,
    servers.OURS_JOURNAL,
    servers.WS,
    servers.SOCKET_IO,
    servers.PYTHON_SOCKET_IO,
    servers.NATS,
)
CLIENTS: Final = 200
IN_FLIGHT: Final = (1, 4, 8)
BYTES: Final = 100
ROUND_SECONDS: Final = 2.0
WARM_UP: Final = 0.25
"""A warm-up's share of a round's time."""
WATCHERS: Final = 16
PAGE: Final = 50
"""How many messages a client of ours handles before it says so, as our SDK does."""
DRAIN_SECONDS: Final = 60.0


def run(bench: Bench) -> Work:
    """All numbers in flight, for all peers."""
    work = Work(NAME, TITLE, COLUMNS)
    count = 20 if bench.is_quick else CLIENTS
    seconds = 0.3 if bench.is_quick else ROUND_SECONDS
    for peer in bench.turns(PEERS):
        with peer.serving(bench.cores.measured) as server, ring(server, count) as load:
            for in_flight in IN_FLIGHT:
                case: Case = {"clients": count, "in flight": in_flight}
                work.add(peer.label, case, measure(server, load, in_flight, seconds))
    return work


@contextlib.contextmanager
def ring(server: Server, count: int) -> Iterator[DirectLoad]:
    """`count` clients, each of whom is to send to the next one."""
    plans = [Plan(f"user{number}") for number in range(count)]
    with logged_in(server.dialect, server.port, plans) as clients:
        load = DirectLoad(server.dialect, clients)
        try:
            yield load
        finally:
            load.close()


def measure(server: Server, load: DirectLoad, in_flight: int, seconds: float) -> Metrics:
    """One round, after a warm-up that is not counted."""
    load.run(in_flight, seconds * WARM_UP)
    cpu, own = server.process.cpu_seconds(), own_cpu_seconds()
    began = time.perf_counter()
    load.run(in_flight, seconds)
    took = time.perf_counter() - began
    cpu, own = server.process.cpu_seconds() - cpu, own_cpu_seconds() - own
    acks = results.latencies(load.ack_latencies_us)
    return {
        "rate": load.received / took,
        "server_us": cpu / load.received * 1e6,
        "load_us": own / load.received * 1e6,
        **results.latencies(load.latencies_us),
        "ack_p50_ms": acks["p50_ms"],
        "ack_p99_ms": acks["p99_ms"],
    }


class DirectLoad:
    """The ring."""

    def __init__(self, dialect: Dialect, clients: Sequence[Client]) -> None:
        self._ack = dialect.ack
        self._told = dialect.told
        self._keep_alive = KeepAlive(PING_SECONDS, if_needed=True)
        self._keep_alive.add_all(clients)
        self._by_fd = {client.fd: client for client in clients}
        text = text_of(BYTES, label=NUMBER.decode())
        self._messages = {
            client.fd: client.voice.to_peer(clients[(index + 1) % len(clients)].account, text)
            for index, client in enumerate(clients)
        }
        self._handled = dict.fromkeys(self._by_fd, 0)
        watched = clients[:: max(1, len(clients) // WATCHERS)][:WATCHERS]
        self._sent_at: dict[int, deque[int]] = {client.fd: deque() for client in watched}
        self._newest = dict.fromkeys(self._sent_at, -1)
        self._poll = select.epoll()
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)
        self._number = 0
        self._begin()

    def close(self) -> None:
        """Let go of what watches the sockets, not of the sockets."""
        self._poll.close()

    def _begin(self) -> None:
        self.received = self._sent = self._acknowledged = 0
        self.latencies_us: list[int] = []
        self.ack_latencies_us: list[int] = []

    def run(self, in_flight: int, seconds: float) -> None:
        """Keep `in_flight` messages of each client unacknowledged for `seconds`."""
        self._begin()
        ends = time.monotonic() + seconds
        for client in self._by_fd.values():
            self._say(client, in_flight)
        while self._acknowledged < self._sent or self.received < self._sent:
            now = time.monotonic()
            if now > ends + DRAIN_SECONDS:
                raise BenchmarkError(
                    f"of {self._sent} messages, {self._acknowledged} were acknowledged "
                    f"and {self.received} delivered"
                )
            self._keep_alive.tick()
            for fd, _ in self._poll.poll(0.1):
                self._read(self._by_fd[fd], goes_on=now < ends)

    def _read(self, client: Client, *, goes_on: bool) -> None:
        size = client.read()
        acknowledged = client.count(self._ack, size)
        received = client.count(self._told, size)
        sent_at = self._sent_at.get(client.fd)
        if sent_at is not None:
            now = sockets.now_us()
            for stamp in client.read_stamps(size, label=len(NUMBER)):
                number, sent = int(stamp[: len(NUMBER)]), int(stamp[len(NUMBER) :])
                # A poll may bring again what was pushed.
                if number > self._newest[client.fd]:
                    self._newest[client.fd] = number
                    self.latencies_us.append(now - sent)
            for _ in range(acknowledged):
                self.ack_latencies_us.append(now - sent_at.popleft())
        if received:
            self.received += received
            before = self._handled[client.fd]
            handled = self._handled[client.fd] = before + received
            if handled // PAGE > before // PAGE and (told := client.voice.handled(handled)):
                client.send(told)
        if acknowledged or client.has_backlog:
            self._acknowledged += acknowledged
            self._say(client, acknowledged if goes_on else 0)

    def _say(self, client: Client, times: int) -> None:
        now = sockets.now_us()
        message = self._messages[client.fd]
        data = b"".join(message.fill(self._number + i, now) for i in range(times))
        self._number += times
        self._sent += times
        sent_at = self._sent_at.get(client.fd)
        if sent_at is not None:
            sent_at.extend([now] * times)
        client.send(data)
