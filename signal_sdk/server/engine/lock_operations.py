"""The embedded engine's locks: got, renewed, given up, and handed on to who waits.

Owns: these operations, and the end of what nobody has renewed or waited for in time. Must not know
who is a member when, or how a change is written.
"""

from __future__ import annotations

from typing import Final

from signal_sdk.server.engine import lock_refusals
from signal_sdk.server.engine.base import AccountKey, Asked, ChannelKey, Known
from signal_sdk.server.engine.bounds import check
from signal_sdk.server.engine.core import Core
from signal_sdk.server.engine.locking import Locked, LockLook
from signal_sdk.server.engine.locks import Ask
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.wire import built_in

LOCK: Final = "lock"
SAME_SECONDS: Final = 1.0
"""By how much the end of a waiting may differ from what was asked again: who waits asks again every
few seconds, of which nobody need write anything down."""


class LockOperations(Core):
    """Locks, as the contract has them."""

    def lock(
        self, asked: Asked, channel: str, name: str, ask: str, *, seconds: float, wait: float
    ) -> Locked | Known:
        account = self._asker(asked)
        if known := self._known(account, asked):
            it = self._ask_of(asked, account, channel, name, ask)
            return self._standing(it) if it is not None else known
        found = self._channels.get(ChannelKey(asked.key.app, channel))
        if found is None or asked.key.account not in found.members:
            raise lock_refusals.not_a_member(asked.key.account, channel)
        standing = self._lock(found, name, account, ask, seconds, wait)
        self._keep(account, asked)
        return standing

    def _lock(
        self, channel: Channel, name: str, account: Account, id_: str, seconds: float, wait: float
    ) -> Locked:
        now, ask = self._wall(), self._locks.find(channel, name, account, id_)
        if ask is None:
            asks = self._locks.asks(channel, name)
            if asks and not wait:
                return Locked(holder=asks[0].account.key.account)
            self._check_locks(channel, name, account, len(asks))
            ask = self._locks.add(channel, name, account, id_, seconds, now + wait)
            if asks:
                self._watch_ask(ask)
            else:
                self._grant(ask)
        elif ask.fence:
            self._prolong(ask, seconds)
        elif not wait:
            self._end_ask(ask)
            return Locked(holder=self._locks.asks(channel, name)[0].account.key.account)
        elif ask.seconds != seconds or abs(now + wait - ask.ends) > SAME_SECONDS:
            ask.seconds, ask.ends = seconds, now + wait
            self._locks.changed(ask)
            self._watch_ask(ask)
        return self._standing(ask)

    def _check_locks(self, channel: Channel, name: str, account: Account, asks: int) -> None:
        """Raise `QuotaError` where there is no room for what the account asks of a lock, of which
        so many ask already.
        """
        bounds, locks = self._state.bounds, self._locks
        who, where = account.key.account, channel.key.channel
        own = lock_refusals.own(who)
        check(locks.count_of(account), bounds.account_locks, own, limit="account_locks")
        if asks:
            waiting = lock_refusals.waiting(name, where)
            check(asks - 1, bounds.lock_waiters, waiting, limit="lock_waiters")
        else:
            there = len(locks.names_in(channel))
            what = lock_refusals.of_channel(where)
            check(there, bounds.channel_locks, what, limit="channel_locks")

    def _standing(self, ask: Ask) -> Locked:
        if ask.fence:
            return Locked(fence=ask.fence, seconds=ask.left(self._wall()))
        return Locked(place=self._locks.asks(ask.channel, ask.name).index(ask))

    def renew_lock(
        self, asked: Asked, channel: str, name: str, ask: str, *, seconds: float
    ) -> Locked | Known:
        account = self._asker(asked)
        known, found = self._known(account, asked), self._ask_of(asked, account, channel, name, ask)
        if found is None or not found.fence:
            return known or Locked()
        if known is None:
            self._prolong(found, seconds)
            self._keep(account, asked)
        return self._standing(found)

    def unlock(self, asked: Asked, channel: str, name: str, ask: str) -> Known | bool:
        account = self._asker(asked)
        if known := self._known(account, asked):
            return known
        found = self._ask_of(asked, account, channel, name, ask)
        if found is None:
            return False
        self._end_ask(found)
        self._keep(account, asked)
        return True

    def _ask_of(
        self, asked: Asked, account: Account, channel: str, name: str, id_: str
    ) -> Ask | None:
        found = self._channels.get(ChannelKey(asked.key.app, channel))
        return self._locks.find(found, name, account, id_) if found is not None else None

    def look_at_lock(self, key: ChannelKey, account: str, name: str) -> LockLook:
        channel = self._channels.get(key)
        if channel is None or account not in channel.members:
            raise lock_refusals.not_a_member(account, key.channel)
        asks = self._locks.asks(channel, name)
        if not asks:
            return LockLook()
        first = asks[0]
        return LockLook(
            holder=first.account.key.account,
            fence=first.fence,
            seconds=first.left(self._wall()),
            waiting=len(asks) - 1,
        )

    def locks_of(self, key: AccountKey) -> int:
        account = self._accounts.get(key)
        return self._locks.count_of(account) if account is not None else 0

    # --- below ---

    def _prolong(self, ask: Ask, seconds: float) -> None:
        # No longer than its session lasts without a connection: that ends the lock, too.
        timeout = ask.account.attributes.get(
            built_in.CONN_TIMEOUT, built_in.MAX_CONN_TIMEOUT_SECONDS
        )
        lease = min(seconds, built_in.conn_timeout_seconds(timeout))
        ask.seconds, ask.ends = seconds, self._wall() + lease
        self._locks.changed(ask)
        self._watch_ask(ask)

    def _grant(self, ask: Ask) -> None:
        """It has the lock from here on."""
        ask.fence = self._state.next_revision(ask.channel.key.app)
        self._prolong(ask, ask.seconds)

    def _watch_ask(self, ask: Ask) -> None:
        self._dues.set((LOCK, ask), ask.ends - self._wall())

    def _end_ask(self, ask: Ask) -> None:
        """It has the lock no more, which is the next one's then; or waits no more."""
        self._locks.drop(ask)
        self._dues.cancel((LOCK, ask))
        if ask.fence:
            self._hand_on(ask.channel, ask.name)

    def _hand_on(self, channel: Channel, name: str) -> None:
        """The first of those who ask for the lock has it, and is told, where nobody has."""
        asks = self._locks.asks(channel, name)
        if not asks or asks[0].fence:
            return
        first = asks[0]
        self._grant(first)
        presence = first.account.presence
        if presence is None or presence.lease_ends is not None:
            return
        if delivery := self._state.deliveries.get(presence.node):
            delivery.deliver_grant(
                first.account.key, presence.generation, channel.key.channel, name, first.id
            )

    def _give_up_locks(self, channel: Channel, account: Account) -> None:
        """The account is in the channel no more. The last first, so that nothing is handed on to
        itself.
        """
        for ask in reversed(self._locks.of(account)):
            if ask.channel is channel:
                self._end_ask(ask)

    def _begin_locks(self) -> None:
        """What was asked before the start goes on; of whom a row was lost, nothing does."""
        for ask in list(self._locks):
            if ask.account.key.account in ask.channel.members:
                self._watch_ask(ask)
            else:
                self._end_ask(ask)
        for ask in list(self._locks):
            self._hand_on(ask.channel, ask.name)
