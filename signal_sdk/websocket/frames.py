"""WebSocket frames as most of them are, taken apart and put together by hand: whole data frames,
which are nearly all that passes, cost a tenth of what the library's general way does.

Owns: the header's bytes (RFC 6455, section 5.2). Must not know what a frame says, nor anything of
the rest of the protocol: fragments, control frames and whatever is wrong are the library's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

__all__ = [
    "BINARY",
    "TEXT",
    "FrameHead",
    "encode",
    "encode_masked",
    "encode_text",
    "read_head",
    "take_texts",
    "unmask",
]

TEXT: Final = 0x81
"""The first byte of a text message that is one frame."""
BINARY: Final = 0x82
"""The first byte of a binary message that is one frame."""

_MASKED: Final = 0x80
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_MASK_BYTES: Final = 4
_TEXT_HEADS: Final = tuple(bytes((TEXT, size)) for size in range(_LENGTH_16))
SHORT_HEAD_BYTES: Final = 2 + _MASK_BYTES
"""The head of a short masked frame."""
MASKS_PER_BLOCK: Final = 256
"""How many masks the system is asked for at once: one at a time, that costs more than the rest of
a short frame."""
_pack_masked: Final = struct.Struct(">BBH4s").pack
_pack_head: Final = struct.Struct(">BBH").pack


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


def take_texts(
    data: bytes | bytearray, most: int, most_bytes: int, *, masked: bool
) -> tuple[list[bytes], int]:
    """The payloads of the text messages that `data` begins with, each one whole frame, masked or
    not; and where they end. At most `most` of them, and none of more than `most_bytes`.
    """
    texts: list[bytes] = []
    at, end = 0, len(data)
    mark, shortest = (_MASKED, 2 + _MASK_BYTES) if masked else (0, 2)
    while at + shortest <= end and data[at] == TEXT and len(texts) < most:
        length = data[at + 1] - mark
        start = at + shortest
        if length == _LENGTH_16:
            start += 2
            if start > end:
                break
            length = (data[at + 2] << 8) | data[at + 3]
        elif not 0 <= length < _LENGTH_16:
            break
        stop = start + length
        if stop > end or length > most_bytes:
            break
        payload = data[start:stop]
        texts.append(
            apply_mask(payload, data[start - _MASK_BYTES : start]) if masked else bytes(payload)
        )
        at = stop
    return texts, at


def lone_text(data: bytes) -> bytes | None:
    """The payload of the masked text message that is all of `data`, where it is a short one; else
    None.
    """
    length = len(data) - SHORT_HEAD_BYTES
    if 0 <= length < _LENGTH_16 and data[0] == TEXT and data[1] == _MASKED | length:
        return apply_mask(data[SHORT_HEAD_BYTES:], data[2:SHORT_HEAD_BYTES])
    return None


def unmask(data: bytes | bytearray, head: FrameHead) -> bytes:
    """The payload of a masked frame, whose mask is before it."""
    start = head.start
    return apply_mask(bytes(data[start : head.end]), bytes(data[start - _MASK_BYTES : start]))


def encode(first: int, payload: bytes) -> bytes:
    """A whole message, unmasked, as a server sends it."""
    return _head(first, len(payload), 0) + payload


def encode_text(text: bytes) -> bytes:
    """A text message, unmasked, as every client of a server may be sent it: one encoding serves
    all.
    """
    size = len(text)
    if size < _LENGTH_16:
        return _TEXT_HEADS[size] + text
    if size < 1 << 16:
        return _pack_head(TEXT, _LENGTH_16, size) + text
    return _head(TEXT, size, 0) + text


def encode_masked(first: int, payload: bytes) -> bytes:
    """A whole message, masked, as a client sends it."""
    mask = next(_masks.left, None) or _masks.next_block()
    size = len(payload)
    masked = apply_mask(payload, mask)
    if size < _LENGTH_16:
        return b"%c%c%b%b" % (first, _MASKED | size, mask, masked)
    if size < 1 << 16:
        return _pack_masked(first, _MASKED | _LENGTH_16, size, mask) + masked
    return _head(first, size, _MASKED) + mask + masked


class _Masks:
    """Masks of a block of random bytes, each of them used once. A list's iterator gives each of any
    threads another one.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left: Iterator[bytes] = iter(())

    def next_block(self) -> bytes:
        """The first mask of a new block."""
        block = os.urandom(_MASK_BYTES * MASKS_PER_BLOCK)
        left = iter([block[at : at + _MASK_BYTES] for at in range(0, len(block), _MASK_BYTES)])
        first = next(left)
        self.left = left
        return first

    def forget(self) -> None:
        """Use none of the block's any more."""
        self.left = iter(())


_masks: Final = _Masks()
if hasattr(os, "register_at_fork"):
    # Else both sides of a fork would use the same ones.
    os.register_at_fork(after_in_child=_masks.forget)


def _head(first: int, size: int, masked: int) -> bytes:
    if size < _LENGTH_16:
        return bytes((first, masked | size))
    if size < 1 << 16:
        return bytes((first, masked | _LENGTH_16, size >> 8, size & 0xFF))
    return bytes((first, masked | _LENGTH_64)) + size.to_bytes(8, "big")
