"""A message's properties: what goes with it beside what it says, for clients that know of them.

Owns: their form, and their place behind a message's id (protocol.md, section 12). Must not know who
may have them, nor what a trace is.

They stand behind the id of a message wherever that goes, behind a character that no id holds: so an
inbox, a channel's history, a Redis and an older release, all of which take an id as it is, keep and
carry them, and whoever is to have none gets the id without them.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import names
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong_content

__all__ = [
    "MAX_BYTES",
    "NONE",
    "SEPARATOR",
    "Properties",
    "attach",
    "bare",
    "check",
    "decode_bytes",
    "detach",
    "encode_bytes",
    "is_binary",
    "size_of_bytes",
]

SEPARATOR: Final = "\x1f"
"""Stands between an id and its properties: a control character, which no id holds."""
MAX_BYTES: Final = names.MAX_MESSAGE_CHARS // 4 * 3
"""How many bytes a message may say: as base64, as much as a text may have."""
MAX_TRACESTATE_CHARS: Final = 512
"""What W3C's recommendation has everybody pass on, at least; here it is the most."""
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)


class Properties(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What goes with a message: the trace that it is part of, as W3C's Trace Context spells it, and
    whether it is `binary`: its text is base64 then (RFC 4648), and what it says are bytes.
    """

    traceparent: str = ""
    tracestate: str = ""
    binary: bool = False


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Properties)
NONE: Final[Properties] = Properties()
"""Those of most messages."""


def attach(message_id: str, properties: Properties | None) -> str:
    """The id, and the properties behind it, if there are any."""
    if properties is None or properties == NONE:
        return message_id
    # A message's line is cut at its blanks.
    said = _encode(properties).replace(b" ", rb"\u0020").decode()
    return f"{message_id}{SEPARATOR}{said}"


def bare(message_id: str) -> str:
    """The id without properties."""
    return message_id.partition(SEPARATOR)[0] if SEPARATOR in message_id else message_id


def detach(text: str) -> tuple[str, Properties | None]:
    """The id, and the properties behind it; None where there are none, or none that can be read."""
    message_id, separator, said = text.partition(SEPARATOR)
    if not separator:
        return text, None
    try:
        return message_id, _decoder.decode(said)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        return message_id, None


def check(value: JsonValue) -> Properties | None:
    """The properties that a client asks to be sent with a message. A trace that is not as it ought
    to be is none, as its recommendation has it; so is what this release does not know. Raises
    `ParameterError` (1004) where it is not clear whether the message is binary.
    """
    if value is None or isinstance(value, Properties):
        return value
    if not isinstance(value, dict):
        raise wrong_content("properties", "are not an object")
    binary = value.get("binary", False)
    if not isinstance(binary, bool):
        raise wrong_content("the property 'binary'", "is neither true nor false")
    parent, state = value.get("traceparent"), value.get("tracestate", "")
    if not isinstance(parent, str) or _TRACEPARENT.fullmatch(parent) is None:
        parent = state = ""
    is_state = isinstance(state, str) and len(state) <= MAX_TRACESTATE_CHARS
    if not is_state or _TRACESTATE.fullmatch(state) is None:
        state = ""
    properties = Properties(traceparent=parent, tracestate=state, binary=binary)
    return None if properties == NONE else properties


# --- bytes ----------------------------------------------------------------------------------------


def is_binary(properties: Properties | None) -> bool:
    """Does the message say bytes?"""
    return properties is not None and properties.binary


def encode_bytes(data: bytes) -> str:
    """The text of a binary message. Raises `ParameterError` (1005) for more than `MAX_BYTES`."""
    if len(data) > MAX_BYTES:
        reason = f"message has {len(data)} bytes; at most {MAX_BYTES} are allowed"
        raise ParameterError(ECode.GENERAL_E_LARGE_PARAM, reason)
    return binascii.b2a_base64(data, newline=False).decode()


def decode_bytes(text: JsonValue) -> bytes:
    """The bytes in a binary message's text. Raises `ParameterError` (1004, 1005) where it is not
    what `encode_bytes` makes.
    """
    if not isinstance(text, str):
        raise wrong_content("a binary message", "is not text")
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise wrong_content("a binary message", "is not base64") from None
    if encode_bytes(data) != text:
        raise wrong_content("a binary message", "is not base64 as it is written")
    return data


def size_of_bytes(text: str) -> int:
    """How many bytes a binary message's text stands for, which is as `encode_bytes` makes it."""
    return len(text) // 4 * 3 - text[-2:].count("=")
