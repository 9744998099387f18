"""A disk that is full, for real: what is acknowledged is there, what cannot be stored is refused,
and with room again all goes on.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.server.engine.disk_full import DISK_KIB

ROOT: Final = Path(__file__).parents[3]
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(ROOT)}


def on_a_small_disk(directory: Path, command: Sequence[str]) -> list[str]:
    """`command` in a mount namespace of its own, where `directory` is a disk of `DISK_KIB`."""
    mount = shlex.join(["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", str(directory)])
    return ["unshare", "--mount", "sh", "-c", f"{mount} && exec {shlex.join(command)}"]


def may_mount(directory: Path) -> bool:
    try:
        done = subprocess.run(
            on_a_small_disk(directory, ["true"]), capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.parametrize("how", ["tmpfs", "rlimit"])
def test_what_is_acknowledged_is_stored_and_what_cannot_be_is_refused(
    tmp_path: Path, how: str
) -> None:
    """A limit of how large files may be stands for the disk on every machine; where mounting is
    allowed, there is a real one as well.
    """
    command = [sys.executable, "-m", "tests.server.engine.disk_full", str(tmp_path), how]
    if how == "tmpfs":
        if not may_mount(tmp_path):
            pytest.skip("this machine lets nobody mount: the other case must do")
        command = on_a_small_disk(tmp_path, command)
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=False, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["at first"] > 10
    for refused in ("first", "second", "third"):
        assert (found[refused]["result"], found[refused]["ecode"]) == ("failed", 1001)
        assert found[refused]["reason"] == "the server cannot store anything at the moment"
    assert found["question"]["status"] == 1
    assert found["full"] == [503, 200]
    assert found["with room"] == [200, 200]
    assert found["stored"] > found["at first"] + 1
    assert (found["lost"], found["doubled"], found["in order"]) == ([], 0, True)
