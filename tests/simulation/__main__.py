"""Simulate many worlds, or one of them again:

python -m tests.simulation --seeds 50000            seeds 0 to 49999, on all cores
python -m tests.simulation --first 123 --seeds 1    world 123 again
python -m tests.simulation nodes --seeds 20000      worlds of three nodes on one state
python -m tests.simulation locks-nodes              worlds whose clients have locks, at such nodes
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.simulation.report import WORLDS, Report, report

CHUNK = 8
"""So many worlds are handed to a process at a time."""


@contextmanager
def lived(seeds: range, kind: str, processes: int) -> Iterator[Iterator[Report]]:
    """What became of the worlds of these seeds, in that order: where one process is enough, they
    are lived in this one.
    """
    live = partial(report, kind=kind)
    processes = min(processes, -(-len(seeds) // CHUNK))
    if processes <= 1:
        yield map(live, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield pool.imap(live, seeds, chunksize=CHUNK)


def main() -> int:
    """Simulate, and say which worlds broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("kind", nargs="?", choices=list(WORLDS), default="server")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    began, broken = time.monotonic(), 0
    seeds = range(args.first, args.first + args.seeds)
    with lived(seeds, args.kind, args.processes) as worlds:
        for done, it in enumerate(worlds, 1):
            if it.problems:
                broken += 1
                sys.stdout.write(f"seed {it.seed}: {it.facts}\n")
                sys.stdout.writelines(f"    {problem}\n" for problem in it.problems)
            elif args.seeds == 1:
                sys.stdout.write(f"seed {it.seed}: {it.facts}; {it.fingerprint}\n")
            if done % 1000 == 0:
                sys.stdout.write(f"{done} worlds in {time.monotonic() - began:.0f} s\n")
                sys.stdout.flush()
    took = time.monotonic() - began
    sys.stdout.write(f"{args.seeds} worlds in {took:.0f} s, {broken} broke a promise\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
