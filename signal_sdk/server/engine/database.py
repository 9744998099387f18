"""The journal's file as a SQLite database: how it is opened, and what can be wrong with it.

Owns: the settings of a connection to it, the steps from one version to the next, and what is said
of SQLite's errors. Must not know what is in a table. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from signal_sdk.errors import StorageError
from signal_sdk.printable import one_line
from signal_sdk.server.engine import chunks
from signal_sdk.server.engine.checksums import checksum_of, to_text
from signal_sdk.server.engine.files import (
    APPLICATION_ID,
    FOREIGN,
    check_header,
    corrupt,
    make_private,
    reason,
    unreadable,
    unusable,
)
from signal_sdk.server.engine.schema import CHECKSUM, CHUNK_OF, MIGRATIONS

__all__ = [
    "POWER",
    "PROCESS",
    "damage_of",
    "named",
    "open_beside",
    "open_file",
    "open_read_only",
    "up_to_date",
    "version_of",
]

PROCESS: Final = "process"
"""The durability with which a written batch outlives the process."""
POWER: Final = "power"
"""The durability with which a batch is on the disk once it is written."""
INCREMENTAL: Final = 2
"""SQLite's number for a file that gives free pages back when it is asked to."""
LOG_BYTES: Final = 16 * 1024 * 1024
"""How long SQLite's log stays once it begins anew: as long as it is normally."""
LOG_PAGES: Final = 16_000
"""Behind how many pages SQLite puts what is in it into the file by itself: more than there are when
the journal has that done, where it may wait for the disk."""


class _Connection(sqlite3.Connection):
    """The one of this process that has opened a file, as long as it is open."""

    file = ""

    def close(self) -> None:
        super().close()
        _opened.pop(self.file, None)


_opened: Final[WeakValueDictionary[str, _Connection]] = WeakValueDictionary()
"""By their files: SQLite keeps other processes out, and lets all of this one's in."""


def open_file(path: Path, durability: str, *, erases: bool) -> sqlite3.Connection:
    """Open the file, which is made where there is none, for this process alone, in this release's
    version. As `Journal.open` has it, which says what is raised.
    """
    if (file := os.path.realpath(path)) in _opened:
        raise StorageError(f"{path}: this process is using it already")
    try:
        make_private(path)
    except OSError as exc:
        raise unusable(path, exc) from None
    check_header(path)
    db = _connected(path)
    try:
        _prepare(path, _taught(db), durability, erases=erases)
    except BaseException:
        db.close()
        raise
    db.file = file
    _opened[file] = db
    return db


def open_beside(path: Path) -> sqlite3.Connection:
    """One more connection to a file that this process has opened, which puts what is in SQLite's
    log into the file while the other goes on writing.
    """
    db = _connected(path)
    with named(path):
        # It is so already, and now the connection knows of it.
        db.execute("PRAGMA journal_mode = WAL")
    return db


def _connected(path: Path) -> _Connection:
    # Exclusive: no second server, and no shared memory file beside, since all who know SQLite's log
    # are in this process. (Its `locking_mode` would let in one connection alone.)
    uri = f"{path.absolute().as_uri()}?vfs=unix-excl"
    with named(path):
        return sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=1.0,
            factory=_Connection,
        )


def _taught(db: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, once it knows the functions that statements of ours call."""
    # What is no UTF-8 comes out as what no checksum is of.
    db.text_factory = to_text
    db.create_function(CHECKSUM, -1, checksum_of, deterministic=True)
    db.create_function(CHUNK_OF, -1, chunks.chunk_of, deterministic=True)
    return db


def _prepare(path: Path, db: sqlite3.Connection, durability: str, *, erases: bool) -> None:
    with named(path):
        db.execute("BEGIN EXCLUSIVE")
        version = version_of(path, db)
        db.execute("COMMIT")
        # Not before it is known to be ours: this writes to the file.
        if not db.execute("PRAGMA page_count").fetchone()[0]:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        db.execute(f"PRAGMA synchronous = {'FULL' if durability == POWER else 'NORMAL'}")
        # The library's own default is the one or the other, by who has built it.
        db.execute(f"PRAGMA secure_delete = {'ON' if erases else 'FAST'}")
        damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise StorageError(corrupt(path, damage))
        _migrate(db, version)
        if db.execute("PRAGMA auto_vacuum").fetchone()[0] != INCREMENTAL:
            # Where the disk has no room for a copy, it stays one that does not shrink.
            with contextlib.suppress(sqlite3.OperationalError):
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                db.execute("VACUUM")


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Each step, and that it was taken, in one transaction."""
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(
            f"BEGIN;{script};PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {number};COMMIT"
        )


@contextlib.contextmanager
def up_to_date(path: Path, db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The database, or where that is an older version's, a copy in memory that is migrated."""
    version = version_of(path, db)
    if version == len(MIGRATIONS):
        yield db
        return
    with contextlib.closing(sqlite3.connect(":memory:")) as copy:
        copy.isolation_level = None
        db.backup(copy)
        _migrate(_taught(copy), version)
        yield copy


@contextlib.contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """To look at a file; whoever uses it meanwhile is not disturbed. Raises `StorageError`,
    `OSError`.

    Nothing stays behind: who looks may be another user than the server, which could not open
    what is theirs.
    """
    check_header(path)
    wal, shared = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    # Without a log, the file is the whole truth, and nothing is needed beside it.
    is_whole = not wal.exists() or not wal.stat().st_size
    had_shared = shared.exists()
    how = "immutable=1" if is_whole else "mode=ro"
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=1.0)
    try:
        yield _taught(db)
    finally:
        db.close()
        if not is_whole and not had_shared:
            # SQLite's reader makes it; the server has none.
            shared.unlink(missing_ok=True)


# --- what can be wrong ---


def version_of(path: Path, db: sqlite3.Connection) -> int:
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


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors inside say which file, and what can be done."""
    try:
        yield
    except sqlite3.Error as exc:
        raise StorageError(f"{path}: {reason(exc, path)}") from None
    except UnicodeDecodeError:
        # It is what the library would say that cannot be read: it quotes the file.
        raise StorageError(f"{path}: {unreadable('what it says of itself is no text')}") from None


def damage_of(db: sqlite3.Connection) -> Sequence[str]:
    """What SQLite finds wrong with the file, in lines."""
    found = [row[0] for row in db.execute("PRAGMA integrity_check(20)")]
    return [] if found == ["ok"] else [*map(one_line, _lines(found))]


def _lines(damage: Iterable[str]) -> list[str]:
    return [line for text in damage for line in text.splitlines() if not line.startswith("***")]
