"""The inbox window: which entries have been fetched, which are handled, and when to poll or to tell
the server.

Owns: the counting of protocol.md, section 4, from the client's side. Must not know a clock (the
time is an argument), requests, or what an entry says.

An entry is *fetched* when the client holds it, *begun* when its callback runs, *handled* when that
has returned. The server forgets what it is *told* has been handled; telling is polling, since one
function does both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from signal_sdk.wire import names

__all__ = ["RETRY_SECONDS", "TELL_SECONDS", "WINDOW", "InboxWindow"]

E = TypeVar("E")

WINDOW: Final = names.MAX_INBOX_PAGE
"""How many entries may be fetched and not handled: one page."""
TELL_SECONDS: Final = 3.0
"""How long the server may wait to hear of an entry that was handled. A program that dies before
gets it again; to tell sooner is to ask more often."""
RETRY_SECONDS: Final = 5.0
"""How long after a poll that failed there is another one."""


class InboxWindow:
    """One session's view of its inbox."""

    def __init__(self) -> None:
        self.fetched: int = 0
        self.begun: int = 0
        self.handled: int = 0
        self.told: int = 0
        self._announced = 0
        self._announced_at_poll = 0
        self._has_more = True
        self._unhandled = 0
        self._untold = 0
        self._is_polling = False
        self._tell_at = math.inf
        self._retry_at = -math.inf

    @property
    def is_full(self) -> bool:
        """Are as many entries in hand as may be?"""
        return self._unhandled >= WINDOW

    # --- entries ---

    def announce(self, version: int) -> None:
        """The server has an entry of this version."""
        self._announced = max(self._announced, version)

    def push(self, version: int) -> bool:
        """The server has handed an entry over: is it to be taken? Else it will be polled for."""
        if version == self.fetched + 1 and self._unhandled < WINDOW:
            self.fetched = version
            self._unhandled += 1
            return True
        self.announce(version)
        return False

    def _fetch(self, version: int) -> None:
        self.fetched = version
        self._unhandled += 1

    def begin(self, version: int) -> None:
        """The entry's callback runs."""
        self.begun = max(self.begun, version)

    def handle(self, version: int, clock: Callable[[], float]) -> bool:
        """The entry's callback has returned. Is it worth asking what is due?"""
        self.handled = max(self.handled, version)
        self._unhandled -= 1
        self._untold += 1
        if self._tell_at == math.inf:
            self._tell_at = clock() + TELL_SECONDS
            return True
        return self._untold >= WINDOW // 2 or self._has_more or self._announced > self.fetched

    # --- polls ---

    def wants_poll(self, now: float) -> bool:
        """Is it time to poll: for what there is room for, or to tell what has been handled?"""
        if self._is_polling or now < self._retry_at:
            return False
        wants_more = self._has_more or self._announced > self.fetched
        if wants_more and self._unhandled <= WINDOW // 2:
            return True
        return self.handled > self.told and (self._untold >= WINDOW // 2 or now >= self._tell_at)

    def due(self, now: float) -> float:
        """When `wants_poll` is to be asked again, unless something happens before."""
        if self._is_polling:
            return math.inf
        if now < self._retry_at:
            return self._retry_at
        return self._tell_at if self.handled > self.told else math.inf

    def poll(self) -> int:
        """A poll is sent: its `ver_clear`."""
        self._is_polling = True
        self._announced_at_poll = self._announced
        self._has_more = False
        self._untold = 0
        self._tell_at = math.inf
        self.told = max(self.told, self.handled)
        return self.told

    def polled(self, ver_clear: int, entries: Iterable[tuple[int, E]]) -> list[tuple[int, E]]:
        """The poll was answered: which of its entries are new, in order."""
        self._is_polling = False
        page = sorted(entries, key=lambda entry: entry[0])
        self._has_more = len(page) >= WINDOW
        if not self._has_more and self._announced == self._announced_at_poll:
            # All that was announced before the poll is on this page, or has expired.
            self._announced = 0
        new = []
        for version, entry in page:
            if version > self.fetched:
                if self.is_full:
                    self.announce(version)
                    break
                self._fetch(version)
                new.append((version, entry))
        # Entries whose time was over are gone: nothing at or below `ver_clear` will come any more.
        self.told = max(self.told, ver_clear)
        self.fetched = max(self.fetched, ver_clear)
        if not self._unhandled:
            self.handled = max(self.handled, ver_clear)
        return new

    def poll_failed(self, now: float) -> None:
        """The poll was refused, or not answered."""
        self._is_polling = False
        self._has_more = True
        self._retry_at = now + RETRY_SECONDS

    def resume(self) -> None:
        """There is a new connection: what came while there was none is to be polled for."""
        self._has_more = True
        self._retry_at = -math.inf

    def last_told(self) -> int | None:
        """What to tell at the session's end: a callback that has begun counts, since it will not be
        run again.
        """
        self.handled = max(self.handled, self.begun)
        return self.handled if self.handled > self.told else None
