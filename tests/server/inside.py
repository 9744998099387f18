"""What tests look at inside the embedded engine that it does not tell: all its state, and the
database of an open journal, which no other can read meanwhile.

Owns: the engine's private names, for all tests. Must not know a test.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from signal_sdk.server.engine.database import PROCESS
from signal_sdk.server.engine.dues import Dues
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.state import Due, State
from signal_sdk.server.engine.tables import Account
from signal_sdk.server.engine.vacuum import Vacuum


def state_of(engine: Any) -> State:
    """All that an embedded engine has, be it behind a test's own; its neighbours have the same."""
    found: State = engine._state
    return found


def times_of(dues: Dues[Due]) -> Mapping[Due, float]:
    """When what is due is."""
    return dues._times


def to_be_swept(engine: Any) -> Sequence[Account]:
    """Whose inboxes a sweep will look into."""
    found: Sequence[Account] = engine._inboxes._to_sweep
    return found


class OpenJournal(Journal):
    """A journal that shows its database."""

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        durability: str = PROCESS,
        beside: sqlite3.Connection | None = None,
    ) -> None:
        super().__init__(path, db, durability, beside)
        self.db = db

    @property
    def vacuum(self) -> Vacuum:
        """What keeps its file small."""
        return self._vacuum

    def one(self, sql: str) -> Any:
        """The only value of the only row that is found."""
        ((value,),) = self.db.execute(sql).fetchall()
        return value
