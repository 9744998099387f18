"""The hub: this node's connections, which of them hear of which channel, and which watch whom.

Owns: the three indexes, how many connections an app has, and that an event is encoded once for all
of a wire who hear of it. Must not know any rule or wire, nor other nodes: all that it delivers
comes from the engine's callback.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.attribute_forms import watched_text
from signal_sdk.server.engine.base import AccountKey, ChannelKey, Delivery, WatchedFact
from signal_sdk.server.engine.happened import Happening
from signal_sdk.server.wires.base import Ear, Wire
from signal_sdk.wire import events


class Gate:
    """Stands before `ear`, and keeps a listener's events until it is known which of them its client
    is to hear, and the client knows that it listens. It stays until what it drops has come, which
    an engine may deliver behind its answer.

    Of more than `max_bytes` (0: no bound) nothing is kept, and `has_lost` says so.
    """

    def __init__(self, hub: Hub, key: ChannelKey, ear: Ear, max_bytes: int = 0) -> None:
        self.key = key
        self.ear = ear
        self.after: int = 0
        """What has come up to this msgid is dropped."""
        self.has_lost: bool = False
        self.is_open: bool = False
        self.on_past: Callable[[], None] = _nothing
        """Called when it is open and needed no more."""
        self._newest = 0
        self._hub = hub
        self._kept: list[tuple[int, bytes]] = []
        self._size = 0
        self._max_bytes = max_bytes or sys.maxsize

    @property
    def wire(self) -> Wire:
        """As its ear's."""
        return self.ear.wire

    def append(self, data: bytes) -> None:
        """Keep an event, or hand it on."""
        self._newest = self._hub.msgid
        if self.is_open:
            if self._newest > self.after:
                self.ear.append(data)
            if self.is_past:
                self.on_past()
            return
        self._size += len(data)
        if self._size > self._max_bytes:
            self.has_lost = True
            self._kept.clear()
        else:
            self._kept.append((self._hub.msgid, data))

    @property
    def is_past(self) -> bool:
        """Has all come that is to be dropped?"""
        return self._newest >= self.after

    def open(self) -> None:
        """Hand on what was kept, and from now on all at once."""
        self.is_open = True
        kept, self._kept = self._kept, []
        for msgid, data in kept:
            if msgid > self.after:
                # There may be another gate behind this one.
                self._hub.msgid = msgid
                self.ear.append(data)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How a logged-in connection is: whose, at which address, of which kind; `channels` are those
    that it hears, `began_at` when it was made, by trio's clock.
    """

    key: AccountKey
    channels: tuple[str, ...]
    peer: str
    kind: str
    device: str
    ver: int
    began_at: float
    unsent_bytes: int


class Holder(Protocol):
    """A logged-in connection, as the hub sees it."""

    generation: int
    began_at: float

    @property
    def kind(self) -> tuple[str, str]:
        """Its link's kind, and its client's device, as they are counted."""

    @property
    def line_digest(self) -> bytes:
        """Whose line its session's is."""

    def look(self) -> Look | None:
        """How it is; None where nobody is logged in on it any more."""

    def push_entry(self, version: int, line: str) -> None:
        """Tell the client of a new inbox entry, whose message line is `line`."""

    def push_grant(self, channel: str, lock: str, ask: str) -> None:
        """Tell the client that it has the lock that it has waited for."""

    def kick(self) -> None:
        """Tell the client that its account logged in elsewhere, and close."""

    def abort(self) -> None:
        """Close at once, without a word."""

    def expire(self) -> None:
        """The session's token is good no more, and the session is over: say so, and close."""

    def remove(self, channel: str, msgid: int, time_ms: int) -> None:
        """An operator has taken the session out of `channel`: tell the client, as the event `msgid`
        of that, and hear nothing of it any more. It may be said twice.
        """


class Watcher(Protocol):
    """A connection that watches accounts, as the hub sees it."""

    def tell_watched(self, text: str) -> None:
        """Tell the client what has become of an account that it watches, as this text says it."""


