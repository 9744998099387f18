"""The engine contract, kept by every engine.

An engine is listed in `ENGINES`, and then held to all of this. What an engine on a journal leaves
behind is compared with what it was, after each of these tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from msgspec.structs import replace

from signal_sdk.server.engine.base import (
    AccountKey,
    Call,
    CallKey,
    ChannelKey,
    Engine,
    Event,
    MakeContents,
    Post,
    Presence,
    Roster,
)
from signal_sdk.server.engine.commits import JournalCommits
from signal_sdk.server.engine.embedded import MAX_REPLIES, EmbeddedEngine
from signal_sdk.wire import lines
from signal_sdk.wire.events import ChannelContent, ChannelMessage, ChannelUserJoin, ChannelUserLeave
from tests.server.helpers import journal_engine, kept_by

MAX_INBOX: Final = 5
NOW: Final = 1_600_000_000.0

HISTORY: Final[dict[str, Any]] = {"history_events": 4, "history_seconds": 60.0}

ENGINES: Final[dict[str, Callable[[Path], Engine]]] = {
    "embedded": lambda _: EmbeddedEngine(max_inbox=MAX_INBOX, **HISTORY),
    "journaled": lambda path: journal_engine(path, max_inbox=MAX_INBOX, **HISTORY),
}

ANN = AccountKey("app", "ann")
BOB = AccountKey("app", "bob")
ROOM = ChannelKey("app", "room")
CALL_KEY = CallKey("app", "room", "ann", "bob")
CALL = Call(
    id="one",
    caller="bob",
    callee="ann",
    channel="room",
    extra="",
    state="inviting",
    timeout=20,
    deadline=NOW,
)


@attrs.define
class Delivered:
    """What an engine delivered, in order."""

    all: list[tuple[Any, ...]] = attrs.field(factory=list)

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        self.all.append(("entry", key, version, lines.decode(line).content))

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        assert time_ms == NOW * 1000
        self.all.append(("event", key, msgid, content))

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        self.all.append(("kick", key, generation))

    def take(self) -> list[tuple[Any, ...]]:
        taken, self.all = self.all, []
        return taken


@pytest.fixture
def delivered() -> Delivered:
    return Delivered()


@pytest.fixture(params=ENGINES)
async def engine(
    request: pytest.FixtureRequest, delivered: Delivered, tmp_path: Path
) -> AsyncIterator[Engine]:
    engine = ENGINES[request.param](tmp_path)
    engine.attach(delivered)
    yield engine
    await engine.aclose()
    if request.param == "journaled":
        assert isinstance(engine, EmbeddedEngine)
        again = journal_engine(tmp_path, max_inbox=MAX_INBOX, **HISTORY)
        assert kept_by(again) == kept_by(engine)
        await again.aclose()


async def written(engine: Engine) -> None:
    """All that was done so far is durable."""
    assert isinstance(engine, EmbeddedEngine)
    if isinstance(engine._commits, JournalCommits):
        await engine._commits.commit()


async def log_in(engine: Engine, key: AccountKey = ANN, line: bytes = b"line") -> Presence:
    made = await engine.log_in(
        key,
        line_digest=line + key.account.encode(),
        device="websdk",
        ver=1,
        token_expires=7,
        instance="",
    )
    assert made is not None
    presence, _ = made
    return presence


async def join(
    engine: Engine, presence: Presence, key: AccountKey = ANN, channel: ChannelKey = ROOM
) -> Roster | None:
    announce = ChannelUserJoin(channel=channel.channel, account=key.account, uid=presence.uid)
    return await engine.join(
        channel, key.account, presence.generation, announce, newest=200, now=NOW
    )


def post(content: str, key: AccountKey = ANN, ttl: float = 100) -> Post:
    line = lines.MessageLine(src="bob", dst=key.account, type="instant", content=content, time=0)
    return Post(key=key, line=line.encode(), expires=NOW + ttl)


def message(text: str) -> ChannelMessage:
    return ChannelMessage(channel="room", account="bob", uid=2, msg=text)


def messages(*texts: str) -> MakeContents:
    contents = tuple(map(message, texts))
    return lambda: contents


def leaving(account: str) -> ChannelUserLeave:
    return ChannelUserLeave(channel="room", account=account, uid=1)


# --- presence ---


async def test_nobody_is_online_before_a_login(engine: Engine) -> None:
    assert await engine.presence(ANN) is None
    assert await engine.resume(b"line") is None


async def test_a_login_makes_an_account_present_with_the_facts_of_its_login(
    engine: Engine, delivered: Delivered
) -> None:
    made = await engine.log_in(
        ANN, line_digest=b"line", device="javasdk", ver=5, token_expires=99, instance="mine"
    )
    assert made is not None
    presence, before = made
    assert before is None
    assert (presence.device, presence.ver, presence.token_expires) == ("javasdk", 5, 99)
    assert presence.instance == "mine"
    assert (presence.channel, presence.lease_ends) == (None, None)
    assert await engine.presence(ANN) == presence
    assert delivered.take() == []


async def test_a_uid_is_the_accounts_for_ever_and_no_other_of_its_app_has_it(
    engine: Engine,
) -> None:
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    assert ann.uid != bob.uid
    assert min(ann.uid, bob.uid) >= 1
    await engine.log_out(ANN, ann, None, kick=False, now=NOW)
    assert (await log_in(engine)).uid == ann.uid


async def test_a_second_login_takes_over_and_kicks_the_first(
    engine: Engine, delivered: Delivered
) -> None:
    first = await log_in(engine, line=b"first")
    await join(engine, first)
    delivered.take()
    made = await engine.log_in(
        ANN, line_digest=b"second", device="websdk", ver=1, token_expires=None, instance=""
    )
    assert made is not None
    second, before = made
    assert before == replace(first, channel="room")
    assert second.generation > first.generation
    assert second.channel == "room"
    assert delivered.take() == [("kick", ANN, first.generation)]
    assert await engine.resume(b"firstann") is None


async def test_a_login_over_a_lease_kicks_nobody(engine: Engine, delivered: Delivered) -> None:
    first = await log_in(engine)
    assert await engine.disconnect(ANN, first.generation, NOW + 10)
    second = await log_in(engine)
    assert second.lease_ends is None
    assert delivered.take() == []


async def test_generations_rise_even_across_a_logout(engine: Engine) -> None:
    first = await log_in(engine)
    await engine.log_out(ANN, first, None, kick=False, now=NOW)
    assert (await log_in(engine)).generation > first.generation


async def test_a_resume_takes_the_session_up_under_a_new_generation(
    engine: Engine, delivered: Delivered
) -> None:
    first = await log_in(engine)
    await join(engine, first)
    await engine.disconnect(ANN, first.generation, NOW + 10)
    delivered.take()
    found = await engine.resume(b"lineann")
    assert found is not None
    key, resumed = found
    assert key == ANN
    assert resumed == replace(first, channel="room", generation=resumed.generation)
    assert resumed.generation > first.generation
    assert delivered.take() == []
    # And again, while that one is connected.
    assert await engine.resume(b"lineann") is not None
    assert delivered.take() == [("kick", ANN, resumed.generation)]


async def test_an_older_generation_begins_no_lease(engine: Engine) -> None:
    first = await log_in(engine)
    second = await log_in(engine)
    assert not await engine.disconnect(ANN, first.generation, NOW + 10)
    assert await engine.presence(ANN) == second
    assert await engine.disconnect(ANN, second.generation, NOW + 10)
    assert await engine.presence(ANN) == replace(second, lease_ends=NOW + 10)


async def test_a_logout_ends_presence_and_membership_and_tells_the_channel(
    engine: Engine, delivered: Delivered
) -> None:
    await join(engine, await log_in(engine))
    await join(engine, await log_in(engine, BOB), BOB)
    delivered.take()
    presence = await engine.presence(ANN)
    assert presence is not None
    ended = await engine.log_out(ANN, presence, leaving("ann"), kick=False, now=NOW)
    assert ended is not None
    assert ended.left is not None
    assert (ended.left.num, ended.left.idle_since) == (1, None)
    assert delivered.take() == [("event", ROOM, 3, leaving("ann"))]
    assert await engine.presence(ANN) is None
    assert await engine.resume(b"lineann") is None
    assert not await engine.is_member(ROOM, "ann")


async def test_a_logout_ends_exactly_the_presence_that_it_was_given(
    engine: Engine, delivered: Delivered
) -> None:
    first = await log_in(engine)
    await join(engine, first)
    delivered.take()
    # It has joined since: what would be announced is not known.
    assert await engine.log_out(ANN, first, None, kick=True, now=NOW) is None
    assert await engine.is_member(ROOM, "ann")
    assert delivered.take() == []


async def test_a_logout_with_a_kick_tells_the_connection_that_holds_the_account(
    engine: Engine, delivered: Delivered
) -> None:
    presence = await log_in(engine)
    ended = await engine.log_out(ANN, presence, None, kick=True, now=NOW)
    assert ended is not None
    assert ended.left is None
    assert delivered.take() == [("kick", ANN, presence.generation)]


async def test_apps_are_apart(engine: Engine, delivered: Delivered) -> None:
    other = AccountKey("other", "ann")
    await log_in(engine)
    assert await engine.presence(other) is None
    await log_in(engine, other, b"other")
    assert delivered.take() == []
    await engine.set_user_attr(ANN, "name", "Ann")
    assert not await engine.user_attrs(other)
    await engine.post(post("hi"), NOW)
    assert not (await engine.read_inbox(other, 0, 10, NOW)).entries


async def test_who_comes_again_takes_the_account_from_nobody_else(engine: Engine) -> None:
    async def again(instance: str) -> tuple[Presence, Presence | None] | None:
        return await engine.log_in(
            ANN,
            line_digest=instance.encode(),
            device="javasdk",
            ver=0,
            token_expires=None,
            instance=instance,
            again=True,
        )

    mine = await again("mine")
    assert mine is not None
    once_more = await again("mine")
    assert once_more is not None
    assert once_more[0].generation > mine[0].generation
    assert await again("another's") is None
    assert await engine.presence(ANN) == once_more[0]
    await engine.log_out(ANN, once_more[0], None, kick=False, now=NOW)
    assert await again("another's") is not None


async def test_who_is_online_which_calls_live_and_which_channels_there_are(engine: Engine) -> None:
    assert (list(await engine.online()), list(await engine.live_calls())) == ([], [])
    assert list(await engine.channels()) == []
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    await join(engine, ann)
    empty = ChannelKey("app", "empty")
    await engine.set_channel_attr(empty, "a", "b", message("set"), now=NOW)
    await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    await engine.log_out(BOB, bob, None, kick=False, now=NOW)
    assert list(await engine.online()) == [(ANN, await engine.presence(ANN))]
    assert list(await engine.live_calls()) == [(CALL_KEY, CALL)]
    assert dict(await engine.channels()) == {ROOM: None, empty: NOW}


# --- replies ---


async def recalled(engine: Engine, *callids: int, ack: int = 0) -> list[str | None]:
    return [await engine.recall(ANN, callid, ack) for callid in callids]


@pytest.mark.parametrize("durably", [True, False])
async def test_a_reply_is_kept_until_it_is_acknowledged(engine: Engine, *, durably: bool) -> None:
    ann = await log_in(engine)
    for callid in (3, 4, 6):
        await engine.remember(ANN, ann.generation, callid, f"{callid}", durably=durably)
    assert await recalled(engine, 3, 4, 5, 6) == ["3", "4", None, "6"]
    assert await recalled(engine, 3, 4, 6, ack=4) == [None, None, "6"]
    # An older `ack` brings nothing back.
    assert await recalled(engine, 3, 4, 6, ack=0) == [None, None, "6"]
    assert await recalled(engine, 6, ack=99) == [None]


async def test_a_reply_that_was_given_again_is_the_later_one(engine: Engine) -> None:
    ann = await log_in(engine)
    await engine.remember(ANN, ann.generation, 7, "before", durably=True)
    await engine.remember(ANN, ann.generation, 7, "after", durably=True)
    assert await recalled(engine, 7) == ["after"]


async def test_replies_are_one_sessions_and_outlive_its_resume(engine: Engine) -> None:
    ann = await log_in(engine)
    await engine.remember(ANN, ann.generation, 1, "one", durably=True)
    await engine.disconnect(ANN, ann.generation, NOW + 10)
    found = await engine.resume(b"lineann")
    assert found is not None
    assert await recalled(engine, 1) == ["one"]
    # What the connection before still had under way is not the session's any more.
    await engine.remember(ANN, ann.generation, 2, "two", durably=True)
    assert await recalled(engine, 1, 2) == ["one", None]
    await log_in(engine, line=b"another")
    assert await recalled(engine, 1) == [None]


async def test_replies_end_with_their_session(engine: Engine) -> None:
    ann = await log_in(engine)
    await engine.remember(ANN, ann.generation, 1, "one", durably=True)
    await engine.log_out(ANN, ann, None, kick=False, now=NOW)
    await log_in(engine)
    assert await recalled(engine, 1) == [None]


async def test_replies_that_nobody_acknowledges_have_a_bound(engine: Engine) -> None:
    ann = await log_in(engine)
    for callid in range(1, MAX_REPLIES + 3):
        await engine.remember(ANN, ann.generation, callid, "x", durably=bool(callid % 2))
    assert await recalled(engine, 1, 2, 3, MAX_REPLIES + 2) == [None, None, "x", "x"]


async def test_what_is_done_is_durable_in_the_order_of_asking(engine: Engine) -> None:
    """Where nothing is under way, at once."""
    heard: list[object] = []
    engine.check_writable()
    engine.when_durable(heard.append)
    assert heard == [None]


# --- users ---


async def test_user_attributes_outlive_presence_and_need_none(engine: Engine) -> None:
    assert dict(await engine.user_attrs(ANN)) == {}
    await engine.set_user_attr(ANN, "name", "Ann")
    await engine.set_user_attr(ANN, "data", {"a": [1, None]})
    await engine.set_user_attr(ANN, "name", "Anna")
    assert dict(await engine.user_attrs(ANN)) == {"name": "Anna", "data": {"a": [1, None]}}
    await engine.log_out(ANN, await log_in(engine), None, kick=False, now=NOW)
    assert dict(await engine.user_attrs(ANN)) == {"name": "Anna", "data": {"a": [1, None]}}


# --- inboxes ---


async def test_versions_rise_by_one_and_each_entry_is_delivered(
    engine: Engine, delivered: Delivered
) -> None:
    assert [await engine.post(post(text), NOW) for text in "abc"] == [1, 2, 3]
    await written(engine)
    assert delivered.take() == [
        ("entry", ANN, version, text) for version, text in enumerate("abc", 1)
    ]


async def test_a_page_holds_what_comes_next_and_clearing_is_for_good(engine: Engine) -> None:
    for text in "abcd":
        await engine.post(post(text), NOW)
    page = await engine.read_inbox(ANN, 0, 3, NOW)
    assert page.ver_clear == 0
    assert [(entry.version, lines.decode(entry.line).content) for entry in page.entries] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    page = await engine.read_inbox(ANN, 3, 3, NOW)
    assert page.ver_clear == 3
    assert [entry.version for entry in page.entries] == [4]
    # A fresh client says 0, and gets what is pending, never what was cleared.
    page = await engine.read_inbox(ANN, 0, 3, NOW)
    assert (page.ver_clear, [entry.version for entry in page.entries]) == (3, [4])


async def test_a_version_that_was_never_given_clears_nothing(engine: Engine) -> None:
    """A page that lived through a server's restart still counts as the one before did."""
    await engine.post(post("a"), NOW)
    page = await engine.read_inbox(ANN, 50, 3, NOW)
    assert (page.ver_clear, [entry.version for entry in page.entries]) == (0, [1])


