"""What all operations of the embedded engine work on: the indexes, what is to be written, and who
is told.

Owns: how these are put together, and which generation holds an account. Must not know an operation.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from signal_sdk.server.engine.base import AccountKey, ChannelKey, Delivery, Then
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.commits import Commits, InThread, JournalCommits, in_thread
from signal_sdk.server.engine.inboxes import Inboxes
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.state import State
from signal_sdk.server.engine.tables import Account

DEFAULTS: Final = Bounds()


class Core:
    """The engine below its operations, each group of which is a class on top of this one; the
    arguments are `EmbeddedEngine`'s.
    """

    def __init__(
        self,
        *,
        bounds: Bounds = DEFAULTS,
        journal: Journal | None = None,
        write_in_thread: InThread = in_thread,
    ) -> None:
        commits = Commits()
        if journal is not None:
            commits = JournalCommits(journal, write_in_thread)
        self._commits = commits
        # No methods of this class around them: they are called for each message.
        self.check_writable: Callable[[], None] = commits.check
        self.when_durable: Callable[[Then], None] = commits.when_durable
        self._state = state = State(commits)
        self.bound(bounds)
        if journal is not None:
            state.resume(journal)
        self._accounts = state.accounts
        self._lines = state.lines
        self._channels = state.channels
        self._calls = state.calls
        self._inboxes = Inboxes(state, commits)
        self._delivery: Delivery | None = None
        self._histories: deque[ChannelKey] = deque()

    def bound(self, bounds: Bounds) -> None:
        self._state.bounds = bounds
        self._history_events = bounds.history_events or math.inf
        self._history_seconds = bounds.history_seconds or math.inf

    def attach(self, delivery: Delivery) -> None:
        self._delivery = delivery

    @property
    def _deliver(self) -> Delivery:
        if self._delivery is None:
            raise RuntimeError("the engine is not attached to a node")
        return self._delivery

    def _held(self, key: AccountKey, generation: int) -> Account | None:
        """The account, where this generation holds it."""
        account = self._accounts.get(key)
        if account is None or account.presence is None or account.presence.generation != generation:
            return None
        return account

    @property
    def is_behind(self) -> bool:
        return self._commits.is_behind
