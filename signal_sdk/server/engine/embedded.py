"""The embedded engine: all state in this process's memory, every operation done in one step.

Owns: the tables. Must not know a rule. Nothing here waits, which is what makes each operation
atomic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

import attrs

from signal_sdk.server.engine.base import (
    AccountKey,
    Call,
    CallKey,
    ChannelKey,
    Delivery,
    Ended,
    Engine,
    Entry,
    Left,
    Page,
    Post,
    Presence,
    Roster,
)
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.names import JsonValue

SWEPT_INBOXES: Final = 1000
"""How many inboxes one sweep looks at."""


@attrs.define(kw_only=True)
class _Inbox:
    last_version: int = 0
    entries: deque[Entry] = attrs.field(factory=deque)
    is_swept: bool = False


@attrs.define(kw_only=True)
class _Account:
    uid: int
    generation: int = 0
    presence: Presence | None = None
    attributes: dict[str, JsonValue] = attrs.field(factory=dict)
    inbox: _Inbox = attrs.field(factory=_Inbox)
    calls: set[CallKey] = attrs.field(factory=set)


@attrs.define(kw_only=True)
class _Channel:
    """`members` keeps the order of joining."""

    members: dict[str, int] = attrs.field(factory=dict)
    attributes: dict[str, JsonValue] = attrs.field(factory=dict)
    msgid: int = 0
    total: int = 0
    idle_since: float | None = None

    def newest(self, count: int) -> list[tuple[str, int]]:
        newest = list(islice(reversed(self.members.items()), count))
        newest.reverse()
        return newest


class EmbeddedEngine(Engine):
    """An engine for one node. `max_inbox` bounds each inbox's entries (0: no bound)."""

    def __init__(self, *, max_inbox: int = 0) -> None:
        self._max_inbox = max_inbox
        self._delivery: Delivery | None = None
        self._accounts: dict[AccountKey, _Account] = {}
        self._uids: dict[str, int] = {}
        self._lines: dict[bytes, AccountKey] = {}
        self._channels: dict[ChannelKey, _Channel] = {}
        self._calls: dict[CallKey, Call] = {}
        self._to_sweep: deque[AccountKey] = deque()

    def attach(self, delivery: Delivery) -> None:
        self._delivery = delivery

    @property
    def _deliver(self) -> Delivery:
        if self._delivery is None:
            raise RuntimeError("the engine is not attached to a node")
        return self._delivery

    def _account(self, key: AccountKey) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            uid = self._uids.get(key.app, 0) + 1
            self._uids[key.app] = uid
            account = self._accounts[key] = _Account(uid=uid)
        return account

    # --- presence ---

    async def log_in(
        self,
        key: AccountKey,
        *,
        line_digest: bytes,
        device: str,
        ver: int,
        token_expires: int | None,
    ) -> tuple[Presence, Presence | None]:
        account = self._account(key)
        before = account.presence
        presence = Presence(
            uid=account.uid,
            generation=account.generation + 1,
            line_digest=line_digest,
            device=device,
            ver=ver,
            token_expires=token_expires,
            channel=before.channel if before else None,
        )
        self._take_over(key, account, presence)
        return presence, before

    async def resume(self, line_digest: bytes) -> tuple[AccountKey, Presence] | None:
        key = self._lines.get(line_digest)
        if key is None:
            return None
        account = self._accounts[key]
        if account.presence is None:
            return None
        presence = attrs.evolve(
            account.presence, generation=account.generation + 1, lease_ends=None
        )
        self._take_over(key, account, presence)
        return key, presence

    def _take_over(self, key: AccountKey, account: _Account, presence: Presence) -> None:
        before = account.presence
        account.presence = presence
        account.generation = presence.generation
        if before is not None:
            del self._lines[before.line_digest]
            if before.lease_ends is None:
                self._deliver.deliver_kick(key, before.generation)
        self._lines[presence.line_digest] = key

    def _held(self, key: AccountKey, generation: int) -> _Account | None:
        """The account, where this generation holds it."""
        account = self._accounts.get(key)
        if account is None or account.presence is None or account.presence.generation != generation:
            return None
        return account

    async def disconnect(self, key: AccountKey, generation: int, lease_ends: float) -> bool:
        account = self._held(key, generation)
        if account is None or account.presence is None:
            return False
        account.presence = attrs.evolve(account.presence, lease_ends=lease_ends)
        return True

    async def log_out(
        self,
        key: AccountKey,
        presence: Presence,
        announce: ChannelContent | None,
        *,
        kick: bool,
        now: float,
    ) -> Ended | None:
        account = self._accounts.get(key)
        if account is None or account.presence != presence:
            return None
        account.presence = None
        del self._lines[presence.line_digest]
        if kick and presence.lease_ends is None:
            self._deliver.deliver_kick(key, presence.generation)
        left = None
        if presence.channel is not None:
            channel = ChannelKey(key.app, presence.channel)
            left = self._leave(channel, key.account, announce, now)
        return Ended(left=left)

    async def presence(self, key: AccountKey) -> Presence | None:
        account = self._accounts.get(key)
        return account.presence if account else None

    # --- users ---

    async def set_user_attr(self, key: AccountKey, name: str, value: JsonValue) -> None:
        self._account(key).attributes[name] = value

    async def user_attrs(self, key: AccountKey) -> Mapping[str, JsonValue]:
        account = self._accounts.get(key)
        return account.attributes if account else {}

    # --- inboxes ---

    async def post(self, post: Post, now: float) -> int | None:
        inbox = self._account(post.key).inbox
        if self._max_inbox and len(inbox.entries) >= self._max_inbox:
            inbox.entries = deque(entry for entry in inbox.entries if entry.expires > now)
            if len(inbox.entries) >= self._max_inbox:
                return None
        inbox.last_version += 1
        inbox.entries.append(
            Entry(version=inbox.last_version, expires=post.expires, line=post.line)
        )
        if not inbox.is_swept:
            inbox.is_swept = True
            self._to_sweep.append(post.key)
        self._deliver.deliver_entry(post.key, inbox.last_version, post.line)
        return inbox.last_version

    async def read_inbox(self, key: AccountKey, ver_clear: int, limit: int, now: float) -> Page:
        inbox = self._account(key).inbox
        _drop(inbox, ver_clear if ver_clear <= inbox.last_version else 0, now)
        entries = list(islice((entry for entry in inbox.entries if entry.expires > now), limit))
        floor = inbox.entries[0].version - 1 if inbox.entries else inbox.last_version
        return Page(ver_clear=floor, entries=entries)

    async def sweep_inboxes(self, now: float) -> None:
        for _ in range(min(SWEPT_INBOXES, len(self._to_sweep))):
            key = self._to_sweep.popleft()
            inbox = self._accounts[key].inbox
            _drop(inbox, 0, now)
            inbox.is_swept = bool(inbox.entries)
            if inbox.is_swept:
                self._to_sweep.append(key)

    # --- channels ---

    async def join(
        self,
        key: ChannelKey,
        account: str,
        generation: int,
        announce: ChannelContent | None,
        *,
        newest: int,
        now: float,
    ) -> Roster | None:
        owner = self._held(AccountKey(key.app, account), generation)
        if owner is None or owner.presence is None:
            return None
        channel = self._channels.setdefault(key, _Channel())
        if account not in channel.members:
            if announce is not None:
                self._publish(key, channel, announce, now)
            channel.members[account] = owner.uid
            channel.total += 1
            channel.idle_since = None
            owner.presence = attrs.evolve(owner.presence, channel=key.channel)
        return _roster(channel, newest)

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
        left = self._leave(key, account, announce, now)
        if owner.presence.channel == key.channel:
            owner.presence = attrs.evolve(owner.presence, channel=None)
        return left

    def _leave(
        self, key: ChannelKey, account: str, announce: ChannelContent | None, now: float
    ) -> Left | None:
        channel = self._channels.get(key)
        if channel is None or account not in channel.members:
            return None
        del channel.members[account]
        if announce is not None:
            self._publish(key, channel, announce, now)
        if not channel.members:
            channel.idle_since = now
        return Left(num=len(channel.members), idle_since=channel.idle_since)

    async def publish(self, key: ChannelKey, *contents: ChannelContent, now: float) -> bool:
        channel = self._channels.get(key)
        if channel is None:
            return False
        for content in contents:
            self._publish(key, channel, content, now)
        return True

    def _publish(
        self, key: ChannelKey, channel: _Channel, content: ChannelContent, now: float
    ) -> None:
        channel.msgid += 1
        self._deliver.deliver_event(key, channel.msgid, content, int(now * 1000))

    async def set_channel_attr(
        self, key: ChannelKey, name: str, value: JsonValue, announce: ChannelContent, *, now: float
    ) -> float | None:
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel(idle_since=now)
        channel.attributes[name] = value
        self._publish(key, channel, announce, now)
        return channel.idle_since

    async def del_channel_attr(
        self, key: ChannelKey, name: str, announce: ChannelContent, *, now: float
    ) -> bool:
        channel = self._channels.get(key)
        if channel is None or name not in channel.attributes:
            return False
        del channel.attributes[name]
        self._publish(key, channel, announce, now)
        return True

    async def clear_channel_attrs(
        self, key: ChannelKey, announce: ChannelContent, *, now: float
    ) -> bool:
        channel = self._channels.get(key)
        if channel is None:
            return False
        channel.attributes.clear()
        self._publish(key, channel, announce, now)
        return True

    async def channel_attrs(self, key: ChannelKey) -> Mapping[str, JsonValue]:
        channel = self._channels.get(key)
        return channel.attributes if channel else {}

    async def roster(self, key: ChannelKey, newest: int) -> Roster:
        channel = self._channels.get(key)
        return _roster(channel, newest) if channel else Roster()

    async def is_member(self, key: ChannelKey, account: str) -> bool:
        channel = self._channels.get(key)
        return channel is not None and account in channel.members

    async def destroy_channel(self, key: ChannelKey, idle_since: float) -> bool:
        channel = self._channels.get(key)
        if channel is None or channel.members or channel.idle_since != idle_since:
            return False
        del self._channels[key]
        return True

    # --- calls ---

    async def call(self, key: CallKey) -> Call | None:
        return self._calls.get(key)

    async def swap_call(
        self, key: CallKey, old: Call | None, new: Call | None, posts: Sequence[Post], now: float
    ) -> bool:
        if self._calls.get(key) != old:
            return False
        sides = (AccountKey(key.app, key.one), AccountKey(key.app, key.other))
        if new is None:
            self._calls.pop(key, None)
            for side in sides:
                self._account(side).calls.discard(key)
        else:
            self._calls[key] = new
            for side in sides:
                self._account(side).calls.add(key)
        for post in posts:
            await self.post(post, now)
        return True

    async def calls_of(self, key: AccountKey) -> Sequence[CallKey]:
        account = self._accounts.get(key)
        return tuple(account.calls) if account else ()


def _roster(channel: _Channel, newest: int) -> Roster:
    return Roster(
        num=len(channel.members),
        total=channel.total,
        newest=channel.newest(newest),
        msgid=channel.msgid,
    )


def _drop(inbox: _Inbox, ver_clear: int, now: float) -> None:
    """Drop what is handled, and what has expired at the head."""
    entries = inbox.entries
    while entries and (entries[0].version <= ver_clear or entries[0].expires <= now):
        entries.popleft()
