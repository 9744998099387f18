"""What it costs to be watched: our server while Prometheus asks it each second, beside itself while
nobody does.

Owns: these loads, and who asks. Must not know how the loads read. What counts is always on: what
that costs shows `--against` a commit of before.
"""

from __future__ import annotations

import contextlib
import http.client
import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import Final

import attrs

from benchmarks import direct, fanout, results, servers
from benchmarks.bench import Bench
from benchmarks.process import BenchmarkError
from benchmarks.results import Case, Work
from benchmarks.servers import Peer, Server

NAME: Final = "metrics"
TITLE: Final = "Metrics: asked for each second, and not"
COLUMNS: Final = (
    results.RATE,
    results.SERVER_US,
    results.LOAD_US,
    results.P50,
    results.P99,
)
PEERS: Final = (servers.OURS,)
ASKED: Final = "ours, asked each second"
ASK_SECONDS: Final = 1.0
ACCEPT: Final = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
START_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.02
ADMIN: Final = r"admin address: http://[^ ]*:(\d+)/"
MEMBERS: Final = 2000
BYTES: Final = 100
IN_FLIGHT: Final = 8
SECONDS: Final = 5.0
"""Of each round: long enough for several questions."""


@attrs.frozen
class _Way:
    """Our server, asked or not."""

    peer: Peer
    is_asked: bool

    @property
    def label(self) -> str:
        return self.peer.called(ASKED) if self.is_asked else self.peer.label


def run(bench: Bench) -> Work:
    """Both loads, by turns."""
    work = Work(NAME, TITLE, COLUMNS)
    members, clients = (50, 20) if bench.is_quick else (MEMBERS, direct.CLIENTS)
    seconds = 1.5 if bench.is_quick else SECONDS
    ways = [[_Way(peer, is_asked) for is_asked in (False, True)] for peer in bench.peers(PEERS)]
    for way in bench.in_turns(ways):
        with way.peer.serving(bench.cores.measured) as server:
            asking = asked(server) if way.is_asked else contextlib.nullcontext()
            with asking, direct.ring(server, clients) as ring:
                case: Case = {"load": "point to point", "clients": clients, "in flight": 1}
                work.add(way.label, case, direct.measure(server, ring, 1, seconds))
        with way.peer.serving(bench.cores.measured) as server:
            asking = asked(server) if way.is_asked else contextlib.nullcontext()
            with asking, fanout.channel(server, members) as load:
                case = {"load": "fan-out", "clients": members, "in flight": IN_FLIGHT}
                metrics = fanout.measure(server, load, BYTES, IN_FLIGHT, seconds)
                work.add(way.label, case, metrics)
    return work


@contextlib.contextmanager
def asked(server: Server) -> Iterator[None]:
    """Somebody asks the server for its metrics each second, from a process that gives way to the
    load. Raises `BenchmarkError` where that was not answered.
    """
    port = int(server.process.wait_for(ADMIN)[1])
    context = multiprocessing.get_context("spawn")
    answers = context.Value("i", 0)
    asker = context.Process(target=_ask, args=(port, answers), daemon=True)
    asker.start()
    ends = time.monotonic() + START_SECONDS
    while not answers.value and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        asker.kill()
        asker.join()
    if not answers.value:
        raise BenchmarkError("nobody answered when the metrics were asked for")


def _ask(port: int, answers: multiprocessing.sharedctypes.Synchronized[int]) -> None:
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
