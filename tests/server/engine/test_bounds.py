"""What is kept has bounds, and what nothing is left of is forgotten: over every engine."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path
from typing import cast

import attrs
import pytest

from signal_sdk.ecodes import ECode
from signal_sdk.server.engine import state
from signal_sdk.server.engine.base import AccountKey, Call, CallKey, ChannelKey, Engine, Post
from signal_sdk.server.engine.bounds import MAX_UID, Bounds, QuotaError, Usage
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.memory import give_back, shrink
from tests.server.engine.contract import (
    ANN,
    BOB,
    CALL,
    CALL_KEY,
    NOW,
    ROOM,
    Delivered,
    join,
    leaving,
    log_in,
    message,
    move,
    post,
)
from tests.server.helpers import journal_engine

NOBODY = AccountKey("app", "nobody")


def known(engine: Engine) -> set[str]:
    """The accounts of which something is kept."""
    return {key.account for key in cast("EmbeddedEngine", engine)._accounts}


async def log_out(engine: Engine, key: AccountKey = ANN) -> None:
    presence = await engine.presence(key)
    assert presence is not None
    assert await engine.log_out(key, presence, None, kick=False, now=NOW) is not None


# --- forgetting ---


async def test_apps_of_which_nothing_is_kept_are_forgotten_once_they_are_many(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In dev mode any app id is one."""
    monkeypatch.setattr(state, "MAX_APPS", 10)
    usages = cast("EmbeddedEngine", engine)._state.usages
    held = [AccountKey(f"held{number}", "ann") for number in range(5)]
    for key in held:
        await log_in(engine, key, key.app.encode())
    for number in range(50):
        key = AccountKey(f"app{number}", "ann")
        await log_in(engine, key, key.app.encode())
        await log_out(engine, key)
        # Some more, where those that are in use were in the way.
        assert len(usages) <= 10 + len(held)
    assert {key.app for key in held} <= set(usages)
    # What is in use is not thrown away, however much that is.
    for number in range(20):
        await log_in(engine, AccountKey(f"app{number}", "ann"), f"app{number}".encode())
    assert {f"app{number}" for number in range(20)} <= set(usages)
    assert all(usages[key.app].accounts == 1 for key in held)


async def test_who_logs_out_and_leaves_nothing_is_forgotten(engine: Engine) -> None:
    first = await log_in(engine)
    await log_out(engine)
    assert known(engine) == set()
    # Whatever an older connection still does is not the new one's.
    again = await log_in(engine)
    assert again.generation > first.generation
    assert again.uid == first.uid


async def test_a_message_s_account_is_forgotten_with_it(engine: Engine) -> None:
    for number in range(20):
        await engine.post(post("x", AccountKey("app", f"{number}"), ttl=1), NOW)
    assert len(known(engine)) == 20
    await engine.sweep(NOW + 2)
    await engine.sweep(NOW + 2)
    assert known(engine) == set()


async def test_versions_go_on_behind_what_was_forgotten(engine: Engine) -> None:
    """A client that remembers a version must not take a new entry for one that it has had."""
    await log_in(engine)
    last = max([await engine.post(post("x"), NOW) for _ in range(3)])
    await engine.read_inbox(ANN, last, 30, NOW)
    await log_out(engine)
    assert known(engine) == set()
    assert await engine.post(post("new"), NOW) > last


async def test_who_polls_after_the_end_is_not_made_anew(engine: Engine) -> None:
    await engine.read_inbox(NOBODY, 0, 30, NOW)
    assert known(engine) == set()
    assert await engine.recall(NOBODY, 1, 0) is None


@pytest.mark.parametrize("left", ["attribute", "message", "call", "channel"])
async def test_of_whom_something_is_left_stays_until_that_is_gone(
    engine: Engine, left: str
) -> None:
    await log_in(engine)
    if left == "attribute":
        await engine.set_user_attr(ANN, "a", "b")
    elif left == "message":
        await engine.post(post("x"), NOW)
    elif left == "call":
        assert await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    else:
        await engine.set_channel_attr(ROOM, "a", "b", message("x"), account="ann", now=NOW)
    await log_out(engine)
    assert "ann" in known(engine)
    if left == "attribute":
        return
    if left == "message":
        await engine.read_inbox(ANN, 10**6, 30, NOW + 1000)
    elif left == "call":
        assert await engine.swap_call(CALL_KEY, CALL, None, [], NOW)
    else:
        assert await engine.destroy_channel(ROOM, NOW)
    assert known(engine) == set()


