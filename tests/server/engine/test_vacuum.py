"""A journal that was large once becomes small again."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from signal_sdk.server.engine.journal import LOGGED_PAGES, LONG_LOG_PAGES, Journal
from signal_sdk.server.engine.schema import Batch
from tests.server.inside import OpenJournal


def written(count: int, size: int = 1000) -> Batch:
    """Accounts with an attribute each, of so many bytes."""
    return {
        "user_attributes": {
            (number, "a"): (number, "a", 1, None, "x" * size) for number in range(count)
        }
    }


def gone(count: int) -> Batch:
    return {"user_attributes": {(number, "a"): None for number in range(count)}}


def write(journal: Journal, batch: Batch) -> None:
    """Write it, and look after the file."""
    journal.write(batch)
    if journal.is_due:
        journal.empty_log()
    journal.look_after()


def file_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def test_the_file_shrinks_while_it_is_written(tmp_path: Path) -> None:
    journal = OpenJournal.open(tmp_path)
    write(journal, written(5000))
    large = file_bytes(tmp_path)
    assert large > 5_000_000
    write(journal, gone(5000))
    for _ in range(16 * 8):
        write(journal, written(1))
    journal.close()
    assert file_bytes(tmp_path) < large / 10
    again = OpenJournal.open(tmp_path)
    assert list(again.rows("user_attributes")) == [(0, "a", 1, None, "x" * 1000)]
    again.close()


def test_a_file_that_is_mostly_used_is_left_alone(tmp_path: Path) -> None:
    journal = OpenJournal.open(tmp_path)
    write(journal, written(5000))
    write(journal, gone(2000))
    for _ in range(64):
        write(journal, written(1))
    assert journal.one("PRAGMA freelist_count") > 256
    journal.close()


def test_room_that_is_used_again_and_again_is_not_given_back(tmp_path: Path) -> None:
    """As the table of entries does, which grows, is cut off, and grows again."""
    journal = OpenJournal.open(tmp_path)
    pages = []
    for _ in range(8):
        write(journal, written(2000))
        for _ in range(31):
            write(journal, written(1))
        write(journal, gone(2000))
        for _ in range(31):
            write(journal, written(1))
        pages.append(journal.one("PRAGMA page_count"))
    assert min(pages) == max(pages) > 500
    journal.close()


def test_room_that_is_not_used_any_more_is_given_back_in_the_end(tmp_path: Path) -> None:
    journal = OpenJournal.open(tmp_path)
    for _ in range(64):
        write(journal, written(5000, size=500))
    large = file_bytes(tmp_path)
    write(journal, gone(5000))
    for _ in range(16 * 48):
        write(journal, written(1))
    journal.close()
    assert file_bytes(tmp_path) < large / 4
    OpenJournal.open(tmp_path).close()


def test_a_quiet_server_gives_room_back_within_minutes(tmp_path: Path) -> None:
    """It writes once a minute, whatever happens."""
    journal = OpenJournal.open(tmp_path)
    minutes = count(1)
    for _ in range(16):
        write(journal, written(5000, size=500))
    write(journal, gone(5000))
    write(journal, written(1))
    large = file_bytes(tmp_path)
    journal.vacuum.clock = lambda: time.monotonic() + 60.0 * next(minutes)
    for _ in range(8):
        write(journal, written(1))
    journal.close()
    assert file_bytes(tmp_path) < large / 4


def test_after_many_short_batches_the_log_is_put_into_the_file(tmp_path: Path) -> None:
    """So there is never much to be put there, and it is as often as it has become long."""
    journal = OpenJournal.open(tmp_path)
    is_due: list[bool] = []
    pages: list[int] = []
    batches: list[int] = []
    for _ in range(4):
        number = 0
        while not journal.is_due:
            journal.write(written(20, size=20))
            number += 1
        pages.append(log_pages(tmp_path))
        write(journal, written(50))
        is_due.append(journal.is_due)
        batches.append(number)
    assert not any(is_due)
    assert max(pages) < 2 * LOGGED_PAGES
    # Many rows are in one page: it takes more of them, once that is known.
    assert batches[0] * 20 < LOGGED_PAGES < batches[-1] * 20
    journal.close()
    again = OpenJournal.open(tmp_path)
    assert again.one("SELECT COUNT(*) FROM user_attributes") == 50
    again.close()


def test_the_log_is_put_into_the_file_while_a_batch_is_written(tmp_path: Path) -> None:
    """And where there is always one, the log is to begin anew now and then."""
    journal = OpenJournal.open(tmp_path)
    file, before = tmp_path / "signal.db", 0
    turns = 0
    while not is_overgrown(journal):
        journal.write(written(200))
        under_way = journal.writing(written(100, size=2000), 64)
        next(under_way)
        journal.empty_log()
        assert not journal.is_due
        assert file.stat().st_size >= before
        before = file.stat().st_size
        for _ in under_way:
            pass
        turns += 1
    # The first had all of it but what was under way.
    assert before > 200 * 1000
    assert turns > 1
    assert log_pages(tmp_path) < 2 * LONG_LOG_PAGES
    journal.look_after()
    assert not is_overgrown(journal)
    # All is in the file: what is written next overwrites the log from its beginning.
    length = log_pages(tmp_path)
    for _ in range(4):
        journal.write(written(200))
    assert log_pages(tmp_path) <= length
    journal.close()
    again = OpenJournal.open(tmp_path)
    assert again.one("SELECT COUNT(*) FROM user_attributes WHERE length(value) = 1000") == 200
    again.close()


def is_overgrown(journal: Journal) -> bool:
    return journal.is_overgrown


def log_pages(directory: Path) -> int:
    """How many of 4 KiB SQLite's log has."""
    return (directory / "signal.db-wal").stat().st_size // 4096


@pytest.mark.parametrize("has_room", [True, False])
def test_an_older_file_becomes_one_that_shrinks_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_room: bool
) -> None:
    journal = OpenJournal.open(tmp_path)
    write(journal, written(100))
    journal.close()
    (path,) = tmp_path.iterdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA auto_vacuum = NONE")
        db.execute("VACUUM")
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (0,)
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    if not has_room:
        # A file that may not grow, as on a disk that is full.
        connect = sqlite3.connect

        def limited(*args: object, **options: object) -> sqlite3.Connection:
            db: sqlite3.Connection = connect(*args, **options)  # type: ignore[call-overload]
            db.execute(f"PRAGMA max_page_count = {pages}")
            return db

        monkeypatch.setattr(sqlite3, "connect", limited)
    again = OpenJournal.open(tmp_path)
    assert len(list(again.rows("user_attributes"))) == 100
    assert (again.one("PRAGMA auto_vacuum") == 2) is has_room
    again.close()
