"""The embedded engine's channels: their events, and the end of one that is empty.

Owns: these operations, the short history, and the counts that are pushed. Must not know who is a
member, how an attribute changes, or how a change is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine import told
from signal_sdk.server.engine.base import AccountKey, Asked, ChannelKey, Event, Known, Past
from signal_sdk.server.engine.bounds import size_of
from signal_sdk.server.engine.core import Core
from signal_sdk.server.engine.facts import some_take_no_bytes
from signal_sdk.server.engine.happened import MESSAGE, Message
from signal_sdk.server.engine.tables import FEW, RESERVED, Account, Channel
from signal_sdk.server.engine.values import encode_json
from signal_sdk.server.refusals import too_often
from signal_sdk.wire import built_in
from signal_sdk.wire.events import ChannelContent, ChannelMessage
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import is_binary

END: Final = "end"
ATTRIBUTES: Final = "attributes"
"""What is due where some end by themselves."""


class ChannelOperations(Core):
    """Channels, as the contract has them."""

    # --- events ---

    def subscribe(self, key: ChannelKey) -> None:
        (delivery, _), listening = self._own, self._listening.get(key, ())
        if delivery not in listening:
            self._listening[key] = (*listening, delivery)

    def unsubscribe(self, key: ChannelKey) -> None:
        own, _ = self._own
        left = tuple(it for it in self._listening.get(key, ()) if it is not own)
        if left:
            self._listening[key] = left
        else:
            self._listening.pop(key, None)

    def publish(self, asked: Asked, message: ChannelMessage, *, members_only: bool) -> Known | None:
        sender = self._asker(asked)
        if known := self._known(sender, asked, durably=False):
            return known
        key = ChannelKey(asked.key.app, message.channel)
        channel = self._channels.get(key)
        if members_only and (channel is None or asked.key.account not in channel.members):
            raise SignalError(
                ECode.SENDMESSAGE_E_OTHER,
                f"{asked.key.account!r} is not in the channel {message.channel!r}",
            )
        if is_binary(message.properties) and channel is not None:
            self._check_bytes(key, channel)
        self._check_messages(key, channel)
        if channel is not None:
            self._publish(channel, message)
            if MESSAGE in self._wanted:
                self._channel_message_happens(key, message)
        self._keep(sender, asked, durably=False)
        return None

    def _check_bytes(self, key: ChannelKey, channel: Channel) -> None:
        """Raise `SignalError` where a member would not read bytes. All are looked at, as all are
        told.
        """
        for name in channel.members:
            presence = self._accounts[AccountKey(key.app, name)].presence
            if presence is None or not presence.takes_bytes:
                raise some_take_no_bytes(key.channel)

    def _channel_message_happens(self, key: ChannelKey, message: ChannelMessage) -> None:
        size = message.size
        self._tell(Message(app=key.app, channel=key.channel, sender=message.account, size=size))

    def _check_messages(self, key: ChannelKey, channel: Channel | None) -> None:
        """Count a message to a channel. Raises `SignalError` over its rate."""
        limit = self._state.bounds.channel_messages_per_second
        if channel is not None and built_in.SENDMSG_LIMIT in channel.attributes:
            own = told.number_of(channel.attributes, built_in.SENDMSG_LIMIT, 0)
            limit = min(limit, own) if limit and own else limit or own
        now = trio.current_time()
        rate = self._state.messages.of(key, now)
        if not rate.allows(limit, now):
            raise too_often(
                ECode.SENDMESSAGE_E_OTHER,
                f"more than {limit} messages in a second in one channel",
                rate.seconds_left(limit, now),
                limit="channel_messages_per_second",
            )

    def _publish(self, channel: Channel, content: ChannelContent) -> None:
        """Give the event its msgid and deliver it."""
        channel.msgid += 1
        if channel.reserved - channel.msgid < FEW:
            channel.reserved = channel.msgid + RESERVED
            self._commits.channel(channel)
        event = Event(channel.msgid, content, int(self._wall() * 1000))
        history = channel.history
        if not history:
            self._state.histories.append(channel.key)
        most = self._state.bounds.history_events or math.inf
        while len(history) >= most:
            history.popleft()
        history.append(event)
        for delivery in self._listening.get(channel.key, ()):
            delivery.deliver_event(channel.key, event.msgid, content, event.time_ms)

    def _tell_special(self, name: str, event: str, channel: str, account: Account) -> None:
        """Tell a special channel, where somebody is there."""
        key = ChannelKey(account.key.app, name)
        special = self._channels.get(key)
        if special is not None:
            time_ms = int(self._wall() * 1000)
            for content in told.special(
                name, event, channel, account.key.account, account.uid, time_ms
            ):
                self._publish(special, content)

    def history(self, key: ChannelKey, after: int) -> Sequence[Event] | None:
        channel = self._channels.get(key)
        if channel is None:
            return None
        self._forget_old(channel)
        return channel.after(after)

    def past(self, key: ChannelKey, account: str, most: int) -> Past:
        channel = self._channels.get(key)
        if channel is None or account not in channel.members:
            raise SignalError(
                ECode.GENERAL_E_FAILED, f"{account!r} is not in the channel {key.channel!r}"
            )
        self._forget_old(channel)
        held = list(channel.history)
        return Past.newest(held, most, is_whole=len(held) == channel.msgid)

    def _forget_old(self, channel: Channel) -> None:
        channel.forget(self._wall() - (self._state.bounds.history_seconds or math.inf))

    # --- attributes ---

    def channel_attrs(self, key: ChannelKey) -> Mapping[str, JsonValue]:
        channel = self._channels.get(key)
        return self._attributes(channel) if channel else {}

    def _attributes(self, channel: Channel) -> dict[str, JsonValue]:
        """All attributes, and the counts that they ask for."""
        counts = told.counts(channel.attributes, len(channel.members), channel.total)
        return {**channel.attributes, **{name: str(count) for name, count in counts.items()}}

    # --- what is due ---

    def _watch_channel(self, channel: Channel, name: str) -> None:
        """The attribute `name` has changed: when is something due by it?"""
        if name == built_in.CHANNEL_TTL:
            self._watch_end(channel)
        elif name in told.COUNTS:
            self._watch_count(channel, name)

    def _populated(self, channel: Channel) -> None:
        """There is a first member: the channel lives on, and that one is told counts."""
        channel.idle_since = None
        self._watch_end(channel)
        for name in told.COUNTS:
            self._watch_count(channel, name)

    def _emptied(self, channel: Channel) -> None:
        """The last member is gone: nobody is there to be told of counts."""
        channel.idle_since = self._wall()
        self._watch_end(channel)
        for name in told.COUNTS:
            self._watch_count(channel, name)

    def _watch_end(self, channel: Channel) -> None:
        if channel.idle_since is None:
            self._dues.cancel((END, channel))
            return
        default = built_in.DEFAULT_CHANNEL_TTL_SECONDS
        ttl = told.number_of(channel.attributes, built_in.CHANNEL_TTL, default)
        ends = channel.idle_since + min(ttl, built_in.MAX_CHANNEL_TTL_SECONDS)
        self._dues.set((END, channel), ends - self._wall())

    def _watch_count(self, channel: Channel, name: str) -> None:
        interval = 0
        if channel.members and name in channel.attributes:
            interval = told.number_of(channel.attributes, name, 0)
        if interval:
            self._dues.set((name, channel), max(interval, self._state.bounds.count_push_seconds))
        else:
            self._dues.cancel((name, channel))

    def _push_count(self, channel: Channel, name: str) -> None:
        """Tell a count, where it has changed since it was told."""
        counted = told.COUNTS[name]
        counts = told.counts(channel.attributes, len(channel.members), channel.total)
        count = counts.get(counted)
        if count is not None and channel.pushed.get(counted) != count:
            channel.pushed[counted] = count
            self._publish(channel, told.counted(channel.key.channel, counted, count))
        self._watch_count(channel, name)

    def _destroy(self, channel: Channel) -> None:
        """The channel has been empty for long enough."""
        for name in list(channel.attributes):
            channel.usage.bytes -= size_of(encode_json(channel.drop(name)))
            self._commits.drop("channel_attributes", (channel.id, name))
        self._dues.cancel((ATTRIBUTES, channel))
        maker = self._state.drop_channel(channel)
        if maker is not None:
            self._inboxes.let_go(maker)
