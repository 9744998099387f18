"""Names and limits: what an account, a channel, an attribute, a message and an `extra` may be.

Owns: every limit of protocol.md, section 8, its number and its check, but for those of built-in
attributes, which are in built_in.py; the special channels. Must not know: who checks (the SDK
before it sends, the server before it acts), or what is done about a refusal.

A check returns the value in the form that goes on (an account as text), or raises `ParameterError`
with 1004 (wrong) or 1005 (too large) and one line that names the value.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any, Final

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import looks
from signal_sdk.wire.parameter_errors import as_json, too_large, wrong, wrong_content
from signal_sdk.wire.remembered import remembered

JsonValue = Any
"""A JSON value as `msgspec` decodes it: None, bool, int, float, str, list or dict."""

MAX_ACCOUNT_CHARS: Final = 128
MAX_NAME_CHARS: Final = 128
MAX_APP_ID_CHARS: Final = 128
"""The original ones have 32."""
MAX_USER_ATTR_CHARS: Final = 1024
MAX_CHANNEL_ATTR_CHARS: Final = 8096
BYTES_PER_CHAR: Final = 4
"""Beside each limit in visible characters there is one in bytes of UTF-8, so many times as large:
what holds no control characters never meets it, and those count for nothing otherwise.
"""
MAX_ATTRS_BYTES: Final = 1024 * 1024
"""What all attributes of one user or channel may have together, as JSON: they go out in one answer,
which must fit into the outbox of whoever asks, or nobody could ever join that channel.
"""
MAX_MESSAGE_CHARS: Final = 8192
MAX_FRAME_BYTES: Final = 128 * 1024
"""8192 characters can take 12 bytes each when escaped as two surrogates, and the rest of the frame
needs room.
"""

MAX_TTL_SECONDS: Final = 30 * 24 * 3600
"""The longest that the original clients ask an inbox to keep a message; a larger TTL is cut to it.
"""
DEFAULT_TTL_SECONDS: Final = MAX_TTL_SECONDS
"""How long the inbox keeps a message whose sender gives no TTL, as the original Java SDK has it. A
call's event, which is of no use later, is kept for an hour (lines.py)."""
MAX_USER_LIST: Final = 200
"""A join and `channel_query_userlist` name the newest 200 members."""
MAX_USER_LIST_ALL: Final = 1000 * 1000
"""`channel_query_userlist_all` without `num`, as the web SDK documents."""
MAX_INBOX_PAGE: Final = 30
"""How many inbox entries the original clients ask for in one poll."""
MAX_INBOX_POLL: Final = 100
"""The most that one poll gets, whatever it asks for."""
MAX_HISTORY: Final = 100
"""The most messages that `channel_history` gives, whatever it asks for."""
MIN_LEASE_MS: Final = 1000
MAX_LEASE_MS: Final = 120_000
"""For how long a lock may be asked for at a time: who has it says in time that it still does. No
longer than a session may be without a connection, whose end would end the lock before its lease."""
MAX_LOCK_WAIT_MS: Final = 600_000
"""How long may be waited for a lock."""
MAX_JSON_DEPTH: Final = 100
"""How deep a relayed JSON value may be nested. Whether a deeper one can be decoded depends on how
deep a program's own stack is: what the server had just managed to read could be too deep for those
that it relays it to.
"""
MAX_INTEGER: Final = 2**53 - 1
"""What a web page's numbers hold exactly."""
NAMES_KEPT: Final = 4096
"""How many accounts and channels are remembered as right: most are named again soon."""

NO_TOKEN: Final = "_no_need_token"  # noqa: S105  the documented word for "no token", not a secret

USER_ONLINE_CHANNEL: Final = "_agora_user_online"
CHANNEL_EVENT_CHANNEL: Final = "_agora_channel_event"
SPECIAL_CHANNELS: Final = frozenset({USER_ONLINE_CHANNEL, CHANNEL_EVENT_CHANNEL})

SYSTEM_ACCOUNT: Final = "_agora_system"
"""The account of a change that the server itself made, such as a new `_member_num`."""
RESERVED_ACCOUNTS: Final = SPECIAL_CHANNELS | {SYSTEM_ACCOUNT}
"""The accounts that the server speaks as: nobody logs in with these."""

EVERYBODY: Final = "*"
"""Stands for every account where a configuration or a token lists some."""