async def test_a_call_with_nobody_leaves_nobody(engine: Engine) -> None:
    assert await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    assert known(engine) == {"ann", "bob"}
    assert await engine.swap_call(CALL_KEY, CALL, None, [], NOW)
    assert known(engine) == set()


async def test_the_file_forgets_too_and_never_what_is_still_in_its_log(tmp_path: Path) -> None:
    """An account's row stays as long as rows of its entries are there: its number must not be
    another's meanwhile.
    """
    engine = journal_engine(tmp_path)
    engine.attach(Delivered())
    await engine.post(post("first", BOB, ttl=1000), NOW)
    for number in range(5):
        await engine.post(post("x", AccountKey("app", f"{number}"), ttl=1), NOW)
    await engine._commits.commit()  # type: ignore[attr-defined]  # the journal's
    await engine.sweep(NOW + 2)
    # Before theirs is one that waits.
    assert known(engine) == {"bob", *"01234"}
    await engine._commits.commit()  # type: ignore[attr-defined]  # the journal's
    await engine.read_inbox(BOB, 10**6, 30, NOW)
    await engine.read_inbox(BOB, 1, 30, NOW)
    assert known(engine) == set()
    await engine.aclose()
    again = journal_engine(tmp_path)
    assert known(again) == set()
    assert again._commits._journal._db.execute(  # type: ignore[attr-defined]  # the journal's
        "SELECT COUNT(*) FROM accounts"
    ).fetchone() == (0,)
    await again.aclose()


async def test_an_account_that_comes_back_before_it_is_written_off_is_the_same(
    tmp_path: Path,
) -> None:
    engine = journal_engine(tmp_path)
    engine.attach(Delivered())
    await engine.set_user_attr(BOB, "a", "b")
    for life in range(3):
        await engine.post(post("x", ttl=1), NOW)
        if life != 1:
            await engine._commits.commit()  # type: ignore[attr-defined]  # the journal's
        await engine.read_inbox(ANN, 0, 30, NOW + 2)
        assert known(engine) == {"bob"}
    await engine.post(post("stays"), NOW)
    await engine.aclose()
    again = journal_engine(tmp_path)
    assert known(again) == {"ann", "bob"}
    assert len((await again.read_inbox(ANN, 0, 30, NOW)).entries) == 1
    await again.aclose()


def test_a_uid_depends_on_nobody_else_unless_it_is_taken() -> None:
    usage, other = Usage(), Usage()
    uids = [usage.take_uid("app", f"user{number}") for number in range(1000)]
    assert len(set(uids)) == 1000
    assert all(1 <= uid <= MAX_UID for uid in uids)
    assert [other.take_uid("app", f"user{number}") for number in range(1000)] == uids
    assert Usage().take_uid("other app", "user0") != uids[0]
    assert usage.take_uid("app", "user0") not in uids


# --- bounds ---


async def bounded(engine: Engine, **bounds: int) -> None:
    engine.bound(Bounds(**bounds))


def from_(sender: str, text: str = "x", key: AccountKey = ANN) -> Post:
    made = post(text, key)
    return Post(key=key, sender=sender, line=made.line, expires=made.expires)


async def test_a_sender_has_a_share_of_an_inbox(engine: Engine) -> None:
    await bounded(engine, inbox_sender_messages=2, inbox_messages=3)
    await engine.post(from_("bob"), NOW)
    await engine.post(from_("bob"), NOW)
    with pytest.raises(QuotaError, match="2 messages of 'bob' wait for 'ann' already") as caught:
        await engine.post(from_("bob"), NOW)
    assert caught.value.ecode is ECode.SENDMESSAGE_E_OTHER
    await engine.post(from_("carol"), NOW)
    await engine.post(from_("bob", key=BOB), NOW)
    # What is handled counts no more.
    await engine.read_inbox(ANN, 1, 30, NOW)
    await engine.post(from_("bob"), NOW)