async def test_versions_never_restart(engine: Engine) -> None:
    await engine.post(post("a"), NOW)
    page = await engine.read_inbox(ANN, 1, 30, NOW)
    assert (page.ver_clear, list(page.entries)) == (1, [])
    await engine.sweep(NOW + 10**6)
    assert await engine.post(post("b"), NOW) == 2


async def test_an_entry_is_gone_when_its_time_is_over(engine: Engine) -> None:
    await engine.post(post("long", ttl=100), NOW)
    await engine.post(post("short", ttl=10), NOW)
    await engine.post(post("long too", ttl=100), NOW)
    page = await engine.read_inbox(ANN, 0, 30, NOW + 9.9)
    assert [lines.decode(entry.line).content for entry in page.entries] == [
        "long",
        "short",
        "long too",
    ]
    page = await engine.read_inbox(ANN, 0, 30, NOW + 10)
    assert [lines.decode(entry.line).content for entry in page.entries] == ["long", "long too"]
    page = await engine.read_inbox(ANN, 0, 30, NOW + 100)
    assert (page.ver_clear, list(page.entries)) == (3, [])


async def test_a_full_inbox_takes_nothing_until_there_is_room(
    engine: Engine, delivered: Delivered
) -> None:
    await engine.post(post("soon over", ttl=10), NOW)
    for _ in range(MAX_INBOX - 1):
        await engine.post(post("x"), NOW)
    delivered.take()
    assert await engine.post(post("too much"), NOW) is None
    assert delivered.take() == []
    assert await engine.post(post("fits now"), NOW + 10) == MAX_INBOX + 1
    assert await engine.post(post("too much"), NOW + 10) is None


