"""All accounts, channels and calls of the embedded engine, and how they come back from a journal.

Owns: the indexes, and the numbers that name records. Must not know an operation.
"""

from __future__ import annotations

import attrs

from signal_sdk.server.engine.base import AccountKey, Call, CallKey, ChannelKey, Entry
from signal_sdk.server.engine.commits import Commits
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.tables import (
    RESERVED,
    Account,
    Channel,
    Reply,
    call_from_row,
    decode_json,
)


@attrs.define(eq=False)
class State:
    """The tables. `lines` finds the account of a session's digest."""

    commits: Commits
    accounts: dict[AccountKey, Account] = attrs.field(factory=dict)
    lines: dict[bytes, AccountKey] = attrs.field(factory=dict)
    channels: dict[ChannelKey, Channel] = attrs.field(factory=dict)
    calls: dict[CallKey, Call] = attrs.field(factory=dict)
    last_reply: int = 0
    _uids: dict[str, int] = attrs.field(factory=dict)
    _last_channel: int = 0

    def account(self, key: AccountKey) -> Account:
        """The account; made where it was never named before."""
        account = self.accounts.get(key)
        if account is None:
            uid = self._uids.get(key.app, 0) + 1
            self._uids[key.app] = uid
            account = Account(id=len(self.accounts) + 1, key=key, uid=uid)
            self.accounts[key] = account
            self.commits.account(account)
        return account

    def make_channel(self, key: ChannelKey, idle_since: float | None) -> Channel:
        """A new channel."""
        self._last_channel += 1
        channel = Channel(id=self._last_channel, key=key, idle_since=idle_since)
        self.channels[key] = channel
        self.commits.channel(channel)
        return channel

    def load(self, journal: Journal) -> None:
        """Go on where the journal was left. Raises `StorageError`."""
        journal.reserve(RESERVED)
        accounts: dict[int, Account] = {}
        for row in journal.rows("accounts"):
            account = Account.from_row(row)
            key = account.key
            accounts[account.id] = self.accounts[key] = account
            self._uids[key.app] = max(self._uids.get(key.app, 0), account.uid)
            if account.presence is not None:
                self.lines[account.presence.line_digest] = key
        for number, name, value in journal.rows("user_attributes"):
            accounts[number].attributes[name] = decode_json(value)
        for number, owner, version, expires, line in journal.rows("entries", "account, version"):
            entry = Entry(version=version, expires=expires, line=line, number=number)
            accounts[owner].inbox.append(entry)
        for number, owner, callid, text in journal.rows("replies"):
            accounts[owner].replies[callid] = Reply(text, number)
            self.last_reply = number
        channels = {row[0]: Channel.from_row(row) for row in journal.rows("channels")}
        self.channels = {channel.key: channel for channel in channels.values()}
        self._last_channel = max(channels, default=0)
        for number, member, _ in journal.rows("members", "position"):
            channels[number].members[accounts[member].key.account] = accounts[member].uid
        for number, name, value in journal.rows("channel_attributes"):
            channels[number].attributes[name] = decode_json(value)
        for row in journal.rows("calls"):
            call_key, call = call_from_row(row)
            self.calls[call_key] = call
            for side in (call_key.one, call_key.other):
                self.accounts[AccountKey(call_key.app, side)].calls[call_key] = None
