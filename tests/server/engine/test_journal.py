"""The journal: what is written is there again, all or nothing; and whatever is wrong with the file
is one line, which changes nothing.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_sdk.errors import StorageError
from signal_sdk.server.engine import journal as journals
from signal_sdk.server.engine.journal import (
    APPLICATION_ID,
    FILE_NAME,
    FOREIGN,
    MIN_SWEPT,
    READ_ONLY,
    ROWS_PER_STATEMENT,
    SWEPT_PER_ROW,
    UNOPENED,
    Journal,
    examine,
)
from signal_sdk.server.engine.schema import COUNTED, MIGRATIONS, TABLES, Batch

NOBODY: Final = 65534
"""A user of no privilege: root may write whatever is read-only."""


@contextmanager
def opened(directory: Path, durability: str = "process") -> Iterator[Journal]:
    journal = Journal.open(directory, durability)
    with closing(journal):
        yield journal


def entries(*versions: int, line: str = "line") -> Batch:
    return {"entries": {(1, number): (1, number, 5.0, line) for number in versions}}


def replies(*callids: int) -> Batch:
    return {"replies": {(1, number): (1, number, number, "{}") for number in callids}}


def positions(*numbers: int) -> Batch:
    return {"members": {(1, number): (1, number, number) for number in numbers}}


def stored(journal: Journal) -> int:
    """How many entries the file has, handled ones too."""
    (count,) = journal._db.execute("SELECT COUNT(*) FROM entries").fetchone()
    return int(count)


def versions(journal: Journal) -> list[int]:
    return [row[1] for row in journal.rows("entries")]


def accounts(count: int) -> Batch:
    """So many accounts, in a file of many pages."""
    facts = (None,) * 7
    return {
        "accounts": {
            (number,): (number, "app", f"{number:0200}", number, 1, 2000, *facts)
            for number in range(1, count + 1)
        }
    }


def contents(directory: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


# --- what is written ---


def test_a_new_journal_is_its_users_own_and_has_the_tables_that_the_code_names(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "not" / "there"
    with opened(directory):
        pass
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / FILE_NAME).stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(directory / FILE_NAME)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        for table in TABLES.values():
            columns = db.execute(f"PRAGMA table_info({table.name})").fetchall()
            number = ("id",) if table.is_log else ()
            assert tuple(column[1] for column in columns) == (*number, *table.columns)
            key = sorted((column[5], column[1]) for column in columns if column[5])
            assert tuple(name for _, name in key) == (number or table.key)


def test_rows_are_there_again_and_those_that_were_dropped_are_not(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(positions(1, 2, 3))
        journal.write({"members": {(1, 2): None, (1, 3): (1, 3, 7), (1, 9): None}})
        assert list(journal.rows("members")) == [(1, 1, 1), (1, 3, 7)]
    with opened(tmp_path) as journal:
        assert list(journal.rows("members")) == [(1, 1, 1), (1, 3, 7)]


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 700])
def test_batches_of_any_size_are_written_and_dropped(tmp_path: Path, count: int) -> None:
    assert ROWS_PER_STATEMENT == 256
    every = range(1, count + 1)
    with opened(tmp_path) as journal:
        journal.write(positions(*every))
        assert [row[1] for row in journal.rows("members")] == list(every)
        gone: Batch = {"members": {(1, number): None for number in every if number != count}}
        journal.write(gone)
        assert [row[1] for row in journal.rows("members")] == [count]


# --- entries and replies, which are logs ---


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 700])
def test_entries_are_read_once_and_in_their_order_however_many_are_written(
    tmp_path: Path, count: int
) -> None:
    every = range(1, count + 1)
    with opened(tmp_path) as journal:
        journal.write(entries(*every))
        journal.write({"entries": {(0, 1): (0, 1, 5.0, "another's")}})
    with opened(tmp_path) as journal:
        journal.write(entries(count + 1))
        rows = list(journal.rows("entries"))
        assert rows == [
            *((1, number, 5.0, "line") for number in every),
            (0, 1, 5.0, "another's"),
            (1, count + 1, 5.0, "line"),
        ]


def test_what_is_handled_is_not_read_whenever_it_was_written(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1, 2, 3, 4))
        journal.write({"entries": {(2, 1): (2, 1, 5.0, "x"), (2, 9): (2, 9, 5.0, "x")}})
        # As after a batch that failed: what it wrote has been handled since.
        again: Batch = {"entries_done": {(1,): (1, 3), (2,): (2, 8), (3,): (3, 7)}, **entries(3, 5)}
        journal.write(again)
        left = [(1, 4), (2, 9), (1, 5)]
        assert [row[:2] for row in journal.rows("entries")] == left
    with opened(tmp_path) as journal:
        assert [row[:2] for row in journal.rows("entries")] == left
        assert stored(journal) == 3
        assert list(journal.rows("entries_done")) == []


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 700])
def test_many_inboxes_are_handled_at_once(tmp_path: Path, count: int) -> None:
    with opened(tmp_path) as journal:
        every = {
            (account, version): (account, version, 5.0, "x")
            for account in range(count)
            for version in (1, 2, 3)
        }
        journal.write({"entries": {**every}})
        journal.write({"entries_done": {(account,): (account, 2) for account in range(count)}})
        left = [row[:2] for row in journal.rows("entries")]
        assert left == [(account, 3) for account in range(count)]


@settings(deadline=None, max_examples=30)
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 60))))
def test_what_is_stored_is_what_waits_and_not_much_more(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    """Each step writes some entries of an account, and handles some."""
    directory = tmp_path_factory.mktemp("journal")
    newest = dict.fromkeys(range(3), 0)
    handled = dict.fromkeys(range(3), 0)
    most = 0
    with opened(directory) as journal:
        for account, new, done in steps:
            first = newest[account] + 1
            newest[account] += new
            batch: Batch = {
                "entries": {
                    (account, it): (account, it, 5.0, "x") for it in range(first, first + new)
                }
            }
            if done and handled[account] < newest[account]:
                handled[account] = min(handled[account] + done, newest[account])
                batch["entries_done"] = {(account,): (account, handled[account])}
            journal.write(batch)
            waiting = {
                (it, version) for it in newest for version in range(handled[it] + 1, newest[it] + 1)
            }
            assert {(row[0], row[1]) for row in journal.rows("entries")} == waiting
            most = max(most, len(waiting))
            assert stored(journal) <= 2 * most + 2 * MIN_SWEPT + 2 * SWEPT_PER_ROW * 40


def test_handled_entries_go_even_where_no_new_ones_come(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(*range(1, 1001)))
        for version in range(1, 1000):
            journal.write({"entries_done": {(1,): (1, version)}})
        assert versions(journal) == [1000]
        assert stored(journal) < 50


def test_rows_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write({"members": {(1, 7): (1, 7, 2), (1, 9): (1, 9, 1), (1, 8): (1, 8, 3)}})
        assert [row[1] for row in journal.rows("members")] == [7, 8, 9]
        assert [row[1] for row in journal.rows("members", "position")] == [9, 7, 8]


@pytest.mark.parametrize(
    "text", ["", "\0", "a\0b", "\U0001f600 \U00010000", "'; DROP TABLE entries; --", "\ufeff\uffff"]
)
def test_texts_are_kept_to_the_letter(tmp_path: Path, text: str) -> None:
    row = (1, text, text)
    with opened(tmp_path) as journal:
        journal.write({"user_attributes": {(1, text): row}})
    with opened(tmp_path) as journal:
        assert list(journal.rows("user_attributes")) == [row]
        journal.write({"user_attributes": {(1, text): None}})
        assert list(journal.rows("user_attributes")) == []


def test_a_channel_that_was_destroyed_and_made_again_in_one_batch_is_the_new_one(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as journal:
        journal.write({"channels": {(1,): (1, "app", "room", 2000, 0, None)}})
        journal.write({"channels": {(1,): None, (2,): (2, "app", "room", 2000, 0, 5.0)}})
        assert list(journal.rows("channels")) == [(2, "app", "room", 2000, 0, 5.0)]


@pytest.mark.parametrize("wrong", [(1, 4, None, "line"), (1, 4, 5.0, "line", "too much")])
def test_a_batch_that_fails_leaves_nothing_behind(tmp_path: Path, wrong: tuple[Any, ...]) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1))
        batch: Batch = {**accounts(1), **entries(2, 3)}
        batch["entries"][1, 4] = wrong
        with pytest.raises(StorageError, match=rf"^{tmp_path}/{FILE_NAME}: .+$"):
            journal.write(batch)
        assert versions(journal) == [1]
        assert list(journal.rows("accounts")) == []
        # And the next is written.
        journal.write(entries(2))
        assert versions(journal) == [1, 2]


def test_numbers_are_reserved_for_every_account_and_channel(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(accounts(3))
        journal.write({"channels": {(1,): (1, "app", "room", 70, 0, None)}})
        journal.reserve(500)
        assert [row[5] for row in journal.rows("accounts")] == [2500] * 3
        assert [row[3] for row in journal.rows("channels")] == [570]


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_only_what_outlives_a_power_cut_waits_for_the_disk(
    tmp_path: Path, durability: str, synchronous: int
) -> None:
    with opened(tmp_path, durability) as journal:
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    # The default of a class of servers is one of these.
    assert (tmp_path / FILE_NAME).exists()


def test_what_was_written_outlives_a_process_that_never_closed_its_journal(tmp_path: Path) -> None:
    with opened(tmp_path / "here") as journal:
        journal.write(entries(1, 2))
        # What a killed process leaves is what stands in the files now.
        shutil.copytree(tmp_path / "here", tmp_path / "there")
    with opened(tmp_path / "there") as journal:
        assert versions(journal) == [1, 2]


# --- versions ---

SECOND: Final = "ALTER TABLE entries ADD COLUMN colour TEXT; CREATE TABLE more (x INTEGER)"


def test_a_newer_release_brings_an_older_file_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1))
    monkeypatch.setattr(journals, "MIGRATIONS", (*MIGRATIONS, SECOND))
    now, then = len(MIGRATIONS), len(MIGRATIONS) + 1
    facts = dict(examine(tmp_path).facts)
    assert facts["version"] == f"{now}, and this release writes {then}"
    assert "entries" not in facts, "an older file counts otherwise"
    for _ in range(2):
        with opened(tmp_path) as journal:
            assert journal._db.execute("SELECT version, colour FROM entries").fetchall() == [
                (1, None)
            ]
            assert journal._db.execute("PRAGMA user_version").fetchone() == (then,)
    monkeypatch.undo()
    before = contents(tmp_path)
    with pytest.raises(
        StorageError, match=f"the file has version {then}, and this release reads up to {now}"
    ):
        Journal.open(tmp_path)
    (problem,) = examine(tmp_path).problems
    assert "use the release that wrote it, or a later one" in problem
    assert contents(tmp_path) == before


def test_a_file_of_the_first_version_keeps_what_it_has(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.executescript(
            f"{MIGRATIONS[0]}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;"
        )
        rows = [(2, 1, 5.0, "b"), (1, 7, 5.0, "a"), (1, 8, 6.0, "c")]
        db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", rows)
        # A call id may be as large as a row holds: the numbers count anew.
        db.executemany("INSERT INTO replies VALUES (?, ?, '{}')", [(1, 2**63 - 1), (1, 0), (2, 5)])
        db.commit()
    with opened(tmp_path) as journal:
        journal.write({"entries": {(2, 2): (2, 2, 5.0, "d")}, "entries_done": {(1,): (1, 7)}})
        left = [(1, 8, 6.0, "c"), (2, 1, 5.0, "b"), (2, 2, 5.0, "d")]
        assert list(journal.rows("entries")) == left
        assert list(journal.rows("replies")) == [
            (1, 1, 0, "{}"),
            (1, 2, 2**63 - 1, "{}"),
            (2, 3, 5, "{}"),
        ]
    with opened(tmp_path) as journal:
        assert list(journal.rows("entries")) == left


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1))
    before = contents(tmp_path)
    monkeypatch.setattr(journals, "MIGRATIONS", (*MIGRATIONS, f"{SECOND}; CREATE TABLE more (y)"))
    with pytest.raises(StorageError, match="table more already exists"):
        Journal.open(tmp_path)
    assert contents(tmp_path) == before
    monkeypatch.undo()
    with opened(tmp_path) as journal:
        assert versions(journal) == [1]


# --- what can be wrong ---


def not_sqlite(file: Path) -> None:
    file.write_text("[server]\n" * 100)


def short_text(file: Path) -> None:
    file.write_text("x")


def another_programs(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.executescript(f"CREATE TABLE t (x); PRAGMA application_id = {APPLICATION_ID + 1}")


def another_programs_that_has_no_mark(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.executescript("CREATE TABLE accounts (x); INSERT INTO accounts VALUES (1)")


def the_same_with_a_log(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x); PRAGMA user_version = 1")


def newer(file: Path) -> None:
    with opened(file.parent):
        pass
    with closing(sqlite3.connect(file)) as db:
        db.executescript("CREATE TABLE more (x); PRAGMA user_version = 99")


def newer_without_a_log(file: Path) -> None:
    newer(file)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = DELETE")


def _ours(file: Path) -> bytearray:
    with opened(file.parent) as journal:
        journal.write(accounts(1000))
    return bytearray(file.read_bytes())


def overwritten_in_the_middle(file: Path) -> None:
    data = _ours(file)
    middle = len(data) // 2
    data[middle : middle + 16384] = b"\xee" * 16384
    file.write_bytes(data)


def cut_off(file: Path) -> None:
    data = _ours(file)
    file.write_bytes(data[: len(data) // 2])


def with_a_wrong_schema_page(file: Path) -> None:
    data = _ours(file)
    data[100:4096] = b"\xee" * 3996
    file.write_bytes(data)


WRONG: Final[tuple[tuple[Callable[[Path], None], str], ...]] = (
    (not_sqlite, "not a journal of signal-sdk: it is no SQLite file"),
    (short_text, "not a journal of signal-sdk: it is no SQLite file"),
    (another_programs, FOREIGN),
    (another_programs_that_has_no_mark, FOREIGN),
    (the_same_with_a_log, FOREIGN),
    (newer, "the file has version 99, and this release reads up to 2: use the release that"),
    (newer_without_a_log, "the file has version 99, and this release reads up to 2: use the"),
    (overwritten_in_the_middle, "the file is corrupt ("),
    (cut_off, "the file is corrupt ("),
    (with_a_wrong_schema_page, "the file is corrupt ("),
)


@pytest.mark.parametrize(("make", "line"), WRONG, ids=[make.__name__ for make, _ in WRONG])
def test_a_file_that_cannot_be_used_is_one_line_and_stays_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], line: str
) -> None:
    file = tmp_path / FILE_NAME
    make(file)
    before = contents(tmp_path)
    with pytest.raises(StorageError) as caught:
        Journal.open(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{file}: {line}")
    assert text.isprintable()
    assert contents(tmp_path) == before
    problems = examine(tmp_path).problems
    assert problems
    assert all(problem.startswith(f"{file}: ") and problem.isprintable() for problem in problems)
    assert contents(tmp_path) == before


def test_damage_that_only_a_look_at_all_finds_is_named_in_lines(tmp_path: Path) -> None:
    """An index that has lost a row: the doctor's own check is the more thorough one."""
    with opened(tmp_path) as journal:
        journal.write(accounts(3))
    file = tmp_path / FILE_NAME
    with closing(sqlite3.connect(file)) as db:
        db.executescript(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
            " replace(sql, 'UNIQUE (app, account)', 'UNIQUE (account, app)')"
            " WHERE name = 'accounts'"
        )
    problems = examine(tmp_path).problems
    assert problems
    assert all(problem.startswith(f"{file}: ") and problem.isprintable() for problem in problems)


