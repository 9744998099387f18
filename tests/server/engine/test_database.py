"""The journal's file: how it is opened and brought up to date; whatever is wrong with it is one
line, which changes nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from signal_sdk.errors import StorageError
from signal_sdk.server.engine import checkup, database
from signal_sdk.server.engine.checksums import checksum
from signal_sdk.server.engine.checkup import examine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.files import (
    APPLICATION_ID,
    FILE_NAME,
    FOREIGN,
    READ_ONLY,
    UNOPENED,
)
from signal_sdk.server.engine.journal import CHANGED, Journal
from signal_sdk.server.engine.schema import (
    COUNTED,
    ENTRIES,
    HANDLED,
    MIGRATIONS,
)
from tests.server.engine.journals import (
    accounts,
    contents,
    entries,
    old_file,
    opened,
    stored,
    versions,
)
from tests.server.inside import OpenJournal

NOBODY: Final = 65534
"""A user of no privilege: root may write whatever is read-only."""


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_only_what_outlives_a_power_cut_waits_for_the_disk(
    tmp_path: Path, durability: str, synchronous: int
) -> None:
    with opened(tmp_path, durability) as journal:
        assert journal.one("PRAGMA synchronous") == synchronous
        assert journal.one("PRAGMA journal_mode") == "wal"
    # The default of a class of servers is one of these.
    assert (tmp_path / FILE_NAME).exists()


def test_only_an_operator_s_removal_pays_for_overwriting(tmp_path: Path) -> None:
    """Whatever the library's own default is."""
    for erases, secure in ((False, 2), (True, 1)):
        with closing(OpenJournal.open(tmp_path, erases=erases)) as journal:
            assert journal.one("PRAGMA secure_delete") == secure


# --- versions ---

SECOND: Final = "ALTER TABLE calls ADD COLUMN colour TEXT; CREATE TABLE more (x INTEGER)"


def test_a_newer_release_brings_an_older_file_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        journal.write({**accounts(1), **entries(1)})
    for module in (database, checkup):
        monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, SECOND))
    now, then = len(MIGRATIONS), len(MIGRATIONS) + 1
    before = contents(tmp_path)
    health = examine(tmp_path)
    assert list(health.problems) == []
    facts = dict(health.facts)
    assert facts["version"] == f"{now}, and this release writes {then}"
    # It is read as the server would read it, from a copy.
    assert facts["entries"] == "1"
    assert contents(tmp_path) == before
    for _ in range(2):
        with opened(tmp_path) as journal:
            assert versions(journal) == [1]
            assert journal.db.execute("SELECT colour FROM calls").fetchall() == []
            assert journal.one("PRAGMA user_version") == then
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
    old_file(
        tmp_path,
        1,
        "INSERT INTO entries VALUES (2, 1, 5.0, 'b'), (1, 7, 5.0, 'a'), (1, 8, 6.0, 'c')",
        # A call id may be as large as a row holds: the numbers count anew.
        "INSERT INTO replies VALUES (1, 9223372036854775807, '{}'), (1, 0, '{}'), (2, 5, '{}')",
    )
    with opened(tmp_path) as journal:
        journal.write({"entries": {(4,): (4, 2, 2, 5.0, "d")}, HANDLED: {(1,): (1, 7)}})
        left = [(2, 1, 8, 6.0, "c"), (3, 2, 1, 5.0, "b"), (4, 2, 2, 5.0, "d")]
        assert list(journal.rows("entries")) == left
        assert list(journal.rows("replies")) == [
            (1, 1, 0, "{}"),
            (2, 1, 2**63 - 1, "{}"),
            (3, 2, 5, "{}"),
        ]
    with opened(tmp_path) as journal:
        assert list(journal.rows("entries")) == left


