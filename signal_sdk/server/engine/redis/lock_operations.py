"""Locks on Redis.

Owns: these operations, as they are asked for. Must not know how they are done: locks.lua does.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from signal_sdk.server.engine.base import AccountKey, Asked, ChannelKey, Known
from signal_sdk.server.engine.locking import Locked, LockLook
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import Core, asker


class LockOperations(Core):
    """Locks, as the contract has them."""

    def lock(
        self, asked: Asked, channel: str, name: str, ask: str, *, seconds: float, wait: float
    ) -> Pending[Locked | Known]:
        """As the contract has it."""
        args = (*asker(asked), channel, name, ask, f"{seconds:.3f}", f"{wait:.3f}")
        read = partial(_locked, _about(asked, channel, name))
        return self._ask(asked.key.app, "lock", args, read)

    def renew_lock(
        self, asked: Asked, channel: str, name: str, ask: str, *, seconds: float
    ) -> Pending[Locked | Known]:
        """As the contract has it."""
        args = (*asker(asked), channel, name, ask, f"{seconds:.3f}")
        read = partial(_locked, _about(asked, channel, name))
        return self._ask(asked.key.app, "renew_lock", args, read)

    def unlock(self, asked: Asked, channel: str, name: str, ask: str) -> Pending[Known | bool]:
        """As the contract has it."""
        args = (*asker(asked), channel, name, ask)
        read = partial(_unlocked, _about(asked, channel, name))
        return self._ask(asked.key.app, "unlock", args, read)

    def look_at_lock(self, key: ChannelKey, account: str, name: str) -> Pending[LockLook]:
        """As the contract has it."""
        about = About(account=account, what=key.channel, name=name)
        args = (key.channel, account, name)
        return self._ask(key.app, "look_at_lock", args, partial(_look, about))

    def locks_of(self, key: AccountKey) -> Pending[int]:
        """As the contract has it."""
        return self._ask(key.app, "locks_of", (key.account,), _count)


# --- how locks.lua names it ---


def lock_key(base: str, channel: str, lock: str) -> str:
    """The key of who asks for a lock, in an app whose keys begin with `base`."""
    return f"{base}lk:{channel}\0{lock}"


def asker_of(account: str, ask: str) -> str:
    """Who asks, as a member of that."""
    return f"{account}\0{ask}"


def ask_field(channel: str, lock: str, ask: str) -> str:
    """What is asked, among all that its account asks."""
    return f"{channel}\0{lock}\0{ask}"


# --- what they answer ---


def _about(asked: Asked, channel: str, name: str) -> About:
    return About(account=asked.key.account, what=channel, name=name)


def _locked(about: About, reply: Any) -> Locked | Known:
    if reply[1] != b"lock":
        known = answers.known(about, reply)
        if known is None:
            raise ValueError("a lock has no result")
        return known
    _, _, fence, left_ms, place, holder = reply
    return Locked(fence=fence, place=place, seconds=left_ms / 1000, holder=holder.decode())


def _unlocked(about: About, reply: Any) -> Known | bool:
    if reply is not None and len(reply) > 1 and reply[1] == b"no_lock":
        return False
    known = answers.known(about, reply)
    return True if known is None else known


def _look(about: About, reply: Any) -> LockLook:
    if reply[1] != b"look":
        raise answers.refusal(about, reply)
    _, _, holder, fence, left_ms, waiting = reply
    return LockLook(holder=holder.decode(), fence=fence, seconds=left_ms / 1000, waiting=waiting)


def _count(reply: Any) -> int:
    found: int = reply[2]
    return found