async def test_calls_have_room_where_messages_have_none(engine: Engine) -> None:
    await bounded(engine, inbox_messages=20)
    for _ in range(20):
        await engine.post(from_("bob"), NOW)
    with pytest.raises(QuotaError):
        await engine.post(from_("bob"), NOW)
    for _ in range(2):
        await engine.post(from_(""), NOW)
    with pytest.raises(QuotaError, match="the inbox of 'ann' is full"):
        await engine.post(from_(""), NOW)


async def test_an_inbox_is_bounded_in_bytes(engine: Engine) -> None:
    size = len(post("x" * 100).line)
    await bounded(engine, inbox_bytes=size * 3)
    for _ in range(3):
        await engine.post(from_("bob", "x" * 100), NOW)
    with pytest.raises(QuotaError, match=f"the inbox of 'ann' is full: {size * 3} bytes"):
        await engine.post(from_("bob", "x"), NOW)
    await engine.read_inbox(ANN, 1, 30, NOW)
    await engine.post(from_("bob", "x" * 100), NOW)


async def test_bytes_are_those_of_utf_8_and_not_characters(engine: Engine) -> None:
    size = len(post("字" * 100).line.encode())
    await bounded(engine, inbox_bytes=size * 2)
    for _ in range(2):
        await engine.post(from_("bob", "字" * 100), NOW)
    with pytest.raises(QuotaError, match="is full"):
        await engine.post(from_("bob", "字"), NOW)
    await engine.read_inbox(ANN, 10**6, 30, NOW)
    await engine.read_inbox(ANN, 2, 30, NOW)
    await bounded(engine, app_bytes=100)
    with pytest.raises(QuotaError):
        await engine.set_user_attr(ANN, "a", "字" * 40)
    await engine.set_user_attr(ANN, "a", "字" * 30)


async def test_an_app_is_bounded_in_bytes_of_whatever_is_kept(engine: Engine) -> None:
    await bounded(engine, app_bytes=1000)
    await engine.set_user_attr(ANN, "a", "x" * 298)
    await engine.set_channel_attr(ROOM, "a", "x" * 298, message("x"), account="ann", now=NOW)
    with pytest.raises(QuotaError, match="bytes"):
        await engine.post(from_("bob", "x" * 400), NOW)
    with pytest.raises(QuotaError, match="1000, the most allowed"):
        await engine.set_user_attr(ANN, "b", "x" * 500)
    with pytest.raises(QuotaError):
        await engine.set_channel_attr(ROOM, "b", "x" * 500, message("x"), account="ann", now=NOW)
    assert dict(await engine.user_attrs(ANN)) == {"a": "x" * 298}
    # Less is always allowed, and another app is another app.
    await engine.set_user_attr(ANN, "a", "x")
    await engine.set_user_attr(AccountKey("other", "ann"), "a", "x" * 900)
    await engine.set_user_attr(ANN, "b", "x" * 500)
    assert await engine.del_channel_attr(ROOM, "a", message("x"), now=NOW)
    await engine.set_user_attr(BOB, "b", "x" * 300)


async def test_what_an_app_uses_is_the_same_after_a_restart(tmp_path: Path) -> None:
    engine = journal_engine(tmp_path)
    engine.attach(Delivered())
    await log_in(engine)
    await join(engine, await log_in(engine, BOB), BOB)
    await engine.set_user_attr(ANN, "a", ["x", 1])
    await engine.set_channel_attr(ROOM, "a", "öx", message("x"), account="ann", now=NOW)
    for _ in range(3):
        await engine.post(from_("bob", "ä" * 100), NOW)
    await engine.read_inbox(ANN, 1, 30, NOW)
    usage = attrs.evolve(engine._state.usage("app"))
    assert usage.bytes > 0
    await engine.aclose()
    again = journal_engine(tmp_path)
    assert again._state.usage("app") == usage
    await again.aclose()


