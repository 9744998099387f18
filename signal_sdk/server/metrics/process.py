"""What the system says of the process, under the names that all processes have these by.

Owns: these four numbers. Must not know a node. prometheus-client's own collector lists the open
descriptors each time, which takes 10 ms where there are 10,000 connections.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Final

__all__ = ["cpu_seconds", "max_descriptors", "start_seconds"]

STAT: Final = Path("/proc/self/stat")
STARTED: Final = 19
"""Which field behind the program's name says when the process was started."""


def cpu_seconds() -> float:
    """How much of a processor's time the process has used."""
    return time.process_time()


def max_descriptors() -> float | None:
    """How many descriptors it may have open; None where that is not limited."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most in (resource.RLIM_INFINITY, -1) else most


def start_seconds() -> float | None:
    """When it was started, in Unix seconds; None where the system does not say."""
    try:
        fields = STAT.read_text().rpartition(")")[2].split()
        since_boot = int(fields[STARTED]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
    except (AttributeError, IndexError, OSError, ValueError):
        return None
    return time.time() - age
