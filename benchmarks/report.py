"""`python -m benchmarks.report`: a page and its plots from the JSON of a run, beside what the last
release gave.

Owns: docs/performance.md and docs/performance/. Must not know how anything is measured.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    costs,
    direct,
    fanout,
    growth,
    history,
    idle,
    limited,
    nodes,
    sdk,
    slow_reader,
    storm,
    styles,
    watched,
    wires,
)
from benchmarks.history import Release
from benchmarks.results import TIMES, Row, Work
from benchmarks.svg import Chart, Point, Series, draw

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = Path(__file__).parent / "results.json"
PAGE: Final = ROOT / "docs" / "performance.md"
PLOTS: Final = "performance"
SAME: Final = ("processor", "python")
"""What must be the same where figures of two runs are to be compared."""

INTRODUCTION: Final = """\
# Performance

How fast the server and the SDK are, beside others that do the same work, each started for real on
the same machine. This page is made from a run's JSON by `python -m benchmarks.report`; `make bench`
does both. It also keeps the medians in `benchmarks/history.json`, one record for each release, and
the next release's page shows each figure beside them. `make bench BENCH="--against COMMIT"`
measures ours as they were at a commit, too, by turns.

The server runs on one core, and the load, one Python process on raw sockets that decodes nothing,
on another; its CPU time stands beside the server's. All is on the loopback interface, in rounds
that take turns from peer to peer. Figures are medians, with the least and the greatest round in
parentheses. CPU times are per delivery, message or login, and the kernel's share is in them.
Latencies are from the sending of a message to its being read.