async def test_sweeping_keeps_what_is_still_good(engine: Engine) -> None:
    await engine.post(post("short", ttl=10), NOW)
    await engine.post(post("long", ttl=100), NOW)
    await engine.post(post("short", BOB, ttl=10), NOW)
    for _ in range(3):
        await engine.sweep(NOW + 50)
    page = await engine.read_inbox(ANN, 0, 30, NOW + 50)
    assert [lines.decode(entry.line).content for entry in page.entries] == ["long"]
    assert not (await engine.read_inbox(BOB, 0, 30, NOW)).entries
    await engine.post(post("again", BOB), NOW)
    await engine.sweep(NOW + 50)
    assert len((await engine.read_inbox(BOB, 0, 30, NOW)).entries) == 1


# --- channels ---


async def test_a_join_tells_the_others_and_lists_who_is_there(
    engine: Engine, delivered: Delivered
) -> None:
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    roster = await join(engine, ann)
    assert roster is not None
    assert (roster.num, roster.total, list(roster.newest)) == (1, 1, [("ann", ann.uid)])
    roster = await join(engine, bob, BOB)
    assert roster is not None
    assert list(roster.newest) == [("ann", ann.uid), ("bob", bob.uid)]
    assert [entry[:3] for entry in delivered.take()] == [("event", ROOM, 1), ("event", ROOM, 2)]
    presence = await engine.presence(ANN)
    assert presence is not None
    assert presence.channel == "room"
    assert await engine.is_member(ROOM, "ann")
    assert not await engine.is_member(ROOM, "eve")


