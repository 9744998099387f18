"""What users say of a lock, and what they are told of it: names, times, and how it stands.

Owns: how these are checked, and read from an answer. Must not know how a lock is got or kept.
"""

from __future__ import annotations

import attrs

from signal_sdk.wire import lock_functions, names
from signal_sdk.wire.parameter_errors import as_python, wrong

__all__ = ["LockInfo", "info_of", "lease_ms", "lock_name", "wait_ms"]


@attrs.frozen(kw_only=True)
class LockInfo:
    """A lock of a channel. `holder` is the account that has it (empty: nobody), `fence` its number,
    `seconds_left` for how long it has it unless it renews that, `waiting` how many wait for it.
    """

    holder: str
    fence: int
    seconds_left: float
    waiting: int


def info_of(result: lock_functions.QueryLockResult) -> LockInfo:
    """The answer to `channel_query_lock`."""
    return LockInfo(
        holder=result.holder,
        fence=result.fence,
        seconds_left=result.lease / 1000,
        waiting=result.waiting,
    )


def lease_ms(seconds: float) -> int:
    """A lease in milliseconds. Raises `ParameterError`."""
    return _milliseconds("lease", seconds, names.MIN_LEASE_MS, names.MAX_LEASE_MS)


def wait_ms(seconds: float) -> int:
    """How long a lock is waited for, in milliseconds. Raises `ParameterError`."""
    return _milliseconds("wait", seconds, 0, names.MAX_LOCK_WAIT_MS)


def lock_name(name: object) -> str:
    """A lock's name. Raises `ParameterError`."""
    if not isinstance(name, str):
        raise wrong("lock", name, "is not text", show=as_python)
    return names.check_lock(name)


def _milliseconds(what: str, seconds: object, least: int, most: int) -> int:
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        milliseconds = seconds * 1000
        if least <= milliseconds <= most:
            return round(milliseconds)
    why = f"is not a number of seconds from {least / 1000:g} to {most / 1000:g}"
    raise wrong(what, seconds, why, show=as_python)