DTMF_DIGITS: Final = frozenset("0123456789*#")


def visible_chars(text: str) -> int:
    """How many code points of `text` are not control characters: the unit of every documented
    limit.
    """
    if text.isprintable():
        return len(text)
    return sum(unicodedata.category(char) != "Cc" for char in text)


def json_text(value: JsonValue) -> str:
    """`value` itself when it is text, its JSON text otherwise."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def is_encodable(text: str) -> bool:
    """Is `text` free of lone surrogates, which no UTF-8 text can hold?"""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_text(what: str, text: str, limit: int) -> str:
    is_long = len(text) > limit
    if is_long and (size := visible_chars(text)) > limit:
        raise too_large(what, size, limit)
    if not is_encodable(text):
        raise wrong_content(what, "holds half a surrogate pair")
    # What has no more code points than the limit cannot have more bytes than that.
    if is_long and (size := len(text.encode())) > limit * BYTES_PER_CHAR:
        raise ParameterError(
            ECode.GENERAL_E_LARGE_PARAM,
            f"{what} has {size} bytes; at most {limit * BYTES_PER_CHAR} are allowed",
        )
    return text


def _text_of(what: str, value: JsonValue) -> str:
    try:
        text = json_text(value)
    except (TypeError, ValueError, RecursionError, OverflowError):
        raise wrong_content(what, "is neither text nor a JSON value") from None
    # Some Pythons make text of what is deeper than others' stacks hold.
    if _is_nested_deeper(value, MAX_JSON_DEPTH):
        raise wrong_content(what, f"is nested deeper than {MAX_JSON_DEPTH} levels")
    return text


def _is_nested_deeper(value: JsonValue, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        parts = [part for part in level if isinstance(part, list | tuple | dict)]
        if not parts:
            return False
        level = [x for part in parts for x in (part.values() if isinstance(part, dict) else part)]
    return True


def _check_name(what: str, value: JsonValue, limit: int) -> str:
    text = _check_text(what, _text_of(what, value), limit)
    if not text:
        raise wrong(what, text, "is empty")
    if not text.isprintable() and any(unicodedata.category(char) == "Cc" for char in text):
        raise wrong(what, text, "holds control characters")
    return text


def _check_looks(what: str, text: str, reserved: frozenset[str] = frozenset()) -> None:
    """Refuse a name that cannot be told from another."""
    if hidden := looks.hidden_char(text):
        raise wrong(what, text, f"holds an invisible character (U+{ord(hidden):04X})")
    if looks.resembles(text, reserved):
        raise wrong(what, text, "looks like a name of the server's own")


def _is_plain(text: str, limit: int) -> bool:
    """Is `text` such that no rule for names has anything against it, as nearly all are?"""
    return 0 < len(text) <= limit and text.isascii() and text.isprintable() and " " not in text


def _holds_white_space(text: str) -> bool:
    # All white space but the blank is unprintable, which is quicker to ask.
    return " " in text or (not text.isprintable() and any(map(str.isspace, text)))


def check_account(value: JsonValue) -> str:
    """An account: 1 to 128 visible characters without white space, of which none is hidden, and
    that do not look like an account of the server's own. Another JSON value is taken as its JSON
    text.
    """
    return check_account_text(value if isinstance(value, str) else _text_of("account", value))


@remembered(NAMES_KEPT)
def check_account_text(text: str) -> str:
    """As `check_account`."""
    _check_name("account", text, MAX_ACCOUNT_CHARS)
    if _holds_white_space(text):
        raise wrong("account", text, "holds white space")
    _check_looks("account", text, RESERVED_ACCOUNTS)
    return text


def check_app_id(text: str) -> str:
    """An app id: 1 to 128 visible characters without white space or colon, which tokens have
    between their parts.
    """
    _check_name("app id", text, MAX_APP_ID_CHARS)
    if ":" in text or _holds_white_space(text):
        raise wrong("app id", text, "holds a colon or white space")
    _check_looks("app id", text)
    return text


def check_channel(value: JsonValue) -> str:
    """A channel's name: 1 to 128 visible characters, of which none is hidden, and that do not look
    like a special channel; both spellings of such a one come out as the one with one underscore.
    """
    return check_channel_text(value if isinstance(value, str) else _text_of("channel", value))


@remembered(NAMES_KEPT)
def check_channel_text(text: str) -> str:
    """As `check_channel`."""
    _check_name("channel", text, MAX_NAME_CHARS)
    if text.startswith("__agora_") and text[1:] in SPECIAL_CHANNELS:
        return text[1:]
    _check_looks("channel", text, SPECIAL_CHANNELS)
    return text


def check_attr_name(value: JsonValue) -> str:
    """An attribute's name: 1 to 128 visible characters."""
    return _check_name("attribute name", value, MAX_NAME_CHARS)


