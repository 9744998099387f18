"""The statements of SQL that write a batch.

Owns: which they are, and in what order. Must not know SQLite's library, nor what a row means.

They are few, whatever a batch holds: each gives the interpreter lock away, and gets it back only
when the busy server lets go of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from signal_sdk.server.engine.checksums import pack, sealed
from signal_sdk.server.engine.chunks import chunked
from signal_sdk.server.engine.schema import (
    CHECKSUM,
    CHUNKS,
    ENTRIES,
    FACTS,
    FLOOR,
    FLOORS,
    TABLES,
    Batch,
    Row,
    Table,
)

__all__ = [
    "ROWS_PER_STATEMENT",
    "ROWS_PER_STEP",
    "Statement",
    "of_batch",
    "puts",
    "rows_per_step",
]

Statement = tuple[str, Sequence[Any]]

ROWS_PER_STATEMENT: Final = 256
ROWS_PER_STEP: Final = 64
"""Where others run between two: it is done in some 0.3 ms."""
LONG_CHARS: Final = 64 * 1024
LONG_ROWS_PER_STEP: Final = 8
"""As many, of a batch that has more characters."""


def rows_per_step(chars: int) -> int:
    """How many rows of a batch of so many characters are written before others run."""
    return LONG_ROWS_PER_STEP if chars > LONG_CHARS else ROWS_PER_STEP


def of_batch(batch: Batch, most: int = ROWS_PER_STATEMENT) -> Iterator[Statement]:
    """What writes a batch, so many rows in one at most. Raises `ValueError` where a text in it is
    none.
    """
    floors = batch.get(FLOORS, {})
    for name, rows in batch.items():
        if rows is floors:
            continue
        if name == CHUNKS:
            yield from _chunks(rows)
            continue
        table = TABLES[name]
        yield from puts(table, [row for row in rows.values() if row is not None], most)
        yield from _drops(table, [key for key, row in rows.items() if row is None], most)
    # Last: what is put here may be beneath the floor by now.
    for log, floor in filter(None, floors.values()):
        if log == ENTRIES:
            yield from puts(TABLES[FACTS], [(FLOOR, floor)])
        yield f"DELETE FROM {CHUNKS if log == ENTRIES else log} WHERE id <= ?", (floor,)  # noqa: S608  names of ours


def puts(table: Table, rows: Sequence[Row], most: int = ROWS_PER_STATEMENT) -> Iterator[Statement]:
    """What writes these rows, whatever was there under their keys."""
    if table.name == ENTRIES:
        yield from _chunks({row[0]: pack(row) for row in rows})
        return
    width = len(table.columns) + 1
    for some in _sliced(rows, most):
        values, count = _filled_up(sealed(table, some), width)
        marks = ", ".join([_marks(width)] * count)
        names = ", ".join((*table.columns, CHECKSUM))
        yield f"INSERT OR REPLACE INTO {table.name} ({names}) VALUES {marks}", values  # noqa: S608  names of ours


def _chunks(entries: Mapping[int, bytes]) -> Iterator[Statement]:
    """What writes these entries, each packed, by their numbers."""
    # Each chunk by itself: one is as much as a statement ought to write.
    for chunk in chunked(entries):
        yield f"INSERT OR REPLACE INTO {CHUNKS} VALUES (?, ?)", chunk  # noqa: S608  names of ours


def _drops(table: Table, keys: Sequence[Row], most: int) -> Iterator[Statement]:
    width = len(table.key)
    # SQLite looks each of these up, where it reads all of a table for keys of more than one column
    # that are `IN` a list.
    key = f"({' AND '.join(f'{name} = ?' for name in table.key)})"
    for some in _sliced(keys, most):
        values, count = _filled_up([value for key in some for value in key], width)
        yield f"DELETE FROM {table.name} WHERE {' OR '.join([key] * count)}", values  # noqa: S608  names of ours


def _sliced(rows: Sequence[Row], most: int) -> Iterator[Sequence[Row]]:
    """`rows` as one statement takes them."""
    for start in range(0, len(rows), most):
        yield rows[start : start + most]


def _filled_up(values: list[Any], width: int) -> tuple[list[Any], int]:
    """The values of rows of that width, filled up to the next power of two of rows with the last
    one, and how many that is. Writing a row twice changes nothing, and few different statements are
    to be prepared.
    """
    count = len(values) // width
    size = 1 << (count - 1).bit_length()
    return values + values[-width:] * (size - count), size


def _marks(width: int) -> str:
    return f"({', '.join('?' * width)})"
