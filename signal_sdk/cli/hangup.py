"""SIGHUP: what a terminal says to its programs when it goes, and an operator to a server.

Owns: which signal that is, where there is one, and how a program goes on over it. Must not know any
command.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["HANGUP", "hangup_ignored"]

HANGUP: Final[tuple[signal.Signals, ...]] = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()
"""Elsewhere than on Unix there is none."""


@contextmanager
def hangup_ignored() -> Iterator[None]:
    """While the block runs, the program's terminal may go."""
    before = [signal.signal(number, signal.SIG_IGN) for number in HANGUP]
    try:
        yield
    finally:
        for number, handler in zip(HANGUP, before, strict=True):
            signal.signal(number, handler)
