"""What a journal keeps, told and removed while no server runs: what stays is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from signal_sdk.errors import StorageError
from signal_sdk.server.engine import kept, schema
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.engine.checkup import examine
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.journal import Journal
from signal_sdk.wire.built_in import DEFAULT_CHANNEL_TTL_SECONDS
from tests.server.engine.contract.harness import ANN, BOB, OnJournal, open_house
from tests.server.helpers import journal_engine, kept_by
from tests.server.inside import OpenJournal

CAROL = AccountKey("app", "carol")
OTHER = AccountKey("other", "ann")


async def fill(directory: Path) -> None:
    """Bob is in a room, Carol has had an answer; Ann has made three channels and has gone, and Bob
    calls her; an app beside has an account with one message.
    """
    async with open_house(OnJournal(directory)) as house:
        ann = await house.node.log_in()
        bob = await house.node.log_in(BOB)
        carol = await house.node.log_in(CAROL)
        other = await house.node.log_in(OTHER)
        await bob.join("room")
        await ann.set("_channel_ttl", 60, "x1")
        await ann.set("_channel_ttl", 2**31 - 1, "x2")
        await ann.set("a", "é", "y")
        await ann.set_own("a", "b")
        for text in ("one", "two", "three"):
            await bob.post(text, ANN)
        await house.engine.read_inbox(ANN, 1, 30)
        assert await ann.end()
        assert await bob.call("ann") is None
        assert await house.engine.set_user_attr(carol.asked(1), "a", "b") is None
        assert await other.post("four", OTHER) is None
        assert await other.end()


async def test_each_app_s_use_is_told_the_largest_first(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    await fill(tmp_path)
    first, second = kept.uses(kept.read(tmp_path))
    assert (first.app, first.accounts, first.channels, first.entries) == ("app", 3, 4, 3)
    assert first.empty == {60: 1, 30 * 24 * 3600: 1, DEFAULT_CHANNEL_TTL_SECONDS: 1}
    assert first.makers == {"ann": 3, "bob": 1}
    sizes = [it.bytes for it in kept.accounts_of(kept.read(tmp_path)) if it.app == "app"]
    sizes += [it.bytes for it in kept.channels_of(kept.read(tmp_path))]
    assert first.bytes == sum(sizes) > 0
    assert (second.app, second.accounts, second.channels, second.entries) == ("other", 1, 0, 1)


async def test_what_is_in_use_says_so(tmp_path: Path, autojump_clock: MockClock) -> None:
    await fill(tmp_path)
    state = kept.read(tmp_path)
    assert {it.name: it.use for it in kept.channels_of(state)} == {
        "room": "has members (1)",
        **dict.fromkeys(("x1", "x2", "y"), ""),
    }
    uses = [(it.app, it.name, it.use) for it in kept.accounts_of(state)]
    assert sorted(uses) == [
        ("app", "ann", "has calls (1)"),
        ("app", "bob", "is online"),
        ("app", "carol", "is online"),
        ("other", "ann", ""),
    ]


async def test_a_server_goes_on_with_what_is_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    await fill(tmp_path)
    before = journal_engine(tmp_path)
    left = kept_by(before)
    await before.aclose()
    with kept.changed(tmp_path) as keeper:
        gone = [it for it in kept.channels_of(keeper.state) if it.name.startswith("x")]
        keeper.remove_channels(gone)
        keeper.remove_accounts(
            it for it in kept.accounts_of(keeper.state) if it.app == "other" and not it.use
        )
    assert examine(tmp_path).problems == []
    after = journal_engine(tmp_path)
    for name in ("x1", "x2"):
        del left["channels"][ChannelKey("app", name)]
    del left["accounts"][OTHER]
    *facts, made, replies = left["accounts"][ANN]
    left["accounts"][ANN] = (*facts, made - 2, replies)
    assert kept_by(after) == left
    await after.aclose()


async def test_of_an_account_that_is_removed_nothing_is_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Nor of what it has handled, which the file has for a while; its channels stay."""
    await fill(tmp_path)
    journal = Journal.open(tmp_path)
    number = next(row[0] for row in journal.rows("accounts") if row[1:3] == ("app", "ann"))
    entry = (99, number, 1, 9e9, "handled")
    journal.write({"entries": {(99,): entry}, "entries_done": {(number,): (number, 1)}})
    journal.close()
    with kept.changed(tmp_path) as keeper:
        keeper.remove_accounts(it for it in kept.accounts_of(keeper.state) if it.name != "bob")
    journal = OpenJournal.open(tmp_path)
    for table, rows in (("accounts", 1), ("user_attributes", 0), ("makers", 1), ("channels", 4)):
        assert len(list(journal.rows(table))) == rows
    for table in ("entry_chunks", "entries_dropped", "entries_done", "replies"):
        assert journal.one(f"SELECT COUNT(*) FROM {table}") == 0  # noqa: S608  ours
    journal.close()
    assert {it.maker for it in kept.channels_of(kept.read(tmp_path))} == {"", "bob"}


