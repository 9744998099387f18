"""What it costs to be watched: our server while Prometheus asks it each second, and while ten
readers follow what happens in its app, beside itself while nobody does.

Owns: these loads, and who asks. Must not know how the loads read. What counts is always on: what
that costs shows `--against` a commit of before.
"""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import os
import selectors
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import attrs

from benchmarks import dialects, direct, fanout, results, servers
from benchmarks.bench import Bench
from benchmarks.process import BenchmarkError
from benchmarks.results import Case, Metric, Metrics, Work
from benchmarks.servers import Peer, Server

NAME: Final = "metrics"
TITLE: Final = "Watched: metrics asked for each second, 10 readers of the events, and neither"
COLUMNS: Final = (
    results.RATE,
    results.SERVER_US,
    Metric("times", "server, times unwatched", 3),
    Metric("server_percent", "server % of a core", 2),
    results.LOAD_US,
    results.P50,
    results.P99,
)
PEERS: Final = (servers.OURS,)
ASKED: Final = "ours, asked each second"
FOLLOWED: Final = "ours, 10 follow"
READERS: Final = 10
ASK_SECONDS: Final = 1.0
ACCEPT: Final = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.02
CALM_SECONDS: Final = 0.5
CALM_PART: Final = 0.1
"""Of a core, which a server takes at most that has nothing to do, in so many seconds."""
ADMIN: Final = r"admin address: http://[^ ]*:(\d+)/[^(]*\(key ([^)]+)\)"
EVENTS: Final = f"/v1/apps/{dialects.APP_ID}/events"
MEMBERS: Final = 2000
BYTES: Final = 100
IN_FLIGHT: Final = 8
SECONDS: Final = 3.0
"""Of each round: long enough for several questions."""


Count: TypeAlias = "multiprocessing.sharedctypes.Synchronized[int]"
Watcher: TypeAlias = "Callable[[int, str, Count], None]"
"""Watches the server whose admin address has this port, with this key, and counts its answers."""


@attrs.frozen
class _Way:
    """Our server, watched or not."""

    peer: Peer
    name: str
    watcher: Watcher | None

    @property
    def label(self) -> str:
        return self.peer.called(self.name)

    def watching(self, server: Server) -> contextlib.AbstractContextManager[None]:
        return watched(server, self.watcher) if self.watcher else contextlib.nullcontext()


def run(bench: Bench) -> Work:
    """Both loads, each on one server, which is watched or not by turns: two servers differ by more
    than watching costs. So does one load from round to round, so that the server is watched while
    it has none, too.
    """
    work = Work(NAME, TITLE, COLUMNS)
    members, clients = (50, 20) if bench.is_quick else (MEMBERS, direct.CLIENTS)
    seconds = 1.5 if bench.is_quick else SECONDS
    for peer in bench.peers(PEERS):
        ways = [_Way(peer, peer.name, None), _Way(peer, ASKED, _ask), _Way(peer, FOLLOWED, _follow)]
        with peer.serving(bench.cores.measured) as server, direct.ring(server, clients) as ring:
            case: Case = {"load": "point to point", "clients": clients, "in flight": 1}
            rest: Case = {"load": "none", "clients": clients, "in flight": 0}
            for way in bench.in_turns([ways]):
                with way.watching(server):
                    until_calm(server)
                    work.add(way.label, rest, _at_rest(server, seconds))
                    work.add(way.label, case, direct.measure(server, ring, 1, seconds))
        with (
            peer.serving(bench.cores.measured) as server,
            fanout.channel(server, members) as load,
        ):
            case = {"load": "fan-out", "clients": members, "in flight": IN_FLIGHT}
            for way in bench.in_turns([ways]):
                with way.watching(server):
                    until_calm(server)
                    metrics = fanout.measure(server, load, BYTES, IN_FLIGHT, seconds)
                    work.add(way.label, case, metrics)
        work.compare(peer.label, results.SERVER_US, "times")
    return work


def _at_rest(server: Server, seconds: float) -> Metrics:
    """What the server takes while no client says anything."""
    cpu, began = server.process.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    cpu, took = server.process.cpu_seconds() - cpu, time.monotonic() - began
    return {"server_percent": cpu / took * 100}


@contextlib.contextmanager
def watched(server: Server, watcher: Watcher) -> Iterator[None]:
    """Somebody watches the server, from a process that gives way to the load. Raises
    `BenchmarkError` where that was not answered.
    """
    found = server.process.wait_for(ADMIN)
    context = multiprocessing.get_context("spawn")
    answers = context.Value("i", 0)
    process = context.Process(target=watcher, args=(int(found[1]), found[2], answers), daemon=True)
    process.start()
    ends = time.monotonic() + START_SECONDS
    while not answers.value and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        process.kill()
        process.join()
    if not answers.value:
        raise BenchmarkError("nobody was answered at the admin address")


def until_calm(server: Server) -> None:
    """Wait until the server has done with what it was asked so far."""
    ends = time.monotonic() + START_SECONDS
    used = -1.0
    while server.process.cpu_seconds() - used > CALM_PART * CALM_SECONDS:
        if time.monotonic() > ends:
            raise BenchmarkError(f"the server has not come to rest in {START_SECONDS:.0f} s")
        used = server.process.cpu_seconds()
        time.sleep(CALM_SECONDS)


def _ask(port: int, _: str, answers: Count) -> None:
    """Ask for the metrics each second."""
    os.nice(10)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while True:
        connection.request("GET", "/metrics", headers={"Accept": ACCEPT})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == http.client.OK and text.endswith(b"# EOF\n"):
            with answers.get_lock():
                answers.value += 1
        time.sleep(ASK_SECONDS)


def _follow(port: int, key: str, answers: Count) -> None:
    """Follow all that happens in the app but messages, which are told to who names an account."""
    os.nice(10)
    selector = selectors.DefaultSelector()
    connections = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(READERS)]
    for connection in connections:
        connection.request("GET", EVENTS, headers={"Authorization": f"Bearer {key}"})
        if connection.getresponse().status != http.client.OK:
            return
        selector.register(connection.sock, selectors.EVENT_READ)
    with answers.get_lock():
        answers.value = READERS
    while True:
        for ready, _ in selector.select():
            if not ready.fileobj.recv(65536):  # type: ignore[union-attr]
                raise BenchmarkError("a stream of events has ended")
