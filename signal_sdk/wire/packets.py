"""Packets: a 4-byte header and a text, plain or compressed, or several packets in one.

Owns: the framing of native_protocol.md, section 2, for both roles. Must not know what a text says.
Whatever arrives, only `PacketError` comes of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import frames

MAX_PACKET_BYTES: Final = 2**24 - 1
"""What a header can say, itself included."""
HEADER_BYTES: Final = 4
TEXT_BYTES: Final = 64
"""What a text counts beside its own bytes where many are read at once."""

_PLAIN: Final = 0x80
_COMPRESSED: Final = 0x81
_BUNDLE: Final = 0x82
_KINDS: Final = range(0x80, 0x84)
_SINGLE_KINDS: Final = range(0x80, 0x82)
_IS_COMPRESSED: Final = 0x01
_IS_BUNDLE: Final = 0x02


class PacketError(ProtocolError):
    """What arrived is not a packet, or what is to be sent does not fit into one."""


class PacketTooLong(PacketError):
    """What arrived is longer than it may be, before or after it is inflated."""


class PacketReader:
    """Takes the packets out of a stream of bytes, however it is cut.

    `max_bytes` is the most that a packet may hold, before and after it is inflated, and that all
    texts of one bundle have together. Without `reads_bundles`, a bundle is a wrong packet: a server
    need read none, of which a small one may hold thousands of texts.
    """

    __slots__ = ("_kinds", "_rest", "_wanted", "error", "has_more", "max_bytes")

    max_bytes: int
    has_more: bool
    """Are there packets that are whole, and whose texts were not returned yet?"""
    error: PacketError | None
    """What is wrong with the stream. From then on, `feed` returns nothing: where the next packet
    would begin cannot be known.
    """

    def __init__(self, max_bytes: int, *, reads_bundles: bool = True) -> None:
        self.error = None
        self._kinds = _KINDS if reads_bundles else _SINGLE_KINDS
        self.max_bytes = max_bytes
        self.has_more = False
        self._rest: bytearray | None = None  # which most have nothing in
        self._wanted = 0

    @property
    def rest(self) -> int:
        """How many bytes wait for the rest of their packet."""
        return len(self._rest or b"")

    def feed(self, data: bytes) -> list[bytes]:
        """The texts of packets that are whole now: all of them, or, where they hold more than
        `max_bytes` together, some; then `has_more` says so, and the next call goes on, with or
        without `data`. Never raises.

        Whoever calls looks at `error` afterwards: what was whole before a wrong packet is returned
        all the same. A bundle with anything wrong in it is one wrong packet.
        """
        if self.error is not None:
            return []
        if self._rest is None:
            texts, end = self._read(data)
            self._rest = bytearray(data[end:]) or None
            return texts
        self._rest += data
        if len(self._rest) < self._wanted:
            return []
        texts, end = self._read(self._rest)
        del self._rest[:end]
        self._rest = self._rest or None
        return texts

    def _read(self, data: bytes | bytearray) -> tuple[list[bytes], int]:
        """The texts of all whole packets in `data`, and where the last one ends."""
        texts: list[bytes] = []
        start = 0
        room = self.max_bytes
        self.has_more = False
        try:
            while start < len(data):
                self.has_more = room < 0
                if self.has_more:
                    # A few bytes may be inflated to many: not all at once.
                    self._wanted = 0
                    break
                self._wanted = _wanted_at(data, start, self.max_bytes, self._kinds)
                end = start + self._wanted
                if end > len(data):
                    break
                payload = data[start + HEADER_BYTES : end]
                found = _texts_of(data[start], payload, self.max_bytes)
                room -= sum(map(len, found)) + len(found) * TEXT_BYTES
                texts += found
                start = end
        except PacketError as exc:
            self.error = exc.with_traceback(None)  # which would hold all that was being read
            return texts, len(data)
        return texts, start


def _wanted_at(data: bytes | bytearray, start: int, max_bytes: int, kinds: range) -> int:
    """How many bytes the packet at `start` must have before more can be said of it: all of them,
    or those of the header where it is not there yet. Raises `PacketError`.
    """
    kind = data[start]
    if kind not in kinds:
        raise PacketError(
            f"a packet begins with 0x{kind:02x}, not with 0x{kinds[0]:02x} to 0x{kinds[-1]:02x}"
        )
    header = data[start : start + HEADER_BYTES]
    if len(header) < HEADER_BYTES:
        return HEADER_BYTES
    length = int.from_bytes(header, "big") & MAX_PACKET_BYTES
    if not HEADER_BYTES <= length <= max_bytes + HEADER_BYTES:
        raise (PacketTooLong if length > max_bytes else PacketError)(
            f"a packet of {length} bytes, not of {HEADER_BYTES} to {max_bytes + HEADER_BYTES}"
        )
    return length


def _texts_of(kind: int, payload: bytes | bytearray, max_bytes: int) -> list[bytes]:
    """The texts in one packet's payload. Raises `PacketError`."""
    content = inflate(payload, max_bytes) if kind & _IS_COMPRESSED else bytes(payload)
    return _unbundle(content, max_bytes) if kind & _IS_BUNDLE else [content]


def _unbundle(content: bytes, max_bytes: int) -> list[bytes]:
    texts: list[bytes] = []
    room = max_bytes
    start = 0
    while start < len(content):
        end = start + _wanted_at(content, start, max_bytes, _SINGLE_KINDS)
        if end > len(content):
            raise PacketError("a bundle ends within a packet")
        (text,) = _texts_of(content[start], content[start + HEADER_BYTES : end], room)
        texts.append(text)
        room -= len(text)
        if room < 0:
            raise PacketError(f"a bundle holds more than {max_bytes} bytes")
        start = end
    return texts


def inflate(data: bytes | bytearray, max_bytes: int) -> bytes:
    """The content of one zlib stream. Raises `PacketError` where it is damaged, cut off, would grow
    past `max_bytes`, or has something behind it.
    """
    inflater = zlib.decompressobj()
    try:
        # One more than is allowed: a limit of 0 would mean none.
        content = inflater.decompress(data, max_bytes + 1)
    except zlib.error:
        raise PacketError("not zlib data") from None
    if len(content) > max_bytes:
        raise PacketTooLong(f"zlib data of more than {max_bytes} bytes")
    if not inflater.eof:
        raise PacketError("zlib data is cut off")
    if inflater.unused_data:
        raise PacketError("something is behind the zlib data")
    return content


def encode_plain(text: bytes) -> bytes:
    """The packet of a text. Raises `PacketError` where it does not fit."""
    return _packet(_PLAIN, text)


def encode_compressed(text: bytes) -> bytes:
    """The packet of a text, compressed. Raises `PacketError` where it does not fit."""
    return _packet(_COMPRESSED, frames.compress(text))


def encode_stored(text: bytes) -> bytes:
    """The packet of a text as the original clients write it: as zlib data, but not made smaller.
    Raises `PacketError` where it does not fit.
    """
    return _packet(_COMPRESSED, zlib.compress(text, zlib.Z_NO_COMPRESSION))


def encode_bundle(packets: Iterable[bytes]) -> bytes:
    """Several packets, none of them a bundle, as one. Raises `PacketError` where it is too long."""
    return _packet(_BUNDLE, b"".join(packets))


def _packet(kind: int, payload: bytes) -> bytes:
    length = HEADER_BYTES + len(payload)
    if length > MAX_PACKET_BYTES:
        raise PacketError(f"a packet of {length} bytes: at most {MAX_PACKET_BYTES} fit")
    return (kind << 24 | length).to_bytes(HEADER_BYTES, "big") + payload