async def test_what_is_refused_leaves_nothing_behind(engine: Engine) -> None:
    await bounded(engine, app_bytes=100, app_accounts=2)
    with pytest.raises(QuotaError):
        await engine.set_user_attr(ANN, "a", "x" * 200)
    with pytest.raises(QuotaError):
        await engine.set_channel_attr(ROOM, "a", "x" * 200, message("x"), account="ann", now=NOW)
    with pytest.raises(QuotaError):
        await engine.post(from_("bob", "x" * 200), NOW)
    assert known(engine) == set()
    assert await engine.channels() == []
    await engine.set_user_attr(ANN, "a", "b")
    key = CallKey("app", "room", "carol", "dave")
    call = attrs.evolve(CALL, caller="carol", callee="dave")
    with pytest.raises(QuotaError):
        await engine.swap_call(key, None, call, [], NOW)
    assert await engine.call(key) is None
    assert known(engine) == {"ann"}
    # With one of the two it would be there.
    key = CallKey("app", "room", "ann", "dave")
    call = attrs.evolve(CALL, caller="ann", callee="dave")
    assert await engine.swap_call(key, None, call, [], NOW)
    assert await engine.swap_call(key, call, None, [], NOW)
    assert known(engine) == {"ann"}


async def test_accounts_and_channels_of_an_app_are_bounded(engine: Engine) -> None:
    await bounded(engine, app_accounts=2, app_channels=2)
    await engine.set_user_attr(ANN, "a", "b")
    await engine.post(from_("ann", key=BOB), NOW)
    for attempt in (
        engine.post(from_("ann", key=NOBODY), NOW),
        engine.set_user_attr(NOBODY, "a", "b"),
        log_in(engine, NOBODY),
    ):
        with pytest.raises(QuotaError, match="the accounts that the app has: 2, the most allowed"):
            await attempt
    await log_in(engine, AccountKey("other", "nobody"))
    for name in "ab":
        await engine.set_channel_attr(
            ChannelKey("app", name), "a", "b", message("x"), account="ann", now=NOW
        )
    with pytest.raises(QuotaError, match="channels: 2"):
        await join(engine, await log_in(engine))
    assert await engine.destroy_channel(ChannelKey("app", "a"), NOW)
    presence = await engine.presence(ANN)
    assert presence is not None
    assert await join(engine, presence) is not None


async def test_the_channels_that_an_account_makes_are_bounded(engine: Engine) -> None:
    await bounded(engine, account_channels=2)
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    await join(engine, ann)
    await engine.set_channel_attr(
        ChannelKey("app", "b"), "a", "b", message("x"), account="ann", now=NOW
    )
    with pytest.raises(QuotaError, match="'ann' has made and that are there: 2"):
        await engine.set_channel_attr(
            ChannelKey("app", "c"), "a", "b", message("x"), account="ann", now=NOW
        )
    # It may be in those that there are, and others may make theirs.
    assert await join(engine, bob, BOB, ChannelKey("app", "c")) is not None
    assert await join(engine, ann, ANN, ChannelKey("app", "c")) is not None
    assert await engine.destroy_channel(ChannelKey("app", "b"), NOW)
    await engine.set_channel_attr(
        ChannelKey("app", "d"), "a", "b", message("x"), account="ann", now=NOW
    )


async def test_who_has_made_a_channel_is_known_after_a_restart(tmp_path: Path) -> None:
    """Otherwise each restart would let an account make as many again."""
    rooms = [ChannelKey("app", name) for name in "abc"]
    engine = journal_engine(tmp_path)
    engine.attach(Delivered())
    await log_in(engine)
    for room in rooms[:2]:
        await engine.set_channel_attr(room, "a", "b", message("x"), account="ann", now=NOW)
    await log_out(engine)
    await engine.aclose()
    engine = journal_engine(tmp_path, bounds=Bounds(account_channels=2))
    engine.attach(Delivered())
    with pytest.raises(QuotaError, match="'ann' has made and that are there: 2"):
        await engine.set_channel_attr(rooms[2], "a", "b", message("x"), account="ann", now=NOW)
    for room in rooms[:2]:
        assert known(engine) == {"ann"}
        assert await engine.destroy_channel(room, NOW)
    assert known(engine) == set()
    await engine.aclose()
    again = journal_engine(tmp_path)
    assert (known(again), again._channels) == (set(), {})
    await again.aclose()


