"""The embedded engine's operations for an operator: what is ended, told and looked at from outside
of every session.

Owns: these operations, and how long one part of a list may take. Must not know how a change is
written, nor who may ask.

Accounts and channels lie in the order of their ids, since what is known anew gets a new one: a
list goes on behind the last that it has looked at.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec

from signal_sdk.server.engine import call_table
from signal_sdk.server.engine.base import (
    AccountKey,
    AttributeChange,
    Call,
    CallKey,
    ChannelKey,
    Entry,
    Part,
    Post,
    Presence,
    Standing,
)
from signal_sdk.server.engine.bounds import QuotaError
from signal_sdk.server.engine.facts import leaving
from signal_sdk.server.engine.happened import CALL, MESSAGE, Why
from signal_sdk.server.engine.operating import number_in, wrong_cursor
from signal_sdk.server.engine.presence_operations import PresenceOperations
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.wire import events
from signal_sdk.wire.events import ChannelMessage
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import is_binary

LOOKED_AT: Final = 1000
"""How many accounts or channels one part of a list looks at: a millisecond's work, or two."""

Record = TypeVar("Record", Account, Channel)
T = TypeVar("T")


class OperatorOperations(PresenceOperations):
    """What an operator may ask for, as the contract has it."""

    # --- telling ---

    def tell(self, post: Post) -> None:
        self._post(post)

    def tell_channel(self, key: ChannelKey, message: ChannelMessage) -> bool:
        channel = self._channels.get(key)
        if channel is None:
            return False
        if is_binary(message.properties):
            self._check_bytes(key, channel)
        self._check_messages(key, channel)
        self._publish(channel, message)
        if MESSAGE in self._wanted:
            self._channel_message_happens(key, message)
        return True

    # --- ending ---

    def kick(self, key: AccountKey) -> bool:
        account = self._accounts.get(key)
        if account is None or account.presence is None:
            return False
        self._end(account, account.presence, why=Why.OPERATOR)
        return True

    def remove(self, key: AccountKey, channel: str) -> bool:
        account = self._accounts.get(key)
        presence = account.presence if account is not None else None
        if account is None or presence is None or channel not in presence.channels:
            return False
        account.presence = leaving(presence, channel, is_removed=True)
        self._commits.account(account)
        where = ChannelKey(key.app, channel)
        if delivery := self._holder(presence):
            msgid, time_ms = self._channels[where].msgid + 1, int(self._wall() * 1000)
            delivery.deliver_removal(key, presence.generation, channel, msgid, time_ms)
        self._depart(where, account)
        return True

    def end_call(self, key: CallKey, call_id: str) -> bool:
        call = self._calls.get(key)
        if call is None or call_id not in ("", call.id):
            return False
        self._replace(key, None, why=Why.OPERATOR)
        for side in dict.fromkeys((call.caller, call.callee)):
            self._tell_side(key.app, call, to=side, kind=events.VOIP_BYE, extra="")
        if CALL in self._wanted:
            self._call_happens(key.app, call, call_table.ENDED, Why.OPERATOR)
        self._let_go(key)
        return True

    # --- attributes ---

    def put_user_attr(self, key: AccountKey, name: str, value: JsonValue) -> None:
        account = self._state.account(key)
        try:
            self._change_user(account, AttributeChange(set={name: value}))
        except QuotaError:
            self._inboxes.let_go(account)
            raise

    def drop_user_attr(self, key: AccountKey, name: str) -> bool:
        account = self._accounts.get(key)
        if account is None or name not in account.attributes:
            return False
        self._change_user(account, AttributeChange(delete=(name,)))
        self._inboxes.let_go(account)
        return True

    def put_channel_attr(self, key: ChannelKey, name: str, value: JsonValue) -> None:
        self._set_channel_attr(key, None, name, value)

    def drop_channel_attr(self, key: ChannelKey, name: str) -> bool:
        return self._del_channel_attr(key, None, name)

    # --- looking ---

    def inbox_size(self, key: AccountKey) -> tuple[int, int]:
        account = self._accounts.get(key)
        return (len(account.inbox.entries), account.inbox.size) if account is not None else (0, 0)

    def peek(self, key: AccountKey, after: int, limit: int) -> Sequence[Entry]:
        account, now = self._accounts.get(key), self._wall()
        entries: Iterable[Entry] = account.inbox.entries if account is not None else ()
        waiting = (it for it in entries if it.version > after and it.expires > now)
        return list(islice(waiting, limit))

    def online_in(self, app: str, cursor: str, limit: int) -> Part[tuple[str, Presence]]:
        def found(account: Account) -> tuple[str, Presence] | None:
            presence = account.presence
            return (account.key.account, presence) if presence and account.key.app == app else None

        return _part(list(self._accounts.values()), cursor, limit, found)

    def channel(self, key: ChannelKey) -> Standing | None:
        channel = self._channels.get(key)
        return _standing(channel) if channel is not None else None

    def channels_in(self, app: str, cursor: str, limit: int) -> Part[Standing]:
        def found(channel: Channel) -> Standing | None:
            return _standing(channel) if channel.key.app == app else None

        return _part(list(self._channels.values()), cursor, limit, found)

    def members(self, key: ChannelKey, cursor: str, limit: int) -> Part[tuple[str, int]]:
        channel = self._channels.get(key)
        members = channel.members if channel is not None else {}
        # The numbers of their joins are in the journal alone.
        behind = [it for it in members if it > cursor] if cursor else members
        some = heapq.nsmallest(limit + 1, behind)
        items = [(it, members[it]) for it in some[:limit]]
        return Part(items, some[limit - 1] if len(some) > limit else "")

    def call(self, key: CallKey) -> Call | None:
        return self._calls.get(key)

    def calls_in(self, app: str, cursor: str, limit: int) -> Part[Call]:
        after = CallKey(app, "", "", "")
        if cursor:
            try:
                after = CallKey(app, *msgspec.json.decode(cursor, type=tuple[str, str, str]))
            except msgspec.MsgspecError:
                raise wrong_cursor() from None
        behind = [it for it in self._calls if it.app == app and it > after]
        some = heapq.nsmallest(limit + 1, behind)
        last = some[limit - 1][1:] if len(some) > limit else None
        items = [self._calls[it] for it in some[:limit]]
        return Part(items, msgspec.json.encode(last).decode() if last is not None else "")


def _part(
    records: Sequence[Record], cursor: str, limit: int, found: Callable[[Record], T | None]
) -> Part[T]:
    """What is `found` behind the record of that id, of those that are looked at now."""
    first = bisect_right(records, number_in(cursor), key=_id_of)
    items: list[T] = []
    at = first
    while at < len(records) and at < first + LOOKED_AT and len(items) < limit:
        item = found(records[at])
        if item is not None:
            items.append(item)
        at += 1
    return Part(items, str(records[at - 1].id) if at < len(records) else "")


def _id_of(record: Account | Channel) -> int:
    return record.id


def _standing(channel: Channel) -> Standing:
    return Standing(
        name=channel.key.channel,
        num=len(channel.members),
        total=channel.total,
        msgid=channel.msgid,
        idle_since=channel.idle_since,
    )
