"""`python -m benchmarks.hostile`, so small that its figures say nothing: each case is measured and
told, and the exit code is what is said of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SMALL: Final = """
import sys
from benchmarks import hostile
hostile.settle = lambda *_: None
hostile.ATTACKS = {name: hostile.ATTACKS[name] for name in ["deleting what is not"]}
sys.argv = ["hostile", "--small", "--only", sys.argv[1]]
sys.exit(hostile.main())
"""
"""The program, which waits for nothing to be forgotten and attacks in one way."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="the server has a core of its own, and so has the load",
)


def table(only: str) -> list[list[str]]:
    """The rows that it prints, by their cells."""
    done = subprocess.run(
        [sys.executable, "-c", SMALL, only],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=100,
    )
    assert done.stderr == ""
    *lines, verdict = done.stdout.splitlines()
    assert json.loads(verdict) == {"all as it should be": done.returncode == 0}
    assert done.returncode in (0, 1)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_what_stays_is_measured_of_each_case() -> None:
    head, _, *rows = table("memory")
    assert [row[:2] for row in rows] == [
        ["accounts named once", "2,000"],
        ["channels made and left", "1,000"],
        ["refused requests", "10,000"],
        ["connections that never log in", "200"],
    ]
    for row in rows:
        assert len(row) == len(head)
        # A server of Python's, and a journal.
        assert all(10 < float(mebibytes) < 500 for mebibytes in row[3:6])
        assert all(0 < float(kibibytes) < 100_000 for kibibytes in row[6:])


def test_how_late_others_are_is_measured_while_somebody_attacks() -> None:
    head, _, row = table("latency")
    assert row[0] == "deleting what is not"
    assert len(row) == len(head)
    assert int(row[1].replace(",", "")) > 0
    assert all(float(figure) > 0 for figure in row[3:])
