"""The embedded engine's presences: who is online.

Owns: these operations, and what others are told of them. An account's presence and its membership
change as one. Must not know how a change is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio
from msgspec.structs import replace

from signal_sdk.server.engine import told
from signal_sdk.server.engine.base import (
    AccountKey,
    ChannelKey,
    Delivery,
    LoginFacts,
    Presence,
)
from signal_sdk.server.engine.call_operations import CallOperations
from signal_sdk.server.engine.facts import LATE_SECONDS
from signal_sdk.server.engine.happened import LOGIN, LOGOUT, Login, Logout, Why
from signal_sdk.server.engine.membership_operations import MembershipOperations
from signal_sdk.server.engine.node_lives import NodeLives
from signal_sdk.server.engine.tables import Account
from signal_sdk.wire import built_in, names

LEASE: Final = "lease"
EXPIRY: Final = "expiry"


class PresenceOperations(NodeLives, MembershipOperations, CallOperations):
    """Presence, as the contract has it. It ends with its membership and its calls: hence those
    below.
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
