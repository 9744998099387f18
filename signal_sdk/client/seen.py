"""What a session has seen already, so that it reaches a callback once though the wire repeats it.

Owns: how much of that is kept. Must not know what is done about a repetition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from signal_sdk.wire.lines import MessageLine
from signal_sdk.wire.message_ids import parse_message_id

__all__ = ["MAX_SEEN_ENTRIES", "MAX_SEEN_MESSAGES", "Heard", "Recent", "Seen", "key_of"]

K = TypeVar("K", bound=Hashable)

MAX_SEEN_ENTRIES: Final = 10_000
"""Of how many inbox entries it is kept that their callbacks have begun: a server that has crashed
may deliver again, under new versions, what it had been told of since its last write to disk."""
MAX_SEEN_MESSAGES: Final = 1000
"""Of how many messages of a channel the ids are kept, and of how many series the last: far more
than are under way when a sender's connection is lost."""
KEPT_IDS: Final = 100
"""Of how many messages it is kept beyond the session: a server that has crashed may have lost what
it had delivered, and its sender sends it again.
"""


class Recent(Generic[K]):
    """The last `size` keys that were added."""

    def __init__(self, size: int) -> None:
        self.keys: set[K] = set()
        """They, to be looked at."""
        self._size = size
        self._order: deque[K] | None = None
        """They, oldest first; none before the first, as in very many sessions at a time."""

    def __contains__(self, key: object) -> bool:
        return key in self.keys

    def __len__(self) -> int:
        return len(self.keys)

    def newest(self, count: int) -> list[K]:
        """The last `count` keys, oldest first."""
        return list(self._order or ())[-count:]

    def add(self, key: K) -> bool:
        """Add a key; False where it is among them already, and stays at its place."""
        if key in self.keys:
            return False
        order = self._order
        if order is None:
            order = self._order = deque()
        elif len(order) >= self._size:
            self.keys.remove(order.popleft())
        order.append(key)
        self.keys.add(key)
        return True


class Heard:
    """The messages of a channel that one membership has heard.

    Ids of a series (wire/message_ids.py) come in its order: a lower one than its last was heard
    before, or was sent before the membership began, and comes again behind what it heard since.
    Of any other ids the last 1,000 are known.
    """

    def __init__(self) -> None:
        self._ids: Recent[str] = Recent(MAX_SEEN_MESSAGES)
        self._last: dict[str, int] = {}

    def add(self, account: str, message_id: str) -> bool:
        """A message has come; False where it is not to be told."""
        parsed = parse_message_id(message_id)
        if parsed is None:
            return not message_id or self._ids.add(_key(account, message_id))
        series, number = parsed
        key = _key(account, series)
        last = self._last.pop(key, -1)
        while len(self._last) >= MAX_SEEN_MESSAGES:
            del self._last[next(iter(self._last))]
        self._last[key] = max(last, number)
        return number > last


class Seen:
    """The inbox entries of an account whose callbacks have begun.

    By version it knows those that the server may still have: a connection that breaks leaves some,
    and the account's next session gets them again. By message id it knows the last 10,000.
    """

    def __init__(self) -> None:
        self._lines: dict[int, MessageLine] = {}
        self._ids: Recent[str] = Recent(MAX_SEEN_ENTRIES)

    @property
    def may_come_again(self) -> bool:
        """May the server still have some, or get them again?"""
        return bool(self._lines) or len(self._ids) > 0

    def has(self, version: int, line: MessageLine, key: str | None) -> bool:
        """Has this entry been seen, whose `key_of` is `key`?"""
        return key in self._ids.keys or self._lines.get(version) == line

    def add(self, version: int, line: MessageLine, key: str | None) -> None:
        """The callback of an entry begins, whose `key_of` is `key`."""
        lines = self._lines
        while len(lines) >= MAX_SEEN_ENTRIES:
            del lines[next(iter(lines))]
        lines[version] = line
        if key is not None:
            self._ids.add(key)

    def forget(self, cleared: int) -> None:
        """The server has dropped all up to this version."""
        for version in [version for version in self._lines if version <= cleared]:
            del self._lines[version]

    def trimmed(self) -> Seen:
        """What is worth keeping while the account is not logged in: what may come again."""
        kept = Seen()
        for key in self._ids.newest(KEPT_IDS):
            kept._ids.add(key)
        for version, line in self._lines.items():
            kept.add(version, line, key_of(line))
        return kept


def key_of(line: MessageLine) -> str | None:
    """What tells a message from any other; None where the server gave it no id."""
    # As `_key`, without another call.
    return f"{line.src} {line.msg_id}" if line.msg_id else None


def _key(account: str, message_id: str) -> str:
    # An account has no white space. There may be ten million of these in a process: texts are not
    # what the garbage collector has to look at.
    return f"{account} {message_id}"
