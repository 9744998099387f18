"""The vacuum: how the journal's file gives back the pages that it needs no more.

Owns: when that is looked at, and how much is given back at once. Must not know what is in a table.
Everything here blocks.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Vacuum"]

SHRUNK_EVERY: Final = 16
"""After how many batches it is looked whether the file has more than twice what it needs, where
somebody looks after it."""
LOOKED_AT_EVERY: Final = 256
"""After how many batches somebody has to."""
STILL_NEEDED: Final = 0.9
"""How much of what was in use counts as needed at the next look. The entries' table grows and is
cut off again, all the time: to give that room back, and to take it again, was a tenth of all
writing.
"""
QUIET_SECONDS: Final = 60.0
"""A file that few batches come for is looked at so often all the same: an engine writes once a
minute whatever happens."""
STILL_NEEDED_IN_QUIET: Final = 0.5
MIN_FREE_PAGES: Final = 256
PAGES_AT_ONCE: Final = 1024
"""How many pages, of 4 KiB, are given back after one batch: some 10 ms."""
PAGES_IN_QUIET: Final = 8192


class Vacuum:
    """One file's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._written = 0
        self._needed = 0.0
        self.clock: Callable[[], float] = time.monotonic
        """In seconds, by which the file is looked at."""
        self._looked_at = self.clock()

    def after_batch(self) -> None:
        """A batch has been written."""
        self._written += 1

    @property
    def is_due(self) -> bool:
        """Is it time to look at the file, after many batches or a long time?"""
        return self._written >= LOOKED_AT_EVERY or self._is_quiet

    @property
    def _is_quiet(self) -> bool:
        return self.clock() - self._looked_at >= QUIET_SECONDS

    def look(self) -> None:
        """Look at the file, where it is time to."""
        is_quiet = self._is_quiet
        if is_quiet or self._written >= SHRUNK_EVERY:
            self._written, self._looked_at = 0, self.clock()
            # What cannot be given back is room for what comes.
            with contextlib.suppress(sqlite3.Error):
                if is_quiet:
                    self._shrink(STILL_NEEDED_IN_QUIET, PAGES_IN_QUIET)
                else:
                    self._shrink(STILL_NEEDED, PAGES_AT_ONCE)

    def _shrink(self, still_needed: float, at_once: int) -> None:
        """Give some of the file's free pages back, where it has far more than it needs."""
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        self._needed = max(pages - free, self._needed * still_needed)
        too_many = int(pages - 2 * self._needed)
        if too_many > MIN_FREE_PAGES:
            # One step for each page, of which `execute` takes the first only.
            self._db.executescript(f"PRAGMA incremental_vacuum({min(too_many, at_once)})")
