"""The embedded engine's presences: who is online, and in which channel.

Owns: these operations. An account's presence and its membership change as
one, and so does what others are told of it. Must not know how a change is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio
from msgspec.structs import replace

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine import told
from signal_sdk.server.engine.attribute_operations import AttributeOperations
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    ChannelKey,
    Delivery,
    FencedError,
    Joined,
    Known,
    LoginFacts,
    Presence,
    Roster,
)
from signal_sdk.server.engine.bounds import check
from signal_sdk.server.engine.call_operations import CallOperations
from signal_sdk.server.engine.facts import LATE_SECONDS, joining, leaving
from signal_sdk.server.engine.happened import (
    JOIN,
    LEAVE,
    LOGIN,
    LOGOUT,
    Join,
    Leave,
    Login,
    Logout,
    Why,
)
from signal_sdk.server.engine.lock_operations import LockOperations
from signal_sdk.server.engine.node_lives import NodeLives
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.refusals import too_often
from signal_sdk.wire import built_in, names

LEASE: Final = "lease"
EXPIRY: Final = "expiry"
MEMBERS_PER_JOIN: Final = 200
"""A join counts as one for each so many members that hear of it. Who has joined may leave, which
counts no more: nobody is kept in a channel.
"""


class PresenceOperations(NodeLives, AttributeOperations, CallOperations, LockOperations):
    """Presence and membership, as the contract has them. A presence ends with its calls, and what
    becomes of both is told in channels: hence those below.
    """

    # --- logging in ---

    def log_in(
        self, key: AccountKey, facts: LoginFacts, *, again: bool = False, keeps: bool = False
    ) -> Presence | None:
        self._check_life()
        account = self._state.account(key)
        before = account.presence
        if before is not None and self._is_none_any_more(before, facts, again=again):
            return None
        if before is not None and not (keeps and before.many_channels == facts.many_channels):
            self._end(account, before, why=Why.KICKED, is_same=again)
            before = None
            # It may have been forgotten with that.
            account = self._state.account(key, was_known=True)
        presence = Presence(
            uid=account.uid,
            generation=account.generation + 1,
            node=self.node,
            line_digest=facts.line_digest,
            device=facts.device,
            ver=facts.ver,
            token_expires=facts.token_expires,
            instance=facts.instance,
            channels=before.channels if before else (),
            token_issued=facts.token_issued,
            rights=facts.rights,
            began=facts.began,
            many_channels=facts.many_channels,
        )
        self._forget_replies(account, list(account.replies))
        if before is not None:
            self._kick(account, before, is_same=again)
        self._take_over(account, presence)
        if before is None:
            self._tell_presence(account, presence.generation, is_online=True)
            self._tell_special(
                names.USER_ONLINE_CHANNEL, told.ONLINE, names.USER_ONLINE_CHANNEL, account
            )
            if LOGIN in self._wanted:
                self._tell(Login(app=key.app, account=key.account, device=facts.device))
        return presence

    @staticmethod
    def _is_none_any_more(before: Presence, facts: LoginFacts, *, again: bool) -> bool:
        """Is this login, which finds the account held, one that takes it from nobody?"""
        if again:
            return before.instance != facts.instance
        least, most = LATE_SECONDS
        return least < before.began - facts.began < most

    def resume(self, line_digest: bytes) -> tuple[AccountKey, Presence] | None:
        self._check_life()
        key = self._lines.get(line_digest)
        account = self._accounts[key] if key is not None else None
        if key is None or account is None or account.presence is None:
            return None
        before, generation = account.presence, account.generation + 1
        presence = replace(before, generation=generation, node=self.node, lease_ends=None)
        if delivery := self._holder(before):
            delivery.deliver_loss(account.key, before.generation)
        self._take_over(account, presence)
        return key, presence

    def _take_over(self, account: Account, presence: Presence) -> None:
        before = account.presence
        account.presence = presence
        account.generation = presence.generation
        if before is not None:
            del self._lines[before.line_digest]
        else:
            account.usage.online += 1
        self._lines[presence.line_digest] = account.key
        self._commits.account(account)
        self._watch_presence(account)

    def _kick(self, account: Account, presence: Presence, *, is_same: bool) -> None:
        """Another login has taken the account: of the same client, which may have given up the one
        that was the later, or of somebody else.
        """
        if delivery := self._holder(presence):
            tell = delivery.deliver_loss if is_same else delivery.deliver_kick
            tell(account.key, presence.generation)

    def _holder(self, presence: Presence) -> Delivery | None:
        """The node that has the presence's connection."""
        return self._state.deliveries.get(presence.node) if presence.lease_ends is None else None

    def _watch_presence(self, account: Account) -> None:
        """When is something due of the account's presence?"""
        presence = account.presence
        lease = presence.lease_ends if presence is not None else None
        if lease is not None:
            self._dues.set((LEASE, account), lease - self._wall())
        else:
            self._dues.cancel((LEASE, account))
        expires = presence.token_expires if presence is not None and lease is None else None
        # Whoever comes back behind the end of a token is told so.
        if expires is not None:
            self._expiries.set((EXPIRY, account), expires - self.token_time())
        else:
            self._expiries.cancel((EXPIRY, account))

    def arrival_time(self) -> float:
        return trio.current_time()

    def token_time(self) -> float:
        now, skew = self._wall(), self._state.bounds.clock_skew_seconds
        return max(now, self._state.newest_time - skew) if skew else now

    # --- the end ---

    def disconnect(self, key: AccountKey, generation: int) -> None:
        account = self._held(key, generation)
        if account is not None:
            self._lease(account)

    def _lease(self, account: Account) -> None:
        """Begin the lease of an account whose connection is gone."""
        if account.presence is None or account.presence.lease_ends is not None:
            return
        timeout = account.attributes.get(built_in.CONN_TIMEOUT, built_in.MAX_CONN_TIMEOUT_SECONDS)
        lease_ends = self._wall() + built_in.conn_timeout_seconds(timeout)
        account.presence = replace(account.presence, lease_ends=lease_ends)
        self._commits.account(account)
        self._watch_presence(account)

    def end(
        self, key: AccountKey, generation: int, *, expires: bool = False, why: str = Why.LOGOUT
    ) -> bool:
        account = self._held(key, generation)
        if account is None or account.presence is None:
            return False
        if expires:
            self._expire(account, why=why)
        else:
            self._end(account, account.presence, why=why, kicks=False)
        return True

    def _expire(self, account: Account, *, why: str) -> None:
        """The session's token is good no more."""
        presence = account.presence
        if presence is None:
            return
        delivery = self._holder(presence)
        if delivery is not None:
            delivery.deliver_expiry(account.key, presence.generation)
        self._end(account, presence, why=why, kicks=False)

    def _end(
        self,
        account: Account,
        presence: Presence,
        *,
        why: str,
        kicks: bool = True,
        is_same: bool = False,
    ) -> None:
        account.presence = None
        account.usage.online -= 1
        del self._lines[presence.line_digest]
        self._forget_replies(account, list(account.replies))
        if kicks:
            self._kick(account, presence, is_same=is_same)
        self._commits.account(account)
        self._watch_presence(account)
        for channel in presence.channels:
            self._depart(ChannelKey(account.key.app, channel), account)
        self._end_calls(account)
        self._tell_presence(account, presence.generation, is_online=False)
        self._tell_special(
            names.USER_ONLINE_CHANNEL, told.OFFLINE, names.USER_ONLINE_CHANNEL, account
        )
        if LOGOUT in self._wanted:
            self._tell(Logout(app=account.key.app, account=account.key.account, why=why))
        self._inboxes.let_go(account)

    def presence(self, key: AccountKey) -> Presence | None:
        account = self._accounts.get(key)
        return account.presence if account else None

    def online(self) -> Sequence[tuple[AccountKey, Presence]]:
        return [(key, it.presence) for key, it in self._accounts.items() if it.presence is not None]

    # --- membership ---

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
