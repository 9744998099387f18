"""The embedded engine: all state in this process's memory, every operation done in one step, and
noted for the journal where there is one.

Owns: the tables and how they change. Must not know a rule, or how a change is written. Nothing here
waits, which is what makes each operation atomic; what one request changes is in one batch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import trio
from msgspec.structs import replace

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import (
    AccountKey,
    Call,
    CallKey,
    ChannelKey,
    Delivery,
    Ended,
    Engine,
    Entry,
    Event,
    Left,
    MakeContents,
    Page,
    Post,
    Presence,
    Roster,
    Then,
)
from signal_sdk.server.engine.commits import Commits, InThread, JournalCommits, in_thread
from signal_sdk.server.engine.inboxes import Inboxes
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.state import State
from signal_sdk.server.engine.tables import (
    Account,
    Channel,
    Reply,
    call_row,
    encode_json,
    reserve,
)
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.names import JsonValue

MAX_REPLIES: Final = 10_000
"""How many replies a session keeps, which is how many requests our SDK has under way at most."""
SWEPT: Final = 1000
"""How many channels' histories one sweep looks at."""


class EmbeddedEngine(Engine):
    """An engine for one node.

    `max_inbox` bounds each inbox's entries; a channel's history has at most `history_events`, each
    for `history_seconds`; 0 is no bound. With a `journal`, it goes on where that was left
    (`StorageError` where that cannot be), and writes to it by `write_in_thread`.
    """

    is_immediate = True

    def __init__(
        self,
        *,
        max_inbox: int = 0,
        history_events: int = 256,
        history_seconds: float = 60.0,
        journal: Journal | None = None,
        write_in_thread: InThread = in_thread,
    ) -> None:
        self._history_events = history_events or math.inf
        self._history_seconds = history_seconds or math.inf
        commits = Commits()
        if journal is not None:
            commits = JournalCommits(journal, write_in_thread)
        self._commits = commits
        self._state = state = State(commits)
        if journal is not None:
            state.load(journal)
        self._accounts = state.accounts
        self._lines = state.lines
        self._channels = state.channels
        self._calls = state.calls
        self._inboxes = Inboxes(commits, max_inbox, state.accounts.values())
        self._delivery: Delivery | None = None
        self._histories: deque[ChannelKey] = deque()

    # --- life ---

    def bound(self, *, max_inbox: int, history_events: int, history_seconds: float) -> None:
        self._inboxes.max_entries = max_inbox
        self._history_events = history_events or math.inf
        self._history_seconds = history_seconds or math.inf

    def attach(self, delivery: Delivery) -> None:
        self._delivery = delivery

    @property
    def _deliver(self) -> Delivery:
        if self._delivery is None:
            raise RuntimeError("the engine is not attached to a node")
        return self._delivery

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self._commits.run()

    async def aclose(self) -> None:
        for account in self._accounts.values():
            if account.reserved != account.inbox.last_version:
                account.reserved = account.inbox.last_version
                self._commits.account(account)
        for channel in self._channels.values():
            if channel.reserved != channel.msgid:
                channel.reserved = channel.msgid
                self._commits.channel(channel)
        await self._commits.aclose()

    # --- durability ---

    def check_writable(self) -> None:
        self._commits.check()

    def when_durable(self, then: Then) -> None:
        self._commits.when_durable(then)

    async def remember(
        self, key: AccountKey, generation: int, callid: int, text: str, *, durably: bool
    ) -> None:
        account = self._held(key, generation)
        if account is None:
            return
        # Behind the others, so that they are in the order of their numbers.
        if callid in account.replies:
            self._forget_replies(account, [callid])
        number = None
        if durably:
            number = self._state.last_reply = self._state.last_reply + 1
            self._commits.put("replies", (number,), (number, account.id, callid, text))
        account.replies[callid] = Reply(text, number)
        if len(account.replies) > MAX_REPLIES:
            self._forget_replies(account, [next(iter(account.replies))])

    async def recall(self, key: AccountKey, callid: int, ack: int) -> str | None:
        account = self._accounts[key]
        acked = []
        # They are in the order of their call ids, but for a few that were sent again.
        for kept in account.replies:
            if kept > ack:
                break
            acked.append(kept)
        if acked:
            self._forget_replies(account, acked)
        reply = account.replies.get(callid)
        return reply.text if reply else None

    def _forget_replies(self, account: Account, callids: Sequence[int]) -> None:
        for callid in callids:
            number = account.replies.pop(callid).number
            if number is not None:
                self._commits.drop("replies", (number,))

    # --- after a start ---

    async def online(self) -> Sequence[tuple[AccountKey, Presence]]:
        return [(key, it.presence) for key, it in self._accounts.items() if it.presence is not None]

    async def live_calls(self) -> Sequence[tuple[CallKey, Call]]:
        return list(self._calls.items())

    async def channels(self) -> Sequence[tuple[ChannelKey, float | None]]:
        return [(key, channel.idle_since) for key, channel in self._channels.items()]

    # --- presence ---

    async def log_in(
        self,
        key: AccountKey,
        *,
        line_digest: bytes,
        device: str,
        ver: int,
        token_expires: int | None,
        instance: str,
        again: bool = False,
    ) -> tuple[Presence, Presence | None] | None:
        account = self._state.account(key)
        before = account.presence
        if again and before is not None and before.instance != instance:
            return None
        presence = Presence(
            uid=account.uid,
            generation=account.generation + 1,
            line_digest=line_digest,
            device=device,
            ver=ver,
            token_expires=token_expires,
            instance=instance,
            channel=before.channel if before else None,
        )
        self._forget_replies(account, list(account.replies))
        self._take_over(key, account, presence)
        return presence, before

    async def resume(self, line_digest: bytes) -> tuple[AccountKey, Presence] | None:
        key = self._lines.get(line_digest)
        if key is None:
            return None
        account = self._accounts[key]
        if account.presence is None:
            return None
        presence = replace(account.presence, generation=account.generation + 1, lease_ends=None)
        self._take_over(key, account, presence)
        return key, presence

    def _take_over(self, key: AccountKey, account: Account, presence: Presence) -> None:
        before = account.presence
        account.presence = presence
        account.generation = presence.generation
        if before is not None:
            del self._lines[before.line_digest]
            if before.lease_ends is None:
                self._deliver.deliver_kick(key, before.generation)
        self._lines[presence.line_digest] = key
        self._commits.account(account)

    def _held(self, key: AccountKey, generation: int) -> Account | None:
        """The account, where this generation holds it."""
        account = self._accounts.get(key)
        if account is None or account.presence is None or account.presence.generation != generation:
            return None
        return account

    async def disconnect(self, key: AccountKey, generation: int, lease_ends: float) -> bool:
        account = self._held(key, generation)
        if account is None or account.presence is None:
            return False
        account.presence = replace(account.presence, lease_ends=lease_ends)
        self._commits.account(account)
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
        self._forget_replies(account, list(account.replies))
        if kick and presence.lease_ends is None:
            self._deliver.deliver_kick(key, presence.generation)
        self._commits.account(account)
        left = None
        if presence.channel is not None:
            left = self._leave(ChannelKey(key.app, presence.channel), account, announce, now)
        return Ended(left=left)

    async def presence(self, key: AccountKey) -> Presence | None:
        account = self._accounts.get(key)
        return account.presence if account else None

    # --- users ---

    async def set_user_attr(self, key: AccountKey, name: str, value: JsonValue) -> None:
        account = self._state.account(key)
        account.attributes[name] = value
        row = (account.id, name, encode_json(value))
        self._commits.put("user_attributes", (account.id, name), row)

    async def user_attrs(self, key: AccountKey) -> Mapping[str, JsonValue]:
        account = self._accounts.get(key)
        return account.attributes if account else {}

    # --- inboxes ---

    async def post(self, post: Post, now: float) -> int | None:
        account = self._state.account(post.key)
        entry = self._inboxes.post(account, post, now)
        if entry is None:
            return None
        self._commits.when_durable(partial(self._tell_of, post.key, entry))
        return entry.version

    def _tell_of(self, key: AccountKey, entry: Entry, _: SignalError | None) -> None:
        # What cannot be written now is in the inbox all the same, and will be.
        self._deliver.deliver_entry(key, entry.version, entry.line)

    async def read_inbox(self, key: AccountKey, ver_clear: int, limit: int, now: float) -> Page:
        return self._inboxes.read(self._state.account(key), ver_clear, limit, now)

    async def sweep(self, now: float) -> None:
        self._inboxes.sweep(now)
        for _ in range(min(SWEPT, len(self._histories))):
            channel = self._channels.get(key := self._histories.popleft())
            if channel is not None:
                channel.forget(now - self._history_seconds)
                if channel.history:
                    self._histories.append(key)

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
        channel = self._channels.get(key) or self._state.make_channel(key, None)
        if account not in channel.members:
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
        return channel.roster(newest)

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

    async def publish(self, key: ChannelKey, make: MakeContents, *, now: float) -> bool:
        channel = self._channels.get(key)
        if channel is None:
            return False
        for content in make():
            self._publish(channel, content, now)
        return True

    def _publish(self, channel: Channel, content: ChannelContent, now: float) -> None:
        channel.msgid += 1
        if reserved := reserve(channel.msgid, channel.reserved):
            channel.reserved = reserved
            self._commits.channel(channel)
        event = Event(channel.msgid, content, int(now * 1000))
        history = channel.history
        if not history:
            self._histories.append(channel.key)
        while len(history) >= self._history_events:
            history.popleft()
        history.append(event)
        self._deliver.deliver_event(channel.key, event.msgid, content, event.time_ms)

    async def set_channel_attr(
        self, key: ChannelKey, name: str, value: JsonValue, announce: ChannelContent, *, now: float
    ) -> float | None:
        channel = self._channels.get(key) or self._state.make_channel(key, now)
        channel.attributes[name] = value
        row = (channel.id, name, encode_json(value))
        self._commits.put("channel_attributes", (channel.id, name), row)
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

    def _drop_attribute(self, channel: Channel, name: str) -> None:
        del channel.attributes[name]
        self._commits.drop("channel_attributes", (channel.id, name))

    async def channel_attrs(self, key: ChannelKey) -> Mapping[str, JsonValue]:
        channel = self._channels.get(key)
        return channel.attributes if channel else {}

    async def history(self, key: ChannelKey, after: int, now: float) -> Sequence[Event] | None:
        channel = self._channels.get(key)
        if channel is None:
            return None
        channel.forget(now - self._history_seconds)
        return channel.after(after)

    async def roster(self, key: ChannelKey, newest: int) -> Roster:
        channel = self._channels.get(key)
        return channel.roster(newest) if channel else Roster()

    async def is_member(self, key: ChannelKey, account: str) -> bool:
        channel = self._channels.get(key)
        return channel is not None and account in channel.members

    async def joined_at(self, key: ChannelKey, account: str) -> int:
        owner = self._accounts.get(AccountKey(key.app, account))
        return owner.joined_at if owner and await self.is_member(key, account) else 0

    async def destroy_channel(self, key: ChannelKey, idle_since: float) -> bool:
        channel = self._channels.get(key)
        if channel is None or channel.members or channel.idle_since != idle_since:
            return False
        for name in list(channel.attributes):
            self._drop_attribute(channel, name)
        del self._channels[key]
        self._commits.drop("channels", (channel.id,))
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
                self._state.account(side).calls.pop(key, None)
            self._commits.drop("calls", key)
        else:
            self._calls[key] = new
            for side in sides:
                self._state.account(side).calls[key] = None
            self._commits.put("calls", key, call_row(key, new))
        for post in posts:
            await self.post(post, now)
        return True

    async def calls_of(self, key: AccountKey) -> Sequence[CallKey]:
        account = self._accounts.get(key)
        return tuple(account.calls) if account else ()
