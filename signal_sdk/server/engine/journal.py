"""The journal: the embedded engine's state in a SQLite file.

Owns: the file, how it is written, and what can be wrong with it. The only module that knows
sqlite3. Must not know what a row means. Everything here blocks: it is called from a worker thread,
one call at a time.

A batch is a dict of tables, each a dict from a row's key to the row, or to None where it is gone.
It is written in one transaction, all or nothing. With
`durability = "process"` the transaction outlives the process; with `"power"` it is on the disk when
`write` returns.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import attrs

from signal_sdk.errors import StorageError
from signal_sdk.net import holders
from signal_sdk.server.engine.schema import (
    COUNTED,
    ENTRIES,
    FLOORS,
    HANDLED,
    MIGRATIONS,
    TABLES,
    Batch,
    Row,
    Table,
)

FILE_NAME: Final = "signal.db"
POWER: Final = "power"
APPLICATION_ID: Final = 0x5347534B
"""Marks the file as one of ours ("SGSK")."""
ROWS_PER_STATEMENT: Final = 256
"""How many rows one statement writes: each gives the interpreter lock away once, and gets it back
only when the busy server lets go of it."""

READ_ONLY: Final = "the file or its directory is read-only; the server must be able to write both"
UNOPENED: Final = "it, or the file beside it that ends in -wal, cannot be opened"
FOREIGN: Final = "not a journal of signal-sdk: another program's SQLite file"


class Journal:
    """An open journal, which no other process can open meanwhile."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    @classmethod
    def open(cls, directory: str | Path, durability: str = "process") -> Self:
        """Open the journal in `directory`; both are made where there are none.

        Raises `StorageError`, whose text is one line, where the file cannot be used: it is corrupt,
        another program's, a newer version's, in use, or cannot be written.
        """
        path = Path(directory) / FILE_NAME
        try:
            # What it holds is the users' own.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_writable(path):
                raise StorageError(f"{path}: {READ_ONLY}")
            if not path.exists():
                path.touch(mode=0o600)
        except OSError as exc:
            raise _unusable(path, exc) from None
        check_header(path)
        with _named(path):
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        journal = cls(path, db)
        try:
            journal._prepare(durability)
        except BaseException:
            db.close()
            raise
        return journal

    def _prepare(self, durability: str) -> None:
        db = self._db
        with _named(self.path):
            # Exclusive also means: no second server, and no shared memory file beside.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN EXCLUSIVE")
            version = _version(self.path, db)
            db.execute("COMMIT")
            # Not before it is known to be ours: this writes to the file.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {'FULL' if durability == POWER else 'NORMAL'}")
            damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise StorageError(_corrupt(self.path, damage))
            for number, script in enumerate(MIGRATIONS[version:], version + 1):
                db.executescript(
                    f"BEGIN;{script};PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {number};COMMIT"
                )
            db.execute("BEGIN")
            db.execute(f"DELETE FROM {ENTRIES} WHERE NOT {TABLES[ENTRIES].where}")  # noqa: S608  names of ours
            db.execute(f"DELETE FROM {HANDLED}")  # noqa: S608  names of ours
            db.execute("COMMIT")

    def reserve(self, count: int) -> None:
        """Reserve that many more numbers in every account and channel."""
        with _named(self.path):
            self._db.execute("BEGIN")
            self._db.execute("UPDATE accounts SET reserved = reserved + ?", (count,))
            self._db.execute("UPDATE channels SET reserved = reserved + ?", (count,))
            self._db.execute("COMMIT")

    def rows(self, name: str, order: str = "") -> Iterator[Row]:
        """Every row of a table that counts, its columns in `TABLES`' order; by `order`, else by the
        key.
        """
        table = TABLES[name]
        columns, by = ", ".join(table.columns), order or ", ".join(table.key)
        with _named(self.path):
            yield from self._db.execute(
                f"SELECT {columns} FROM {name} WHERE {table.where} ORDER BY {by}"  # noqa: S608  names of ours
            )

    def write(self, batch: Batch) -> None:
        """Write a batch. Raises `StorageError`, and then nothing of it is written."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            floors = batch.get(FLOORS, {})
            for name, rows in batch.items():
                if rows is floors:
                    continue
                table = TABLES[name]
                self._put(table, [row for row in rows.values() if row is not None])
                self._drop(table, [key for key, row in rows.items() if row is None])
            # Last: what is put here may be beneath the floor by now.
            for log, floor in filter(None, floors.values()):
                db.execute(f"DELETE FROM {log} WHERE id <= ?", (floor,))  # noqa: S608  names of ours
            db.execute("COMMIT")
        except BaseException as exc:
            if db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            if isinstance(exc, sqlite3.Error):
                raise StorageError(f"{self.path}: {_reason(exc, self.path)}") from None
            raise

    def _put(self, table: Table, rows: Sequence[Row]) -> None:
        values = f"({', '.join('?' * len(table.columns))})"
        for chunk, size in _chunks(rows):
            self._db.execute(
                f"INSERT OR REPLACE INTO {table.name} VALUES {', '.join([values] * size)}",  # noqa: S608  names of ours
                chunk,
            )

    def _drop(self, table: Table, keys: Sequence[Row]) -> None:
        values = f"({', '.join('?' * len(table.key))})"
        for chunk, size in _chunks(keys):
            self._db.execute(
                f"DELETE FROM {table.name} WHERE ({', '.join(table.key)}) IN"  # noqa: S608  names of ours
                f" (VALUES {', '.join([values] * size)})",
                chunk,
            )

    def close(self) -> None:
        """Close the file."""
        with _named(self.path):
            self._db.close()


def _chunks(rows: Sequence[Row]) -> Iterator[tuple[list[Any], int]]:
    """`rows` as the flat values of one statement each, and for how many rows that is.

    A chunk that is not full is filled up to the next power of two with its last row, since writing
    a row twice changes nothing: few different statements are to be prepared.
    """
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        chunk = list(rows[start : start + ROWS_PER_STATEMENT])
        size = 1 << (len(chunk) - 1).bit_length()
        chunk += [chunk[-1]] * (size - len(chunk))
        yield [value for row in chunk for value in row], size


# --- what can be wrong ---


def check_header(path: Path) -> None:
    """Is it one of our files, as far as its first bytes tell? An empty one is to become one. Raises
    `StorageError`.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as exc:
        raise _unusable(path, exc) from None
    if not header:
        return
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise StorageError(f"{path}: not a journal of signal-sdk: it is no SQLite file")
    if int.from_bytes(header[68:72], "big") not in (0, APPLICATION_ID):
        raise StorageError(f"{path}: {FOREIGN}")


