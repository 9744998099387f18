"""What is said where nothing becomes of what somebody asks of a lock, on every engine.

Owns: these texts. Must not know an engine.
"""

from __future__ import annotations

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError

__all__ = ["not_a_member", "of_channel", "own", "waiting"]


def not_a_member(account: str, channel: str) -> SignalError:
    """Who is not in the channel has no lock of it."""
    return SignalError(
        ECode.GENERAL_E_FAILED, f"{account!r} is not in the channel {channel!r}: join it first"
    )


def own(account: str) -> str:
    """What one account may have only so many of."""
    return f"the locks that {account!r} has or waits for"


def of_channel(channel: str) -> str:
    """What a channel may have only so many of."""
    return f"the locks of the channel {channel!r} that somebody has"


def waiting(name: str, channel: str) -> str:
    """What a lock may have only so many of."""
    return f"who waits for the lock {name!r} of the channel {channel!r}"