async def test_of_a_message_of_an_account_that_is_removed_no_byte_is_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    text = "plantedsecret" * 1000
    async with open_house(OnJournal(tmp_path)) as house:
        ann = await house.node.log_in()
        for number in range(20):
            await ann.post(f"{text}{number}", AccountKey("app", "cem"))
        await ann.post("stays", AccountKey("app", "bob"))
    assert b"plantedsecret" in (tmp_path / FILE_NAME).read_bytes()
    with kept.changed(tmp_path) as keeper:
        keeper.remove_accounts(it for it in kept.accounts_of(keeper.state) if it.name == "cem")
    left = (tmp_path / FILE_NAME).read_bytes()
    assert b"plantedsecret" not in left
    assert b"stays" in left


async def test_many_are_removed_in_several_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(kept, "REMOVED_AT_ONCE", 2)
    async with open_house(OnJournal(tmp_path)) as house:
        ann = await house.node.log_in()
        for number in range(5):
            await ann.set("a", "b", f"x{number}")
    with kept.changed(tmp_path) as keeper:
        keeper.remove_channels(kept.channels_of(keeper.state))
    assert kept.channels_of(kept.read(tmp_path)) == []


def test_where_no_server_keeps_anything_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no server keeps its state there"):
        kept.read(tmp_path)
    with (
        pytest.raises(StorageError, match="no server keeps its state there"),
        kept.changed(tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


async def test_a_damaged_file_is_left_to_the_server(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    await fill(tmp_path)
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes().replace(b"three", b"threE"))
    with (
        pytest.raises(StorageError, match="1 rows cannot be used: start the server once"),
        kept.changed(tmp_path),
    ):
        pass
    assert len(kept.channels_of(kept.read(tmp_path))) == 4


async def test_an_older_file_is_looked_at_unchanged(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Nobody knows who has made what was made before there was a table of that."""
    await fill(tmp_path)
    journal = OpenJournal.open(tmp_path)
    made = "CREATE TABLE entries (id, account, version, expires, line, checksum)"
    tables = ("makers", "entry_chunks", "entries_dropped", "happenings", "locks")
    gone = "; ".join(f"DROP TABLE {table}" for table in tables)
    for table, columns in (
        ("accounts", schema.ACCOUNT),
        ("channels", schema.CHANNEL),
        ("user_attributes", ("i account", "t name", "t value")),
        ("channel_attributes", ("i channel", "t name", "t value")),
    ):
        # As they were summed then.
        gone += f"; ALTER TABLE {table} DROP COLUMN revision"
        gone += f"; UPDATE {table} SET checksum = {schema.checksum_sql(columns)}"  # noqa: S608  ours
    gone += "; ALTER TABLE user_attributes DROP COLUMN expires"
    gone += "; ALTER TABLE channel_attributes DROP COLUMN expires"
    journal.db.executescript(f"{gone}; {made}; PRAGMA user_version = 5")
    journal.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    assert kept.uses(kept.read(tmp_path))[0].makers == {"": 4}
    assert (tmp_path / FILE_NAME).read_bytes() == before
