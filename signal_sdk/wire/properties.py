"""A message's properties: what goes with it beside what it says, for clients that know of them.

Owns: their form, and their place behind a message's id (protocol.md, section 12). Must not know who
may have them, nor what a trace is.

They stand behind the id of a message wherever that goes, behind a character that no id holds: so an
inbox, a channel's history, a Redis and an older release, all of which take an id as it is, keep and
carry them, and whoever is to have none gets the id without them.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from signal_sdk.wire.names import JsonValue

__all__ = ["NONE", "SEPARATOR", "Properties", "attach", "bare", "check", "detach"]

SEPARATOR: Final = "\x1f"
"""Stands between an id and its properties: a control character, which no id holds."""
MAX_TRACESTATE_CHARS: Final = 512
"""What W3C's recommendation has everybody pass on, at least; here it is the most."""
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)


class Properties(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What goes with a message: the trace that it is part of, as W3C's Trace Context spells it."""

    traceparent: str = ""
    tracestate: str = ""


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
    to be is none, as its recommendation has it; so is what this release does not know.
    """
    if value is None or isinstance(value, Properties):
        return value
    if not isinstance(value, dict):
        return None
    parent, state = value.get("traceparent"), value.get("tracestate", "")
    if not isinstance(parent, str) or _TRACEPARENT.fullmatch(parent) is None:
        return None
    is_state = isinstance(state, str) and len(state) <= MAX_TRACESTATE_CHARS
    if not is_state or _TRACESTATE.fullmatch(state) is None:
        state = ""
    return Properties(traceparent=parent, tracestate=state)
