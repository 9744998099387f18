"""Compression: what goes out as a binary message, for clients that have said that they read those.

Owns: which frames are worth it. Must not know who has said so: an ear does, nor who hears of what.
"""

from __future__ import annotations

from typing import Protocol

from signal_sdk.websocket.link import encode_binary, encode_text
from signal_sdk.wire import frames, names

__all__ = ["Ear", "encode_packed", "is_long"]


class Ear(Protocol):
    """What frames are put into: an outbox, or a gate before one."""

    @property
    def reads_binary(self) -> bool:
        """Has the client said that it reads binary messages?"""

    def append(self, data: bytes) -> None:
        """Take a frame."""


def is_long(text: bytes, over: int) -> bool:
    """Has `text` more than `over` bytes, and no more than a frame may have? Longer ones take
    milliseconds, and a receiver may refuse to inflate them. With `over` 0, nothing is long.
    """
    return 0 < over < len(text) <= names.MAX_FRAME_BYTES


def encode_packed(text: bytes) -> bytes:
    """`text` as a compressed binary message, or as a text message where that is shorter."""
    packed = frames.compress(text)
    return encode_binary(packed) if len(packed) < len(text) else encode_text(text)
