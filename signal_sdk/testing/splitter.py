"""Where a stream's WebSocket frames end, so that faults strike whole frames.

Owns: the boundaries in one direction of a connection. Must not know what a frame says, and judges
none: whoever reads them does.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from signal_sdk.wire.hidden import hides

__all__ = ["MAX_FRAME_BYTES", "Piece", "Splitter"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""The longest HTTP message before the frames; a longer one is none."""
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024 + 14
"""The largest frame, header and all, that is held until it is whole."""

_HEAD_ENDS: Final = b"\r\n\r\n"
_FIN: Final = 0x80
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F


class _Mode(enum.Enum):
    HEAD = enum.auto()
    FRAMES = enum.auto()
    RAW = enum.auto()


@hides("data")
@attrs.frozen
class Piece:
    """Bytes that belong together. `is_frame`: they are a frame that makes sense on its own, not a
    part of a fragmented message nor of the handshake, and may be left out or come twice.
    """

    data: bytes
    is_frame: bool = False


class Splitter:
    """Cuts what comes in one direction into the handshake's HTTP message and frames.

    An HTTP message that begins no WebSocket, and what is larger than any frame that is read, passes
    as it comes from then on.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._mode = _Mode.HEAD

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that are whole now that `data` has come."""
        self._buffer += data
        pieces = []
        while self._buffer and (piece := self._next()) is not None:
            pieces.append(piece)
        return pieces

    def rest(self) -> bytes:
        """What is left, of which the end never came."""
        return self._take(len(self._buffer))

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _next(self) -> Piece | None:
        if self._mode is _Mode.HEAD:
            return self._head()
        if self._mode is _Mode.FRAMES:
            size = _frame_size(self._buffer)
            if size is None or len(self._buffer) < size <= MAX_FRAME_BYTES:
                return None
            if size <= MAX_FRAME_BYTES:
                first = self._buffer[0]
                return Piece(self._take(size), is_frame=bool(first & _FIN and first & _OPCODE))
            self._mode = _Mode.RAW
        return Piece(self.rest())

    def _head(self) -> Piece | None:
        end = self._buffer.find(_HEAD_ENDS)
        if end < 0:
            if len(self._buffer) <= MAX_HEAD_BYTES:
                return None
            self._mode = _Mode.RAW
            return Piece(self.rest())
        head = self._take(end + len(_HEAD_ENDS))
        is_answer = head.startswith(b"HTTP/")
        is_switch = head.split(b" ", 2)[1:2] == [b"101"]
        self._mode = _Mode.RAW if is_answer and not is_switch else _Mode.FRAMES
        return Piece(head)


def _frame_size(buffer: bytearray) -> int | None:
    """How long the frame is that `buffer` begins with, header and all; None where that is not to be
    seen yet.
    """
    if len(buffer) < 2:
        return None
    length = buffer[1] & _LENGTH
    size = 2
    if length >= 126:
        size += 2 if length == 126 else 8
        if len(buffer) < size:
            return None
        length = int.from_bytes(buffer[2:size])
    return size + (4 if buffer[1] & _MASKED else 0) + length
