"""The engine contract, the locks of channels.

Owns: these operations, and what they tell. `base.Engine` has them beside the others. Must not know
who may ask for what, nor how a client is told.

A lock is a name in a channel. It is held by one of the channel's members at a time, for as long as
that goes on saying so, and who waits for it gets it in the order of their asking. Whoever is no
member any more, for whatever reason, has and waits for nothing there. What an account asks is told
from what it has asked otherwise by its `ask`, an id of its own choice. Each time that somebody gets
a lock, that has a number (`fence`) of the app's counter of revisions: larger than all before it.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from signal_sdk.server.engine.facts import AccountKey, Asked, ChannelKey, Known
from signal_sdk.server.engine.pending import Answer

__all__ = ["LockLook", "Locked", "Locking"]


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with what an account has asked of a lock: it has that under the number `fence`,
    for so many `seconds` more; or it waits, and `place` is 1 where it is next. With neither it is
    over, and `holder` is who has the lock then, if anybody has.
    """

    fence: int = 0
    place: int = 0
    seconds: float = 0.0
    holder: str = ""


class LockLook(msgspec.Struct, frozen=True, kw_only=True):
    """A lock, as whoever looks sees it: who has it, under which number, for how many `seconds`
    more, and how many wait. With an empty `holder` nobody has it.
    """

    holder: str = ""
    fence: int = 0
    seconds: float = 0.0
    waiting: int = 0


class Locking(Protocol):
    """What sessions may ask of an engine about locks."""

    def lock(
        self, asked: Asked, channel: str, name: str, ask: str, *, seconds: float, wait: float
    ) -> Answer[Locked | Known]:
        """Get a lock of the channel for so many `seconds`, but no more than the account's
        `_conn_timeout`, now or within `wait` seconds; `Delivery` is told when it comes later. Asked
        again it says how that stands, and counts both times from now on. `Known` where it was asked
        before and is over by now.

        Raises `SignalError` where the account is not in the channel, `QuotaError` where it asks for
        too many, the channel has too many, or too many wait.
        """

    def renew_lock(
        self, asked: Asked, channel: str, name: str, ask: str, *, seconds: float
    ) -> Answer[Locked | Known]:
        """Have a lock that the account has for so many `seconds` from now on. As `lock`, but that
        it does nothing, and says that it is over, where the account has it not any more.
        """

    def unlock(self, asked: Asked, channel: str, name: str, ask: str) -> Answer[Known | bool]:
        """Give a lock up, or wait for it no more; who is next gets it. Does nothing, and is False,
        where there is nothing to give up.
        """

    def look_at_lock(self, key: ChannelKey, account: str, name: str) -> Answer[LockLook]:
        """Who has a lock? Raises `SignalError` where the account is not in the channel."""

    def locks_of(self, key: AccountKey) -> Answer[int]:
        """How many locks the account has or waits for."""
