"""The inboxes of the embedded engine: entries in, entries out, and those whose time is over.

Owns: versions, the bounds, the sweep, and when an account is forgotten. Must not know who is told
of an entry, or where the journal has it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine.base import Entry, Page, Post
from signal_sdk.server.engine.bounds import QuotaError, size_of
from signal_sdk.server.engine.commits import JournalCommits
from signal_sdk.server.engine.entry_log import EntryLog
from signal_sdk.server.engine.noting import Commits
from signal_sdk.server.engine.state import State
from signal_sdk.server.engine.tables import FEW, RESERVED, Account
from signal_sdk.server.refusals import Limit
from signal_sdk.wire import lines

SWEPT: Final = 1000
"""How many inboxes one sweep, once a second, looks at: a few milliseconds' work."""
MANY: Final = 10_000
"""Where more than this wait to be looked at, whoever fills another one has some looked at: else
those whose time is over would pile up faster than the sweep comes by.
"""
LOOKED_AT: Final = 2
"""So many, which is one more than are added."""


class Inboxes:
    """The entries of all accounts."""

    def __init__(self, state: State, commits: Commits) -> None:
        self._commits = commits
        self._state = state
        accounts = state.accounts.values()
        self._log = EntryLog(commits, accounts) if isinstance(commits, JournalCommits) else None
        self._to_sweep: deque[Account] = deque()
        self._leaving: deque[Account] = deque()
        self.oldest_ms: float = math.inf
        """When the eldest entry was sent, in Unix milliseconds, as the last whole round of the
        sweep has found it; infinity where there was none.
        """
        self._oldest_ms = math.inf
        self._left_of_round = 0
        for account in list(accounts):
            if account.inbox.entries:
                self._will_sweep(account)
            else:
                self.let_go(account)

    def post(self, account: Account, post: Post, clock: Callable[[], float]) -> Entry:
        """Put an entry into the account's inbox. Raises `QuotaError`."""
        bounds, inbox, usage, line = self._state.bounds, account.inbox, account.usage, post.line
        size = len(line) if line.isascii() else size_of(line)
        if (
            0 < bounds.inbox_messages <= len(inbox.entries)
            or 0 < bounds.inbox_bytes < inbox.size + size
            or 0 < bounds.inbox_sender_messages <= inbox.senders.get(post.sender, 0)
            or 0 < bounds.app_bytes < usage.bytes + size
        ):
            self._make_room(account, post, size, clock())
        inbox.last_version += 1
        entry = Entry(inbox.last_version, post.sender, post.expires, line)
        inbox.append(entry, size)
        usage.bytes += size
        usage.entries += 1
        is_first = not inbox.is_swept
        if is_first:
            self._will_sweep(account)
        if account.reserved - inbox.last_version < FEW:
            account.reserved = inbox.last_version + RESERVED
            self._commits.account(account)
        if self._log is not None:
            self._log.append(account.id, entry)
        if is_first and len(self._to_sweep) > MANY:
            self._look(LOOKED_AT, clock())
        return entry

    def _make_room(self, account: Account, post: Post, size: int, now: float) -> None:
        """One of the bounds is reached: let go of what has expired. Raises `QuotaError` where there
        is still no room for `post`.
        """
        if self._lack(account, post, size):
            self._expire(account, now)
            if lack := self._lack(account, post, size):
                self.let_go(account)
                limit, reason = lack
                raise QuotaError(ECode.SENDMESSAGE_E_OTHER, reason, limit=limit)

    def _lack(self, account: Account, post: Post, size: int) -> tuple[Limit, str] | None:
        """Which limit there is no room by in the account's inbox, and how that is said; None where
        there is room, which for a call's event may be beyond the bounds.
        """
        bounds, inbox = self._state.bounds, account.inbox
        is_call = not post.sender
        if len(inbox.entries) >= bounds.room(bounds.inbox_messages, for_call=is_call):
            return "inbox_messages", f"the inbox of {post.key.account!r} is full"
        if inbox.size + size > bounds.room(bounds.inbox_bytes, for_call=is_call):
            reason = f"the inbox of {post.key.account!r} is full: {bounds.inbox_bytes} bytes"
            return "inbox_bytes", reason
        if 0 < bounds.inbox_sender_messages <= inbox.senders.get(post.sender, 0):
            most = bounds.inbox_sender_messages
            reason = f"{most} messages of {post.sender!r} wait for {post.key.account!r} already"
            return "inbox_sender_messages", reason
        if bounds.app_bytes and account.usage.bytes + size > bounds.app_bytes:
            reason = f"all that the app keeps has {bounds.app_bytes} bytes, the most allowed"
            return "app_bytes", reason
        return None

    def let_go(self, account: Account) -> None:
        """Forget an account of which nothing is left, as soon as the journal's log has none of its
        entries.
        """
        if not account.is_nobody or account.inbox.is_leaving:
            return
        if self._log is not None and account.inbox.last_number > self._log.floor:
            account.inbox.is_leaving = True
            self._leaving.append(account)
        elif self._state.accounts.get(account.key) is account:
            self._state.forget(account)
            if self._log is not None:
                self._log.forget(account.id)

    def _let_all_go(self) -> None:
        leaving = self._leaving
        while leaving and self._log is not None:
            if leaving[0].inbox.last_number > self._log.floor:
                break
            account = leaving.popleft()
            account.inbox.is_leaving = False
            self.let_go(account)

    def read(self, account: Account, ver_clear: int, limit: int, now: float) -> Page:
        """Drop up to `ver_clear`, where that was ever given; what is next."""
        inbox = account.inbox
        self._drop(account, ver_clear if ver_clear <= inbox.last_version else 0, now)
        entries = list(islice((entry for entry in inbox.entries if entry.expires > now), limit))
        floor = inbox.entries[0].version - 1 if inbox.entries else inbox.last_version
        self.let_go(account)
        return Page(ver_clear=floor, entries=entries)

    def _drop(self, account: Account, ver_clear: int, now: float) -> None:
        """Drop what is handled, and what has expired at the head."""
        entries = account.inbox.entries
        dropped = []
        while entries and (entries[0].version <= ver_clear or entries[0].expires <= now):
            dropped.append(entries.popleft())
        if dropped:
            if self._log is not None:
                self._log.handle(account.id, dropped)
            self._removed(account, dropped)

    def _removed(self, account: Account, entries: Sequence[Entry]) -> None:
        account.usage.bytes -= account.inbox.removed(entries)
        account.usage.entries -= len(entries)
        self.let_go(account)
        self._let_all_go()

    def _expire(self, account: Account, now: float) -> None:
        """Drop whatever has expired."""
        self._drop(account, 0, now)
        inbox = account.inbox
        expired = [entry for entry in inbox.entries if entry.expires <= now]
        if expired:
            inbox.entries = deque(entry for entry in inbox.entries if entry.expires > now)
            if self._log is not None:
                self._log.drop(expired)
            self._removed(account, expired)

    def _end_round(self) -> None:
        self.oldest_ms, self._oldest_ms = self._oldest_ms, math.inf
        self._left_of_round = len(self._to_sweep)

    def _will_sweep(self, account: Account) -> None:
        if not account.inbox.is_swept:
            account.inbox.is_swept = True
            self._to_sweep.append(account)

    def tidy(self) -> None:
        """Give back the room of what is gone."""
        if self._log is not None:
            self._log.tidy()

    def sweep(self, now: float) -> None:
        """Look through some of the inboxes for entries whose time is over."""
        self._look(min(SWEPT, len(self._to_sweep)), now)
        self._let_all_go()

    def _look(self, count: int, now: float) -> None:
        """Look through the next `count`, which there have to be."""
        for _ in range(count):
            account = self._to_sweep.popleft()
            self._drop(account, 0, now)
            account.inbox.is_swept = False
            if account.inbox.entries:
                sent_ms = lines.time_ms(account.inbox.entries[0].line)
                self._oldest_ms = min(self._oldest_ms, sent_ms)
                self._will_sweep(account)
            self._left_of_round -= 1
            if self._left_of_round <= 0:
                self._end_round()