async def test_a_join_that_is_refused_leaves_the_session_where_it_was(
    engine: Engine, delivered: Delivered
) -> None:
    await bounded(engine, account_channels=1)
    ann = await log_in(engine)
    await join(engine, ann)
    delivered.take()
    with pytest.raises(QuotaError):
        await move(engine, ann, ChannelKey("app", "hall"), farewell=leaving("ann"))
    assert delivered.take() == []
    assert await engine.is_member(ROOM, "ann")
    presence = await engine.presence(ANN)
    assert presence is not None
    assert presence.channel == "room"


async def test_the_calls_that_an_account_makes_are_bounded(engine: Engine) -> None:
    await bounded(engine, account_calls=2)

    def key(channel: str) -> CallKey:
        return CallKey("app", channel, "ann", "bob")

    def call(channel: str, caller: str) -> Call:
        callee = "bob" if caller == "ann" else "ann"
        return attrs.evolve(CALL, caller=caller, callee=callee, channel=channel)

    for channel in "ab":
        assert await engine.swap_call(key(channel), None, call(channel, "ann"), [], NOW)
    with pytest.raises(QuotaError, match="the live calls of 'ann': 2") as caught:
        await engine.swap_call(key("c"), None, call("c", "ann"), [], NOW)
    assert caught.value.ecode is ECode.INVITE_E_OTHER
    # Those that others make to it do not count.
    for channel in "de":
        assert await engine.swap_call(key(channel), None, call(channel, "bob"), [], NOW)
    assert await engine.swap_call(key("a"), call("a", "ann"), None, [], NOW)
    assert await engine.swap_call(key("c"), None, call("c", "ann"), [], NOW)


async def test_what_is_there_already_may_stay_where_a_bound_is_lowered(engine: Engine) -> None:
    await bounded(engine)
    for _ in range(4):
        await engine.post(from_("bob"), NOW)
    await bounded(engine, inbox_messages=2)
    assert len((await engine.read_inbox(ANN, 0, 30, NOW)).entries) == 4
    with pytest.raises(QuotaError):
        await engine.post(from_("bob"), NOW)


# --- room that is given back ---


async def test_the_room_of_many_that_are_gone_is_given_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal_sdk.server.engine.state.MUCH", 100)
    inner = cast("EmbeddedEngine", engine)
    tables = (inner._accounts, inner._channels, inner._state.usage("app").uids)
    small = [sys.getsizeof(table) for table in tables]
    for number in range(1000):
        await engine.post(post("x", AccountKey("app", f"{number}"), ttl=1), NOW)
        room = ChannelKey("app", f"room{number}")
        await engine.set_channel_attr(room, "a", "b", message("x"), account="bob", now=NOW)
        await engine.destroy_channel(room, NOW)
    assert sys.getsizeof(inner._accounts) > 10 * small[0]
    for _ in range(3):
        await engine.sweep(NOW + 2)
    assert known(engine) == set()
    # They are the same objects: others hold them.
    assert tables == (inner._accounts, inner._channels, inner._state.usage("app").uids)
    assert [sys.getsizeof(table) for table in tables] <= [2 * size for size in small]


async def test_memory_is_given_back_once_a_minute_at_most_and_at_last(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything stands still meanwhile."""
    monkeypatch.setattr("signal_sdk.server.engine.state.MUCH", 100)
    given_back: list[float] = []
    now = NOW
    monkeypatch.setattr(
        "signal_sdk.server.engine.embedded.give_back", lambda: given_back.append(now)
    )
    await engine.sweep(now)
    assert given_back == []
    while now < NOW + 100:
        for number in range(200):
            await engine.post(post("x", AccountKey("app", f"{now}-{number}"), ttl=1), now)
        now += 2
        await engine.sweep(now)
    # Once what is gone is told of, which some sweeps later it is.
    assert [round((time - given_back[0]) / 60, 1) for time in given_back] == [0.0, 1.0]
    for _ in range(60):
        now += 2
        await engine.sweep(now)
    assert len(given_back) == 3


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
