"""Somebody who hears of everything at the state itself: what is announced, in order.

Owns: what follows from the announcements alone. Must not know how they come about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from signal_sdk.server.engine.base import (
    AccountKey,
    Alarm,
    Asked,
    ChannelKey,
    Clocks,
    Delivery,
    LoginFacts,
    Ticker,
)
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.facts import Presence
from signal_sdk.testing import trio_wall_clock
from signal_sdk.wire import names
from signal_sdk.wire.events import ChannelContent, ChannelUserJoin, ChannelUserLeave
from tests.simulation.actor import APP, CHANNELS

ONLINE: Final = names.USER_ONLINE_CHANNEL
MOVES: Final = names.CHANNEL_EVENT_CHANNEL
WATCHER: Final = AccountKey(APP, "watcher")


class Observer(Delivery):
    """Who is where, as it was announced."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._there: dict[tuple[str, str], list[str]] = {}
        self._latest: dict[ChannelKey, int] = {}

    def watch(self, engine: EmbeddedEngine) -> None:
        """Hear all from here on, before any node lives."""
        clock = Ticker(lambda: 0.0, _Silent)
        engine.attach(self, Clocks(trio_wall_clock, clock, clock))
        made = engine.log_in(WATCHER, LoginFacts(line_digest=b"", device="", ver=0, instance=""))
        assert isinstance(made, Presence)
        asked = Asked(WATCHER, made.generation)
        for channel in (ONLINE, MOVES):
            # So that there is one, be nobody in it.
            engine.set_channel_attr(asked, channel, "watched", "1", members_only=False)
        engine.end(WATCHER, made.generation)
        for channel in (ONLINE, MOVES, *CHANNELS):
            key = ChannelKey(APP, channel)
            engine.subscribe(key)
            self._latest[key] = engine.roster(key, 0).msgid

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        if msgid != self._latest[key] + 1:
            self.problems.append(f"{key.channel}: {msgid} came behind {self._latest[key]}")
        self._latest[key] = msgid
        there = self._there.setdefault((key.channel, content.channel), [])
        who = content.account
        if isinstance(content, ChannelUserJoin):
            if who in there:
                self.problems.append(f"{key.channel}: {who} came twice to {content.channel}")
            there.append(who)
        elif isinstance(content, ChannelUserLeave):
            if who not in there:
                self.problems.append(f"{key.channel}: {who} left {content.channel}, being away")
            else:
                there.remove(who)

    def compare(self, engine: EmbeddedEngine) -> Iterator[str]:
        """What was announced otherwise than it is."""
        online = [key.account for key, _ in engine.online()]
        yield from self._differs((ONLINE, ONLINE), online)
        for channel in CHANNELS:
            roster = engine.roster(ChannelKey(APP, channel), 1000)
            there = [account for account, _ in roster.newest]
            yield from self._differs((channel, channel), there)
            yield from self._differs((MOVES, channel), there)

    def _differs(self, where: tuple[str, str], there: list[str]) -> Iterator[str]:
        told = self._there.get(where, [])
        if sorted(told) != sorted(there):
            yield f"{where[0]} was told of {sorted(told)} in {where[1]}, where {sorted(there)} are"

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        """Nobody is connected here."""

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        """Nobody is connected here."""

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        """Nobody is connected here."""

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        """Nobody is connected here."""

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        """Nobody is connected here."""

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        """Nobody is connected here."""

    def deliver_fencing(self) -> None:
        self.problems.append("the observer was taken for a node")


class _Silent(Alarm):
    """An alarm that never rings: whoever only looks does nothing that is due."""

    def __init__(self, ring: Callable[[], None]) -> None:
        pass

    def set_after(self, seconds: float) -> None:
        """Do not."""

    def cancel(self) -> None:
        """Do not."""
