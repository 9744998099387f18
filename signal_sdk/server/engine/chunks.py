"""Chunks of inbox entries: many rows of the journal's log in one, so that writing a batch costs a
few calls and not some for each entry.

Owns: how entries become a chunk's bytes, and which come out of such bytes. Must not know SQLite's
library, nor what an entry means.

A chunk is a list of records in MessagePack, each a checksum and the bytes of a row that it is of,
so that a record that a disk has changed takes no other with it. Where it is no list any more, what
comes behind the place cannot be told apart, and is the `rest`.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from signal_sdk.server.engine.checksums import pack
from signal_sdk.server.engine.schema import ENTRIES, TABLES, Row

CHUNK_ENTRIES: Final = 1000
"""How many entries a chunk has at most: their room is free again when none of them waits."""
CHUNK_BYTES: Final = 256 * 1024
"""How many bytes a chunk's entries have at most, but for a single one that has more."""

_unpack_all: Callable[[bytes], list[tuple[int, bytes]]] = msgspec.msgpack.Decoder(
    list[tuple[int, bytes]]
).decode
_unpack_row: Callable[[bytes], tuple[int, int, int, float, str]] = msgspec.msgpack.Decoder(
    tuple[int, int, int, float, str]
).decode
_unpack_any: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode

ROW_LENGTH: Final = len(TABLES[ENTRIES].columns)
HEADS_END: Final = (1, 3, 5)
"""Where the first record of a list may begin."""
PAIR: Final = 0x92
"""How each record begins, in MessagePack."""
INTEGERS: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4}
"""By how many bytes a whole number follows its first one, where it is not that one alone."""
LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
"""How many bytes say how many bytes follow, by the first one."""


def chunked(entries: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """The chunks of these entries, each packed, by their numbers, which rise: the last number in
    each, and its bytes.
    """
    numbers, every = list(entries), list(entries.values())
    for start in range(0, len(every), CHUNK_ENTRIES):
        packed = every[start : start + CHUNK_ENTRIES]
        records = list(zip(map(zlib.crc32, packed), packed, strict=True))
        some = numbers[start : start + CHUNK_ENTRIES]
        if sum(map(len, packed)) <= CHUNK_BYTES:
            yield some[-1], pack(records)
        else:
            yield from _cut(some, records)


def _cut(
    numbers: Sequence[int], records: Sequence[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    """As `chunked`, for more bytes than one chunk may have."""
    first = size = 0
    for at, (_, packed) in enumerate(records):
        if size and size + len(packed) > CHUNK_BYTES:
            yield numbers[at - 1], pack(records[first:at])
            first, size = at, 0
        size += len(packed)
    yield numbers[-1], pack(records[first:])


def chunk_of(told: object, *values: Any) -> bytes:
    """A chunk of an older file's row, with the checksum that it had there, for a migration's SQL
    (schema.py), which hands the line over as bytes, and says of which kind it is.
    """
    *row, line, kind = values
    if kind == "text":
        with contextlib.suppress(ValueError):
            line = line.decode()
    return pack([(told if isinstance(told, int) else -1, pack((*row, line)))])


def read(contents: object) -> tuple[list[tuple[Row, bool]], object]:
    """What a chunk's bytes hold, whatever has become of them: each row, and whether it is as it was
    written; and the rest, which cannot be told apart any more, empty where all can. Of a row that
    is not as it was written is what it seems to hold, or its bytes alone.
    """
    if not isinstance(contents, bytes):
        return [], contents
    try:
        records, rest = _unpack_all(contents), b""
    except (msgspec.MsgspecError, ValueError):
        records, rest = _walked(contents)
    rows: list[tuple[Row, bool]] = []
    for told, packed in records:
        try:
            rows.append((_unpack_row(packed), zlib.crc32(packed) == told))
        except (msgspec.MsgspecError, ValueError):
            rows.append((_guessed(packed), False))
    return rows, rest


def _guessed(packed: bytes) -> Row:
    """What a record that holds no row of ours seems to hold; its bytes, where that is nothing."""
    try:
        row = _unpack_any(packed)
    except (msgspec.MsgspecError, ValueError):
        return (packed,)
    return tuple(row) if isinstance(row, list) and len(row) == ROW_LENGTH else (packed,)


def _walked(contents: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The records of a damaged list up to where they cannot be told apart any more, and what
    follows.
    """
    records: list[tuple[int, bytes]] = []
    # It may be the list's own head that is damaged.
    found = next(filter(None, (_record(contents, at) for at in HEADS_END)), None)
    end = 0
    while found is not None:
        record, end = found
        records.append(record)
        found = _record(contents, end)
    return records, contents[end:]


def _record(contents: bytes, at: int) -> tuple[tuple[int, bytes], int] | None:
    """The record that begins there, and where it ends; None where there is none."""
    try:
        size = INTEGERS.get(contents[at + 1], 0)
        if contents[at] != PAIR:
            return None
        told = int.from_bytes(contents[at + 2 : at + 2 + size], "big") if size else contents[at + 1]
        at += 2 + size
        size = LENGTHS[contents[at]]
    except (IndexError, KeyError):
        return None
    begin = at + 1 + size
    end = begin + int.from_bytes(contents[at + 1 : begin], "big")
    return ((told, contents[begin:end]), end) if end <= len(contents) else None
