"""The embedded engine's memberships: who is in which channel.

Owns: these operations, and what others are told of them. A membership is part of its account's
presence, and changes with it as one. Must not know how a session begins or ends, nor how a change
is written.
"""

from __future__ import annotations

from typing import Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine import told
from signal_sdk.server.engine.attribute_operations import AttributeOperations
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    ChannelKey,
    FencedError,
    Joined,
    Known,
    Presence,
    Roster,
)
from signal_sdk.server.engine.bounds import check
from signal_sdk.server.engine.facts import joining, leaving
from signal_sdk.server.engine.happened import JOIN, LEAVE, Join, Leave
from signal_sdk.server.engine.lock_operations import LockOperations
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.refusals import too_often
from signal_sdk.wire import names

MEMBERS_PER_JOIN: Final = 200
"""A join counts as one for each so many members that hear of it. Who has joined may leave, which
counts no more: nobody is kept in a channel.
"""


class MembershipOperations(AttributeOperations, LockOperations):
    """Membership, as the contract has it. Who leaves gives up the channel's locks, and both is told
    in channels: hence those below.
    """

    def join(self, asked: Asked, channel: str, *, newest: int) -> Joined | Known:
        account = self._asker(asked, ECode.JOINCHANNEL_E_OTHER)
        presence = account.presence
        if presence is None:
            raise FencedError(ECode.JOINCHANNEL_E_OTHER)
        known, is_in = self._known(account, asked), channel in presence.channels
        if known is not None and not is_in:
            return known
        key = ChannelKey(asked.key.app, channel)
        found = self._channels.get(key)
        if not is_in:
            self._check_session(presence)
            self._check_joins(key, found)
        if found is None:
            found = self._state.make_channel(key, account, None)
        if not is_in:
            joined = joining(presence, channel)
            for left in presence.channels:
                if left not in joined.channels:
                    self._depart(ChannelKey(key.app, left), account)
            account.presence = joined
            self._commits.account(account)
            self._arrive(found, account)
        account.joined_at = found.msgid
        self._keep(account, asked)
        return Joined(roster=found.roster(newest), attributes=self._attributes(found))

    def _check_session(self, presence: Presence) -> None:
        """Raise `QuotaError` where the session is in all the channels that it may be in."""
        if presence.many_channels:
            what, most = "the channels that a session is in", self._state.bounds.session_channels
            code = ECode.JOINCHANNEL_E_OTHER
            check(len(presence.channels), most, what, code, limit="session_channels")

    def _check_joins(self, key: ChannelKey, channel: Channel | None) -> None:
        """Count a join that all members hear of: in a large channel, as several. Raises
        `SignalError` over the channel's rate.
        """
        limit = self._state.bounds.channel_joins_per_second
        if not limit or not told.announces(key.channel, channel.attributes if channel else {}):
            return
        num, now = len(channel.members) if channel else 0, trio.current_time()
        pace = self._state.joins.of(key)
        if seconds := pace.seconds_left(limit, now):
            raise too_often(
                ECode.JOINCHANNEL_E_OTHER,
                f"more joins in a second than a channel of {num} members takes",
                seconds,
                limit="channel_joins_per_second",
            )
        pace.charge(max(num / MEMBERS_PER_JOIN - 1, 0), limit, now)

    def _arrive(self, channel: Channel, account: Account) -> None:
        """Make the account a member, and tell of it."""
        name, key = account.key.account, channel.key
        if told.announces(key.channel, channel.attributes):
            self._publish(channel, told.moved(told.JOIN, key.channel, name, account.uid))
        channel.members[name] = account.uid
        channel.usage.members += 1
        channel.total += 1
        if len(channel.members) == 1:
            self._populated(channel)
        self._commits.channel(channel)
        self._commits.put(
            "members", (channel.id, account.id), (channel.id, account.id, channel.total)
        )
        if key.channel not in names.SPECIAL_CHANNELS:
            self._tell_special(names.CHANNEL_EVENT_CHANNEL, told.JOIN, key.channel, account)
            if JOIN in self._wanted:
                self._tell(Join(account=name, members=len(channel.members), **key._asdict()))

    def leave(self, asked: Asked, channel: str) -> Known | None:
        account = self._asker(asked, ECode.LEAVECHANNEL_E_OTHER)
        if known := self._known(account, asked):
            return known
        presence = account.presence
        if presence is None or channel not in presence.channels:
            raise SignalError(
                ECode.LEAVECHANNEL_E_OTHER,
                f"{asked.key.account!r} is not in the channel {channel!r}",
            )
        account.presence = leaving(presence, channel)
        self._commits.account(account)
        self._depart(ChannelKey(asked.key.app, channel), account)
        self._keep(account, asked)
        return None

    def _depart(self, key: ChannelKey, account: Account) -> None:
        """The account is a member no more: tell of it."""
        channel = self._channels.get(key)
        name = account.key.account
        if channel is None or channel.members.pop(name, None) is None:
            return
        channel.usage.members -= 1
        self._commits.drop("members", (channel.id, account.id))
        self._give_up_locks(channel, account)
        if told.announces(key.channel, channel.attributes):
            self._publish(channel, told.moved(told.LEAVE, key.channel, name, account.uid))
        if not channel.members:
            self._emptied(channel)
            self._commits.channel(channel)
        if key.channel not in names.SPECIAL_CHANNELS:
            self._tell_special(names.CHANNEL_EVENT_CHANNEL, told.LEAVE, key.channel, account)
            if LEAVE in self._wanted:
                self._tell(Leave(account=name, members=len(channel.members), **key._asdict()))

    def roster(self, key: ChannelKey, newest: int) -> Roster:
        channel = self._channels.get(key)
        return channel.roster(newest) if channel else Roster()

    def is_member(self, key: ChannelKey, account: str) -> bool:
        channel = self._channels.get(key)
        return channel is not None and account in channel.members

    def joined_at(self, key: ChannelKey, account: str) -> int:
        owner = self._accounts.get(AccountKey(key.app, account))
        presence = owner.presence if owner is not None else None
        if owner is None or presence is None or presence.many_channels:
            return 0
        return owner.joined_at if presence.channel == key.channel else 0
