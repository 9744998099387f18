"""Built-in attributes: those of an account or a channel whose names begin with an underscore, and
which the server acts by.

Owns: their names, which of them users set, and what their values may be. Must not know what the
server does by them.
"""

from __future__ import annotations

from typing import Final

from signal_sdk.wire import names
from signal_sdk.wire.names import JsonValue

CONN_TIMEOUT: Final = "_conn_timeout"
MIN_CONN_TIMEOUT_SECONDS: Final = 20
MAX_CONN_TIMEOUT_SECONDS: Final = 120

USER_NOTIFICATION: Final = "_userNotification"
CHANNEL_TTL: Final = "_channel_ttl"
DEFAULT_CHANNEL_TTL_SECONDS: Final = 7200
MAX_CHANNEL_TTL_SECONDS: Final = 30 * 24 * 3600
"""An empty channel lasts no longer, whatever its `_channel_ttl`: a larger one is cut to it."""
MEMBER_NUM: Final = "_member_num"
AUTO_UPDATE_NUM: Final = "_auto_update_num"
TOTAL_MEMBER_NUM: Final = "_total_member_num"
AUTO_UPDATE_TOTAL_NUM: Final = "_auto_update_total_num"
SENDMSG_LIMIT: Final = "_sendmsg_limit"
SETATTR_LIMIT: Final = "_setattr_limit"

SETTABLE_NUMBERS: Final = frozenset(
    {
        USER_NOTIFICATION,
        CHANNEL_TTL,
        AUTO_UPDATE_NUM,
        AUTO_UPDATE_TOTAL_NUM,
        SENDMSG_LIMIT,
        SETATTR_LIMIT,
    }
)
"""Built-in channel attributes whose value is a whole number that users set."""
CHANNEL_LIMITS: Final = frozenset({SENDMSG_LIMIT, SETATTR_LIMIT})
"""Those of them by which whoever sets them can silence a channel."""
COUNTED_NUMBERS: Final = frozenset({MEMBER_NUM, TOTAL_MEMBER_NUM})
"""Built-in channel attributes that only the server sets."""


def check_number(name: str, value: JsonValue) -> int:
    """The value of a built-in channel attribute: a whole number of at least 0, as text or as a
    number.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    return names.check_integer(name, value, 0, 2**31 - 1)


def conn_timeout_seconds(value: JsonValue) -> int:
    """`_conn_timeout` as it takes effect: from 20 to 120 s, 120 where it is not a number."""
    try:
        seconds = int(names.json_text(value))
    except (TypeError, ValueError, RecursionError, OverflowError):
        return MAX_CONN_TIMEOUT_SECONDS
    return min(max(seconds, MIN_CONN_TIMEOUT_SECONDS), MAX_CONN_TIMEOUT_SECONDS)
