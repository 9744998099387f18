"""What the embedded engine keeps and forgets inside: beyond what contract/test_quotas.py sees."""

from __future__ import annotations

import sqlite3
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.engine import state
from signal_sdk.server.engine.base import AccountKey, Asked
from signal_sdk.server.engine.bounds import MAX_UID, Bounds, QuotaError, Usage
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.memory import give_back, shrink
from signal_sdk.wire import built_in
from tests.server.engine.contract.harness import (
    ANN,
    BOB,
    Heard,
    House,
    Memory,
    Node,
    OnJournal,
    login_facts,
    open_house,
)
from tests.server.engine.hand import HandClock
from tests.server.helpers import journal_engine
from tests.server.inside import state_of


def inner(house: House) -> EmbeddedEngine:
    """The embedded engine itself."""
    engine = house.engine.inner
    assert isinstance(engine, EmbeddedEngine)
    return engine


def known(engine: EmbeddedEngine) -> set[str]:
    """The accounts of which something is kept."""
    return {key.account for key in state_of(engine).accounts}


@pytest.fixture(params=[Memory, OnJournal])
async def house(
    request: pytest.FixtureRequest, tmp_path: Path, autojump_clock: MockClock
) -> AsyncIterator[House]:
    async with open_house(request.param(tmp_path / "data")) as house:
        yield house


@asynccontextmanager
async def on_journal(directory: Path) -> AsyncIterator[Node]:
    """A node on the journal there."""
    async with open_house(OnJournal(directory)) as house:
        yield house.node