def test_a_file_of_the_second_version_keeps_what_was_not_done_with(tmp_path: Path) -> None:
    old_file(
        tmp_path,
        2,
        "INSERT INTO entries VALUES (4, 1, 7, 5.0, 'a'), (6, 1, 8, 6.0, 'c'), (9, 2, 1, 5.0, 'b')",
        "INSERT INTO entries_done VALUES (1, 7)",
        "INSERT INTO replies VALUES (1, 1, 5, 50, 'a'), (2, 1, 6, 51, 'b'), (3, 2, 7, 50, 'c')",
        "INSERT INTO replies_done VALUES (1, 5)",
    )
    with opened(tmp_path) as journal:
        assert list(journal.rows("entries")) == [(6, 1, 8, 6.0, "c"), (9, 2, 1, 5.0, "b")]
        assert list(journal.rows("replies")) == [(6, 1, 51, "b"), (7, 2, 50, "c")]


def test_a_file_of_the_sixth_version_keeps_all_entries_as_they_are(tmp_path: Path) -> None:
    """Each with the checksum that it had, so that one that was damaged then is found now."""
    lines = ["a", "\U0001f600 \0", "c" * 10_000, "", "e"]
    rows = [(3 * n, 1 + n % 2, n, 9e9 + n, line) for n, line in enumerate(lines, 1)]
    old_file(tmp_path, 6, "INSERT INTO entries_done VALUES (2, 1, NULL)")
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.execute("UPDATE entries_done SET checksum = ?", (checksum((2, 1)),))
        insert = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)"
        db.executemany(insert, [(*row, checksum(row)) for row in rows])
        db.execute("UPDATE entries SET version = 99 WHERE id = 9")
        db.execute("UPDATE entries SET line = CAST(line AS BLOB) WHERE id = 15")
        db.commit()
    before = contents(tmp_path)
    health = examine(tmp_path)
    assert contents(tmp_path) == before
    told = [problem.partition(": ")[2] for problem in health.problems]
    # Nobody has the others' accounts.
    assert [it for it in told if CHANGED in it] == [
        "entries, row 9: it is not what was written; the server will set it aside",
        "entries, row 15: it is not what was written; the server will set it aside",
    ]
    for _ in range(2):
        with opened(tmp_path) as journal:
            assert list(journal.rows(ENTRIES)) == [rows[1], rows[3]]
            assert [(it.table, it.row) for it in journal.bad_rows] == [
                (ENTRIES, (9, 2, 99, 9e9 + 3, lines[2])),
                (ENTRIES, (15, 2, 5, 9e9 + 5, b"e")),
            ]
            assert stored(journal) == 5
    with opened(tmp_path) as journal:
        journal.write({ENTRIES: {(16,): (16, 1, 7, 5.0, "new")}})
        list(journal.rows(ENTRIES))
        assert len(journal.settle()) == 2
        assert list(journal.rows(ENTRIES)) == [rows[1], rows[3], (16, 1, 7, 5.0, "new")]
        # Many are one row now.
        assert journal.one("SELECT COUNT(*) FROM entry_chunks") == 1


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1))
    before = contents(tmp_path)
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, f"{SECOND}; CREATE TABLE more (y)"))
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
    (newer, f"the file has version 99, and this release reads up to {len(MIGRATIONS)}: use the"),
    (
        newer_without_a_log,
        f"the file has version 99, and this release reads up to {len(MIGRATIONS)}: use the",
    ),
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


ELSEWHERE: Final = """
import sys
from signal_sdk.errors import StorageError
from signal_sdk.server.engine.checkup import examine
from signal_sdk.server.engine.journal import Journal
try:
    Journal.open(sys.argv[1])
except StorageError as exc:
    print(exc)
print(*examine(sys.argv[1]).problems, sep="\\n")
"""


