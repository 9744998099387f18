"""How much there is of an app in Redis, as a node has last seen it.

Owns: what a heartbeat tells of that, and how old inboxes are, of which each heartbeat looks into
some. Must not know when one is sent, or how anything is counted there (counts.lua does).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.base import Holdings

__all__ = ["Amounts", "calls", "eldest_ms", "holdings"]

STATES: Final = (call_table.INVITING, call_table.RINGING, call_table.ACCEPTED)
"""In the order of counts.lua."""
FIRST: Final = "-inf"


@attrs.define(kw_only=True, eq=False)
class Amounts:
    """What there is of one app. `kept` is how many events wait for a backend. Entries, members and
    the calls of each state are None where that is not known: nodes of a release that does not count
    them are there, or were a moment ago.
    """

    accounts: int = 0
    online: int = 0
    channels: int = 0
    calls: int = 0
    due: int = 0
    kept: int = 0
    size: int = 0
    """Bytes that are kept."""
    entries: int | None = 0
    members: int | None = 0
    states: Sequence[int] | None = (0, 0, 0)
    behind: str = FIRST
    """Behind which inboxes the next ones are to be looked into; never empty."""
    eldest_ms: int = 0
    """When the eldest entry was sent, as the last round over all inboxes has found it; 0 where
    there was none.
    """
    _eldest_ms: int = attrs.field(init=False, default=0)
    """That of the round that is under way."""

    @property
    def is_any(self) -> bool:
        """Is there anything, or is anything to come?"""
        return any((self.accounts, self.online, self.channels, self.calls, self.due, self.kept))

    def saw(self, counts: Sequence[int], totals: Sequence[int], found: Sequence[Any]) -> None:
        """Take what a heartbeat was told: how much there is, what is counted, and what was found in
        some inboxes, if it looked into any.
        """
        self.accounts, self.online, self.channels, self.calls, self.due, self.kept = counts
        *known, self.size = totals
        self.entries, self.members, self.states = None, None, None
        if known:
            self.entries, self.members, *self.states = known
        if found:
            self._looked_into(*found)

    def _looked_into(self, behind: bytes, sent_ms: int) -> None:
        if sent_ms:
            self._eldest_ms = min(self._eldest_ms or sent_ms, sent_ms)
        self.behind = behind.decode() or FIRST
        if not behind:
            self.eldest_ms, self._eldest_ms = self._eldest_ms, 0


def holdings(seen: Mapping[str, Amounts], apps: Collection[str]) -> dict[str, Holdings]:
    """What there is of each of these apps, and of all others together, under ""."""
    of_each: dict[str, list[Amounts]] = {app: [] for app in ("", *apps)}
    for app, it in seen.items():
        of_each[app if app in of_each else ""].append(it)
    return {
        app: Holdings(
            accounts=sum(it.accounts for it in some),
            online=sum(it.online for it in some),
            channels=sum(it.channels for it in some),
            members=_sum(it.members for it in some),
            entries=_sum(it.entries for it in some),
            bytes=sum(it.size for it in some),
        )
        for app, some in of_each.items()
    }


def calls(seen: Collection[Amounts]) -> dict[str, int]:
    """The live calls by their states, or all under "" where those of an app are not known."""
    known = [it.states for it in seen if it.states is not None]
    if len(known) < len(seen):
        return {"": sum(it.calls for it in seen)}
    return {state: sum(it[at] for it in known) for at, state in enumerate(STATES)}


def eldest_ms(seen: Iterable[Amounts]) -> int:
    """When the eldest of all entries was sent; 0 where there is none."""
    return min((it.eldest_ms for it in seen if it.eldest_ms), default=0)


def _sum(numbers: Iterable[int | None]) -> int | None:
    found = list(numbers)
    known = [it for it in found if it is not None]
    return sum(known) if len(known) == len(found) else None
