"""The journal: what is written is there again, all or nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.files import (
    APPLICATION_ID,
    FILE_NAME,
)
from signal_sdk.server.engine.schema import (
    CHECKSUM,
    CHUNKS,
    DROPPED,
    FACTS,
    FLOORS,
    HANDLED,
    MIGRATIONS,
    STORED,
    Batch,
    Row,
)
from signal_sdk.server.engine.statements import ROWS_PER_STATEMENT, ROWS_PER_STEP, of_batch
from tests.server.engine.journals import accounts, entries, opened, positions, stored, versions

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
        for table in STORED:
            columns = db.execute(f"PRAGMA table_info({table.name})").fetchall()
            # Each statement names them: where a migration has put one does not matter.
            named = {*table.columns, CHECKSUM} if table.is_summed else {*table.columns}
            assert {column[1] for column in columns} == named
            key = sorted((column[5], column[1]) for column in columns if column[5])
            assert tuple(name for _, name in key) == table.key


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


@pytest.mark.parametrize("count", [1, 2, ROWS_PER_STATEMENT])
def test_to_drop_some_rows_no_table_is_read_from_end_to_end(tmp_path: Path, count: int) -> None:
    with opened(tmp_path) as journal:
        # Chunks go by the floor alone.
        for table in (it for it in STORED if it.name != CHUNKS):
            rows: dict[Row, Row | None] = {
                (number,) * len(table.key): None for number in range(count)
            }
            (statement,) = of_batch({table.name: rows})
            plan = [
                row[3]
                for row in journal.db.execute(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])
            ]
            assert any(line.startswith(f"SEARCH {table.name} ") for line in plan), table.name
            assert not any(line.startswith(f"SCAN {table.name}") for line in plan), table.name


# --- entries ---


def test_what_is_handled_is_not_read_whenever_it_was_written(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1, 2, 3, 4))
        journal.write({"entries": {(5,): (5, 2, 1, 5.0, "x"), (6,): (6, 2, 9, 5.0, "x")}})
        # As after a batch that failed: what it wrote has been handled since.
        late: Batch = {"entries": {(7,): (7, 1, 3, 5.0, "x"), (8,): (8, 1, 5, 5.0, "x")}}
        journal.write({HANDLED: {(1,): (1, 3), (2,): (2, 8), (3,): (3, 7)}, **late})
        left = [4, 6, 8]
        assert [row[0] for row in journal.rows("entries")] == left
        assert stored(journal) == 8
    with opened(tmp_path) as journal:
        assert [row[0] for row in journal.rows("entries")] == left
        assert stored(journal) == 8
        assert list(journal.settle()) == []
        assert [row[0] for row in journal.rows("entries")] == left
        assert stored(journal) == 3
        assert list(journal.rows(HANDLED)) == []


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 700])
def test_many_inboxes_are_handled_at_once(tmp_path: Path, count: int) -> None:
    with opened(tmp_path) as journal:
        every = {
            (3 * account + version,): (3 * account + version, account, version, 5.0, "x")
            for account in range(count)
            for version in (1, 2, 3)
        }
        journal.write({"entries": {**every}})
        journal.write({HANDLED: {(account,): (account, 2) for account in range(count)}})
        left = [row[1:3] for row in journal.rows("entries")]
        assert left == [(account, 3) for account in range(count)]


def test_up_to_the_floor_there_are_no_entries_whatever_is_put_there(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1, 2))
        journal.write(entries(5))
        journal.write({FLOORS: {("entries",): ("entries", 4)}, **entries(3, 6)})
        assert versions(journal) == [5, 6]
        # The chunk that has some above it stays whole: of it the floor tells.
        assert stored(journal) == 3
    with opened(tmp_path) as journal:
        assert versions(journal) == [5, 6]
        assert stored(journal) == 3
        assert list(journal.settle()) == []
        assert versions(journal) == [5, 6]
        assert stored(journal) == 2
        assert list(journal.rows(FACTS)) == []
        journal.write({FLOORS: {("entries",): ("entries", 9)}})
        assert stored(journal) == 0


def test_the_floor_outlives_a_process_that_is_killed_in_its_transaction(tmp_path: Path) -> None:
    """A chunk is cut off in one step with the word of what is gone of the next."""
    with opened(tmp_path / "here") as journal:
        journal.write(entries(1, 2))
        journal.write(entries(3, 4))
        journal.write({FLOORS: {("entries",): ("entries", 3)}})
        shutil.copytree(tmp_path / "here", tmp_path / "there")
    with opened(tmp_path / "there") as journal:
        assert versions(journal) == [4]
        assert stored(journal) == 2


def test_what_is_gone_from_between_others_does_not_come_back(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1, 2, 3, 4))
        journal.write({DROPPED: {(2,): (2,), (3,): (3,)}})
        assert versions(journal) == [1, 4]
    with opened(tmp_path) as journal:
        assert versions(journal) == [1, 4]
        journal.settle()
        assert versions(journal) == [1, 4]
        assert stored(journal) == 2
        assert list(journal.rows(DROPPED)) == []
        journal.write({DROPPED: {(4,): (4,)}})
        journal.write({FLOORS: {(DROPPED,): (DROPPED, 4)}})
        assert list(journal.rows(DROPPED)) == []


def test_only_chunks_with_something_that_is_of_no_use_are_written_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for first in (1, 11, 21):
            journal.write(entries(*range(first, first + 10)))
        journal.write({FLOORS: {("entries",): ("entries", 5)}, DROPPED: {(30,): (30,)}})
        left = [*range(6, 30)]
        assert versions(journal) == left
        sql = "SELECT rowid, contents FROM entry_chunks"
        before = dict(journal.db.execute(sql).fetchall())
        journal.settle()
        after = dict(journal.db.execute(sql).fetchall())
        assert versions(journal) == left
    assert sorted(after) == [10, 20, 29]
    assert after[20] == before[20]
    assert len(after[10]) < len(before[10])


def test_rows_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write({"members": {(1, 7): (1, 7, 2), (1, 9): (1, 9, 1), (1, 8): (1, 8, 3)}})
        assert [row[1] for row in journal.rows("members")] == [7, 8, 9]
        assert [row[1] for row in journal.rows("members", "position")] == [9, 7, 8]


@pytest.mark.parametrize(
    "text", ["", "\0", "a\0b", "\U0001f600 \U00010000", "'; DROP TABLE entries; --", "\ufeff\uffff"]
)
def test_texts_are_kept_to_the_letter(tmp_path: Path, text: str) -> None:
    row = (1, text, 1, None, text)
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
        journal.write({"channels": {(1,): (1, "app", "room", 2000, 0, None, 0)}})
        journal.write({"channels": {(1,): None, (2,): (2, "app", "room", 2000, 0, 5.0, 0)}})
        assert list(journal.rows("channels")) == [(2, "app", "room", 2000, 0, 5.0, 0)]


@pytest.mark.parametrize("wrong", [(1, 4, None), (1, 4, 4, "too much")])
def test_a_batch_that_fails_leaves_nothing_behind(tmp_path: Path, wrong: tuple[Any, ...]) -> None:
    with opened(tmp_path) as journal:
        journal.write(entries(1))
        batch: Batch = {**accounts(1), **entries(2, 3), **positions(3)}
        batch["members"][1, 4] = wrong
        with pytest.raises(StorageError, match=rf"^{tmp_path}/{FILE_NAME}: .+$"):
            journal.write(batch)
        assert versions(journal) == [1]
        assert list(journal.rows("accounts")) == []
        # And the next is written.
        journal.write(entries(2))
        assert versions(journal) == [1, 2]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_batch_is_written_in_steps_and_as_a_whole_or_not_at_all(
    tmp_path: Path, *, goes_on: bool
) -> None:
    rows = {(1, f"{number}"): (1, f"{number}", 0, 0.0, "x") for number in range(10 * ROWS_PER_STEP)}
    with opened(tmp_path) as journal:
        steps = journal.writing({"user_attributes": rows}, ROWS_PER_STEP)
        assert [next(steps) for _ in range(9)] == [None] * 9
        if goes_on:
            assert list(steps) == [None]
        else:
            steps.close()
        # The next one is written either way.
        journal.write({"user_attributes": {(2, "y"): (2, "y", 0, 0.0, "y")}})
    with opened(tmp_path) as journal:
        assert len(list(journal.rows("user_attributes"))) == len(rows) * goes_on + 1


def test_numbers_are_reserved_for_every_account_and_channel(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.write(accounts(3))
        journal.write({"channels": {(1,): (1, "app", "room", 70, 0, None, 0)}})
        journal.reserve(500)
        assert [row[5] for row in journal.rows("accounts")] == [2500] * 3
        assert [row[3] for row in journal.rows("channels")] == [570]


def test_what_was_written_outlives_a_process_that_never_closed_its_journal(tmp_path: Path) -> None:
    with opened(tmp_path / "here") as journal:
        journal.write(entries(1, 2))
        # What a killed process leaves is what stands in the files now.
        shutil.copytree(tmp_path / "here", tmp_path / "there")
    with opened(tmp_path / "there") as journal:
        assert versions(journal) == [1, 2]