def test_a_second_process_is_kept_out_and_disturbs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1))
        in_use = f"{tmp_path / FILE_NAME}: another process is using it; stop that one first"
        with pytest.raises(StorageError) as caught:
            Journal.open(tmp_path)
        assert str(caught.value) == in_use
        assert list(examine(tmp_path).problems) == [in_use]
        journal.write(entries(2))
        assert versions(journal) == [1, 2]
    with opened(tmp_path) as journal:
        assert versions(journal) == [1, 2]


def test_a_place_that_can_be_no_directory_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for directory in (file, file / "below"):
        with pytest.raises(StorageError, match=r"not a directory|Not a directory"):
            Journal.open(directory)
        assert len(examine(directory).problems) == 1
    (tmp_path / "odd" / FILE_NAME).mkdir(parents=True)
    with pytest.raises(StorageError, match=r"Is a directory$"):
        Journal.open(tmp_path / "odd")
    assert examine(tmp_path / "odd").problems[0].endswith("Is a directory")


# --- who may not write ---


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can look into, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


AS_NOBODY: Final = f"""
import os, sys
from signal_sdk.errors import StorageError
from signal_sdk.server.engine.journal import Journal, examine
if os.geteuid() == 0:
    os.setuid({NOBODY})
try:
    Journal.open(sys.argv[1])
    print("opened")
except StorageError as exc:
    print(exc)
print(*examine(sys.argv[1]).problems, sep="\\n")
"""