async def test_joining_again_changes_nothing(engine: Engine, delivered: Delivered) -> None:
    ann = await log_in(engine)
    await join(engine, ann)
    delivered.take()
    roster = await join(engine, ann)
    assert roster is not None
    assert (roster.num, roster.total) == (1, 1)
    assert delivered.take() == []


async def test_an_older_generation_joins_nothing(engine: Engine, delivered: Delivered) -> None:
    first = await log_in(engine)
    await log_in(engine)
    delivered.take()
    assert await join(engine, first) is None
    assert await join(engine, first, AccountKey("app", "nobody")) is None
    assert delivered.take() == []
    assert not await engine.is_member(ROOM, "ann")


async def test_a_roster_names_the_newest_and_counts_all(engine: Engine) -> None:
    for number in range(10):
        key = AccountKey("app", f"u{number}")
        await join(engine, await log_in(engine, key), key)
    roster = await engine.roster(ROOM, 3)
    assert (roster.num, roster.total) == (10, 10)
    assert [account for account, _ in roster.newest] == ["u7", "u8", "u9"]
    assert roster.msgid == 10
    assert list((await engine.roster(ROOM, 0)).newest) == []
    assert await engine.roster(ChannelKey("app", "nowhere"), 3) == Roster()


async def test_leaving_tells_the_channel_and_says_when_it_became_empty(
    engine: Engine, delivered: Delivered
) -> None:
    ann, bob = await log_in(engine), await log_in(engine, BOB)
    await join(engine, ann)
    await join(engine, bob, BOB)
    delivered.take()
    left = await engine.leave(ROOM, "ann", ann.generation, leaving("ann"), now=NOW)
    assert left is not None
    assert (left.num, left.idle_since) == (1, None)
    left = await engine.leave(ROOM, "bob", bob.generation, None, now=NOW + 1)
    assert left is not None
    assert (left.num, left.idle_since) == (0, NOW + 1)
    assert delivered.take() == [("event", ROOM, 3, leaving("ann"))]
    assert await engine.leave(ROOM, "ann", ann.generation, leaving("ann"), now=NOW) is None
    presence = await engine.presence(ANN)
    assert presence is not None
    assert presence.channel is None
    # Those who were there count.
    assert (await engine.roster(ROOM, 0)).total == 2


