"""Thousands of small worlds in which everything goes wrong, and no promise is broken.

A world that breaks one is named by its seed: `python -m tests.simulation --first SEED --seeds 1`
lives it again, the same in every detail.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.report import report

SEEDS = 2000
CHUNK = 50
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_promise_is_broken(first: int) -> None:
    broken = {}
    for seed in range(first, first + CHUNK):
        if problems := report(seed).problems:
            broken[f"seed {seed}"] = problems
    assert broken == {}


@pytest.mark.parametrize("seed", [2158, 2558, 3385, 42017, 48791])
def test_worlds_that_once_broke_a_promise_keep_it(seed: int) -> None:
    """Calls whose end was taken for the next one's, and messages that came again after a kill
    between a poll's answer and its commit, in the next session, or behind later ones for whom had
    joined in between, when their senders had to send them again.
    """
    assert report(seed).problems == []


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_lives_the_same_world_again(seed: int) -> None:
    """Also in another process, whose sets and dicts are hashed by another secret."""

    def live(hash_seed: int) -> str:
        command = [sys.executable, "-m", "tests.simulation", "--first", str(seed), "--seeds", "1"]
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.partition("worlds in")[0]

    assert live(1) == live(2)
