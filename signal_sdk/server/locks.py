"""Locks of channels: the rules of getting, renewing and giving them up.

Owns: docs/locks.md from the server's side, and which channels have none. Must not know who waits,
or when anybody gets a lock: the engine does.
"""

from __future__ import annotations

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import Answer, Asked, Engine, Known, Locked, LockLook
from signal_sdk.server.engine.pending import Pending, after
from signal_sdk.server.session import Session
from signal_sdk.wire import lock_functions, names

__all__ = ["Locks"]


class Locks:
    """The rules of locks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lock(
        self, _: Session, args: lock_functions.ChannelLock, asked: Asked
    ) -> Answer[lock_functions.LockResult | Known]:
        """`channel_lock`: by members of the channel."""
        _check(args.channel)
        seconds, wait = args.lease / 1000, args.wait / 1000
        found = self._engine.lock(
            asked, args.channel, args.lock, args.ask, seconds=seconds, wait=wait
        )
        return found.map(_lock_result) if isinstance(found, Pending) else _lock_result(found)

    def renew(
        self, _: Session, args: lock_functions.ChannelLockRenew, asked: Asked
    ) -> Answer[lock_functions.LockResult | Known]:
        """`channel_lock_renew`: by who has it; it is answered so where that has it not any more."""
        _check(args.channel)
        found = self._engine.renew_lock(
            asked, args.channel, args.lock, args.ask, seconds=args.lease / 1000
        )
        return found.map(_lock_result) if isinstance(found, Pending) else _lock_result(found)

    def unlock(
        self, _: Session, args: lock_functions.ChannelUnlock, asked: Asked
    ) -> Answer[lock_functions.UnlockResult | Known | None]:
        """`channel_unlock`: by who has it, or waits for it."""
        _check(args.channel)
        done = self._engine.unlock(asked, args.channel, args.lock, args.ask)
        return done.map(_unlock_result) if isinstance(done, Pending) else _unlock_result(done)

    def look(
        self, session: Session, args: lock_functions.ChannelQueryLock
    ) -> Answer[lock_functions.QueryLockResult]:
        """`channel_query_lock`: by members of the channel."""
        _check(args.channel)
        key = session.channel_key(args.channel)
        return after(self._engine.look_at_lock(key, session.account, args.lock), _look_result)


def _check(channel: str) -> None:
    """Raise `SignalError` where the channel is one that has no locks."""
    if channel in names.SPECIAL_CHANNELS:
        raise SignalError(ECode.GENERAL_E_FAILED, f"the special channel {channel!r} has no locks")


def _lock_result(found: Locked | Known) -> lock_functions.LockResult | Known:
    if isinstance(found, Known):
        return found
    return lock_functions.LockResult(
        fence=found.fence, lease=int(found.seconds * 1000), place=found.place, holder=found.holder
    )


def _unlock_result(done: Known | bool) -> lock_functions.UnlockResult | Known | None:
    if isinstance(done, Known):
        return done
    return None if done else lock_functions.UnlockResult(held=0)


def _look_result(found: LockLook) -> lock_functions.QueryLockResult:
    return lock_functions.QueryLockResult(
        holder=found.holder,
        fence=found.fence,
        lease=int(found.seconds * 1000),
        waiting=found.waiting,
    )