async def test_an_older_generation_ends_no_membership(engine: Engine, delivered: Delivered) -> None:
    """What a session that was taken over still had under way is not its successor's."""
    ann = await log_in(engine)
    await join(engine, ann)
    successor = await log_in(engine)
    delivered.take()
    assert await engine.leave(ROOM, "ann", ann.generation, leaving("ann"), now=NOW) is None
    assert delivered.take() == []
    assert await engine.is_member(ROOM, "ann")
    assert successor.channel == "room"


async def test_message_ids_rise_by_one_in_each_channel(
    engine: Engine, delivered: Delivered
) -> None:
    await join(engine, await log_in(engine))
    other = ChannelKey("app", "other")
    await engine.set_channel_attr(other, "a", "b", message("set"), now=NOW)
    for text in "xy":
        assert await engine.publish(ROOM, messages(text), now=NOW)
        assert await engine.publish(other, messages(text), now=NOW)
    events = delivered.take()
    assert [msgid for _, key, msgid, _ in events if key == ROOM] == [1, 2, 3]
    assert [msgid for _, key, msgid, _ in events if key == other] == [1, 2, 3]


async def test_events_that_belong_together_are_delivered_together(
    engine: Engine, delivered: Delivered
) -> None:
    await join(engine, await log_in(engine))
    delivered.take()
    assert await engine.publish(ROOM, messages("one", "two"), now=NOW)
    assert delivered.take() == [
        ("event", ROOM, 2, message("one")),
        ("event", ROOM, 3, message("two")),
    ]


