"""Targets: what the figures ought to be, beside what they are.

Owns: the targets. Must not know how anything is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from benchmarks import (
    direct,
    fanout,
    growth,
    idle,
    limited,
    nodes,
    sdk,
    servers,
    slow_reader,
    storm,
    styles,
    watched,
    wires,
)
from benchmarks.results import Row, Work


@attrs.frozen
class Target:
    """One target: `least` and `most` bound the figure, where they are given."""

    what: str
    got: float
    unit: str
    least: float = -math.inf
    most: float = math.inf

    @property
    def wanted(self) -> str:
        if math.isinf(self.most):
            return f"at least {self.least:,g}{self.unit}"
        return f"at most {self.most:,g}{self.unit}"

    @property
    def is_met(self) -> bool:
        return self.least <= self.got <= self.most

    @property
    def cells(self) -> list[str]:
        shown = f"{self.got:,.0f}" if abs(self.got) >= 100 else f"{self.got:,.2f}"
        return [self.what, self.wanted, f"{shown}{self.unit}", "met" if self.is_met else "MISSED"]

    def to_json(self) -> dict[str, Any]:
        what, wanted, _, verdict = self.cells
        return {"what": what, "wanted": wanted, "got": self.got, "verdict": verdict}


HEADS: Final = ["target", "wanted", "got", ""]
TIMES: Final = " times"


def check(works: Mapping[str, Work]) -> list[Target]:
    """The targets that these works have figures for. Sizes are whatever was measured."""
    found: list[Target] = []
    for name, targets in _ALL.items():
        if name in works:
            found += [each for each in targets(works[name]) if not math.isnan(each.got)]
    return found


def table(targets: list[Target]) -> str:
    """The targets as text."""
    lines = [HEADS, *(target.cells for target in targets)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _pairs(work: Work, ours: str, other: str) -> Iterator[tuple[Row, Row]]:
    """Our row and the other's of each case that has both."""
    for row in work.rows:
        if row.peer == ours and (found := work.find(other, **row.case)) is not None:
            yield row, found


def _case(row: Row) -> str:
    return ", ".join(
        f"{value:,} {name}" if isinstance(value, int) else value for name, value in row.case.items()
    )


def _fanout(work: Work) -> Iterator[Target]:
    smallest = min((row.case["members"] for row in work.rows), default=0, key=int)
    for other, least in ((servers.SOCKET_IO, 3), (servers.NATS, 1)):
        for ours, theirs in _pairs(work, servers.OURS, other):
            if ours.case["members"] != smallest:
                continue
            words = f"fan-out, {_case(ours)}"
            if ours.case["in flight"] == 8:
                ratio = ours.median("rate") / theirs.median("rate")
                yield Target(f"{words}: deliveries/s over {other}", ratio, TIMES, least=least)
            elif ours.case["in flight"] == 1:
                ratio = theirs.median("server_us") / ours.median("server_us")
                yield Target(f"{words}: deliveries per CPU over {other}", ratio, TIMES, least=1)


def _direct(work: Work) -> Iterator[Target]:
    for name, least in ((servers.OURS, 1.5), (servers.OURS_JOURNAL, 1.2)):
        for ours, theirs in _pairs(work, name, servers.SOCKET_IO):
            ratio = ours.median("rate") / theirs.median("rate")
            words = f"point to point, {_case(ours)}: {name} over socket.io"
            yield Target(words, ratio, TIMES, least=least)
    for journaled, bare in _pairs(work, servers.OURS_JOURNAL, servers.OURS):
        ratio = journaled.median("rate") / bare.median("rate")
        words = f"point to point, {_case(bare)}: ours, journal over ours"
        yield Target(words, ratio, TIMES, least=0.7)


def _nodes(work: Work) -> Iterator[Target]:
    for other, least in ((servers.OURS, 0.6), (servers.SOCKET_IO_REDIS, 2.0)):
        for ours, theirs in _pairs(work, servers.OURS_REDIS, other):
            if ours.case["what"] == nodes.TO_ONE:
                ratio = ours.median("rate") / theirs.median("rate")
                yield Target(f"{_case(ours)}: {ours.peer} over {other}", ratio, TIMES, least=least)
    for row in work.rows:
        if row.peer != servers.OURS_REDIS:
            continue
        if row.case["what"] == nodes.TO_ALL and row.case["nodes"] == 2:
            one = work.find(row.peer, **{**row.case, "nodes": 1})
            if one is not None:
                ratio = row.median("server_us") / one.median("server_us")
                yield Target(
                    f"{_case(row)}: CPU a delivery over one node's", ratio, TIMES, most=1.3
                )


