"""The journal: the embedded engine's state in a SQLite file.

Owns: the file, how it is written, and what can be wrong with it. The only module that knows
sqlite3. Must not know what a row means. Everything here blocks: it is called from a worker thread,
one call at a time.

A batch is a dict of tables, each a dict from a row's key to the row, or to None where it is gone.
It is written in one transaction, all or nothing. With
`durability = "process"` the transaction outlives the process; with `"power"` it is on the disk when
`write` returns.

A row that is not what was written, by its checksum, is never handed out. Of it, and of what whoever
reads the rows cannot use, the journal takes note; `settle` sets it aside. Errors and notes name a
table and a row, and never what it holds.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final, Self

import attrs

from signal_sdk.errors import StorageError
from signal_sdk.printable import one_line
from signal_sdk.server.engine import chunks, statements
from signal_sdk.server.engine.checksums import (
    checksum,
    checksum_of,
    is_as_written,
    pack,
    to_bytes,
    to_text,
)
from signal_sdk.server.engine.files import (
    APPLICATION_ID,
    FILE_NAME,
    FOREIGN,
    check_header,
    corrupt,
    make_private,
    reason,
    unreadable,
    unusable,
)
from signal_sdk.server.engine.schema import (
    CHECKSUM,
    CHUNK_OF,
    CHUNKS,
    DROPPED,
    ENTRIES,
    FACTS,
    FLOOR,
    HANDLED,
    INDEXED,
    MIGRATIONS,
    SET_ASIDE,
    STORED,
    TABLES,
    Batch,
    Row,
    Table,
)

POWER: Final = "power"
"""Marks the file as one of ours ("SGSK")."""
INCREMENTAL: Final = 2
"""SQLite's number for a file that gives free pages back when it is asked to."""
LOG_BYTES: Final = 4 * 1024 * 1024
"""How long SQLite's log stays once all of it is in the file: as long as it is normally."""
SHRUNK_EVERY: Final = 16
"""After how many batches it is looked whether the file has more than twice what it needs."""
STILL_NEEDED: Final = 0.9
"""How much of what was in use counts as needed at the next look. The entries' table grows and is
cut off again, all the time: to give that room back, and to take it again, was a tenth of all
writing.
"""
QUIET_SECONDS: Final = 60.0
"""A file that few batches come for is looked at so often all the same: an engine writes once a
minute whatever happens."""
STILL_NEEDED_IN_QUIET: Final = 0.5
MIN_FREE_PAGES: Final = 256
PAGES_AT_ONCE: Final = 1024
"""How many pages, of 4 KiB, are given back after one batch: some 10 ms."""
PAGES_IN_QUIET: Final = 8192
CHANGED: Final = "it is not what was written"
HOMELESS: Final = "what it belongs to is not there"
UNREADABLE: Final = "its values cannot be read"


@attrs.frozen
class BadRow:
    """A row that cannot be used: where it is, and why. What it holds never shows in a `repr`."""

    table: str
    name: str
    """The row's id, or where it has none, which of the table's rows it is."""
    why: str
    row: Row = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"{self.table}, row {self.name}: {self.why}"


