"""The log of inbox entries: where the journal has each, and up to where it is cut off.

Owns: the entries' numbers, and the floor. Must not know versions' rules, or how rows are written.

All accounts' entries are appended to one table, and cut off at its head. What is still waiting
there is appended again once the table has more rows that are of no use than others: it never has
many more than twice as many as there are entries.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from signal_sdk.server.engine.base import Entry
from signal_sdk.server.engine.commits import JournalCommits
from signal_sdk.server.engine.memory import shrink
from signal_sdk.server.engine.schema import ENTRIES, FLOORS, HANDLED
from signal_sdk.server.engine.tables import Account

SLACK: Final = 1000
"""How many rows of no use there may be beside as many as there are entries."""
MOVED_PER_ENTRY: Final = 2
"""How many entries are appended again for each that goes: with 2, the head gets through the table
before it has grown by half.
"""


class EntryLog:
    """The entries that are waiting, in the order of their numbers, each with its account."""

    def __init__(self, commits: JournalCommits, accounts: Iterable[Account]) -> None:
        self._commits = commits
        waiting = sorted(
            (
                (entry.number, account.id, entry)
                for account in accounts
                for entry in account.inbox.entries
            ),
            key=lambda it: it[0],
        )
        # A plain dict finds its first key the more slowly the more have gone before it.
        self._waiting = OrderedDict((number, (owner, entry)) for number, owner, entry in waiting)
        self._last = waiting[-1][0] if waiting else 0
        self.floor: int = 0
        """Up to which number the table has no rows."""

    def append(self, account: int, entry: Entry) -> None:
        """Write an entry of this account."""
        self._last = number = entry.number = self._last + 1
        self._waiting[number] = (account, entry)
        row = (number, account, entry.version, entry.expires, entry.line)
        self._commits.put(ENTRIES, (number,), row)

    def handle(self, account: int, entries: Sequence[Entry]) -> None:
        """The account has no entries any more up to the last of these, which are its oldest."""
        is_written = False
        for entry in entries:
            del self._waiting[entry.number]
            if not self._commits.take_back(ENTRIES, (entry.number,)):
                is_written = True
        if is_written:
            self._commits.put(HANDLED, (account,), (account, entries[-1].version))
        self._cut_off(MOVED_PER_ENTRY * len(entries))

    def forget(self, account: int) -> None:
        """The account is no more, and has no entry above the floor."""
        self._commits.drop(HANDLED, (account,))

    def tidy(self) -> None:
        """Give back the room of what is gone."""
        shrink(self._waiting)

    def drop(self, entries: Sequence[Entry]) -> None:
        """These, which may have others before them, are gone."""
        for entry in entries:
            del self._waiting[entry.number]
            if not self._commits.take_back(ENTRIES, (entry.number,)):
                self._commits.drop(ENTRIES, (entry.number,))
        self._cut_off(MOVED_PER_ENTRY * len(entries))

    def _cut_off(self, moves: int) -> None:
        """Raise the floor to the first that is waiting; of those in the way, move so many."""
        waiting = self._waiting
        for _ in range(moves):
            if self._last - next(iter(waiting), self._last) < 2 * len(waiting) + SLACK:
                break
            _, (account, entry) = waiting.popitem(last=False)
            self.append(account, entry)
        floor = next(iter(waiting), self._last + 1) - 1
        if floor > self.floor:
            self.floor = floor
            self._commits.put(FLOORS, (ENTRIES,), (ENTRIES, floor))
