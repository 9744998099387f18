"""The embedded engine's attributes as they are, and who watches an account.

Owns: what is read of attributes, which nodes want to hear what becomes of an account, and the
telling. Must not know why anything changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from signal_sdk.server.engine.base import (
    AccountKey,
    Attributes,
    ChannelKey,
    PresenceChanged,
    Watched,
    WatchedFact,
    presence_number,
)
from signal_sdk.server.engine.channel_operations import ChannelOperations
from signal_sdk.server.engine.tables import Account
from signal_sdk.wire.names import JsonValue

NOTHING: Final = Attributes()
"""The attributes of whom or what there is none."""


class WatchOperations(ChannelOperations):
    """Reading attributes and watching, as the contract has them."""

    # --- reading ---

    def channel_attributes(self, key: ChannelKey) -> Attributes:
        channel = self._channels.get(key)
        return channel.snapshot() if channel is not None else NOTHING

    def user_attrs(self, key: AccountKey) -> Mapping[str, JsonValue]:
        account = self._accounts.get(key)
        return account.attributes if account else {}

    def user_attributes(self, key: AccountKey) -> Attributes:
        account = self._accounts.get(key)
        return account.snapshot() if account is not None else NOTHING

    # --- watching ---

    def watch(self, key: AccountKey) -> Watched:
        (delivery, _), watching = self._own, self._watching.get(key, ())
        if delivery not in watching:
            self._watching[key] = (*watching, delivery)
        account = self._accounts.get(key)
        if account is None:
            usage = self._state.usages.get(key.app)
            generation = usage.generation if usage is not None else 0
            return Watched(False, presence_number(generation, is_online=False), NOTHING)
        is_online = account.presence is not None
        number = presence_number(account.generation, is_online=is_online)
        return Watched(is_online, number, account.snapshot())

    def unwatch(self, key: AccountKey) -> None:
        own, _ = self._own
        left = tuple(it for it in self._watching.get(key, ()) if it is not own)
        if left:
            self._watching[key] = left
        else:
            self._watching.pop(key, None)

    def _tell_watchers(self, key: AccountKey, fact: WatchedFact) -> None:
        for delivery in self._watching.get(key, ()):
            delivery.deliver_watched(key, fact)

    def _tell_presence(self, account: Account, generation: int, *, is_online: bool) -> None:
        """The account came or went: who watches it is told."""
        if account.key in self._watching:
            number = presence_number(generation, is_online=is_online)
            self._tell_watchers(account.key, PresenceChanged(is_online, number))