def _idle(work: Work) -> Iterator[Target]:
    for row in work.rows:
        if row.peer == servers.OURS:
            yield Target(f"idle, {_case(row)}: memory each", row.median("kib"), " KiB", most=12)
            yield Target(
                f"idle, {_case(row)}: of a core", row.median("server_percent"), " %", most=3
            )


def _storm(work: Work) -> Iterator[Target]:
    for row in work.rows:
        if row.peer == servers.OURS:
            yield Target(f"login storm, {_case(row)}", row.median("rate"), " logins/s", least=3000)


def _slow_reader(work: Work) -> Iterator[Target]:
    for row in work.rows:
        if row.peer == servers.OURS:
            words = f"slow reader, {_case(row)}: change of the others' p99"
            yield Target(words, row.median("change_percent"), " %", most=10)


def _sdk(work: Work) -> Iterator[Target]:
    for other, least in ((sdk.RETIRED, 10), (sdk.PYTHON_SOCKET_IO, 2)):
        for ours, theirs in _pairs(work, sdk.OURS, other):
            ratio = theirs.median("client_us") / ours.median("client_us")
            yield Target(f"our SDK: messages per CPU over {other}", ratio, TIMES, least=least)


def _styles(work: Work) -> Iterator[Target]:
    for streams, callbacks in _pairs(work, styles.STREAMS, sdk.OURS):
        ratio = streams.median("client_us") / callbacks.median("client_us")
        yield Target("styles: CPU a message by streams over callbacks", ratio, TIMES, most=1.1)


def _aio(work: Work) -> Iterator[Target]:
    for on_asyncio, on_trio in _pairs(work, styles.AIO, sdk.OURS):
        more = on_asyncio.median("client_us") - on_trio.median("client_us")
        yield Target("asyncio: CPU a message above trio's", more, " µs", most=25)
    for row in work.rows:
        if row.peer == styles.AIO:
            count = float(row.case["sessions"])
            yield Target("asyncio: sessions in one process", count, "", least=1000)
    for ours, theirs in _pairs(work, styles.AIO, sdk.PYTHON_SOCKET_IO):
        ratio = theirs.median("client_us") / ours.median("client_us")
        words = f"asyncio: messages per CPU over {sdk.PYTHON_SOCKET_IO}"
        yield Target(words, ratio, TIMES, least=1.5)


def _growth(work: Work) -> Iterator[Target]:
    for row in work.rows:
        if row.peer != servers.OURS:
            continue
        words = str(row.case["figure"])
        name = f"growth, {words}, {row.case['size']}"
        if words.startswith("fan-out"):
            yield Target(name, row.median("change_percent"), " %", most=15)
        elif words.startswith("idle: KiB"):
            # As much as one measurement of it differs from the next.
            yield Target(name, row.median("change_percent"), " %", most=2)


def _wires(work: Work) -> Iterator[Target]:
    for half, web in _pairs(work, wires.HALF, wires.WEB):
        ratio = half.median("server_us") / web.median("server_us")
        words = f"fan-out, {_case(half)}: CPU a delivery with half on each wire over all WebSocket"
        yield Target(words, ratio, TIMES, most=1.15)
    for row in work.rows:
        if row.peer == wires.NATIVE and row.values("kib"):
            words = f"idle native, {_case(row)}: memory each"
            yield Target(words, row.median("kib"), " KiB", most=7.5)


def _watched(work: Work) -> Iterator[Target]:
    ways = {watched.ASKED: "asked for metrics", watched.FOLLOWED: "10 follow"}
    for way, words in ways.items():
        for ours, seen in _pairs(work, servers.OURS, way):
            if seen.values("times"):
                what = f"{words}, {_case(ours)}: server CPU, over unwatched"
                yield Target(what, seen.median("times"), TIMES, most=1.02)
            if seen.values("server_percent"):
                more = seen.median("server_percent") - ours.median("server_percent")
                what = f"{words}, {_case(ours)}: server CPU, more than unwatched"
                yield Target(what, more, " % of a core", most=2)


def _limited(work: Work) -> Iterator[Target]:
    for _, counted in _pairs(work, limited.UNCOUNTED, limited.COUNTED):
        if counted.values("times"):
            what = f"limits, {_case(counted)}: server CPU, all counted over none"
            yield Target(what, counted.median("times"), TIMES, most=1.03)


_ALL: Final[dict[str, Callable[[Work], Iterator[Target]]]] = {
    fanout.NAME: _fanout,
    direct.NAME: _direct,
    idle.NAME: _idle,
    storm.NAME: _storm,
    slow_reader.NAME: _slow_reader,
    sdk.NAME: _sdk,
    styles.NAME: _styles,
    styles.AIO_NAME: _aio,
    growth.NAME: _growth,
    wires.NAME: _wires,
    nodes.NAME: _nodes,
    watched.NAME: _watched,
    limited.NAME: _limited,
}
