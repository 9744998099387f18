"""WebSocket frames as most of them are, taken apart and put together by hand: whole data frames,
which are nearly all that passes, cost a tenth of what the library's general way does.

Owns: the header's bytes (RFC 6455, section 5.2). Must not know what a frame says, nor anything of
the rest of the protocol: fragments, control frames and whatever is wrong are the library's.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

__all__ = ["BINARY", "TEXT", "FrameHead", "encode", "encode_masked", "read_head", "unmask"]

TEXT: Final = 0x81
"""The first byte of a text message that is one frame."""
BINARY: Final = 0x82
"""The first byte of a binary message that is one frame."""

_MASKED: Final = 0x80
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_MASK_BYTES: Final = 4


class FrameHead(msgspec.Struct, frozen=True, gc=False):
    """Where a frame's payload is."""

    first: int
    start: int
    end: int
    is_masked: bool


def read_head(data: bytes | bytearray, at: int) -> FrameHead | None:
    """The head of the frame that begins at `at`; None where it is not all there."""
    have = len(data) - at
    if have < 2:
        return None
    second = data[at + 1]
    length = second & 0x7F
    start = at + 2
    if length == _LENGTH_16:
        if have < 4:
            return None
        length = (data[at + 2] << 8) | data[at + 3]
        start = at + 4
    elif length == _LENGTH_64:
        if have < 10:
            return None
        length = int.from_bytes(data[at + 2 : at + 10], "big")
        start = at + 10
    is_masked = second >= _MASKED
    if is_masked:
        start += _MASK_BYTES
    return FrameHead(data[at], start, start + length, is_masked)


def unmask(data: bytes | bytearray, head: FrameHead) -> bytes:
    """The payload of a masked frame, whose mask is before it."""
    start = head.start
    return apply_mask(bytes(data[start : head.end]), bytes(data[start - _MASK_BYTES : start]))


def encode(first: int, payload: bytes) -> bytes:
    """A whole message, unmasked, as a server sends it."""
    size = len(payload)
    head = bytes((first, size)) if size < _LENGTH_16 else _head(first, size, 0)
    return head + payload


def encode_masked(first: int, payload: bytes) -> bytes:
    """A whole message, masked, as a client sends it."""
    mask = os.urandom(_MASK_BYTES)
    return _head(first, len(payload), _MASKED) + mask + apply_mask(payload, mask)


def _head(first: int, size: int, masked: int) -> bytes:
    if size < _LENGTH_16:
        return bytes((first, masked | size))
    if size < 1 << 16:
        return bytes((first, masked | _LENGTH_16, size >> 8, size & 0xFF))
    return bytes((first, masked | _LENGTH_64)) + size.to_bytes(8, "big")
