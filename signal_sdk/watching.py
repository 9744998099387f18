"""A watched account's stream: what one reader of it has not read.

Owns: when the account is watched, which is while somebody reads, and what becomes of what is not
read. Must not know how it is watched: client/ does.
"""

from __future__ import annotations

from signal_sdk.client.facts import Turn
from signal_sdk.client.watches import Watch, Watches, WatchEvent
from signal_sdk.errors import SignalError
from signal_sdk.streams import Buffer, Readers

__all__ = ["Watchers"]


class _Latest(Buffer[WatchEvent]):
    """What a reader of an account has not read. Where it has fallen behind by more than its limit,
    all of that is one `AccountState`: how the account stands by then.
    """

    __slots__ = ("_watch",)

    def __init__(self, limit: int, watch: Watch) -> None:
        super().__init__(limit)
        self._watch = watch

    def put(self, event: WatchEvent, turn: Turn | None) -> None:
        if len(self.events) >= self.limit:
            self.events.clear()
            event = self._watch.state
        super().put(event, turn)


class Watchers(Readers[WatchEvent]):
    """The one reader of a stream, from whose beginning to whose end the account is watched."""

    __slots__ = ("_account", "_watch", "_watches")

    def __init__(self, watches: Watches, account: str) -> None:
        super().__init__()
        self._watches = watches
        self._account = account
        self._watch: Watch | None = None

    def open(self, limit: int) -> Buffer[WatchEvent]:
        """As `Readers` has it."""
        watch = Watch(self._account, self._heard, self._ended)
        buffer = self.add(_Latest(limit, watch))
        self._watch = watch
        self._watches.begin(watch)
        return buffer

    def _heard(self, event: WatchEvent) -> None:
        self.tell(event, is_heard=False)

    def _ended(self, error: SignalError | None) -> None:
        self.end(error)

    def close(self, buffer: Buffer[WatchEvent]) -> None:
        """As `Readers` has it."""
        super().close(buffer)
        watch, self._watch = self._watch, None
        if watch is not None:
            self._watches.leave(watch)
