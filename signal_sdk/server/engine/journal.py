"""The journal: the embedded engine's state in a SQLite file.

Owns: which rows are read and written, and what becomes of those that are not as they were written.
Must not know what a row means, nor how its file is opened (database.py does) or kept small
(vacuum.py does): these three know sqlite3. Everything here blocks: it is called from a worker
thread, one call at a time.

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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final, Self

import attrs

from signal_sdk.errors import StorageError
from signal_sdk.server.engine import chunks, database, statements
from signal_sdk.server.engine.checksums import checksum, is_as_written, pack, to_bytes
from signal_sdk.server.engine.files import FILE_NAME, unreadable
from signal_sdk.server.engine.schema import (
    CHECKSUM,
    CHUNKS,
    DROPPED,
    ENTRIES,
    FACTS,
    FLOOR,
    HANDLED,
    INDEXED,
    SET_ASIDE,
    STORED,
    TABLES,
    Batch,
    Row,
    Table,
)
from signal_sdk.server.engine.vacuum import Vacuum

LOGGED_PAGES: Final = 250
"""Behind how many pages what is in SQLite's log is put into the file, which waits for the disk."""
LONG_LOG_PAGES: Final = 4000
"""And behind how many the log is to begin anew: that it does once all of it is in the file, for
which nothing may be written meanwhile, so that it is done seldom.
"""
BATCH_PAGES: Final = 8
"""How many of them a batch is taken to write, beside a page for each row: at first, since rows that
are put one behind the other share theirs. From then on it goes by how many there were."""
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

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        durability: str = database.PROCESS,
        beside: sqlite3.Connection | None = None,
    ) -> None:
        self.path = path
        self._db = db
        self._beside = beside
        self.waits_for_disk: bool = durability == database.POWER
        """Does each batch wait for the disk?"""
        self._logged = 0
        """How much was written to the log: so many batches, and rows."""
        self._emptied = 0
        """How much of it has been put into the file, or is being put there."""
        self._most_logged = float(LOGGED_PAGES)
        self._log_pages = 0
        """How long the log was then."""
        self._bad: dict[tuple[str, Row], BadRow] = {}
        self._to_clean: set[int] = set()
        """Which chunks have entries that are of no use any more."""
        self._at = 0
        self._vacuum = Vacuum(db)

    @classmethod
    def open(
        cls, directory: str | Path, durability: str = database.PROCESS, *, erases: bool = False
    ) -> Self:
        """Open the journal in `directory`; both are made where there are none. One that `erases`
        overwrites what is deleted, which costs as much as to write it; else it stays in the file
        until its room is used.

        Raises `StorageError`, whose text is one line, where the file cannot be used: it is corrupt,
        another program's, a newer version's, in use, or cannot be written.
        """
        path = Path(directory) / FILE_NAME
        db = database.open_file(path, durability, erases=erases)
        try:
            return cls(path, db, durability, database.open_beside(path))
        except BaseException:
            db.close()
            raise

    # --- reading ---

    def reserve(self, count: int) -> None:
        """Reserve that many more numbers in every account and channel."""
        for name in ("accounts", "channels"):
            at = TABLES[name].columns.index("reserved")
            rows = ((*row[:at], row[at] + count, *row[at + 1 :]) for row in list(self.rows(name)))
            with database.named(self.path):
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
        with database.named(self.path):
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
        with database.named(self.path):
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
        with database.named(self.path):
            return database.version_of(self.path, self._db)

    def damage(self) -> Sequence[str]:
        """What SQLite finds wrong with the file, in lines."""
        with database.named(self.path):
            return database.damage_of(self._db)

    @contextlib.contextmanager
    def up_to_date(self) -> Iterator[Journal]:
        """This journal as a server would read it: an older one's copy in memory, migrated."""
        with database.named(self.path), database.up_to_date(self.path, self._db) as db:
            yield self if db is self._db else Journal(self.path, db)

    def set_aside(self) -> Mapping[str, int]:
        """How many rows of which table have been set aside so far."""
        # Both columns are named, so that damage to the table's schema is found.
        counted = "SUM(why IS NOT contents)"
        sql = f"SELECT origin, {counted} FROM {SET_ASIDE} GROUP BY origin ORDER BY origin"  # noqa: S608  ours
        with database.named(self.path):
            return dict(self._db.execute(sql).fetchall())

    # --- writing ---

    def settle(self) -> Sequence[BadRow]:
        """All has been read: what cannot be used is set aside, and what is handled is gone. Returns
        what was set aside.
        """
        bad, db = self.bad_rows, self._db
        with database.named(self.path):
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
        for _ in self.writing(batch, statements.ROWS_PER_STATEMENT):
            pass

    def writing(self, batch: Batch, rows_per_step: int) -> Generator[None, None, None]:
        """Write a batch in steps of so many rows, between which `empty_log` alone may be called.
        Raises `StorageError`, and then, or where it is not gone through, nothing of it is written.
        """
        with database.named(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for sql, values in statements.of_batch(batch, rows_per_step):
                    self._db.execute(sql, values)
                    yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
                raise
        self._logged += BATCH_PAGES + sum(map(len, batch.values()))
        self._vacuum.after_batch()

    @property
    def is_due(self) -> bool:
        """Is it time to `empty_log`?"""
        return self._logged - self._emptied >= self._most_logged

    def empty_log(self) -> None:
        """Put what is in SQLite's log into the file, which waits for the disk. Of all that is here,
        this alone may be called while another call is under way.
        """
        if self._beside is None:
            return
        logged, self._emptied = self._logged - self._emptied, self._logged
        before = self._log_pages
        self._empty_log(self._beside)
        pages = self._log_pages
        new = pages - before if pages > before else pages
        # At most twice as much as was tried before.
        self._most_logged = logged * min(LOGGED_PAGES / max(new, 1), 2.0)
        if pages >= LONG_LOG_PAGES:
            # Of what was written meanwhile, little is left then to `look_after`.
            self._empty_log(self._beside)

    def _empty_log(self, db: sqlite3.Connection) -> None:
        """Where it cannot be now, it will be: what was written is durable as it is."""
        with contextlib.suppress(sqlite3.Error):
            ((_, self._log_pages, _),) = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @property
    def is_overgrown(self) -> bool:
        """Is it time to `look_after` the file?"""
        return self._log_pages >= LONG_LOG_PAGES or self._vacuum.is_due

    def look_after(self) -> None:
        """Keep the file small, and the log: what was written is durable already."""
        if self._log_pages >= LONG_LOG_PAGES:
            self._empty_log(self._db)
            # Whoever writes next begins it anew.
            self._log_pages = 0
        self._vacuum.look()

    def _run(self, some: Iterable[statements.Statement]) -> None:
        for sql, values in some:
            self._db.execute(sql, values)

    def close(self) -> None:
        """Close the file."""
        with database.named(self.path):
            if self._beside is not None:
                self._beside.close()
            self._db.close()


@contextlib.contextmanager
def looked_at(path: Path) -> Iterator[Journal]:
    """A journal that is only read; whoever uses it meanwhile is not disturbed. Raises
    `StorageError`, `OSError`.
    """
    with database.named(path), database.open_read_only(path) as db:
        yield Journal(path, db)
