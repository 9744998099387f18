"""Growth: what each of the other works' figures becomes where there is ten times as much.

Owns: the sizes. Must not know how any of them is measured: their modules do. Ours alone, base and
tenfold in turns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from benchmarks import direct, fanout, idle, sdk, servers, slow_reader, storm
from benchmarks.bench import Bench
from benchmarks.results import Metric, Metrics, Work
from benchmarks.servers import Peer

NAME: Final = "growth"
TITLE: Final = "Ten times as much: figures at the base size and at ten times that"
COLUMNS: Final = (
    Metric("base", "base", 2),
    Metric("tenfold", "tenfold", 2),
    Metric("change_percent", "change in %", 1),
)
MAX_ROUNDS: Final = 3
QUICK_DIVISOR: Final = 20

Measure = Callable[[Peer, Bench, int], Metrics]


def _fanout(peer: Peer, bench: Bench, count: int) -> Metrics:
    seconds = 0.3 if bench.is_quick else fanout.ROUND_SECONDS
    with peer.serving(bench.cores.measured) as server, fanout.channel(server, count) as load:
        return fanout.measure(server, load, fanout.BYTES[0], 8, seconds)


def _direct(peer: Peer, bench: Bench, count: int) -> Metrics:
    seconds = 0.3 if bench.is_quick else direct.ROUND_SECONDS
    with peer.serving(bench.cores.measured) as server, direct.ring(server, count) as load:
        return direct.measure(server, load, 1, seconds)


def _idle(peer: Peer, bench: Bench, count: int) -> Metrics:
    return idle.measure(peer, bench, count, 1.0 if bench.is_quick else idle.WATCH_SECONDS)


def _slow_reader(peer: Peer, bench: Bench, count: int) -> Metrics:
    seconds = 0.6 if bench.is_quick else slow_reader.ROUND_SECONDS
    with (
        peer.serving(bench.cores.measured) as server,
        fanout.channel(server, count, slow_bytes=slow_reader.RECEIVE_BYTES) as load,
    ):
        return slow_reader.measure(server, load, seconds)


def _sdk(peer: Peer, bench: Bench, count: int) -> Metrics:
    library = attrs.evolve(sdk.LIBRARIES[0], tree=peer.tree)
    return sdk.measure(bench, library, count)


@attrs.frozen
class Grown:
    """One measurement at two sizes, and which of its figures are shown: name to words."""

    what: str
    base: int
    measure: Measure
    figures: dict[str, str]


ALL: Final = (
    Grown("members", 500, _fanout, {"server_us": "fan-out: server µs a delivery"}),
    Grown("clients", 200, _direct, {"server_us": "point to point: server µs a message"}),
    Grown(
        "connections",
        1000,
        _idle,
        {
            "added_kib": "idle: KiB each further connection than the first 100",
            "server_percent": "idle: server % of a core",
        },
    ),
    Grown(
        "logins",
        1000,
        storm.measure,
        {"server_us": "login storm: server µs a login", "p99_ms": "login storm: p99 ms"},
    ),
    Grown("members", 100, _slow_reader, {"change_percent": "slow reader: change of p99 in %"}),
    Grown(
        "sessions",
        100,
        _sdk,
        {"client_us": "our SDK: client µs a message", "session_kib": "our SDK: KiB a session"},
    ),
)


def run(bench: Bench) -> Work:
    """All of them."""
    work = Work(NAME, TITLE, COLUMNS)
    for peer in bench.turns([servers.OURS], at_most=MAX_ROUNDS):
        for grown in ALL:
            base = max(20, grown.base // QUICK_DIVISOR) if bench.is_quick else grown.base
            first = grown.measure(peer, bench, base)
            second = grown.measure(peer, bench, base * 10)
            for name, words in grown.figures.items():
                size = f"{base:,} to {base * 10:,} {grown.what}"
                work.add(
                    peer.label,
                    {"figure": words, "size": size},
                    _compared(name, first[name], second[name]),
                )
    return work


def _compared(name: str, base: float, tenfold: float) -> Metrics:
    metrics = {"base": base, "tenfold": tenfold}
    # A percentage has no percentage of its own.
    if base > 0 and not name.endswith("percent"):
        metrics["change_percent"] = (tenfold / base - 1) * 100
    return metrics
