"""Refusals: what those are told who are over a limit, or whose login is refused, and how often that
was.

Owns: how a refusal says when to try again, which limit it is over, the counts of these, and how
much of its reason whoever tries tokens may know. Must not know how anything is measured, or what a
right token is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.wire import login, names

__all__ = [
    "LIMITS",
    "REVOKED",
    "Limit",
    "LimitError",
    "LoginLimitError",
    "Refusals",
    "as_login_error",
    "login_too_often",
    "public_refusal",
    "too_often",
]

Limit: TypeAlias = Literal[
    "user_messages_per_second",
    "channel_messages_per_second",
    "channel_joins_per_second",
    "channel_attributes_per_second",
    "frames_per_second",
    "changes_per_second",
    "questions_per_second",
    "max_frame_bytes",
    "lookups_per_second",
    "max_connections",
    "app_connections",
    "connections_per_address",
    "connections_per_second",
    "logins_per_second",
    "wrong_logins_per_minute",
    "account_logins_per_minute",
    "memory_percent",
    "outbox_bytes",
    "inbox_messages",
    "inbox_bytes",
    "inbox_sender_messages",
    "session_channels",
    "account_channels",
    "account_calls",
    "account_locks",
    "channel_locks",
    "lock_waiters",
    "app_accounts",
    "app_channels",
    "app_bytes",
    "attributes",
    "session_watches",
    "handshake_seconds",
    "silence_seconds",
]
"""The keys of `[limits]` over which somebody is refused something, or sent away."""
LIMITS: Final[tuple[Limit, ...]] = get_args(Limit)

NO_MATCH: Final = "the token is not one for this account and app id"
"""What is said of every wrong token: what of it is wrong is for the log."""
REVOKED: Final = "the token was revoked"
"""Why a session ends whose token was taken back; a login with one hears `NO_MATCH`."""


class LimitError(SignalError):
    """What was asked is over a limit. `limit` is its key, which its client is not told; None where
    the limit is a fixed one.
    """

    def __init__(self, ecode: ECode, reason: str, *, limit: Limit | None) -> None:
        super().__init__(ecode, reason)
        self.limit: Limit | None = limit


class LoginLimitError(LimitError, LoginError):
    """As `LimitError`, of a login."""


class Refusals:
    """How often somebody was refused something, or sent away, over each limit, since the node was
    made. `counts` has every key of `LIMITS`, and nothing else.
    """

    def __init__(self) -> None:
        self._counts: dict[Limit, int] = dict.fromkeys(LIMITS, 0)
        self.counts: Mapping[Limit, int] = MappingProxyType(self._counts)

    def count(self, limit: Limit, times: int = 1) -> None:
        """It has happened over `limit`."""
        self._counts[limit] += times

    def told(self, error: SignalError) -> None:
        """A client is told of `error`, which counts where it is over a limit."""
        if isinstance(error, LimitError) and error.limit is not None:
            self._counts[error.limit] += 1


def too_often(ecode: ECode, what: str, seconds: float, *, limit: Limit) -> LimitError:
    """The refusal of what came too often: `what` did, and it is of use again after `seconds`, which
    the text says to a tenth, rounded up, for a bot to read (`SignalError.retry_after`). `limit` is
    the key that it is over.
    """
    return LimitError(ecode, _later(what, seconds), limit=limit)


def login_too_often(what: str, seconds: float, *, limit: Limit) -> LoginLimitError:
    """As `too_often`, for a login (201): one that comes later may succeed."""
    return LoginLimitError(ECode.LOGIN_E_NET, _later(what, seconds), limit=limit)


def _later(what: str, seconds: float) -> str:
    tenths = max(1, math.ceil(seconds * 10 - 1e-6))
    return f'{what}; {{"retry_after": {tenths / 10:g}}}'


def as_login_error(error: SignalError) -> LoginError:
    """A login is refused (201) for the reason of `error`, and over the same limit."""
    if isinstance(error, LimitError):
        return LoginLimitError(ECode.LOGIN_E_NET, error.reason, limit=error.limit)
    return LoginError(ECode.LOGIN_E_NET, error.reason)


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
