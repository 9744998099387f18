"""The states of a session's login, and the documented number of each.

Only the table may live here: no clock, no frames, no callbacks.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

__all__ = ["INITIAL_STATUS", "STATUS", "TABLE", "LoginEvent", "LoginState"]


class LoginState(enum.Enum):
    """Where a session stands."""

    CONNECTING = enum.auto()
    LOGGED_IN = enum.auto()
    RECONNECTING = enum.auto()
    LOGGING_OUT = enum.auto()
    LOGGED_OUT = enum.auto()
    FAILED = enum.auto()


class LoginEvent(enum.Enum):
    """What moves a session on."""

    ACCEPTED = enum.auto()
    REFUSED = enum.auto()
    LOST = enum.auto()
    LOGOUT = enum.auto()
    OVER = enum.auto()


TABLE: Final[Mapping[LoginState, Mapping[LoginEvent, LoginState]]] = {
    LoginState.CONNECTING: {
        LoginEvent.ACCEPTED: LoginState.LOGGED_IN,
        LoginEvent.REFUSED: LoginState.FAILED,
    },
    LoginState.LOGGED_IN: {
        LoginEvent.LOST: LoginState.RECONNECTING,
        LoginEvent.LOGOUT: LoginState.LOGGING_OUT,
        LoginEvent.OVER: LoginState.LOGGED_OUT,
    },
    LoginState.RECONNECTING: {
        LoginEvent.ACCEPTED: LoginState.LOGGED_IN,
        LoginEvent.LOGOUT: LoginState.LOGGING_OUT,
        LoginEvent.OVER: LoginState.LOGGED_OUT,
    },
    LoginState.LOGGING_OUT: {LoginEvent.OVER: LoginState.LOGGED_OUT},
    LoginState.LOGGED_OUT: {},
    LoginState.FAILED: {},
}

INITIAL_STATUS: Final = 4
STATUS: Final[Mapping[LoginState, int]] = {
    LoginState.CONNECTING: 1,
    LoginState.LOGGED_IN: 2,
    LoginState.RECONNECTING: 1,
    # A session that logs out takes no more calls, so that for its user it is logged out already.
    LoginState.LOGGING_OUT: 0,
    LoginState.LOGGED_OUT: 0,
    LoginState.FAILED: 3,
}
"""What `get_status` returns (Java server SDK, `getStatus`)."""