class Hub(Delivery):
    """What `Delivery` reaches on this node."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._holders: dict[AccountKey, Holder] = {}
        self._of_apps: Counter[str] = Counter()
        self._of_kinds: Counter[tuple[str, str]] = Counter()
        self._listeners: dict[ChannelKey, dict[str, Ear]] = {}
        self._watchers: dict[AccountKey, dict[Watcher, None]] = {}
        self.deliveries: int = 0
        """How often an event was handed to a listener since the start."""
        self.events: int = 0
        """How many events that was, each of which somebody here heard."""
        self.entries: int = 0
        """How many inbox entries were handed to who holds their account."""
        self.msgid: int = 0
        """Of the event that is being delivered."""
        self.on_fencing: Callable[[], None] = _nothing
        self.on_happening: Callable[[Happening], None] = _nobody
        self.on_kept: Callable[[], None] = _nothing

    def __len__(self) -> int:
        """How many logged-in connections there are."""
        return len(self._holders)

    def add(self, key: AccountKey, holder: Holder) -> bool:
        """From here on, `holder` hears of the account's inbox, and an older connection of the same
        account is kicked, or lost, where the session is the same. False where a newer one does
        already.
        """
        other = self._holders.get(key)
        if other is not None and other.generation > holder.generation:
            return False
        if other is not None:
            # The engine's word of it may come when nobody knows of that one any more.
            other.abort() if other.line_digest == holder.line_digest else other.kick()
        other = self._holders.get(key)
        if other is None:
            self._of_apps[key.app] += 1
        else:
            self._of_kinds[other.kind] -= 1
        self._holders[key] = holder
        self._of_kinds[holder.kind] += 1
        return True

    def remove(self, key: AccountKey, holder: Holder) -> None:
        """`holder` hears of its inbox no more. Does nothing to a newer connection of the same
        account.
        """
        if self._holders.get(key) is holder:
            del self._holders[key]
            self._of_kinds[holder.kind] -= 1
            self._of_apps[key.app] -= 1
            if not self._of_apps[key.app]:
                del self._of_apps[key.app]

    @property
    def of_apps(self) -> Mapping[str, int]:
        """How many logged-in connections each app has, of those that have any."""
        return self._of_apps

    @property
    def of_kinds(self) -> Mapping[tuple[str, str], int]:
        """How many logged-in connections there are of each kind of link and device."""
        return self._of_kinds

    def find(self, key: AccountKey) -> Holder | None:
        """The connection here that holds the account."""
        return self._holders.get(key)

    def others(self, key: AccountKey) -> int:
        """How many accounts of the same app have a connection here, beside this one."""
        return self._of_apps[key.app] - (key in self._holders)

    def listen(self, key: ChannelKey, account: str, ear: Ear) -> None:
        """From here on, `ear` gets the channel's events."""
        self._listeners.setdefault(key, {})[account] = ear

    def is_heard(self, key: ChannelKey) -> bool:
        """Does anybody here get the channel's events?"""
        return key in self._listeners

    def is_listening(self, key: ChannelKey, account: str, ear: Ear) -> bool:
        """Does `ear` get the channel's events?"""
        return self._listeners.get(key, {}).get(account) is ear

    def unlisten(self, key: ChannelKey, account: str, ear: Ear) -> bool:
        """`ear` gets the channel's events no more; did it? Does nothing to a newer connection of
        the same account.
        """
        listeners = self._listeners.get(key)
        if listeners is None or listeners.get(account) is not ear:
            return False
        del listeners[account]
        if not listeners:
            del self._listeners[key]
        return True

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        holder = self._holders.get(key)
        if holder is not None:
            self.entries += 1
            holder.push_entry(version, line)

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: events.ChannelContent, time_ms: int
    ) -> None:
        listeners = self._listeners.get(key)
        if listeners is None:
            return
        self.events += 1
        self.deliveries += len(listeners)
        self.msgid = msgid
        wire: Wire | None = None
        data = b""
        encoded: dict[Wire, bytes] = {}
        for ear in listeners.values():
            if ear.wire is not wire:
                wire = ear.wire
                data = encoded.get(wire) or encoded.setdefault(
                    wire, wire.encode_event(key.channel, msgid, content, time_ms)
                )
            ear.append(data)

    # --- watching ---

    def watch(self, key: AccountKey, watcher: Watcher) -> None:
        """From here on, `watcher` hears what becomes of the account."""
        self._watchers.setdefault(key, {})[watcher] = None

    def unwatch(self, key: AccountKey, watcher: Watcher) -> bool:
        """`watcher` hears of it no more. Is there nobody left who does?"""
        watchers = self._watchers.get(key, {})
        watchers.pop(watcher, None)
        if watchers:
            return False
        return self._watchers.pop(key, None) is not None

    @property
    def watched(self) -> int:
        """How many accounts are watched here."""
        return len(self._watchers)

    def deliver_watched(self, key: AccountKey, fact: WatchedFact) -> None:
        watchers = self._watchers.get(key)
        if watchers:
            text = watched_text(key.account, fact)
            for watcher in list(watchers):
                watcher.tell_watched(text)

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        holder = self._holders.get(key)
        if holder is not None and holder.generation == generation:
            holder.kick()

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        holder = self._holders.get(key)
        if holder is not None and holder.generation == generation:
            holder.abort()

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        holder = self._holders.get(key)
        if holder is not None and holder.generation == generation:
            holder.expire()

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        holder = self._holders.get(key)
        if holder is not None and holder.generation == generation:
            holder.remove(channel, msgid, time_ms)

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        holder = self._holders.get(key)
        if holder is not None and holder.generation == generation:
            holder.push_grant(channel, lock, ask)

    def gather(self) -> AbstractContextManager[None]:
        return self._reactor.flusher.gathering()

    @property
    def serves_seldom(self) -> bool:
        """Is what is being read of somebody who asks seldom, where others wait?"""
        return self._reactor.serves_seldom

    def give_way(self, *, at_once: bool = False) -> None:
        self._reactor.give_way(at_once=at_once)

    def flush(self) -> None:
        self._reactor.haste.end()
        self._reactor.flusher.flush_few()

    def together(self) -> AbstractContextManager[None]:
        return self._reactor.flusher.together

    def deliver_happening(self, happening: Happening) -> None:
        self.on_happening(happening)

    def deliver_kept(self) -> None:
        self.on_kept()

    def deliver_fencing(self) -> None:
        self.on_fencing()


def _nobody(_: Happening) -> None:
    """Nobody follows yet."""


def _nothing() -> None:
    """Nobody is connected yet."""
