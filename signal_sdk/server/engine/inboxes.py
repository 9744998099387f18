"""The inboxes of the embedded engine: entries in, entries out, and those whose time is over.

Owns: versions, the bound, and the sweep. Must not know who is told of an entry, or where the
journal has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from signal_sdk.server.engine.base import Entry, Page, Post
from signal_sdk.server.engine.commits import Commits, JournalCommits
from signal_sdk.server.engine.entry_log import EntryLog
from signal_sdk.server.engine.tables import Account, reserve

SWEPT: Final = 1000
"""How many inboxes one sweep looks at."""


class Inboxes:
    """The entries of all accounts; each inbox holds `max_entries` at most (0: no bound)."""

    def __init__(self, commits: Commits, max_entries: int, accounts: Iterable[Account]) -> None:
        self._commits = commits
        self.max_entries = max_entries
        self._log = EntryLog(commits, accounts) if isinstance(commits, JournalCommits) else None
        self._to_sweep: deque[Account] = deque()
        for account in accounts:
            if account.inbox.entries:
                self._will_sweep(account)

    def post(self, account: Account, post: Post, now: float) -> Entry | None:
        """Put an entry into the account's inbox; None where that is full."""
        inbox = account.inbox
        if self.max_entries and len(inbox.entries) >= self.max_entries:
            self._expire(account, now)
            if len(inbox.entries) >= self.max_entries:
                return None
        inbox.last_version += 1
        entry = Entry(version=inbox.last_version, expires=post.expires, line=post.line)
        inbox.append(entry)
        self._will_sweep(account)
        if reserved := reserve(inbox.last_version, account.reserved):
            account.reserved = reserved
            self._commits.account(account)
        if self._log is not None:
            self._log.append(account.id, entry)
        return entry

    def read(self, account: Account, ver_clear: int, limit: int, now: float) -> Page:
        """Drop up to `ver_clear`, where that was ever given; what is next."""
        inbox = account.inbox
        self._drop(account, ver_clear if ver_clear <= inbox.last_version else 0, now)
        entries = list(islice((entry for entry in inbox.entries if entry.expires > now), limit))
        floor = inbox.entries[0].version - 1 if inbox.entries else inbox.last_version
        return Page(ver_clear=floor, entries=entries)

    def _drop(self, account: Account, ver_clear: int, now: float) -> None:
        """Drop what is handled, and what has expired at the head."""
        entries = account.inbox.entries
        dropped = []
        while entries and (entries[0].version <= ver_clear or entries[0].expires <= now):
            dropped.append(entries.popleft())
        if dropped and self._log is not None:
            self._log.handle(account.id, dropped)

    def _expire(self, account: Account, now: float) -> None:
        """Drop whatever has expired."""
        self._drop(account, 0, now)
        inbox = account.inbox
        if self._log is not None:
            self._log.drop([entry for entry in inbox.entries if entry.expires <= now])
        inbox.entries = deque(entry for entry in inbox.entries if entry.expires > now)

    def _will_sweep(self, account: Account) -> None:
        if not account.inbox.is_swept:
            account.inbox.is_swept = True
            self._to_sweep.append(account)

    def sweep(self, now: float) -> None:
        """Look through some of the inboxes for entries whose time is over."""
        for _ in range(min(SWEPT, len(self._to_sweep))):
            account = self._to_sweep.popleft()
            self._drop(account, 0, now)
            account.inbox.is_swept = False
            if account.inbox.entries:
                self._will_sweep(account)