def check_lock(value: JsonValue) -> str:
    """A lock's name: 1 to 128 visible characters."""
    return _check_name("lock", value, MAX_NAME_CHARS)


def _check_value(what: str, value: JsonValue, limit: int) -> JsonValue:
    if isinstance(value, str):
        return _check_text(what, value, limit)
    _check_text(what, _text_of(what, value), limit)
    return value


def check_user_attr_value(value: JsonValue) -> JsonValue:
    """A user attribute's value: at most 1024 visible characters."""
    return _check_value("attribute value", value, MAX_USER_ATTR_CHARS)


def check_channel_attr_value(value: JsonValue) -> JsonValue:
    """A channel attribute's value: at most 8096 visible characters."""
    return _check_value("attribute value", value, MAX_CHANNEL_ATTR_CHARS)


def check_message(value: JsonValue) -> JsonValue:
    """A message: at most 8192 visible characters, the empty one included. A web page may send any
    JSON value.
    """
    return _check_value("message", value, MAX_MESSAGE_CHARS)


def check_extra(value: JsonValue) -> JsonValue:
    """A call's `extra`: any text, or another JSON value, of at most 8192 visible characters. None
    is the empty text.
    """
    return "" if value is None else _check_value("extra", value, MAX_MESSAGE_CHARS)


def check_json_extra(value: JsonValue) -> JsonValue:
    """As `check_extra`, of an invitation of the flat API, whose original refuses text that is not
    JSON.
    """
    value = check_extra(value)
    if isinstance(value, str) and value:
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise wrong_content("extra", "is not JSON") from None
        if _is_nested_deeper(decoded, MAX_JSON_DEPTH):
            raise wrong_content("extra", f"is nested deeper than {MAX_JSON_DEPTH} levels")
    return value


def check_integer(
    what: str,
    value: JsonValue,
    least: int,
    most: int = MAX_INTEGER,
    *,
    show: Callable[[object], str] = as_json,
) -> int:
    """A whole number from `least` to `most`; `show` is as in `wrong`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(what, value, f"is not a whole number from {least} to {most}", show=show)
    return value


def check_digits(value: JsonValue) -> str:
    """DTMF: each character one of 0 to 9, * and #."""
    digits = _text_of("DTMF digits", value)
    if not digits or not DTMF_DIGITS.issuperset(digits):
        raise wrong_content("DTMF digits", "are not of 0-9, * and #")
    return _check_text("DTMF digits", digits, MAX_MESSAGE_CHARS)


def check_phone_number(value: JsonValue) -> str:
    """A number that a call shows as its caller's: text or number of at most 128 visible characters;
    empty for none.
    """
    if value is None or value == "":
        return ""
    return _check_name("number", value, MAX_NAME_CHARS)


def check_message_id(value: JsonValue) -> str:
    """A message's id: text or number of at most 128 visible characters without white space; empty
    for none.
    """
    if value is None or value == "":
        return ""
    if isinstance(value, str) and _is_plain(value, MAX_NAME_CHARS):
        return value
    return _check_id("message id", value)


def check_call_id(value: JsonValue) -> str:
    """A call's id, as `check_message_id`; empty for none."""
    return "" if value is None or value == "" else _check_id("call id", value)


def check_ask_id(value: JsonValue) -> str:
    """The id of what is asked of a lock, as `check_message_id`; there has to be one."""
    return _check_id("ask id", value)


def _check_id(what: str, value: JsonValue) -> str:
    text = _check_name(what, value, MAX_NAME_CHARS)
    if _holds_white_space(text):
        raise wrong(what, text, "holds white space")
    return text


def check_call_name(value: JsonValue) -> str:
    """What a call is known by, its id or its channel: 1 to 128 visible characters, as both have."""
    return check_channel(_check_name("call", value, MAX_NAME_CHARS))
