"""`python -m benchmarks`: all works, one after the other; prints tables, writes JSON.

Owns: the command line, and the file that benchmarks/report.py reads. Must not know any one work.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    costs,
    direct,
    fanout,
    growth,
    idle,
    limited,
    machine,
    nodes,
    sdk,
    servers,
    slow_reader,
    storm,
    styles,
    targets,
    trees,
    watched,
    wires,
)
from benchmarks.bench import Bench
from benchmarks.process import BenchmarkError, Cores, raise_file_limit
from benchmarks.results import Work
from benchmarks.trees import Tree

WORKS: Final[dict[str, Callable[[Bench], Work]]] = {
    fanout.NAME: fanout.run,
    direct.NAME: direct.run,
    idle.NAME: idle.run,
    storm.NAME: storm.run,
    slow_reader.NAME: slow_reader.run,
    sdk.NAME: sdk.run,
    styles.NAME: styles.run,
    styles.AIO_NAME: styles.run_aio,
    growth.NAME: growth.run,
    wires.NAME: wires.run,
    nodes.NAME: nodes.run,
    costs.NAME: costs.run,
    watched.NAME: watched.run,
    limited.NAME: limited.run,
}
CLIENTS: Final = (*sdk.LIBRARIES, *styles.LIBRARIES, *styles.AIO_LIBRARIES)
PEERS: Final = list(
    dict.fromkeys([*(peer.name for peer in servers.ALL), *(client.name for client in CLIENTS)])
)
RESULTS: Final = Path(__file__).parent / "results.json"


def main(arguments: Sequence[str]) -> None:
    """Measure, print and write. Raises `BenchmarkError`."""
    options = _parser().parse_args(arguments)
    raise_file_limit()
    name = options.against
    with trees.checkout(name) if name is not None else contextlib.nullcontext() as against:
        _measure(options, against)


def _measure(options: argparse.Namespace, against: Tree | None) -> None:
    cores = Cores.choose()
    bench = Bench(
        rounds=1 if options.quick and options.rounds is None else options.rounds or 5,
        is_quick=options.quick,
        cores=cores,
        chosen=tuple(options.peers),
        against=against,
    )
    commit = against.commit if against is not None else ""
    record: dict[str, Any] = {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": _command(options, commit),
        "rounds": bench.rounds,
        "is_quick": bench.is_quick,
        "peers": list(bench.chosen),
        "tree": trees.describe(),
        "against": commit,
        "machine": machine.describe(),
        "versions": machine.versions(),
    }
    if against is not None and (unknown := servers.unknown_keys(against)):
        bench.say(f"{commit} has no setting {', '.join(unknown)}: it is measured without")
    os.sched_setaffinity(0, {cores.load})
    works: dict[str, Work] = {}
    started, stolen = time.monotonic(), machine.stolen_seconds()
    for name in options.only or WORKS:
        began = time.monotonic()
        bench.say(name)
        works[name] = WORKS[name](bench)
        tables = [works[name].table(), works[name].ratio_table(commit) if commit else ""]
        bench.say("\n\n".join(filter(None, tables)))
        bench.say(f"({time.monotonic() - began:.0f} s)\n")
        stolen_share = (machine.stolen_seconds() - stolen) / (time.monotonic() - started)
        record["machine"]["taken by the host meanwhile"] = f"{stolen_share:.0%} of a core"
        # After each, so that what was measured is kept whatever becomes of the next.
        _write(options.json, record, works)
    bench.say(f"taken by the host meanwhile: {record['machine']['taken by the host meanwhile']}")
    bench.say(targets.table(targets.check(works)))
    bench.say(f"\nwritten to {options.json}")


def _command(options: argparse.Namespace, against: str) -> str:
    """How to measure the same again."""
    words = ["python", "-m", "benchmarks", *(["--quick"] if options.quick else [])]
    if options.only:
        words += ["--only", ",".join(options.only)]
    if options.peers:
        words += ["--peers", ";".join(options.peers)]
    if options.rounds is not None:
        words += ["--rounds", str(options.rounds)]
    if against:
        words += ["--against", against]
    return shlex.join(words)


def _write(path: Path, record: Mapping[str, Any], works: Mapping[str, Work]) -> None:
    document = {
        **record,
        "works": {name: work.to_json() for name, work in works.items()},
        "targets": [target.to_json() for target in targets.check(works)],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure ours beside its peers."
    )
    parser.add_argument(
        "--only",
        type=_names_of("work", list(WORKS)),
        default=[],
        metavar="WORK,...",
        help=f"of {', '.join(WORKS)}; all by default",
    )
    parser.add_argument(
        "--peers",
        type=_names_of("peer", PEERS),
        default=[],
        metavar="NAME;...",
        help=f"separated by semicolons, of {'; '.join(PEERS)}; all by default",
    )
    parser.add_argument("--rounds", type=int, help="of each; 5 by default, 1 with --quick")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes and short rounds, in about 3 minutes: to see that all of it works",
    )
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help="measure ours as they were at that commit, too, by turns, and how many times that is",
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="to write to")
    return parser


def _names_of(what: str, known: Sequence[str]) -> Callable[[str], list[str]]:
    separator = ";" if what == "peer" else ","

    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(separator) if name.strip()]
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {what} {name!r}")
        return found

    return names


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As by an error: what was started is stopped, and what was made is removed. What `nohup`
        # has told us to pass over is passed over.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        main(sys.argv[1:])
    except BenchmarkError as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