def test_a_second_process_is_kept_out_and_disturbs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1))
        command = [sys.executable, "-c", ELSEWHERE, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        in_use = rf"{tmp_path / FILE_NAME}: the process {os.getpid()} \(.+\) is using it; stop that"
        lines = done.stdout.splitlines()
        assert len(lines) == 2
        assert all(re.match(in_use, line) for line in lines)
        journal.write(entries(2))
        # What is looked after by another connection of this process, too.
        journal.empty_log()
        assert versions(journal) == [1, 2]
    with opened(tmp_path) as journal:
        assert versions(journal) == [1, 2]


def test_a_file_is_opened_once_in_a_process(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path)
    with opened(tmp_path) as journal:
        journal.write(entries(1))
        for directory in (tmp_path, tmp_path / "other"):
            with pytest.raises(StorageError) as caught:
                Journal.open(directory)
            in_use = f"{directory / FILE_NAME}: this process is using it already"
            assert str(caught.value) == in_use
        # Nor has that let go of it.
        command = [sys.executable, "-c", ELSEWHERE, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.count(f"the process {os.getpid()} ") == 2
        journal.write(entries(2))
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
from signal_sdk.server.engine.checksums import checksum, checksum_of
from signal_sdk.server.engine.checkup import examine
from signal_sdk.server.engine.journal import CHANGED, Journal
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
    with opened(directory):
        pass
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


# --- who may look ---

WITH_UMASK: Final = f"""
import os, sys
from pathlib import Path
from signal_sdk.server.engine.files import exposed
from signal_sdk.server.engine.journal import CHANGED, Journal
if os.geteuid() == 0:
    os.setuid({NOBODY})
os.umask(int(sys.argv[2], 8))
journal = Journal.open(sys.argv[1])
journal.write({{"members": {{(1, 1): (1, 1, 1)}}}})
for path in (Path(sys.argv[1]), *sorted(Path(sys.argv[1]).iterdir())):
    print(path.name, oct(path.stat().st_mode & 0o777))
print(*exposed(journal.path))
"""


@pytest.mark.parametrize("umask", ["000", "022", "077", "277", "777"])
def test_the_directory_and_its_files_are_their_user_s_alone_whatever_the_umask(
    public: Path, umask: str
) -> None:
    public.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", WITH_UMASK, str(public / "data"), umask],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines() == [
        "data 0o700",
        f"{FILE_NAME} 0o600",
        f"{FILE_NAME}-wal 0o600",
        "",
    ]


def test_what_others_may_look_at_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "data"
    with opened(directory):
        pass
    file = directory / FILE_NAME
    file.chmod(0o644)
    # Nobody comes that far.
    with opened(directory) as journal:
        EmbeddedEngine(journal=journal)
    assert caplog.records == []
    assert "warning" not in dict(examine(directory).facts)
    directory.chmod(0o750)
    lines = [
        f"{directory}: others may look at it (mode 750): chmod 700 {directory}",
        f"{file}: others may look at it (mode 644): chmod 600 {file}",
    ]
    with opened(directory) as journal:
        EmbeddedEngine(journal=journal)
    told = [record.getMessage() for record in caplog.records]
    assert told[:2] == lines
    # The log beside it is made for whoever the file is for.
    assert [line.partition(":")[0] for line in told[2:]] == [f"{file}-wal"]
    health = examine(directory)
    assert list(health.problems) == []
    assert [fact for name, fact in health.facts if name == "warning"] == lines
    directory.chmod(0o700)


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
        journal.write({**accounts(1), **entries(1, 2)})
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


def test_attributes_of_before_have_the_first_revision_and_a_bad_row_stays_one(
    tmp_path: Path,
) -> None:
    account = (1, "app", "ann", 1, 1, 2000, *(None,) * 9)
    attributes = [(1, "good", '"x"'), (1, "changed", '"y"')]
    marks = ", ".join("?" * 16)
    old_file(tmp_path, 6)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.execute(f"INSERT INTO accounts VALUES ({marks})", (*account, checksum(account)))  # noqa: S608  ours
        for row in attributes:
            told = checksum(row) + (row[1] == "changed")
            db.execute("INSERT INTO user_attributes VALUES (?, ?, ?, ?)", (*row, told))
        db.commit()
    with opened(tmp_path) as journal:
        assert list(journal.rows("accounts")) == [(*account, 0)]
        assert list(journal.rows("user_attributes")) == [(1, "good", 1, None, '"x"')]
        [bad] = journal.bad_rows
        assert bad.row[1] == "changed"
