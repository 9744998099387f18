"""Locks of channels (ours): the functions' arguments and results.

Owns: these forms (protocol.md, section 3). Must not know what a function does.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from signal_sdk.wire import names
from signal_sdk.wire.arguments import Arguments, arg
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.results import Result


@attrs.frozen(kw_only=True)
class LockResult(Result):
    """`channel_lock` and `channel_lock_renew` (ours): under which number one has the lock, for how
    many milliseconds more; or, where `fence` is 0, the place at which one waits (1: next); or,
    where that is 0, too, that this is over, and who has the lock.
    """

    fence: int
    lease: int
    place: int
    holder: str


@attrs.frozen(kw_only=True)
class UnlockResult(Result):
    """`channel_unlock` (ours): was there anything to give up (1), or was it over already (0)?"""

    held: int


@attrs.frozen(kw_only=True)
class QueryLockResult(Result):
    """`channel_query_lock` (ours): who has the lock (empty: nobody), under which number, for how
    many milliseconds more, and how many wait.
    """

    holder: str
    fence: int
    lease: int
    waiting: int


@attrs.frozen(kw_only=True)
class LockArguments(Arguments):
    """What is asked of a lock of a channel that one is in, under an id of one's own (ours)."""

    channel: str = arg("name", names.check_channel)
    lock: str = arg("lock", names.check_lock)
    ask: str = arg("askID", names.check_ask_id)


def _check_lease(value: JsonValue) -> int:
    return names.check_integer("lease", value, names.MIN_LEASE_MS, names.MAX_LEASE_MS)


def _check_wait(value: JsonValue) -> int:
    return names.check_integer("wait", value, 0, names.MAX_LOCK_WAIT_MS)


@attrs.frozen(kw_only=True)
class ChannelLock(LockArguments):
    """Get a lock for `lease` milliseconds, now or within `wait` milliseconds; asked again, how that
    stands.
    """

    function = "channel_lock"
    result: ClassVar[type[Result]] = LockResult

    lease: int = arg("lease", _check_lease)
    wait: int = arg("wait", _check_wait, 0)


@attrs.frozen(kw_only=True)
class ChannelLockRenew(LockArguments):
    """Have a lock that one has for `lease` milliseconds from now on."""

    function = "channel_lock_renew"
    result: ClassVar[type[Result]] = LockResult

    lease: int = arg("lease", _check_lease)


@attrs.frozen(kw_only=True)
class ChannelUnlock(LockArguments):
    """Give a lock up, or wait for it no more."""

    function = "channel_unlock"
    result: ClassVar[type[Result]] = UnlockResult


@attrs.frozen(kw_only=True)
class ChannelQueryLock(Arguments):
    """Who has a lock of a channel that one is in? (ours)"""

    function = "channel_query_lock"
    result: ClassVar[type[Result]] = QueryLockResult

    channel: str = arg("name", names.check_channel)
    lock: str = arg("lock", names.check_lock)
