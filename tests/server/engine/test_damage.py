"""Damage to the journal's rows: what was changed on the disk is neither delivered nor told, and
stops nobody; the doctor says what there is.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.base import AccountKey, Asked
from signal_sdk.server.engine.checksums import checksum, is_as_written, sealed
from signal_sdk.server.engine.checkup import NAMED, examine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.journal import CHANGED, HOMELESS, UNREADABLE, Journal
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.schema import CHUNKS, FLOORS, HANDLED, TABLES, Batch, Row
from tests.server.engine.contract.harness import ROOM, OnJournal, login_facts, open_house
from tests.server.engine.journals import contents, old_file
from tests.server.helpers import inline
from tests.server.inside import OpenJournal, state_of

SECRET: Final = "plantedsecret"
FACTS: Final = (None,) * 9
ROOMY: Final = 2000


def account(number: int, name: str, *facts: object) -> Row:
    return (number, "app", name, number, 1, ROOMY, *(facts or FACTS), 0)


def batch() -> Batch:
    """Something in each table."""
    rows: dict[str, list[Row]] = {
        "accounts": [
            account(1, "ann1", b"digest-1", "javasdk", 5, None, "i", "room", None, 7, "{}"),
            account(2, "bob2"),
            account(7, "cem7"),
        ],
        "user_attributes": [
            (1, "aaa", 1, None, f'"{SECRET}"'),
            (1, "bbb", 1, None, "1"),
            (2, "ccc", 2, 5.0, "2"),
        ],
        "entries": [(n, 1 + n % 2, n, 9e9, f"msg-v2 a b f t 1 {SECRET}{n}") for n in range(1, 6)],
        "replies": [(1, 1, 5, f'{{"{SECRET}": 1}}'), (2, 1, 6, "{}")],
        "channels": [(1, "app", "room", ROOMY, 1, None, 0), (3, "app", "hall", ROOMY, 0, 5.0, 0)],
        "members": [(1, 1, 1)],
        "channel_attributes": [
            (1, "name", 1, None, f'"{SECRET}"'),
            (3, "other", 1, None, "[1]"),
        ],
        "calls": [
            (
                "app",
                "room",
                "ann1",
                "bob2",
                "id",
                "ann1",
                "bob2",
                f'"{SECRET}"',
                "new",
                5.0,
                None,
                0,
            )
        ],
    }
    return {
        name: {row[: len(TABLES[name].key)]: row for row in table} for name, table in rows.items()
    }


@contextmanager
def opened(directory: Path) -> Iterator[OpenJournal]:
    with closing(OpenJournal.open(directory)) as journal:
        yield journal


def filled(directory: Path) -> Path:
    with opened(directory) as journal:
        journal.write(batch())
    return directory / FILE_NAME


def overwrite(file: Path, old: bytes, new: bytes) -> None:
    """What a failing disk does: a few bytes are others, wherever in the file they are first."""
    assert len(old) == len(new)
    data = file.read_bytes()
    at = data.index(old)
    file.write_bytes(data[:at] + new + data[at + len(old) :])


def execute(file: Path, *statements: str) -> None:
    """Rows that are other than what was written, put there by SQL."""
    with closing(sqlite3.connect(file)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def started(directory: Path) -> EmbeddedEngine:
    """An engine that goes on there."""
    return engine_on(OpenJournal.open(directory))


def engine_on(journal: Journal) -> EmbeddedEngine:
    return EmbeddedEngine(journal=journal, write_in_thread=inline)


def start(directory: Path) -> None:
    """Have an engine begin there, and do no more."""
    with opened(directory) as journal:
        engine_on(journal)


def set_aside(directory: Path) -> list[tuple[str, str, list[Any]]]:
    with closing(sqlite3.connect(directory / FILE_NAME)) as db:
        found = db.execute("SELECT origin, why, contents FROM set_aside ORDER BY id").fetchall()
    return [(origin, why, msgspec.msgpack.decode(row)) for origin, why, row in found]


@pytest.mark.parametrize(("at", "what"), [(18, "a format"), (19, "a format"), (59, "an encoding")])
def test_a_header_that_makes_the_file_of_no_use_is_told_by_doctor_and_start(
    tmp_path: Path, at: int, what: str
) -> None:
    file = filled(tmp_path)
    data = bytearray(file.read_bytes())
    data[at] = 0xDE
    file.write_bytes(data)
    [problem] = examine(tmp_path).problems
    assert "the file is corrupt (its header" in problem
    with pytest.raises(StorageError, match=f"its header names {what}"):
        OpenJournal.open(tmp_path)


# --- what is found ---

Change = Callable[[Path], None]


def by_sql(statement: str) -> Change:
    return lambda file: execute(file, statement)


def by_bytes(old: bytes, new: bytes) -> Change:
    return lambda file: overwrite(file, old, new)


def by_entry(at: int, change: Callable[[Row], Row]) -> Change:
    """Another entry in the place of one, with the sum of that."""

    def do(file: Path) -> None:
        with closing(sqlite3.connect(file)) as db:
            (contents,) = db.execute("SELECT contents FROM entry_chunks").fetchone()
            records = msgspec.msgpack.decode(contents)
            row = tuple(msgspec.msgpack.decode(records[at - 1][1]))
            records[at - 1][1] = msgspec.msgpack.encode(change(row))
            changed = msgspec.msgpack.encode(records)
            db.execute("UPDATE entry_chunks SET contents = ?", (changed,))
            db.commit()

    return do


CHANGES: Final[tuple[tuple[Change, list[str]], ...]] = (
    (by_bytes(b"plantedsecret3", b"plantedsecreT3"), ["entries, row 3"]),
    (by_bytes(b"plantedsecret3", b"\xff\xfe\xfdntedsecret3"), ["entries, row 3"]),
    (by_entry(2, lambda row: (row[0], row[1], 44, *row[3:])), ["entries, row 2"]),
    (by_entry(2, lambda row: (*row[:3], 5.0, row[4])), ["entries, row 2"]),
    (by_entry(2, lambda row: (row[0], 7, *row[2:])), ["entries, row 2"]),
    # It is looked for under no other's number.
    (by_entry(2, lambda row: (3, *row[1:])), ["entries, row 3"]),
    (by_entry(2, lambda row: (*row[:4], row[4].encode())), ["entries, row 2"]),
    (by_entry(2, lambda row: row[:4]), ["entries, row 2"]),
    (by_sql("UPDATE entry_chunks SET id = 9"), ["entry_chunks, row 9"]),
    (by_sql("UPDATE replies SET text = '{}' WHERE id = 1"), ["replies, row 1"]),
    (
        by_sql("UPDATE user_attributes SET value = '8' WHERE name = 'bbb'"),
        ["user_attributes, row 2"],
    ),
    (
        by_sql("UPDATE user_attributes SET name = CAST(x'ff' AS TEXT) WHERE name = 'bbb'"),
        ["user_attributes, row 2"],
    ),
    (by_sql("UPDATE members SET position = 9"), ["members, row 1"]),
    (by_sql("UPDATE calls SET state = 'old'"), ["calls, row 1"]),
    (
        by_sql("UPDATE channels SET total = 9 WHERE id = 3"),
        ["channels, row 3", "channel_attributes, row 2"],
    ),
    (
        by_sql("UPDATE accounts SET account = 'anx' WHERE id = 1"),
        [
            *("accounts, row 1", "user_attributes, row 1", "user_attributes, row 2"),
            *("entries, row 2", "entries, row 4", "replies, row 1", "replies, row 2"),
            *("members, row 1", "calls, row 1"),
        ],
    ),
)


@pytest.mark.parametrize(("change", "rows"), CHANGES)
def test_a_row_that_was_changed_is_set_aside_and_the_rest_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Change, rows: list[str]
) -> None:
    file = filled(tmp_path)
    change(file)
    before = contents(tmp_path)
    health = examine(tmp_path)
    told = [problem for problem in health.problems if "the server will set it aside" in problem]
    assert [problem.removeprefix(f"{file}: ").partition(":")[0] for problem in told] == rows
    assert CHANGED in told[0]
    assert not any(SECRET in problem for problem in health.problems)
    assert contents(tmp_path) == before
    journal = OpenJournal.open(tmp_path)
    engine_on(journal)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"{len(rows)} rows could not be used, and were set aside" in record.getMessage()
    assert SECRET not in record.getMessage()
    tables = TABLES.keys() - {CHUNKS}
    kept = {name: list(journal.rows(name)) for name in tables}
    journal.close()
    everything = {name: len(table) for name, table in batch().items()}
    lost = {name: sum(row.startswith(f"{name},") for row in rows) for name in everything}
    assert {name: len(kept[name]) + lost[name] for name in everything} == everything
    assert [row[0] for row in kept["entries"]] == sorted(row[0] for row in kept["entries"])
    aside = set_aside(tmp_path)
    assert [f"{origin}" for origin, _, _ in aside] == [row.partition(",")[0] for row in rows]
    assert [why for _, why, _ in aside] == [CHANGED, *[HOMELESS] * (len(rows) - 1)]
    # From then on, all is well again, and the doctor tells of what there was.
    caplog.clear()
    health = examine(tmp_path)
    assert list(health.problems) == []
    assert dict(health.facts)["set aside"].endswith("which could not be used")
    start(tmp_path)
    assert caplog.records == []
    assert len(set_aside(tmp_path)) == len(rows)


@pytest.mark.parametrize("new", [b"an\xff1", b"bob2", b"zzzz"])
@pytest.mark.parametrize("place", [0, 1], ids=["the first", "the second"])
async def test_a_table_and_its_index_that_tell_otherwise_are_no_hindrance(
    tmp_path: Path, autojump_clock: MockClock, new: bytes, place: int
) -> None:
    """SQLite itself cannot delete a row that an index does not have."""
    file = filled(tmp_path)
    data = file.read_bytes()
    old = b"appann1"
    places = [at for at in range(len(data)) if data.startswith(old, at)]
    # Once in the table, once in its index.
    at = places[:2][place]
    file.write_bytes(data[:at] + b"app" + new + data[at + len(old) :])
    assert any("index" in problem for problem in examine(tmp_path).problems)
    engine = started(tmp_path)
    had_ann = AccountKey("app", "ann1") in state_of(engine).accounts
    for name in ("ann1", "bob2", "cem7", "zzzz"):
        key = AccountKey("app", name)
        made = await waited(engine.log_in(key, login_facts(key)))
        assert made is not None
        await waited(engine.set_user_attr(Asked(key, made.generation), "x", 1))
    await engine.aclose()
    # Where it was the index, nothing is lost.
    assert had_ann is not bool(set_aside(tmp_path))
    assert list(examine(tmp_path).problems) == []
    again = started(tmp_path)
    assert {key.account for key in state_of(again).accounts} == {"ann1", "bob2", "cem7", "zzzz"}
    assert len({account.id for account in state_of(again).accounts.values()}) == 4
    await again.aclose()


def test_the_table_and_the_index_are_the_two_places_of_a_name(tmp_path: Path) -> None:
    assert filled(tmp_path).read_bytes().count(b"appann1") == 2


def test_what_told_of_handled_entries_was_changed_and_they_come_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = filled(tmp_path)
    with opened(tmp_path) as journal:
        journal.write({HANDLED: {(1,): (1, 4), (2,): (2, 3)}})
        assert [row[0] for row in journal.rows("entries")] == [5]
    execute(file, "UPDATE entries_done SET upto = 99 WHERE account = 2")
    assert any("entries_done, row 2" in problem for problem in examine(tmp_path).problems)
    start(tmp_path)
    assert "1 rows could not be used, and were set aside (1 of entries_done)" in caplog.text
    with opened(tmp_path) as journal:
        assert [row[0] for row in journal.rows("entries")] == [1, 3, 5]
        assert list(journal.rows(HANDLED)) == []


def test_of_a_chunk_whose_framing_was_damaged_the_rest_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = filled(tmp_path)
    with opened(tmp_path) as journal:
        journal.write({"entries": {(6,): (6, 1, 6, 9e9, "behind")}})
    data = file.read_bytes()
    at = data.index(b"plantedsecret3")
    # How the fourth record begins.
    at = data.index(b"\x92", at)
    file.write_bytes(data[:at] + b"\xc1" + data[at + 1 :])
    told = [it for it in examine(tmp_path).problems if "set it aside" in it]
    assert told == [
        f"{file}: entry_chunks, row 5: {CHANGED}; the server will set it aside",
    ]
    journal = OpenJournal.open(tmp_path)
    engine_on(journal)
    assert "1 rows could not be used, and were set aside (1 of entry_chunks)" in caplog.text
    assert [row[0] for row in journal.rows("entries")] == [1, 2, 3, 6]
    journal.close()
    ((origin, why, (number, rest)),) = set_aside(tmp_path)
    assert (origin, why, number) == ("entry_chunks", CHANGED, 5)
    assert f"{SECRET}4".encode() in rest
    assert f"{SECRET}5".encode() in rest
    assert list(examine(tmp_path).problems) == []


def test_where_the_floor_was_damaged_no_entry_comes_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was moved up in the log is beneath the floor, too, in the midst of a chunk."""
    file = filled(tmp_path)
    with opened(tmp_path) as journal:
        ((_, owner, version, *rest),) = [row for row in journal.rows("entries") if row[0] == 2]
        moved = (6, owner, version, *rest)
        journal.write({"entries": {(6,): moved}, FLOORS: {("entries",): ("entries", 2)}})
        assert [row[0] for row in journal.rows("entries")] == [3, 4, 5, 6]
    execute(file, "UPDATE facts SET value = 1 WHERE name = 'entries_floor'")
    assert any("facts, row 1" in problem for problem in examine(tmp_path).problems)
    journal = OpenJournal.open(tmp_path)
    engine = engine_on(journal)
    assert "1 rows could not be used, and were set aside (1 of facts)" in caplog.text
    for name in ("ann1", "bob2"):
        inbox = state_of(engine).accounts[AccountKey("app", name)].inbox
        versions = [entry.version for entry in inbox.entries]
        assert versions == sorted(set(versions))
        assert inbox.size == sum(len(entry.line) for entry in inbox.entries)
        if name == "ann1":
            # It is the one that may be waited for further up.
            assert [entry.number for entry in inbox.entries if entry.version == version] == [6]
    journal.close()


