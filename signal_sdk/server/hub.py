"""The hub: this node's connections, and which of them hear of which channel.

Owns: the two indexes, and that an event is encoded once for all who hear of it. Must not know any
rule, nor other nodes: all that it delivers comes from the engine's callback.
"""

from __future__ import annotations

from typing import Protocol

from signal_sdk.server.engine.base import AccountKey, ChannelKey, Delivery
from signal_sdk.websocket.link import encode_text
from signal_sdk.websocket.outbox import Outbox
from signal_sdk.wire import events
from signal_sdk.wire.lines import MessageLine


class Holder(Protocol):
    """A logged-in connection, as the hub sees it."""

    generation: int
    outbox: Outbox

    def push_entry(self, version: int, line: MessageLine) -> None:
        """Tell the client of a new inbox entry."""

    def kick(self) -> None:
        """Tell the client that its account logged in elsewhere, and close."""


class Hub(Delivery):
    """What `Delivery` reaches on this node."""

    def __init__(self) -> None:
        self._holders: dict[AccountKey, Holder] = {}
        self._listeners: dict[ChannelKey, dict[str, Outbox]] = {}

    def __len__(self) -> int:
        """How many logged-in connections there are."""
        return len(self._holders)

    def add(self, key: AccountKey, holder: Holder) -> bool:
        """From here on, `holder` hears of the account's inbox. False where a newer connection of
        the same account does already.
        """
        newest = self._holders.get(key)
        if newest is not None and newest.generation > holder.generation:
            return False
        self._holders[key] = holder
        return True

    def remove(self, key: AccountKey, holder: Holder, channel: str | None) -> None:
        """`holder` hears of nothing any more. Does nothing to a newer connection of the same
        account.
        """
        if self._holders.get(key) is holder:
            del self._holders[key]
        if channel is not None:
            self.unlisten(ChannelKey(key.app, channel), key.account, holder.outbox)

    def listen(self, key: ChannelKey, account: str, outbox: Outbox) -> None:
        """From here on, `outbox` gets the channel's events."""
        self._listeners.setdefault(key, {})[account] = outbox

    def unlisten(self, key: ChannelKey, account: str, outbox: Outbox) -> bool:
        """`outbox` gets the channel's events no more; did it? Does nothing to a newer connection of
        the same account.
        """
        listeners = self._listeners.get(key)
        if listeners is None or listeners.get(account) is not outbox:
            return False
        del listeners[account]
        if not listeners:
            del self._listeners[key]
        return True

    def deliver_entry(self, key: AccountKey, version: int, line: MessageLine) -> None:
        holder = self._holders.get(key)
        if holder is not None:
            holder.push_entry(version, line)

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: events.ChannelContent, time_ms: int
    ) -> None:
        listeners = self._listeners.get(key)
        if listeners is None:
            return
        data = encode_text(events.encode_channel_event(key.channel, msgid, content, time_ms))
        for outbox in listeners.values():
            outbox.append(data)

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        holder = self._holders.get(key)
        if holder is not None and holder.generation == generation:
            holder.kick()