async def history(engine: Engine, after: int, now: float = NOW) -> list[Event] | None:
    events = await engine.history(ROOM, after, now)
    return None if events is None else list(events)


async def test_a_channel_keeps_its_latest_events(engine: Engine) -> None:
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), now=NOW)
    assert await engine.publish(ROOM, messages("2", "3"), now=NOW)
    first, second, third = (
        Event(number, message(f"{number}"), int(NOW * 1000)) for number in (1, 2, 3)
    )
    assert await history(engine, 0) == [first, second, third]
    assert await history(engine, 2) == [third]
    assert await history(engine, 3) == []
    # The oldest of five is not held any more.
    assert await engine.publish(ROOM, messages("4", "5"), now=NOW)
    assert await history(engine, 0) is None
    assert [event.msgid for event in await history(engine, 1) or ()] == [2, 3, 4, 5]
    assert await history(engine, 5) == []


async def test_what_a_channel_never_had_is_not_its_history(engine: Engine) -> None:
    """A msgid from before a server's end, or another server's."""
    assert await history(engine, 0) is None
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), now=NOW)
    assert await history(engine, 2) is None


async def test_a_channels_events_are_forgotten_in_time(engine: Engine) -> None:
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), now=NOW)
    assert await history(engine, 0, NOW + 59.9) != []
    assert await history(engine, 0, NOW + 60) is None
    assert await history(engine, 1, NOW + 60) == []


async def test_the_sweep_forgets_events_that_nobody_asks_for(engine: Engine) -> None:
    await engine.set_channel_attr(ROOM, "a", "b", message("1"), now=NOW)
    await engine.sweep(NOW + 59)
    assert await history(engine, 0) != []
    await engine.sweep(NOW + 60)
    assert await history(engine, 0) is None
    # And goes on with those of later.
    await engine.publish(ROOM, messages("2"), now=NOW)
    assert [event.msgid for event in await history(engine, 1) or ()] == [2]
    await engine.sweep(NOW + 61)
    assert await history(engine, 1) is None


async def test_nothing_is_published_where_there_is_no_channel(
    engine: Engine, delivered: Delivered
) -> None:
    assert not await engine.publish(ROOM, messages("x"), now=NOW)
    assert delivered.take() == []


async def test_attributes_are_set_deleted_and_cleared_each_with_its_event(
    engine: Engine, delivered: Delivered
) -> None:
    assert dict(await engine.channel_attrs(ROOM)) == {}
    # Setting makes the channel, which is empty.
    assert await engine.set_channel_attr(ROOM, "a", "1", message("set a"), now=NOW) == NOW
    await join(engine, await log_in(engine))
    delivered.take()
    assert await engine.set_channel_attr(ROOM, "b", [2], message("set b"), now=NOW) is None
    assert dict(await engine.channel_attrs(ROOM)) == {"a": "1", "b": [2]}
    assert await engine.del_channel_attr(ROOM, "a", message("del a"), now=NOW)
    assert not await engine.del_channel_attr(ROOM, "a", message("del a again"), now=NOW)
    assert await engine.clear_channel_attrs(ROOM, message("clear"), now=NOW)
    assert dict(await engine.channel_attrs(ROOM)) == {}
    assert [content.msg for *_, content in delivered.take()] == ["set b", "del a", "clear"]
    nowhere = ChannelKey("app", "nowhere")
    assert not await engine.del_channel_attr(nowhere, "a", message("x"), now=NOW)
    assert not await engine.clear_channel_attrs(nowhere, message("x"), now=NOW)
    assert delivered.take() == []


