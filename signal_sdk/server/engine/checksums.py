"""Checksums of the journal's rows: what a row's last column says of those before it.

Owns: how a row is summed, and how its values are compared with what was written. Must not know
SQLite's library, nor what a row means.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from signal_sdk.server.engine.schema import Row, Table

pack: Callable[[object], bytes] = msgspec.msgpack.Encoder().encode


def checksum(row: Row) -> int:
    """What a row's last column says. Raises `ValueError` where its text is no text."""
    return zlib.crc32(pack(row))


def sealed(table: Table, rows: Sequence[Row]) -> list[Any]:
    """The values of these rows one behind the other, each row with its checksum. A number is one as
    it will be read. In one function: it is done for all that is written.
    """
    real_at, crc, packed = table.real_at, zlib.crc32, pack
    values: list[Any] = []
    for row in rows:
        for at in real_at:
            if type(row[at]) is int:
                row = (*row[:at], float(row[at]), *row[at + 1 :])  # noqa: PLW2901  it is the row
        values += row
        values.append(crc(packed(row)))
    return values


def is_as_written(row: Row, told: object) -> bool:
    """Is this the row that had that checksum?"""
    try:
        return checksum(row) == told
    except ValueError:
        return False


def to_text(data: bytes) -> str:
    """A row's text. Bytes that are none come out as what no checksum is of."""
    return data.decode(errors="surrogateescape")


def to_bytes(value: object) -> object:
    """What a row's text was read from; other values as they are."""
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def checksum_of(kinds: str, *values: Any) -> int | None:
    """As `checksum`, for a migration's SQL (schema.py), which hands text over as bytes. None where
    a value is none of its kind.
    """
    try:
        return checksum(tuple(map(_as_read, kinds, values)))
    except (TypeError, ValueError):
        return None


_TYPES: Final[Mapping[str, type]] = {"i": int, "r": float, "t": bytes, "b": bytes}


def _as_read(kind: str, value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, _TYPES[kind]):
        raise TypeError("not of its column's kind")
    return value.decode() if kind == "t" and isinstance(value, bytes) else value
