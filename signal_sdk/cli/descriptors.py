"""File descriptors: as many as the process may have.

Owns: the soft limit, which is raised to the hard one while a server runs. Must not know what they
are for. Where there are no such limits (elsewhere than on Unix), nothing is done.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["all_descriptors"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

OWN: Final = 64
"""How many a server needs beside its connections."""


@contextmanager
def all_descriptors(connections: int) -> Iterator[None]:
    """As many descriptors as the process may have, while the block runs; where those are too few
    for so many connections (0: no limit), the log says so.
    """
    if sys.platform == "win32":
        yield
        return
    import resource  # noqa: PLC0415  Windows has none

    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    except (OSError, ValueError):
        # Some systems name a hard limit that they do not allow.
        logger.debug("the limit of %d file descriptors stays", soft)
    if soft not in (resource.RLIM_INFINITY, -1) and 0 < soft < connections + OWN:
        # Not a warning: most servers never have so many, and where they are used up, one comes.
        logger.info(
            "the process may have %d file descriptors (ulimit -n): too few for %d connections "
            "(max_connections in [limits])",
            soft,
            connections,
        )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
