"""The log of entries: what waits is in the file, whatever was handled, and not much else is."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_sdk.errors import StorageError
from signal_sdk.server.engine import chunks, entry_log
from signal_sdk.server.engine.base import AccountKey, Entry
from signal_sdk.server.engine.commits import JournalCommits
from signal_sdk.server.engine.entry_log import EntryLog
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.engine.tables import Account
from tests.server.helpers import inline
from tests.server.inside import OpenJournal

ACCOUNTS = 3
SLACK = 8
CHUNK = 7

Waiting = dict[int, list[int]]
"""Each account's versions, in order."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Little slack, and small chunks; what the log says of a full disk is another test's."""
    monkeypatch.setattr(entry_log, "SLACK", SLACK)
    monkeypatch.setattr(chunks, "CHUNK_ENTRIES", CHUNK)
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


class Process:
    """One process's log on the journal in a directory."""

    def __init__(self, directory: Path) -> None:
        self.journal = OpenJournal.open(directory)
        self.commits = JournalCommits(self.journal, inline)
        self.accounts = [
            Account(id=number, key=AccountKey("app", f"{number}"), uid=number)
            for number in range(ACCOUNTS)
        ]
        for number, owner, version, expires, line in self.journal.rows(
            "entries", "account, version"
        ):
            assert line == f"{owner} {version}"
            entry = Entry(version=version, sender="", expires=expires, line=line, number=number)
            self.accounts[owner].inbox.append(entry, len(entry.line))
        # As a server does at its start.
        assert list(self.journal.settle()) == []
        self.log = EntryLog(self.commits, self.accounts)

    def stored(self) -> int:
        """How many entries the file has."""
        found = self.journal.db.execute("SELECT contents FROM entry_chunks").fetchall()
        return sum(len(chunks.read(contents)[0]) for (contents,) in found)

    def waiting(self) -> Waiting:
        return {it.id: [entry.version for entry in it.inbox.entries] for it in self.accounts}

    def post(self, owner: int, version: int) -> None:
        entry = Entry(version=version, sender="", expires=5.0, line=f"{owner} {version}")
        self.accounts[owner].inbox.append(entry, len(entry.line))
        self.log.append(owner, entry)

    def handle(self, owner: int, count: int) -> None:
        entries = self.accounts[owner].inbox.entries
        gone = [entries.popleft() for _ in range(min(count, len(entries)))]
        if gone:
            self.log.handle(owner, gone)

    def drop(self, owner: int, index: int) -> None:
        entries = self.accounts[owner].inbox.entries
        if entries:
            entry = entries[index % len(entries)]
            entries.remove(entry)
            self.log.drop([entry])

    def commit(self) -> None:
        trio.run(self.commits.commit)

    def fail(self) -> None:
        """A commit that writes nothing, as on a full disk."""
        write = self.journal.write
        self.journal.write = fail_to_write  # type: ignore[method-assign]
        self.commit()
        self.journal.write = write  # type: ignore[method-assign]

    def die(self) -> None:
        self.journal.db.close()


def fail_to_write(batch: Batch) -> None:
    raise StorageError("the disk is full")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.die()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["post", "post", "handle", "drop", "commit", "commit", "fail", "die"]),
        st.integers(0, ACCOUNTS - 1),
        st.integers(1, 30),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=100)
@given(steps=STEPS)
def test_a_process_that_dies_leaves_what_waited_at_its_last_commit(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    process = Process(directory)
    versions = itertools.count(1)
    committed = process.waiting()
    most = 0
    for what, owner, count in steps:
        match what:
            case "post":
                for _ in range(count):
                    process.post(owner, next(versions))
            case "handle":
                process.handle(owner, count)
            case "drop":
                process.drop(owner, count)
            case "commit":
                process.commit()
                committed = process.waiting()
            case "fail":
                process.fail()
            case _:
                process.die()
                process = Process(directory)
                assert process.waiting() == committed
        most = max(most, sum(map(len, process.waiting().values())))
        # What one commit brings, and what goes before the head gets through.
        assert process.stored() <= 3 * most + 2 * SLACK + 30
    process.die()
    process = Process(directory)
    assert process.waiting() == committed
    process.die()


def test_what_waits_long_does_not_keep_what_is_handled(process: Process) -> None:
    """One entry stands at the head for good: it is moved out of the way."""
    process.post(0, 1)
    for version in range(1, 500):
        process.post(1, version)
        process.commit()
        process.handle(1, 1)
        process.commit()
        assert process.stored() <= SLACK + 4
    assert process.waiting() == {0: [1], 1: [], 2: []}
    assert [row[1:3] for row in process.journal.rows("entries")] == [(0, 1)]


def test_what_is_handled_before_its_batch_is_written_is_never_written(process: Process) -> None:
    for version in range(1, 6):
        process.post(0, version)
    process.handle(0, 3)
    process.commit()
    assert [row[2] for row in process.journal.rows("entries")] == [4, 5]
    assert list(process.journal.rows("entries_done")) == []


def test_what_goes_from_between_others_does_not_come_back(process: Process) -> None:
    for version in range(1, 6):
        process.post(0, version)
    process.commit()
    process.drop(0, 2)
    process.commit()
    assert [row[2] for row in process.journal.rows("entries")] == [1, 2, 4, 5]
    assert list(process.journal.rows("entries_dropped")) == [(3,)]
    # What says so goes when the log is cut off there.
    process.handle(0, 2)
    process.commit()
    assert list(process.journal.rows("entries_dropped")) == []
    assert [row[2] for row in process.journal.rows("entries")] == [4, 5]


def test_what_goes_from_between_others_before_it_is_written_is_never_written(
    process: Process,
) -> None:
    for version in range(1, 4):
        process.post(0, version)
    process.drop(0, 1)
    process.commit()
    assert [row[2] for row in process.journal.rows("entries")] == [1, 3]
    assert process.stored() == 2
    assert list(process.journal.rows("entries_dropped")) == []
