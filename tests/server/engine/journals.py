"""Journals for tests: opened, filled with some rows, and files of older releases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from signal_sdk.server.engine import chunks
from signal_sdk.server.engine.checksums import checksum_of
from signal_sdk.server.engine.files import (
    APPLICATION_ID,
    FILE_NAME,
)
from signal_sdk.server.engine.schema import (
    CHECKSUM,
    MIGRATIONS,
    Batch,
)
from tests.server.inside import OpenJournal


@contextmanager
def opened(directory: Path, durability: str = "process") -> Iterator[OpenJournal]:
    journal = OpenJournal.open(directory, durability)
    with closing(journal):
        yield journal


def entries(*versions: int, line: str = "line") -> Batch:
    return {"entries": {(number,): (number, 1, number, 5.0, line) for number in versions}}


def replies(*callids: int) -> Batch:
    return {"replies": {(number,): (number, 1, number, "{}") for number in callids}}


def positions(*numbers: int) -> Batch:
    return {"members": {(1, number): (1, number, number) for number in numbers}}


def stored(journal: OpenJournal) -> int:
    """How many entries the file has, handled ones too."""
    found = journal.db.execute("SELECT contents FROM entry_chunks").fetchall()
    return sum(len(chunks.read(contents)[0]) for (contents,) in found)


def versions(journal: OpenJournal) -> list[int]:
    return [row[2] for row in journal.rows("entries")]


def accounts(count: int) -> Batch:
    """So many accounts, in a file of many pages."""
    facts = (None,) * 9
    return {
        "accounts": {
            (number,): (number, "app", f"{number:0200}", number, 1, 2000, *facts, 0)
            for number in range(1, count + 1)
        }
    }


def contents(directory: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def old_file(directory: Path, version: int, *statements: str) -> None:
    """A file of an earlier version, in which these have been done."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as db:
        db.create_function(CHECKSUM, -1, checksum_of, deterministic=True)
        db.executescript(
            f"{''.join(MIGRATIONS[:version])}; PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {version}; {';'.join(statements)}"
        )
