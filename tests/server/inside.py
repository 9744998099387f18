"""What tests look at inside the embedded engine that it does not tell: all its state, and the
database of an open journal, which no other can read meanwhile.

Owns: the engine's private names, for all tests. Must not know a test.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.state import State
from signal_sdk.server.engine.vacuum import Vacuum


def state_of(engine: Any) -> State:
    """All that an embedded engine has, be it behind a test's own; its neighbours have the same."""
    found: State = engine._state
    return found


class OpenJournal(Journal):
    """A journal that shows its database."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        super().__init__(path, db)
        self.db = db

    @property
    def vacuum(self) -> Vacuum:
        """What keeps its file small."""
        return self._vacuum

    def one(self, sql: str) -> Any:
        """The only value of the only row that is found."""
        ((value,),) = self.db.execute(sql).fetchall()
        return value