def test_the_doctor_names_the_first_bad_rows_and_counts_the_others(tmp_path: Path) -> None:
    file = filled(tmp_path)
    with opened(tmp_path) as journal:
        journal.write({"replies": {(n,): (n, 1, n, "line") for n in range(10, 10 + 2 * NAMED)}})
    execute(file, "UPDATE replies SET text = '' WHERE id >= 10")
    problems = examine(tmp_path).problems
    assert len(problems) == NAMED + 1
    assert problems[-1] == f"{file}: and {NAMED} more such rows"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_damage_of_before_there_were_checksums_is_set_aside_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: int
) -> None:
    number = "" if version == 1 else "{}, "
    lines = [f"'{SECRET}'", f"CAST(x'fffe' || '{SECRET}' AS TEXT)", "'good'"]
    entries = [
        f"INSERT INTO entries VALUES ({number.format(n)}1, {n}, 9e9, {line})"  # noqa: S608  ours
        for n, line in enumerate(lines, 1)
    ]
    old_file(
        tmp_path,
        version,
        "INSERT INTO accounts VALUES (1, 'app', 'ann', 1, 1, 2000"
        ", NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        "INSERT INTO accounts VALUES (2, 'app', 'bob', x'0102', 1, 2000"
        ", NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        *entries,
        f"INSERT INTO user_attributes VALUES (1, 'a', '{SECRET}'), (1, 'b', '5')",  # noqa: S608  ours
        "INSERT INTO user_attributes VALUES (9, 'a', '5')",
    )
    file = tmp_path / FILE_NAME
    before = contents(tmp_path)
    problems = [it.removeprefix(f"{file}: ") for it in examine(tmp_path).problems]
    assert contents(tmp_path) == before
    end = "; the server will set it aside"
    assert problems[-4:] == [
        f"accounts, row 2: {CHANGED}{end}",
        f"user_attributes, row 1: {UNREADABLE}{end}",
        f"user_attributes, row 3: {HOMELESS}{end}",
        f"entries, row 2: {CHANGED}{end}",
    ]
    journal = OpenJournal.open(tmp_path)
    engine = engine_on(journal)
    ann = state_of(engine).accounts[AccountKey("app", "ann")]
    assert [entry.line for entry in ann.inbox.entries] == [SECRET, "good"]
    assert ann.attributes == {"b": 5}
    assert set(state_of(engine).accounts) == {AccountKey("app", "ann")}
    journal.close()
    assert "4 rows could not be used" in caplog.text
    assert SECRET not in caplog.text
    assert list(examine(tmp_path).problems) == []
    kept = set_aside(tmp_path)
    assert kept[-1] == ("entries", CHANGED, [2, 1, 2, 9e9, b"\xff\xfe" + SECRET.encode()])


def test_an_error_of_the_library_quotes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    with opened(tmp_path) as journal:
        journal.db.text_factory = str
        journal.db.execute("UPDATE replies SET text = CAST(x'ff' || text AS TEXT)")
        with pytest.raises(StorageError) as caught:
            list(journal.rows("replies"))
    assert SECRET not in str(caught.value)
    assert str(caught.value).endswith("SQLite's library failed (OperationalError)")


def test_a_table_whose_schema_was_damaged_is_not_made_anew_by_it(tmp_path: Path) -> None:
    file = filled(tmp_path)
    with closing(sqlite3.connect(file)) as db:
        db.executescript(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
            " replace(sql, 'uid INTEGER', 'uid INTEGER' || CAST(x'ff' AS TEXT))"
            " WHERE name = 'accounts'"
        )
    execute(file, "UPDATE accounts SET generation = 9 WHERE id = 2")
    with closing(OpenJournal.open(tmp_path)) as journal:
        with pytest.raises(StorageError) as caught:
            EmbeddedEngine(journal=journal)
        assert f"{file}: the file is corrupt (the schema of accounts is not ours)" in str(
            caught.value
        )


def test_the_doctor_finds_damage_to_where_bad_rows_are_put(tmp_path: Path) -> None:
    file = filled(tmp_path)
    with closing(sqlite3.connect(file)) as db:
        db.executescript(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
            " replace(sql, 'contents', 'contenTz') WHERE name = 'set_aside'"
        )
    assert examine(tmp_path).problems
    with closing(OpenJournal.open(tmp_path)) as journal, pytest.raises(StorageError):
        EmbeddedEngine(journal=journal)


# --- by itself ---

VALUES: Final = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
)