async def test_a_channel_is_destroyed_only_if_it_was_empty_all_the_time(engine: Engine) -> None:
    ann = await log_in(engine)
    await join(engine, ann)
    await engine.set_channel_attr(ROOM, "a", "1", message("x"), now=NOW)
    assert not await engine.destroy_channel(ROOM, NOW)
    await engine.leave(ROOM, "ann", ann.generation, None, now=NOW + 1)
    await join(engine, ann)
    await engine.leave(ROOM, "ann", ann.generation, None, now=NOW + 2)
    assert not await engine.destroy_channel(ROOM, NOW + 1)
    assert dict(await engine.channel_attrs(ROOM)) == {"a": "1"}
    assert await engine.destroy_channel(ROOM, NOW + 2)
    assert not await engine.destroy_channel(ROOM, NOW + 2)
    assert dict(await engine.channel_attrs(ROOM)) == {}
    assert await engine.roster(ROOM, 10) == Roster()


# --- calls ---


async def test_a_call_is_made_changed_and_ended_with_its_posts(
    engine: Engine, delivered: Delivered
) -> None:
    assert await engine.call(CALL_KEY) is None
    assert await engine.swap_call(CALL_KEY, None, CALL, [post("invite")], NOW)
    assert await engine.call(CALL_KEY) == CALL
    assert list(await engine.calls_of(ANN)) == [CALL_KEY]
    assert list(await engine.calls_of(BOB)) == [CALL_KEY]
    ringing = attrs.evolve(CALL, state="ringing", revision=1)
    assert await engine.swap_call(CALL_KEY, CALL, ringing, [post("ack", BOB)], NOW)
    assert await engine.swap_call(CALL_KEY, ringing, None, [post("bye"), post("bye", BOB)], NOW)
    assert await engine.call(CALL_KEY) is None
    assert not await engine.calls_of(ANN)
    assert not await engine.calls_of(BOB)
    await written(engine)
    assert delivered.take() == [
        ("entry", ANN, 1, "invite"),
        ("entry", BOB, 1, "ack"),
        ("entry", ANN, 2, "bye"),
        ("entry", BOB, 2, "bye"),
    ]


async def test_a_call_that_is_another_by_now_is_left_alone(
    engine: Engine, delivered: Delivered
) -> None:
    ringing = attrs.evolve(CALL, state="ringing", revision=1)
    assert not await engine.swap_call(CALL_KEY, CALL, ringing, [post("x")], NOW)
    assert await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    assert not await engine.swap_call(CALL_KEY, None, CALL, [post("x")], NOW)
    assert await engine.swap_call(CALL_KEY, CALL, ringing, [], NOW)
    assert not await engine.swap_call(CALL_KEY, CALL, None, [post("x")], NOW)
    assert await engine.call(CALL_KEY) == ringing
    assert delivered.take() == []


async def test_a_call_ends_even_where_an_inbox_is_full(engine: Engine) -> None:
    assert await engine.swap_call(CALL_KEY, None, CALL, [], NOW)
    for _ in range(MAX_INBOX):
        await engine.post(post("x"), NOW)
    assert await engine.swap_call(CALL_KEY, CALL, None, [post("bye"), post("bye", BOB)], NOW)
    assert await engine.call(CALL_KEY) is None
    assert len((await engine.read_inbox(BOB, 0, 30, NOW)).entries) == 1


async def test_an_account_that_never_was_online_may_be_called(engine: Engine) -> None:
    nobody = AccountKey("app", "nobody")
    assert not await engine.calls_of(nobody)
    key = CallKey("app", "room", "bob", "nobody")
    assert await engine.swap_call(key, None, CALL, [post("invite", nobody)], NOW)
    assert list(await engine.calls_of(nobody)) == [key]


async def test_an_engine_that_is_attached_to_nothing_says_so() -> None:
    with pytest.raises(RuntimeError, match="not attached"):
        await EmbeddedEngine().post(post("x"), NOW)