def _version(path: Path, db: sqlite3.Connection) -> int:
    """The version of an open file. Raises `StorageError` where another program or a newer release
    has written it.
    """
    mark = db.execute("PRAGMA application_id").fetchone()[0]
    # What no program has marked is to become ours only where it is empty.
    if mark != APPLICATION_ID and db.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise StorageError(f"{path}: {FOREIGN}")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StorageError(
            f"{path}: the file has version {version}, and this release reads up to"
            f" {len(MIGRATIONS)}: use the release that wrote it, or a later one"
        )
    return version


def _is_writable(path: Path) -> bool:
    return os.access(path.parent, os.W_OK | os.X_OK) and (
        os.access(path, os.W_OK) or not path.exists()
    )


def _unusable(path: Path, exc: OSError) -> StorageError:
    if isinstance(exc, FileExistsError | NotADirectoryError):
        return StorageError(f"{path.parent}: not a directory")
    return StorageError(f"{path}: {exc.strerror or exc}")


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors inside say which file, and what can be done."""
    try:
        yield
    except sqlite3.Error as exc:
        raise StorageError(f"{path}: {_reason(exc, path)}") from None


def _reason(exc: sqlite3.Error, path: Path) -> str:
    name = getattr(exc, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{holders.of_file(path)} is using it; stop that one first"
    if name.startswith("SQLITE_READONLY"):
        return READ_ONLY
    if name.startswith("SQLITE_CANTOPEN"):
        return UNOPENED
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _unreadable(exc)
    if name.startswith("SQLITE_FULL"):
        return "the disk is full"
    return f"{exc} ({name})" if name else str(exc)


def _corrupt(path: Path, damage: str) -> str:
    return f"{path}: {_unreadable(damage.splitlines()[-1])}"


def _unreadable(why: object) -> str:
    return f"the file is corrupt ({why}): run signal-sdk doctor, and put a backup in its place"


# --- the doctor ---


@attrs.frozen(kw_only=True)
class Health:
    """What the doctor has found: what is wrong, each in a line, and facts of the file."""

    problems: Sequence[str]
    facts: Sequence[tuple[str, str]]


def examine(directory: str | Path) -> Health:
    """Look a journal over without changing it; whoever uses it meanwhile is not disturbed."""
    path = Path(directory) / FILE_NAME
    facts: list[tuple[str, str]] = [("file", str(path))]
    try:
        problems = _examine(path, facts)
    except StorageError as exc:
        problems = [str(exc)]
    except OSError as exc:
        problems = [str(_unusable(path, exc))]
    return Health(problems=problems, facts=facts)


def _examine(path: Path, facts: list[tuple[str, str]]) -> list[str]:
    if not path.exists():
        return [f"{path}: there is no such file"]
    facts.append(("size", f"{path.stat().st_size} bytes"))
    check_header(path)
    with _named(path), _open_read_only(path) as db:
        version = _version(path, db)
        facts.append(("version", f"{version}, and this release writes {len(MIGRATIONS)}"))
        damage = [row[0] for row in db.execute("PRAGMA integrity_check(20)")]
        if damage != ["ok"]:
            return [f"{path}: {line}" for line in _lines(damage)]
        # An older file is brought up to date by the server, which counts otherwise.
        for name in COUNTED if version == len(MIGRATIONS) else ():
            count = db.execute(
                f"SELECT COUNT(*) FROM {name} WHERE {TABLES[name].where}"  # noqa: S608  names of ours
            ).fetchone()[0]
            facts.append((name, str(count)))
    if not _is_writable(path):
        return [f"{path}: {READ_ONLY}"]
    return []


@contextlib.contextmanager
def _open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Nothing stays behind: who looks may be another user than the server, which could not open
    what is theirs.
    """
    wal, shared = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    # Without a log, the file is the whole truth, and nothing is needed beside it.
    is_whole = not wal.exists() or not wal.stat().st_size
    had_shared = shared.exists()
    how = "immutable=1" if is_whole else "mode=ro"
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=1.0)
    try:
        yield db
    finally:
        db.close()
        if not is_whole and not had_shared:
            # SQLite's reader makes it; the server has none.
            shared.unlink(missing_ok=True)


def _lines(damage: Iterable[str]) -> list[str]:
    return [line for text in damage for line in text.splitlines() if not line.startswith("***")]