async def test_apps_of_which_nothing_is_kept_are_forgotten_once_they_are_many(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In dev mode any app id is one."""
    monkeypatch.setattr(state, "MAX_APPS", 10)
    usages = state_of(inner(house)).usages
    held = [AccountKey(f"held{number}", "ann") for number in range(5)]
    for key in held:
        await house.node.log_in(key)
    for number in range(50):
        await (await house.node.log_in(AccountKey(f"app{number}", "ann"))).end()
        # Some more, where those that are in use were in the way.
        assert len(usages) <= 10 + len(held)
    assert {key.app for key in held} <= set(usages)
    # What is in use is not thrown away, however much that is.
    for number in range(20):
        await house.node.log_in(AccountKey(f"app{number}", "ann"))
    assert {f"app{number}" for number in range(20)} <= set(usages)
    assert all(usages[key.app].accounts == 1 for key in held)


async def test_what_an_app_that_is_forgotten_has_given_is_given_to_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MAX_APPS", 2)
    given = set()
    for number in (1, 2, 3, 1, 4, 2, 5, 6, 3, 7, 8, 1):
        key = AccountKey(f"app{number}", "ann")
        await (await house.node.log_in(key)).set_own("a", number)
        given.add((key.app, await house.engine.last_revision(key.app)))
        await house.engine.drop_user_attr(key, "a")
        await house.engine.kick(key)
    assert len(given) == 12
    if house.backend.outlives:
        node = await house.reopen()
        key = AccountKey("another", "ann")
        await (await node.log_in(key)).set_own("a", 1)
        assert await node.engine.last_revision(key.app) > max(number for _, number in given)


async def test_the_file_forgets_too_and_never_what_is_still_in_its_log(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """An account's row stays as long as rows of its entries are there: its number must not be
    another's meanwhile.
    """
    async with on_journal(tmp_path) as node:
        ann = await node.log_in()
        await ann.post("first", ttl=1000)
        for number in range(5):
            await ann.post("x", AccountKey("app", f"{number}"), ttl=1)
        await trio.sleep(3)
        # Before theirs is one that waits.
        assert known(inner(node.house)) == {"ann", "bob", *"01234"}
        await ann.end()
        assert known(inner(node.house)) == {"bob", *"01234"}
        await node.engine.read_inbox(BOB, 10**6, 30)
        await node.engine.read_inbox(BOB, 1, 30)
        assert known(inner(node.house)) == set()
    again = journal_engine(tmp_path)
    assert known(again) == set()
    await again.aclose()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        assert db.execute("SELECT COUNT(*) FROM accounts").fetchone() == (0,)


async def test_an_account_that_comes_back_before_it_is_written_off_is_the_same(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with on_journal(tmp_path) as node:
        bob = await node.log_in(BOB)
        for life in range(3):
            await bob.post("x", ANN, ttl=1)
            if life != 1:
                await node.house.settle()
            node.house.ahead += 2
            await node.engine.read_inbox(ANN, 0, 30)
            assert known(inner(node.house)) == {"bob"}
        await bob.post("stays", ANN)
        assert await node.house.inbox(ANN) == [(4, "stays")]
    async with on_journal(tmp_path) as node:
        assert known(inner(node.house)) == {"ann", "bob"}


async def test_what_an_app_uses_is_the_same_after_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with on_journal(tmp_path) as node:
        ann, bob = await node.log_in(), await node.log_in(BOB)
        await bob.join()
        await ann.set_own("a", ["x", 1])
        await ann.set("a", "öx")
        for _ in range(3):
            await bob.post("ä" * 100, ANN)
        await node.engine.read_inbox(ANN, 1, 30)
        usage = attrs.evolve(state_of(inner(node.house)).usage("app"))
        assert usage.bytes > 0
    again = journal_engine(tmp_path)
    assert state_of(again).usage("app") == usage
    await again.aclose()


def test_a_uid_depends_on_nobody_else_unless_it_is_taken() -> None:
    usage, other = Usage(), Usage()
    uids = [usage.take_uid("app", f"user{number}") for number in range(1000)]
    assert len(set(uids)) == 1000
    assert all(1 <= uid <= MAX_UID for uid in uids)
    assert [other.take_uid("app", f"user{number}") for number in range(1000)] == uids
    assert Usage().take_uid("other app", "user0") != uids[0]
    assert usage.take_uid("app", "user0") not in uids


async def test_who_has_made_a_channel_is_known_after_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Otherwise each restart would let an account make as many again."""
    async with on_journal(tmp_path) as node:
        ann = await node.log_in()
        for name in "ab":
            await ann.set("a", "b", name)
        await ann.end()
    async with on_journal(tmp_path) as node:
        node.engine.bound(Bounds(account_channels=2))
        ann = await node.log_in()
        with pytest.raises(QuotaError, match="'ann' has made and that are there: 2"):
            await ann.set("a", "b", "c")
        await ann.end()
        assert node.engine.statistics().accounts == 1
        await trio.sleep(built_in.DEFAULT_CHANNEL_TTL_SECONDS + 1)
        left = node.engine.statistics()
        assert (left.accounts, left.channels) == (0, 0)


@pytest.mark.parametrize("ttl", ["2147483647", 30 * 24 * 3600])
def test_an_empty_channel_lasts_thirty_days_at_most(ttl: str | int) -> None:
    clock, engine = HandClock(), EmbeddedEngine()
    engine.attach(Heard(lambda: clock.now), clock.clocks)
    clock.start(engine)

    def make() -> None:
        presence = engine.log_in(ANN, login_facts(ANN))
        assert presence is not None
        asked = Asked(ANN, presence.generation)
        engine.set_channel_attr(asked, "room", "_channel_ttl", ttl, members_only=False)

    clock.in_trio(make)
    clock.advance(30 * 24 * 3600 - 1)
    assert engine.statistics().channels == 1
    clock.advance(2)
    assert engine.statistics().channels == 0


async def test_inboxes_whose_time_is_over_pile_up_no_faster_than_they_are_looked_at(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep has a bound. Beyond that, who fills one more has others looked at."""
    monkeypatch.setattr("signal_sdk.server.engine.inboxes.SWEPT", 5)
    monkeypatch.setattr("signal_sdk.server.engine.inboxes.MANY", 10)
    bob = await house.node.log_in(BOB)
    most = 0
    for turn in range(20):
        for number in range(50):
            await bob.post("x", AccountKey("app", f"{turn}-{number}"), ttl=1)
        await trio.sleep(1.5)
        most = max(most, len(known(inner(house))))
    assert most < 3 * 50


# --- room that is given back ---


async def test_memory_is_given_back_once_a_minute_at_most_and_at_last(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything stands still meanwhile."""
    monkeypatch.setattr("signal_sdk.server.engine.state.MUCH", 100)
    given_back: list[float] = []
    monkeypatch.setattr(
        "signal_sdk.server.engine.embedded.give_back",
        lambda: given_back.append(trio.current_time()),
    )
    bob = await house.node.log_in(BOB)
    began = trio.current_time()
    assert given_back == []
    for turn in range(50):
        for number in range(200):
            await bob.post("x", AccountKey("app", f"{turn}-{number}"), ttl=1)
        await trio.sleep(2)
    # Once what is gone is told of, which some sweeps later it is.
    assert [round((time - given_back[0]) / 60, 1) for time in given_back] == [0.0, 1.0]
    await trio.sleep(120)
    assert len(given_back) == 3
    assert given_back[0] - began < 20


async def test_the_room_of_many_that_are_gone_is_given_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal_sdk.server.engine.state.MUCH", 100)
    engine = inner(house)
    found = state_of(engine)
    tables = (found.accounts, found.channels, found.usage("app").uids)
    small = [sys.getsizeof(table) for table in tables]
    bob = await house.node.log_in(BOB)
    for number in range(1000):
        await bob.post("x", AccountKey("app", f"{number}"), ttl=1)
        await bob.set(built_in.CHANNEL_TTL, 1, f"room{number}")
    assert sys.getsizeof(found.accounts) > 10 * small[0]
    await bob.end()
    await trio.sleep(12)
    assert known(engine) == set()
    # They are the same objects: others hold them.
    now = (found.accounts, found.channels, found.usage("app").uids)
    assert [*map(id, tables)] == [*map(id, now)]
    assert [sys.getsizeof(table) for table in tables] <= [2 * size for size in small]


def test_shrinking_a_table_keeps_what_is_in_it_in_order() -> None:
    table = dict.fromkeys(range(1000))
    for number in range(995):
        del table[number]
    ordered = OrderedDict(table)
    taken = set(range(1000))
    taken -= set(range(1, 1000))
    shrink(table, ordered, taken)
    assert (list(table), list(ordered), taken) == ([*range(995, 1000)], [*range(995, 1000)], {0})
    assert sys.getsizeof(table) < 1000
    give_back()
