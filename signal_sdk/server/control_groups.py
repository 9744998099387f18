"""Control groups: what of the machine this process may use, on Linux.

Owns: where the system says that. Must not know what is done with it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["group_limits", "usable_cores"]

ROOT = Path("/")


def group_limits(root: Path, controller: str, name: str, old_name: str = "") -> Iterator[str]:
    """What the files called `name` say, of the process's control group and of those that it is in;
    in the first version of control groups, those of `controller` called `old_name`.
    """
    groups = ""
    with suppress(OSError, ValueError):
        groups = (root / "proc/self/cgroup").read_text()
    for line in groups.splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers:
            yield from _texts(root / "sys/fs/cgroup", path, name)
        elif old_name and controller in controllers.split(","):
            yield from _texts(root / "sys/fs/cgroup" / controller, path, old_name)


def _texts(top: Path, path: str, name: str) -> Iterator[str]:
    """From a group up; in a container, its own is at the top."""
    group = top / path.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):
            yield (folder / name).read_text()
        if folder == top:
            return


def usable_cores(root: Path = ROOT) -> int:
    """How many cores the process may use: those that it may run on, and not more than its control
    groups allow the time of. `root` is where the system's files are.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    for text in group_limits(root, "cpu", "cpu.max"):
        quota, _, period = text.partition(" ")
        # "max" is none.
        with suppress(ValueError, ZeroDivisionError):
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(cores, 1)
