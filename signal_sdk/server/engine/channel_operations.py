"""The embedded engine's channels: who is in them, what they are told, and their attributes.

Owns: these operations, and the short history. Must not know a rule, or how a change is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from signal_sdk.server.engine.base import (
    AccountKey,
    ChannelKey,
    Event,
    Joined,
    Left,
    MakeContents,
    Roster,
)
from signal_sdk.server.engine.bounds import check, size_of
from signal_sdk.server.engine.core import Core
from signal_sdk.server.engine.tables import FEW, RESERVED, Account, Channel, encode_json
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.names import JsonValue


class ChannelOperations(Core):
    """Channels, as the contract has them."""

    # --- who is there ---

    async def join(
        self,
        key: ChannelKey,
        account: str,
        generation: int,
        announce: ChannelContent | None,
        *,
        farewell: ChannelContent | None = None,
        newest: int,
        now: float,
    ) -> Joined | None:
        owner = self._held(AccountKey(key.app, account), generation)
        if owner is None or owner.presence is None:
            return None
        channel = self._channels.get(key) or self._state.make_channel(key, owner, None)
        left = None
        if account not in channel.members:
            if owner.presence.channel is not None:
                left = self._leave(
                    ChannelKey(key.app, owner.presence.channel), owner, farewell, now
                )
            if announce is not None:
                self._publish(channel, announce, now)
            channel.members[account] = owner.uid
            channel.total += 1
            channel.idle_since = None
            owner.presence = replace(owner.presence, channel=key.channel)
            self._commits.channel(channel)
            self._commits.account(owner)
            self._commits.put(
                "members", (channel.id, owner.id), (channel.id, owner.id, channel.total)
            )
        owner.joined_at = channel.msgid
        return Joined(roster=channel.roster(newest), left=left)

    async def leave(
        self,
        key: ChannelKey,
        account: str,
        generation: int,
        announce: ChannelContent | None,
        *,
        now: float,
    ) -> Left | None:
        owner = self._held(AccountKey(key.app, account), generation)
        if owner is None or owner.presence is None:
            return None
        left = self._leave(key, owner, announce, now)
        if owner.presence.channel == key.channel:
            owner.presence = replace(owner.presence, channel=None)
            self._commits.account(owner)
        return left

    def _leave(
        self, key: ChannelKey, owner: Account, announce: ChannelContent | None, now: float
    ) -> Left | None:
        channel = self._channels.get(key)
        if channel is None or owner.key.account not in channel.members:
            return None
        del channel.members[owner.key.account]
        self._commits.drop("members", (channel.id, owner.id))
        if announce is not None:
            self._publish(channel, announce, now)
        if not channel.members:
            channel.idle_since = now
            self._commits.channel(channel)
        return Left(num=len(channel.members), idle_since=channel.idle_since)

    async def roster(self, key: ChannelKey, newest: int) -> Roster:
        channel = self._channels.get(key)
        return channel.roster(newest) if channel else Roster()

    async def is_member(self, key: ChannelKey, account: str) -> bool:
        channel = self._channels.get(key)
        return channel is not None and account in channel.members

    async def joined_at(self, key: ChannelKey, account: str) -> int:
        owner = self._accounts.get(AccountKey(key.app, account))
        return owner.joined_at if owner and await self.is_member(key, account) else 0

    # --- events ---

    async def publish(self, key: ChannelKey, make: MakeContents, *, now: float) -> bool:
        channel = self._channels.get(key)
        if channel is None:
            return False
        for content in make():
            self._publish(channel, content, now)
        return True

    def _publish(self, channel: Channel, content: ChannelContent, now: float) -> None:
        channel.msgid += 1
        if channel.reserved - channel.msgid < FEW:
            channel.reserved = channel.msgid + RESERVED
            self._commits.channel(channel)
        event = Event(channel.msgid, content, int(now * 1000))
        history = channel.history
        if not history:
            self._histories.append(channel.key)
        while len(history) >= self._history_events:
            history.popleft()
        history.append(event)
        self._deliver.deliver_event(channel.key, event.msgid, content, event.time_ms)

    async def history(self, key: ChannelKey, after: int, now: float) -> Sequence[Event] | None:
        channel = self._channels.get(key)
        if channel is None:
            return None
        channel.forget(now - self._history_seconds)
        return channel.after(after)

    # --- attributes ---

    async def set_channel_attr(
        self,
        key: ChannelKey,
        name: str,
        value: JsonValue,
        announce: ChannelContent,
        *,
        account: str,
        now: float,
    ) -> float | None:
        channel = self._channels.get(key)
        text = encode_json(value)
        size = self._added(key.app, channel.attributes if channel else {}, name, text)
        if channel is None:
            maker = self._accounts.get(AccountKey(key.app, account))
            channel = self._state.make_channel(key, maker, now)
        channel.usage.bytes += size
        channel.attributes[name] = value
        self._commits.put("channel_attributes", (channel.id, name), (channel.id, name, text))
        self._publish(channel, announce, now)
        return channel.idle_since

    async def del_channel_attr(
        self, key: ChannelKey, name: str, announce: ChannelContent, *, now: float
    ) -> bool:
        channel = self._channels.get(key)
        if channel is None or name not in channel.attributes:
            return False
        self._drop_attribute(channel, name)
        self._publish(channel, announce, now)
        return True

    async def clear_channel_attrs(
        self, key: ChannelKey, announce: ChannelContent, *, now: float
    ) -> bool:
        channel = self._channels.get(key)
        if channel is None:
            return False
        for name in list(channel.attributes):
            self._drop_attribute(channel, name)
        self._publish(channel, announce, now)
        return True

    def _added(self, app: str, attributes: Mapping[str, JsonValue], name: str, text: str) -> int:
        """How many bytes more there will be with `text` as the attribute `name`. Raises
        `QuotaError` where the app has no room for them.
        """
        size = size_of(text)
        if name in attributes:
            size -= size_of(encode_json(attributes[name]))
        most = self._state.bounds.app_bytes
        if size > 0 and most and self._state.usage(app).bytes + size > most:
            check(most, most, "the bytes of all that the app keeps")
        return size

    def _drop_attribute(self, channel: Channel, name: str) -> None:
        channel.usage.bytes -= size_of(encode_json(channel.attributes[name]))
        del channel.attributes[name]
        self._commits.drop("channel_attributes", (channel.id, name))

    async def channel_attrs(self, key: ChannelKey) -> Mapping[str, JsonValue]:
        channel = self._channels.get(key)
        return channel.attributes if channel else {}

    # --- the end ---

    async def destroy_channel(self, key: ChannelKey, idle_since: float) -> bool:
        channel = self._channels.get(key)
        if channel is None or channel.members or channel.idle_since != idle_since:
            return False
        for name in list(channel.attributes):
            self._drop_attribute(channel, name)
        maker = self._state.drop_channel(channel)
        if maker is not None:
            self._inboxes.let_go(maker)
        return True
