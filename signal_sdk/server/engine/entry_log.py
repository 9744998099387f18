"""The log of inbox entries: where the journal has each, and up to where it is cut off.

Owns: the entries' numbers, and the floor. Must not know versions' rules, or how rows are written.

All accounts' entries are appended to one table, and cut off at its head. What is still waiting
there is appended again once the table has more rows that are of no use than others: it never has
many more than twice as many as there are entries, and those of a chunk at each end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from signal_sdk.server.engine.base import Entry
from signal_sdk.server.engine.checksums import pack
from signal_sdk.server.engine.commits import JournalCommits
from signal_sdk.server.engine.memory import shrink
from signal_sdk.server.engine.schema import DROPPED, ENTRIES, FLOORS, HANDLED
from signal_sdk.server.engine.tables import Account

SLACK: Final = 1000
"""How many rows of no use there may be beside as many as there are entries."""
MOVED_PER_ENTRY: Final = 2
"""How many entries are appended again for each that goes: with 2, the head gets through the table
before it has grown by half.
"""


class EntryLog:
    """The entries that are waiting, in the order of their numbers."""

    def __init__(self, commits: JournalCommits, accounts: Iterable[Account]) -> None:
        self._commits = commits
        waiting: list[Entry] = []
        for account in accounts:
            for entry in account.inbox.entries:
                entry.owner = account.id
                waiting.append(entry)
        waiting.sort(key=lambda entry: entry.number)
        self._waiting = {entry.number: entry for entry in waiting}
        self._last = waiting[-1].number if waiting else 0
        self._head = waiting[0].number if waiting else 1
        """None before this one waits. A dict finds its own first key the more slowly the more have
        gone before it."""
        self.floor: int = 0
        """Up to which number the log has no entries."""
        self._last_dropped = 0

    def append(self, owner: int, entry: Entry) -> None:
        """Write an entry of this account."""
        self._last = number = entry.number = self._last + 1
        self._waiting[number] = entry
        entry.owner = owner
        commits, line = self._commits, entry.line
        # Here, where all of it was just used, to pack costs half of what it does in the thread.
        commits.entries[number] = pack((number, owner, entry.version, entry.expires, line))
        commits.chars += len(line)
        if not commits.is_dirty:
            commits.changed()

    def handle(self, account: int, entries: Sequence[Entry]) -> None:
        """The account has no entries any more up to the last of these, which are its oldest."""
        waiting, unwritten = self._waiting, self._commits.entries
        is_written = False
        for entry in entries:
            number = entry.number
            del waiting[number]
            if unwritten.pop(number, None) is None:
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
            if self._commits.entries.pop(entry.number, None) is None:
                key = (entry.number,)
                self._commits.put(DROPPED, key, key)
                self._last_dropped = max(self._last_dropped, entry.number)
        self._cut_off(MOVED_PER_ENTRY * len(entries))

    def _cut_off(self, moves: int) -> None:
        """Raise the floor to the first that is waiting; of those in the way, move so many."""
        waiting = self._waiting
        head = self._first(self._head)
        for _ in range(moves):
            if self._last - head < 2 * len(waiting) + SLACK:
                break
            entry = waiting.pop(head)
            self.append(entry.owner, entry)
            head = self._first(head)
        self._head = head
        floor = head - 1
        if floor > self.floor:
            logs = (ENTRIES, DROPPED) if self._last_dropped > self.floor else (ENTRIES,)
            for log in logs:
                self._commits.put(FLOORS, (log,), (log, floor))
            self.floor = floor

    def _first(self, number: int) -> int:
        """The first that is waiting from this number on; where none is, behind the last."""
        waiting, last = self._waiting, self._last
        while number not in waiting and number <= last:
            number += 1
        return number
