"""Refusals: what those are told who come too often, or whose login is refused.

Owns: how a refusal says when to try again, and how much of its reason whoever tries tokens may
know. Must not know what is counted, or what a right token is.
"""

from __future__ import annotations

import math
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.wire import login, names

__all__ = ["REVOKED", "login_too_often", "public_refusal", "too_often"]

NO_MATCH: Final = "the token is not one for this account and app id"
"""What is said of every wrong token: what of it is wrong is for the log."""
REVOKED: Final = "the token was revoked"
"""Why a session ends whose token was taken back; a login with one hears `NO_MATCH`."""


def too_often(ecode: ECode, what: str, seconds: float) -> SignalError:
    """The refusal of what came too often: `what` did, and it is of use again after `seconds`, which
    the text says to a tenth, rounded up, for a bot to read (`SignalError.retry_after`).
    """
    tenths = max(1, math.ceil(seconds * 10 - 1e-6))
    return SignalError(ecode, f'{what}; {{"retry_after": {tenths / 10:g}}}')


def login_too_often(what: str, seconds: float) -> LoginError:
    """As `too_often`, for a login (201): one that comes later may succeed."""
    return LoginError(ECode.LOGIN_E_NET, too_often(ECode.LOGIN_E_NET, what, seconds).reason)


def public_refusal(
    error: LoginError, request: login.Login | login.LineLogin | None = None
) -> LoginError:
    """What whoever asked for a login is told of its refusal: not what of a token is wrong, which
    may be a guess.
    """
    is_token = isinstance(request, login.Login) and request.token not in ("", names.NO_TOKEN)
    if error.ecode is ECode.LOGIN_E_TOKENWRONG and is_token:
        return LoginError(error.ecode, NO_MATCH)
    return error
