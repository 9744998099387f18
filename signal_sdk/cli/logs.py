"""The log of a server, on stderr.

Owns: what a line looks like. Must not know what it says.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from signal_sdk.errors import SignalSdkError

__all__ = ["log_on_stderr"]

TIME_AND_LEVEL: Final = "%(asctime)s %(levelname)s"


@contextmanager
def log_on_stderr(level: int, who: str = "") -> Iterator[None]:
    """The log of what the block does, each line with `who` has done it, if that is to be said."""
    handler = logging.StreamHandler()
    said = f"{who}: " if who else ""
    handler.setFormatter(logging.Formatter(f"{TIME_AND_LEVEL} {said}%(message)s"))
    logger = logging.getLogger("signal_sdk")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    except Exception as exc:
        # One line is said of it in any case; where it came from is for who asked for all there is.
        logger.debug("the server ended: %s", exc, exc_info=not isinstance(exc, SignalSdkError))
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