@given(st.lists(VALUES, min_size=1, max_size=12).map(tuple), st.data())
def test_a_checksum_is_of_all_that_a_row_holds(row: Row, data: st.DataObject) -> None:
    told = checksum(row)
    assert is_as_written(row, told)
    at = data.draw(st.integers(0, len(row) - 1))
    other = data.draw(VALUES.filter(lambda it: type(it) is not type(row[at]) or it != row[at]))
    # One in four thousand millions is alike.
    assert not is_as_written((*row[:at], other, *row[at + 1 :]), told)
    assert not is_as_written(row, None)


def test_a_whole_number_in_a_column_of_floats_is_summed_as_one(tmp_path: Path) -> None:
    row = (1, "app", "room", 2000, 0, 7, 0)
    read = (1, "app", "room", 2000, 0, 7.0, 0)
    assert sealed(TABLES["channels"], [row, read]) == [*read, checksum(read)] * 2
    with opened(tmp_path) as journal:
        journal.write({"channels": {(1,): row}, "entries": {(1,): (1, 1, 1, 5, "line")}})
        found = [*journal.rows("channels"), *journal.rows("entries")]
        assert found == [read, (1, 1, 1, 5.0, "line")]
        assert [type(it) for it in (found[0][5], found[1][3])] == [float, float]
        assert list(journal.bad_rows) == []


async def test_a_channel_whose_members_were_lost_ends(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As one that is empty from the start on: nobody is there who could leave it."""
    async with open_house(OnJournal(tmp_path)) as house:
        ann = await house.node.log_in()
        await ann.join()
        await ann.set("_channel_ttl", 100)
    with closing(OpenJournal.open(tmp_path)) as journal:
        ((channel, account, _),) = journal.rows("members")
        journal.write({"members": {(channel, account): None}})
    async with open_house(OnJournal(tmp_path)) as house:
        assert await house.members() == []
        await trio.sleep(99)
        assert await house.engine.channel_attrs(ROOM)
        await trio.sleep(2)
        assert not await house.engine.channel_attrs(ROOM)
