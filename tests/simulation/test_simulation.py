"""Thousands of small worlds in which everything goes wrong, and no promise is broken.

A world that breaks one is named by its seed: `python -m tests.simulation --first SEED --seeds 1`
lives it again, the same in every detail; `python -m tests.simulation nodes …` one of several nodes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.report import report

SEEDS = {
    "server": 500,
    "nodes": 1000,
    "locks": 700,
    "locks-nodes": 350,
    "registers": 600,
    "registers-nodes": 350,
}
"""Fifteen hundred worlds of all that clients do, and two thousand of locks and of attributes that
are compared and set, which are smaller: together a quarter of what all tests take. `make
simulation` lives more of each kind.
"""
CHUNK = 25
"""So many are one test, of some seconds: none keeps its process for long when others have ended."""
CHUNKS = [(kind, first) for kind, seeds in SEEDS.items() for first in range(0, seeds, CHUNK)]
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "first"), CHUNKS)
def test_no_promise_is_broken(kind: str, first: int) -> None:
    broken = {}
    for seed in range(first, first + CHUNK):
        if problems := report(seed, kind).problems:
            broken[f"seed {seed}"] = problems
    assert broken == {}


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        *(("server", seed) for seed in (2158, 2558, 3385, 42017, 48791)),
        *(("nodes", seed) for seed in (3167, 3428, 5691, 6516, 8325, 9395)),
    ],
)
def test_worlds_that_once_broke_a_promise_keep_it(kind: str, seed: int) -> None:
    """Of one server: calls whose end was taken for the next one's, and messages that came again
    after a kill between a poll's answer and its commit, in the next session, or behind later ones
    for whom had joined in between, when their senders had to send them again. Of several nodes: a
    channel that could not be joined again while the state was away; and what had been refused then,
    without its client's hearing of it, and was done behind what came later.
    """
    assert report(seed, kind).problems == []


@pytest.mark.parametrize(
    ("kind", "seed"), [("server", 3), ("server", 11), ("nodes", 5), ("locks-nodes", 7)]
)
def test_a_seed_lives_the_same_world_again(kind: str, seed: int) -> None:
    """Also in another process, whose sets and dicts are hashed by another secret."""

    def live(hash_seed: int) -> str:
        world = [kind, "--first", str(seed), "--seeds", "1"]
        command = [sys.executable, "-m", "tests.simulation", *world]
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.partition("worlds in")[0]

    assert live(1) == live(2)