Which build of Python runs matters: Debian's takes a tenth to a sixth less for a point-to-point
message than a 3.11 that was built without profile-guided optimization, as pyenv does by default. In
a fresh checkout, `make bench PYTHON=/usr/bin/python3` measures with Debian's.
"""
BESIDE: Final = f"""\
Each median is followed by how many times the last release's it is, as in
`= 1.25 {TIMES} 13,000`. The other systems' figures, too, are compared with themselves: what became
of theirs is the machine's doing.
"""
OTHER_MACHINE: Final = """\
**Not all of these were measured on the processor and the Python of this run: only how ours did
beside the others can be compared with them.**
"""

ABOUT: Final = {
    fanout.NAME: (
        "One member sends, every member gets each message, the sender too. A message is in flight "
        "until the server has acknowledged it and 16 members, spread over the channel, have it; "
        "their latencies are shown. The others are read in turns, about every 16 messages, so that "
        "the load costs less than the server. Core NATS acknowledges nothing: the answer to a PING "
        "behind each message stands for it."
    ),
    direct.NAME: (
        "Each client sends to the next one, and the next message once enough are acknowledged. "
        "Ours keeps each message in the recipient's inbox until the recipient has handled it, and "
        "with the journal acknowledges it once it is written; the others keep nothing."
    ),
    idle.NAME: (
        "Resident memory of the server's process, divided by the connections, and what each "
        "further connection adds once there are 100. What the kernel keeps for sockets is not in "
        "it."
    ),
    storm.NAME: (
        "From opening the TCP connection to the channel's answer. Each server checks a token of "
        "the same form; core NATS has one password for all."
    ),
    slow_reader.NAME: (
        "Fifty messages a second are sent, whatever becomes of them, once while all read as fast "
        "as they can and once while one member takes 20 KB a second through a receive buffer of "
        "4 KiB. The latencies are the others'. python-socketio is not there: it cannot keep up."
    ),
    sdk.NAME: (
        "Here the client's process has a core of its own, and the server and the load share the "
        "other. Ours and the retired SDK talk to our server, python-socketio to socket.io on Node, "
        "nats-py to NATS. Each session has one message to answer at any time. Ours, the retired "
        "SDK and python-socketio have each answer acknowledged. The retired SDK's log is switched "
        "off."
    ),
    styles.NAME: (
        "Ours alone, as above: each session answers by a callback, reads its stream, or is a bot "
        "of handlers, each of which has a `Signal` and a reactor of its own, and waits for the "
        "server's answer before the next message of the same account."
    ),
    styles.AIO_NAME: (
        "As above: the same callbacks on trio, and on asyncio, in its own loop and in uvloop, with "
        "`signal_sdk.aio`, whose connections are in a thread of their own; python-socketio runs on "
        "uvloop."
    ),
    growth.NAME: "Ours alone.",
    nodes.NAME: (
        "Redis runs on the load's core, and keeps nothing on a disk; all nodes are on one core. "
        "Point to point is on one node, as above; socket.io has each account in a room of its own "
        "then."
    ),
    costs.NAME: (
        "One node of ours on a Redis, both fresh in each round; what is used more afterwards, "
        "divided by how many there are more."
    ),
    watched.NAME: (
        "Ours alone: the same loads while a process asks for all metrics each second, while ten "
        "follow all events but messages, and while nobody does, on one server by turns; the ratios "
        "are of two rounds that follow each other."
    ),
    limited.NAME: (
        "Ours alone, in memory: the same loads while rates and quotas are counted, their limits "
        "out of reach, and while nothing is, on one server by turns; the ratios are of two rounds "
        "that follow each other."
    ),
    wires.NAME: (
        "Ours alone: a channel whose members are on WebSocket, on the original native SDK's wire, "
        "or half on each, and idle connections of each kind."
    ),
}


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description="A page and plots from a run's JSON."
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="to read")
    parser.add_argument(
        "--history", type=Path, default=history.HISTORY, metavar="FILE", help="to compare with"
    )
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="to write")
    options = parser.parse_args()
    document = json.loads(options.json.read_text())
    works = {name: Work.from_json(name, data) for name, data in document["works"].items()}
    folder = options.page.parent / PLOTS
    folder.mkdir(parents=True, exist_ok=True)
    release = _last_release(document, options.history)
    sections = [INTRODUCTION, _circumstances(document)]
    if release is not None:
        sections.append(_beside(document, release))
    sections.append(_targets(document))
    for name, work in works.items():
        pictures = []
        for plot, text in PLOTS_OF.get(name, _no_plots)(work).items():
            (folder / f"{plot}.svg").write_text(text)
            pictures.append(f"![{work.title}]({PLOTS}/{plot}.svg)")
        before = release.works[name].rows if release is not None and name in release.works else []
        table = _markdown(*work.cells(before))
        ratios = _ratios(work, document.get("against", ""))
        parts = [f"## {work.title}", ABOUT.get(name, ""), *pictures, table, ratios]
        sections.append("\n\n".join(part for part in parts if part) + "\n")
    options.page.write_text("\n".join(sections))
    print(f"written: {options.page} and {folder}")


# --- The page


def _circumstances(document: Mapping[str, Any]) -> str:
    rows = [
        ["date", document["date"]],
        ["command", f"`{document['command']}`"],
        ["rounds", str(document["rounds"])],
        *([name, value] for name, value in document["machine"].items()),
        *([name, value] for name, value in document["versions"].items()),
    ]
    text = f"## Where these figures are from\n\n{_markdown(['what', ''], rows)}\n"
    if document["is_quick"]:
        text += (
            "\n**A quick run with small sizes, to see that all of it works: its figures say "
            "little.**\n"
        )
    return text


def _last_release(document: Mapping[str, Any], path: Path) -> Release | None:
    """What this run is shown beside: nothing, where its sizes are a quick run's."""
    if document["is_quick"]:
        return None
    return history.last_release(history.load(path), history.tree_of(document)["version"])


def _beside(document: Mapping[str, Any], release: Release) -> str:
    """Where the last release's figures are from, of those works that both have."""
    kept = {name: release.works[name] for name in document["works"] if name in release.works}
    if not kept:
        return f"## The last release: {release.version}\n\nIt has none of these figures.\n"
    here = history.measured(document)
    heads = ["", *next(iter(kept.values())).measured]
    rows = [[name, *each.measured.values()] for name, each in kept.items()]
    parts = [f"## The last release: {release.version}", release.note, BESIDE.strip()]
    if any(each.measured[key] != here[key] for each in kept.values() for key in SAME):
        parts.append(OTHER_MACHINE.strip())
    return "\n\n".join(filter(None, [*parts, _markdown(heads, rows)])) + "\n"


def _ratios(work: Work, commit: str) -> str:
    """How many times what they were at the commit that was measured, too, ours are."""
    heads, rows = work.ratio_cells(commit)
    if not rows:
        return ""
    return (
        f"Now, divided by what it was at {commit}: medians of the rounds' ratios.\n\n"
        f"{_markdown(heads, rows)}"
    )


def _targets(document: Mapping[str, Any]) -> str:
    rows = [
        [target["what"], target["wanted"], f"{target['got']:,.2f}", target["verdict"]]
        for target in document["targets"]
    ]
    return f"## Targets\n\n{_markdown(['target', 'wanted', 'got', ''], rows)}\n"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- The plots