class Journal:
    """An open journal, which no other process can open meanwhile."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._bad: dict[tuple[str, Row], BadRow] = {}
        self._to_clean: set[int] = set()
        """Which chunks have entries that are of no use any more."""
        self._at = 0
        self._written = 0
        self._needed = 0.0
        self.clock: Callable[[], float] = time.monotonic
        """In seconds, by which the file is looked at."""
        self._looked_at = self.clock()
        # What is no UTF-8 comes out as what no checksum is of.
        db.text_factory = to_text
        db.create_function(CHECKSUM, -1, checksum_of, deterministic=True)
        db.create_function(CHUNK_OF, -1, chunks.chunk_of, deterministic=True)

    @classmethod
    def open(
        cls, directory: str | Path, durability: str = "process", *, erases: bool = False
    ) -> Self:
        """Open the journal in `directory`; both are made where there are none. One that `erases`
        overwrites what is deleted, which costs as much as to write it; else it stays in the file
        until its room is used.

        Raises `StorageError`, whose text is one line, where the file cannot be used: it is corrupt,
        another program's, a newer version's, in use, or cannot be written.
        """
        path = Path(directory) / FILE_NAME
        try:
            make_private(path)
        except OSError as exc:
            raise unusable(path, exc) from None
        check_header(path)
        with _named(path):
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        journal = cls(path, db)
        try:
            journal._prepare(durability, erases=erases)
        except BaseException:
            db.close()
            raise
        return journal

    def _prepare(self, durability: str, *, erases: bool) -> None:
        db = self._db
        with _named(self.path):
            # Exclusive also means: no second server, and no shared memory file beside.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN EXCLUSIVE")
            version = _version(self.path, db)
            db.execute("COMMIT")
            # Not before it is known to be ours: this writes to the file.
            if not db.execute("PRAGMA page_count").fetchone()[0]:
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            db.execute(f"PRAGMA synchronous = {'FULL' if durability == POWER else 'NORMAL'}")
            # The library's own default is the one or the other, by who has built it.
            db.execute(f"PRAGMA secure_delete = {'ON' if erases else 'FAST'}")
            damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise StorageError(corrupt(self.path, damage))
            self._migrate(version)
            if db.execute("PRAGMA auto_vacuum").fetchone()[0] != INCREMENTAL:
                # Where the disk has no room for a copy, it stays one that does not shrink.
                with contextlib.suppress(sqlite3.OperationalError):
                    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                    db.execute("VACUUM")

    def _migrate(self, version: int) -> None:
        """Each step, and that it was taken, in one transaction."""
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(
                f"BEGIN;{script};PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {number};COMMIT"
            )

    # --- reading ---

    def reserve(self, count: int) -> None:
        """Reserve that many more numbers in every account and channel."""
        for name in ("accounts", "channels"):
            at = TABLES[name].columns.index("reserved")
            rows = ((*row[:at], row[at] + count, *row[at + 1 :]) for row in list(self.rows(name)))
            with _named(self.path):
                self._db.execute("BEGIN")
                self._db.executemany(
                    f"UPDATE {name} SET reserved = ?, {CHECKSUM} = ? WHERE id = ?",  # noqa: S608  names of ours
                    ((row[at], checksum(row), row[0]) for row in rows),
                )
                self._db.execute("COMMIT")

    def rows(self, name: str, order: str = "") -> Iterator[Row]:
        """Every row of a table that is as it was written, its columns in `TABLES`' order; by
        `order`, else by the key. Entries that are handled or otherwise gone are left out.
        """
        table = TABLES[name]
        if name == ENTRIES:
            yield from self._entries(table, order)
            return
        columns, by = ", ".join(table.columns), order or ", ".join(table.key)
        with _named(self.path):
            found = self._db.execute(f"SELECT {columns}, {CHECKSUM} FROM {name} ORDER BY {by}")  # noqa: S608  names of ours
            for number, (*values, told) in enumerate(found, 1):
                row = tuple(values)
                self._at = number
                if is_as_written(row, told):
                    yield row
                else:
                    self._note(table, row, CHANGED)

    def _entries(self, table: Table, order: str) -> Iterator[Row]:
        """The entries that wait, as `rows` has them."""
        if order:
            by = [table.columns.index(name) for name in order.split(", ")]
            yield from sorted(self._entries(table, ""), key=itemgetter(*by))
            return
        is_waiting = self._waiting()
        at = 0
        with _named(self.path):
            found = self._db.execute(f"SELECT id, contents FROM {CHUNKS} ORDER BY id")  # noqa: S608  names of ours
            for name, contents in found:
                rows, rest = chunks.read(contents)
                for row, is_good in rows:
                    self._at = at = at + 1
                    if not is_good:
                        # By its place: its number may be another's.
                        self._note(table, row, CHANGED, (name, at))
                    elif is_waiting(row):
                        yield row
                    else:
                        self._to_clean.add(name)
                # It is called by the last.
                if rest or not rows or (rows[-1][1] and rows[-1][0][0] != name):
                    self._note(TABLES[CHUNKS], (name, rest), CHANGED)

    def _waiting(self) -> Callable[[Row], bool]:
        """Is an entry one that is not gone?"""
        upto: dict[int, int] = dict(self.rows(HANDLED))
        facts: dict[str, float] = dict(self.rows(FACTS))
        floor = facts.get(FLOOR, 0.0)
        dropped = {number for (number,) in self.rows(DROPPED)}

        def is_waiting(row: Row) -> bool:
            number, account, version, *_ = row
            return version > upto.get(account, -1) and number > floor and number not in dropped

        return is_waiting

    def refuse(self, name: str, row: Row, why: str) -> None:
        """The row that was read last cannot be used: it is to be set aside."""
        self._note(TABLES[name], row, why)

    def _note(self, table: Table, row: Row, why: str, place: Row = ()) -> None:
        key = row[: len(table.key)]
        has_id = table.key == ("id",) and isinstance(key[0], int)
        name = str(key[0] if has_id else self._at)
        self._bad.setdefault((table.name, place or key), BadRow(table.name, name, why, row))

    @property
    def bad_rows(self) -> Sequence[BadRow]:
        """Those that were read so far and cannot be used."""
        return list(self._bad.values())

    # --- looking ---

    @property
    def version(self) -> int:
        """The file's. Raises `StorageError` where another program or a newer release has written
        it.
        """
        with _named(self.path):
            return _version(self.path, self._db)

    def damage(self) -> Sequence[str]:
        """What SQLite finds wrong with the file, in lines."""
        with _named(self.path):
            found = [row[0] for row in self._db.execute("PRAGMA integrity_check(20)")]
        return [] if found == ["ok"] else [*map(one_line, _lines(found))]

    @contextlib.contextmanager
    def up_to_date(self) -> Iterator[Journal]:
        """This journal as a server would read it: an older one's copy in memory, migrated."""
        version = self.version
        if version == len(MIGRATIONS):
            yield self
            return
        with _named(self.path), contextlib.closing(sqlite3.connect(":memory:")) as db:
            db.isolation_level = None
            self._db.backup(db)
            copy = Journal(self.path, db)
            copy._migrate(version)
            yield copy

    def set_aside(self) -> Mapping[str, int]:
        """How many rows of which table have been set aside so far."""
        # Both columns are named, so that damage to the table's schema is found.
        counted = "SUM(why IS NOT contents)"
        sql = f"SELECT origin, {counted} FROM {SET_ASIDE} GROUP BY origin ORDER BY origin"  # noqa: S608  ours
        with _named(self.path):
            return dict(self._db.execute(sql).fetchall())

    # --- writing ---

    def settle(self) -> Sequence[BadRow]:
        """All has been read: what cannot be used is set aside, and what is handled is gone. Returns
        what was set aside.
        """
        bad, db = self.bad_rows, self._db
        with _named(self.path):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                f"INSERT INTO {SET_ASIDE} (origin, why, contents) VALUES (?, ?, ?)",  # noqa: S608  ours
                ((it.table, it.why, pack([*map(to_bytes, it.row)])) for it in bad),
            )
            damaged = {CHUNKS if it.table == ENTRIES else it.table for it in bad}
            for table in STORED:
                if table.name in damaged or self._is_index_wrong(table):
                    self._rebuild(table)
            if CHUNKS not in damaged:
                self._clean()
            for name in (HANDLED, DROPPED):
                db.execute(f"DELETE FROM {name}")  # noqa: S608  names of ours
            db.execute(f"DELETE FROM {FACTS} WHERE name = ?", (FLOOR,))  # noqa: S608  names of ours
            db.execute("COMMIT")
        self._bad.clear()
        self._to_clean.clear()
        return bad

    def _clean(self) -> None:
        """Write the chunks anew in which some entries are of no use any more."""
        is_waiting = self._waiting()
        for name in sorted(self._to_clean):
            sql = f"SELECT contents FROM {CHUNKS} WHERE id = ?"  # noqa: S608  names of ours
            (contents,) = self._db.execute(sql, (name,)).fetchone()
            self._db.execute(f"DELETE FROM {CHUNKS} WHERE id = ?", (name,))  # noqa: S608  names of ours
            rows, _ = chunks.read(contents)
            self._run(statements.puts(TABLES[ENTRIES], [row for row, _ in rows if is_waiting(row)]))

    def _is_index_wrong(self, table: Table) -> bool:
        """Does an index of the table tell otherwise than its rows? Then it could not be written."""
        if table.name not in INDEXED:
            return False
        found: str = self._db.execute(f"PRAGMA integrity_check({table.name})").fetchone()[0]
        return found != "ok"

    def _rebuild(self, table: Table) -> None:
        """Make the table anew, of its good rows: a bad one may be where its key is not looked for,
        and an index may tell of what it was, so that it could not be deleted.
        """
        name = table.name
        rows = TABLES[ENTRIES] if name == CHUNKS else table
        length = len(rows.key)
        good = [row for row in self.rows(rows.name) if (rows.name, row[:length]) not in self._bad]
        sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?"
        (made_by,) = self._db.execute(sql, (name,)).fetchone()
        if not made_by.isascii():
            raise StorageError(f"{self.path}: {unreadable(f'the schema of {name} is not ours')}")
        self._db.execute(f"ALTER TABLE {name} RENAME TO damaged")
        self._db.execute(made_by)
        self._run(statements.puts(rows, good))
        self._db.execute("DROP TABLE damaged")

    def write(self, batch: Batch) -> None:
        """Write a batch. Raises `StorageError`, and then nothing of it is written."""
        with _named(self.path):
            try:
                self._write(batch)
            except BaseException:
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
                raise
        self._written += 1
        now = self.clock()
        is_quiet = now - self._looked_at >= QUIET_SECONDS
        if is_quiet or self._written >= SHRUNK_EVERY:
            self._written, self._looked_at = 0, now
            # What cannot be given back is room for what comes.
            with contextlib.suppress(sqlite3.Error):
                if is_quiet:
                    self._shrink(STILL_NEEDED_IN_QUIET, PAGES_IN_QUIET)
                else:
                    self._shrink(STILL_NEEDED, PAGES_AT_ONCE)

    def _shrink(self, still_needed: float, at_once: int) -> None:
        """Give some of the file's free pages back, where it has far more than it needs."""
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        self._needed = max(pages - free, self._needed * still_needed)
        too_many = int(pages - 2 * self._needed)
        if too_many > MIN_FREE_PAGES:
            # One step for each page, of which `execute` takes the first only.
            self._db.executescript(f"PRAGMA incremental_vacuum({min(too_many, at_once)})")

    def _write(self, batch: Batch) -> None:
        prepared = list(statements.of_batch(batch))
        self._db.execute("BEGIN IMMEDIATE")
        self._run(prepared)
        self._db.execute("COMMIT")

    def _run(self, some: Iterable[statements.Statement]) -> None:
        for sql, values in some:
            self._db.execute(sql, values)

    def close(self) -> None:
        """Close the file."""
        with _named(self.path):
            self._db.close()


# --- what can be wrong ---


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


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors inside say which file, and what can be done."""
    try:
        yield
    except sqlite3.Error as exc:
        raise StorageError(f"{path}: {reason(exc, path)}") from None
    except UnicodeDecodeError:
        # It is what the library would say that cannot be read: it quotes the file.
        raise StorageError(f"{path}: {unreadable('what it says of itself is no text')}") from None


# --- looking ---


@contextlib.contextmanager
def looked_at(path: Path) -> Iterator[Journal]:
    """A journal that is only read; whoever uses it meanwhile is not disturbed. Raises
    `StorageError`, `OSError`.
    """
    check_header(path)
    with _named(path), _open_read_only(path) as db:
        yield Journal(path, db)


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
