"""Refusals of what came too often, or is too much.

Owns: how a refusal says when to try again. Must not know what is counted.
"""

from __future__ import annotations

import math

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError

__all__ = ["login_too_often", "too_often"]


def too_often(ecode: ECode, what: str, seconds: float) -> SignalError:
    """The refusal of what came too often: `what` did, and it is of use again after `seconds`, which
    the text says to a tenth, rounded up, for a bot to read (`SignalError.retry_after`).
    """
    tenths = max(1, math.ceil(seconds * 10 - 1e-6))
    return SignalError(ecode, f'{what}; {{"retry_after": {tenths / 10:g}}}')


def login_too_often(what: str, seconds: float) -> LoginError:
    """As `too_often`, for a login (201): one that comes later may succeed."""
    return LoginError(ECode.LOGIN_E_NET, too_often(ECode.LOGIN_E_NET, what, seconds).reason)