def _point(row: Row | None, metric: str) -> Point:
    if row is None:
        return Point(math.nan, math.nan, math.nan)
    return Point(row.median(metric), *row.spread(metric))


def _peers(work: Work) -> list[str]:
    return list(dict.fromkeys(row.peer for row in work.rows))


def _values(work: Work, name: str) -> list[int]:
    return sorted({int(row.case[name]) for row in work.rows if name in row.case})


def _lines(work: Work, metric: str, title: str, over: str, **case: int) -> Chart:
    """A metric over one of the case's values, a line for each peer."""
    values = _values(work, over)
    series = []
    for peer in _peers(work):
        rows = [work.find(peer, **{**case, over: value}) for value in values]
        series.append(Series(peer, tuple(_point(row, metric) for row in rows)))
    labels = tuple(map(str, values))
    return Chart(title=title, x_heading=over, labels=labels, series=tuple(series), is_log=True)


def _bars(work: Work, metric: str, title: str) -> Chart:
    """A metric of each peer."""
    rows = {row.peer: row for row in work.rows}
    series = tuple(Series(peer, (_point(row, metric),)) for peer, row in rows.items())
    return Chart(title=title, x_heading="", labels=("",), series=series, has_bars=True)


def _no_plots(_: Work) -> dict[str, str]:
    return {}


def _fanout_plots(work: Work) -> dict[str, str]:
    plots = {}
    for metric, words in (
        ("rate", "deliveries/s"),
        ("server_us", "server µs a delivery"),
        ("p99_ms", "p99 ms"),
    ):
        charts = [
            _lines(
                work,
                metric,
                f"{words}: {members:,} members, {size:,} bytes",
                "in flight",
                members=members,
                bytes=size,
            )
            for members in _values(work, "members")
            for size in _values(work, "bytes")
        ]
        plots[f"fanout-{metric}"] = draw(charts, 2)
    return plots


def _direct_plots(work: Work) -> dict[str, str]:
    charts = [
        _lines(work, metric, words, "in flight")
        for metric, words in (
            ("rate", "messages/s"),
            ("server_us", "server µs a message"),
            ("p99_ms", "delivery p99 ms"),
            ("ack_p99_ms", "acknowledgement p99 ms"),
        )
    ]
    return {"direct": draw(charts, 2)}


def _bar_plots(name: str, metrics: dict[str, str]) -> Callable[[Work], dict[str, str]]:
    def plots(work: Work) -> dict[str, str]:
        charts = [_bars(work, metric, words) for metric, words in metrics.items()]
        return {name: draw(charts, 2)}

    return plots


def _growth_plots(work: Work) -> dict[str, str]:
    """Each figure as a share of its base."""
    grown: dict[tuple[int | str, int | str], list[Series]] = {}
    for row in work.rows:
        if not row.values("change_percent"):
            continue
        least, greatest = (figure + 100 for figure in row.spread("change_percent"))
        tenfold = Point(row.median("change_percent") + 100, least, greatest)
        series = Series(row.peer, (Point(100, 100, 100), tenfold))
        grown.setdefault((row.case["figure"], row.case["size"]), []).append(series)
    charts = [
        Chart(
            title=str(figure),
            x_heading=f"{size}; the base's figure is 100",
            labels=("base", "tenfold"),
            series=tuple(series),
        )
        for (figure, size), series in grown.items()
    ]
    return {"growth": draw(charts, 2)}


PLOTS_OF: Final[dict[str, Callable[[Work], dict[str, str]]]] = {
    fanout.NAME: _fanout_plots,
    direct.NAME: _direct_plots,
    idle.NAME: _bar_plots(
        "idle", {"kib": "KiB a connection", "server_percent": "server % of a core"}
    ),
    storm.NAME: _bar_plots("storm", {"rate": "logins/s", "p99_ms": "p99 ms"}),
    slow_reader.NAME: _bar_plots(
        "slow-reader",
        {"p99_ms": "p99 ms without the slow reader", "slow_p99_ms": "p99 ms with it"},
    ),
    sdk.NAME: _bar_plots(
        "sdk", {"client_us": "client µs a message", "session_kib": "KiB a session"}
    ),
    styles.NAME: _bar_plots(
        "styles", {"client_us": "client µs a message", "session_kib": "KiB a session"}
    ),
    styles.AIO_NAME: _bar_plots(
        "aio", {"client_us": "client µs a message", "session_kib": "KiB a session"}
    ),
    growth.NAME: _growth_plots,
}


if __name__ == "__main__":
    main()
