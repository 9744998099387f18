"""Values of attributes and calls, as they are kept: JSON in a text.

Owns: that form. Must not know whose a value is, or where it is kept.
"""

from __future__ import annotations

import msgspec

from signal_sdk.wire.names import JsonValue

__all__ = ["decode_json", "encode_json"]


def encode_json(value: JsonValue) -> str:
    """A value as a row has it."""
    return msgspec.json.encode(value).decode()


def decode_json(text: str) -> JsonValue:
    """A value from its row."""
    value: JsonValue = msgspec.json.decode(text)
    return value