def seen_by_nobody(directory: Path) -> list[str]:
    """What opening says to a user of no privilege, and then the doctor's problems."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(directory)],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("directory_mode", "file_mode"),
    [(0o777, 0o444), (0o555, 0o666), (0o555, 0o444)],
    ids=["the file", "its directory", "both"],
)
def test_what_is_read_only_is_one_line_and_stays_as_it_is(
    public: Path, directory_mode: int, file_mode: int
) -> None:
    directory = public / "data"
    with opened(directory) as journal:
        journal.write(entries(1))
    file = directory / FILE_NAME
    before = contents(directory)
    file.chmod(file_mode)
    directory.chmod(directory_mode)
    try:
        assert seen_by_nobody(directory) == [f"{file}: {READ_ONLY}"] * 2
        assert contents(directory) == before
    finally:
        directory.chmod(0o700)


def test_a_directory_that_nothing_can_be_made_in_is_one_line(public: Path) -> None:
    directory = public / "data"
    directory.mkdir(0o555)
    file = directory / FILE_NAME
    assert seen_by_nobody(directory) == [f"{file}: {READ_ONLY}", f"{file}: there is no such file"]
    below = directory / "below"
    assert seen_by_nobody(below)[0] == f"{below / FILE_NAME}: Permission denied"


def test_a_log_that_another_user_left_is_one_line(public: Path) -> None:
    """As of a server that once ran as root."""
    directory, left = public / "data", public / "left"
    with opened(directory) as journal:
        journal.write(entries(1))
        shutil.copytree(directory, left)
    left.chmod(0o777)
    (left / FILE_NAME).chmod(0o666)
    log = left / f"{FILE_NAME}-wal"
    log.chmod(0o000 if os.geteuid() else 0o600)
    before = {path.name for path in left.iterdir()}
    assert seen_by_nobody(left) == [f"{left / FILE_NAME}: {UNOPENED}"] * 2
    assert {path.name for path in left.iterdir()} == before


# --- the doctor ---


def test_the_doctor_says_what_there_is(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write({**accounts(2), **entries(1, 2, 3)})
    before = contents(tmp_path)
    health = examine(tmp_path)
    assert list(health.problems) == []
    facts = dict(health.facts)
    assert facts["file"] == str(tmp_path / FILE_NAME)
    assert facts["size"] == f"{len(before[FILE_NAME])} bytes"
    assert facts["version"] == f"{len(MIGRATIONS)}, and this release writes {len(MIGRATIONS)}"
    assert {name: facts[name] for name in COUNTED} == {
        **dict.fromkeys(COUNTED, "0"),
        "accounts": "2",
        "entries": "3",
    }
    assert contents(tmp_path) == before


def test_the_doctor_reads_what_a_killed_server_left_and_leaves_it_so(tmp_path: Path) -> None:
    with opened(tmp_path / "here") as journal:
        journal.write(entries(1, 2))
        shutil.copytree(tmp_path / "here", tmp_path / "left")
    before = contents(tmp_path / "left")
    assert len(before) == 2
    health = examine(tmp_path / "left")
    assert list(health.problems) == []
    assert dict(health.facts)["entries"] == "2"
    assert contents(tmp_path / "left") == before


def test_the_doctor_finds_nothing_where_nothing_is(tmp_path: Path) -> None:
    health = examine(tmp_path / "nowhere")
    assert list(health.problems) == [f"{tmp_path / 'nowhere' / FILE_NAME}: there is no such file"]
    assert not (tmp_path / "nowhere").exists()


def test_the_doctor_says_that_an_empty_file_is_still_to_become_a_journal(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    health = examine(tmp_path)
    assert list(health.problems) == []
    assert dict(health.facts)["version"].startswith("0, ")
    with opened(tmp_path) as journal:
        journal.write(entries(1))
