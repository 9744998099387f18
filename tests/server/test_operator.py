"""The rules of what an operator may ask for: names and limits, pages, tokens, connections, and that
nothing is said to be done before it is durable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, SignalError
from signal_sdk.server.config import AppConfig, Config, ServerConfig
from signal_sdk.server.engine.base import Part, Post
from signal_sdk.server.operator.base import MOST_PARTS
from signal_sdk.server.operator.facts import MAX_PAGE, NotThereError, Page
from signal_sdk.server.operator.operator import Operator
from signal_sdk.server.operator.telling import TOLD_PER_TURN
from signal_sdk.server.refusals import LimitError
from signal_sdk.server.tokens import check_token
from signal_sdk.testing.native_peer import native_peer
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from signal_sdk.wire import built_in, names
from signal_sdk.wire.rights import Rights
from tests.server.helpers import CERTIFICATE, LogIn, connect, dev_config, polled, settle
from tests.wire_client import wire_client

JWT_APP = AppConfig(
    id="jwt", certificate="0123456789abcdef0123456789abcdef", allow_old_tokens=False
)


@pytest.fixture
def config() -> Config:
    apps = (AppConfig(id="guarded", certificate=CERTIFICATE), JWT_APP)
    return attrs.evolve(dev_config(inbox_messages=3), apps=apps)


@pytest.fixture
def operator(server: LocalServer) -> Operator:
    return server.node.operator


async def all_pages(ask: Callable[..., Awaitable[Page[Any]]], *args: Any, limit: int) -> list[Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        page = await ask(*args, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        items += page.items
        cursor = page.cursor
        if not cursor:
            return items


class Passes(trio.abc.Instrument):
    """Counts how often all that can go on has done so."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_of_what_takes_long_one_piece_is_done_at_a_time(
    server: LocalServer,
    operator: Operator,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many operators ask at once, clients wait for a piece of it and not for all."""
    passes, done = Passes(), Counter[int]()

    def online_in(app: str, cursor: str, limit: int) -> Part[Any]:
        done[passes.count] += TOLD_PER_TURN
        return Part([], "more")

    def tell(post: Post) -> None:
        done[passes.count] += 1

    monkeypatch.setattr(server.node.engine, "online_in", online_in)
    monkeypatch.setattr(server.node.engine, "tell", tell)
    accounts = [f"a{number}" for number in range(3 * TOLD_PER_TURN)]
    trio.lowlevel.add_instrument(passes)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(operator.online, "app")
            nursery.start_soon(operator.send_to_many, "app", accounts, "x")
    trio.lowlevel.remove_instrument(passes)
    assert sum(done.values()) == 10 * (MOST_PARTS + 3) * TOLD_PER_TURN
    assert max(done.values()) == TOLD_PER_TURN


# --- which app ---


async def test_an_app_that_is_not_configured_is_not_there(autojump_clock: MockClock) -> None:
    config = Config(apps=(AppConfig(id="one", certificate=CERTIFICATE),))
    config = attrs.evolve(config, server=ServerConfig(dev=False))
    async with local_server(config, listens=False) as server:
        operator = server.node.operator
        assert not (await operator.presence("one", "ann")).online
        questions: list[Awaitable[Any]] = [
            operator.presence("two", "ann"),
            operator.send("two", "ann", "x"),
            operator.online("two"),
            operator.connections("two"),
            operator.make_token("two", "ann"),
            operator.set_channel_attribute("two", "room", "a", "b"),
        ]
        for question in questions:
            with pytest.raises(NotThereError, match="there is no app 'two'"):
                await question
        server.node.reload(attrs.evolve(config, apps=(AppConfig(id="two"),)))
        assert not (await operator.presence("two", "ann")).online
        with pytest.raises(NotThereError, match="there is no app 'one'"):
            await operator.presence("one", "ann")


async def test_in_dev_mode_any_app_is_there(operator: Operator) -> None:
    assert not (await operator.presence("any", "ann")).online
    with pytest.raises(ParameterError, match="colon"):
        await operator.presence("a:b", "ann")


# --- names and limits ---


@pytest.mark.parametrize(
    ("ask", "ecode"),
    [
        (lambda it: it.send("app", "", "x"), 1004),
        (lambda it: it.send("app", "a b", "x"), 1004),
        (lambda it: it.send("app", "a" * 129, "x"), 1005),
        (lambda it: it.send("app", "ann", "x" * 8193), 1005),
        (lambda it: it.send("app", "ann", object()), 1004),
        (lambda it: it.send("app", "ann", "x", sender="_agora_user_online"), 1004),
        (lambda it: it.send("app", "ann", "x", sender=""), 1004),
        (lambda it: it.send("app", "ann", "x", message_id="a b"), 1004),
        (lambda it: it.send("app", "ann", "x", ttl=-1), 1004),
        (lambda it: it.send("app", "ann", "x", ttl=1.5), 1004),
        (lambda it: it.send_to_many("app", [], "x"), 1004),
        (lambda it: it.send_to_many("app", ["a"] * 1001, "x"), 1004),
        (lambda it: it.send_to_many("app", ["a"], "x" * 8193), 1005),
        (lambda it: it.send_to_channel("app", "", "x"), 1004),
        (lambda it: it.send_to_channel("app", "room", "x" * 8193), 1005),
        (lambda it: it.kick("app", "\ud800"), 1004),
        (lambda it: it.remove("app", "ann", "_Agora_user_online"), 1004),
        (lambda it: it.end_call("app", "room", "ann", ""), 1004),
        (lambda it: it.end_call("app", "room", "ann", "bob", call_id="a b"), 1004),
        (lambda it: it.set_user_attribute("app", "ann", "", "x"), 1004),
        (lambda it: it.set_user_attribute("app", "ann", "a", "x" * 1025), 1005),
        (lambda it: it.set_channel_attribute("app", "room", "a", "x" * 8097), 1005),
        (lambda it: it.set_channel_attribute("app", "room", "_member_num", "1"), 1004),
        (lambda it: it.set_channel_attribute("app", "room", "_channel_ttl", "soon"), 1004),
        (lambda it: it.online("app", limit=0), 1004),
        (lambda it: it.members("app", "room", limit=1001), 1004),
        (lambda it: it.waiting("app", "ann", cursor="x"), 1004),
        (lambda it: it.connections("app", cursor="nan"), 1004),
        (lambda it: it.connections("app", cursor="x"), 1004),
        (lambda it: it.make_token("app", "ann", seconds=0), 1004),
        (lambda it: it.make_token("guarded", "a b"), 1004),
    ],
)
async def test_what_is_wrong_is_refused_and_does_nothing(
    server: LocalServer, operator: Operator, ask: Callable[[Operator], Awaitable[Any]], ecode: int
) -> None:
    before = server.node.statistics()
    with pytest.raises(ParameterError) as caught:
        await ask(operator)
    assert caught.value.ecode == ecode
    assert "x" * 100 not in str(caught.value)
    assert server.node.statistics() == before


async def test_what_is_not_there_is_told_so(operator: Operator) -> None:
    questions = {
        "'ann' is not online": operator.kick("app", "ann"),
        "'ann' is not in the channel 'room'": operator.remove("app", "ann", "room"),
        "there is no such call between 'ann' and 'bob'": operator.end_call(
            "app", "room", "bob", "ann"
        ),
        "no such call": operator.call("app", "room", "bob", "ann"),
        "there is no channel 'room'": operator.channel("app", "room"),
        "no channel 'room'": operator.send_to_channel("app", "room", "x"),
        "'ann' has no attribute 'a'": operator.delete_user_attribute("app", "ann", "a"),
        "'room' has no attribute 'a'": operator.delete_channel_attribute("app", "room", "a"),
        "'ann' has no connection to this node": operator.connection("app", "ann"),
    }
    for reason, question in questions.items():
        with pytest.raises(NotThereError, match=reason):
            await question


async def test_nobody_sends_to_a_special_channel_or_sets_its_attributes(
    operator: Operator,
) -> None:
    special = names.USER_ONLINE_CHANNEL
    with pytest.raises(SignalError, match="nobody sends to the special channel"):
        await operator.send_to_channel("app", special, "x")
    for question in (
        operator.set_channel_attribute("app", special, "a", "b"),
        operator.delete_channel_attribute("app", special, "a"),
    ):
        with pytest.raises(SignalError, match="has no attributes"):
            await question


# --- sending ---


async def test_a_message_waits_as_long_as_it_is_to(operator: Operator, log_in: LogIn) -> None:
    await operator.send("app", "ann", "short", ttl=5)
    await operator.send("app", "ann", "long", ttl=10**11)
    await operator.send("app", "ann", "gone", ttl=0)
    waiting = (await operator.waiting("app", "ann")).items
    assert [it.expires - it.time for it in waiting] == [5, names.MAX_TTL_SECONDS]
    assert {(it.sender, it.kind) for it in waiting} == {("_agora_system", "instant")}
    assert (await operator.inbox("app", "ann")).bytes >= sum(it.bytes for it in waiting)
    await trio.sleep(6)
    ann = await log_in("ann")
    assert await polled(ann) == [("instant", "long")]


async def test_of_many_each_has_an_outcome_of_its_own(operator: Operator, log_in: LogIn) -> None:
    await log_in("ann")
    for _ in range(3):
        await operator.send("app", "full", "x")
    accounts = ["ann", "full", "a b", "away", "ann"]
    outcomes = await operator.send_to_many("app", accounts, "hello", message_id="1")
    assert [it.account for it in outcomes] == accounts
    ok, full, wrong, *rest = [it.refusal for it in outcomes]
    assert [ok, *rest] == [None, None, None]
    assert isinstance(full, LimitError)
    assert full.limit == "inbox_messages"
    assert isinstance(wrong, ParameterError)
    assert (await operator.inbox("app", "away")).entries == 1


async def test_a_thousand_are_told_in_turns(operator: Operator) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        outcomes = await operator.send_to_many("app", [f"u{n}" for n in range(MAX_PAGE)], "x")
        nursery.cancel_scope.cancel()
    assert all(it.refusal is None for it in outcomes)
    assert turns >= 15


# --- looking ---


async def test_a_presence_is_told_as_it_is(operator: Operator, log_in: LogIn) -> None:
    await trio.sleep(100)
    ann = await log_in("ann", device="javasdk", ver=7)
    await ann.call("channel_join", name="room")
    await trio.sleep(50)
    presence = await operator.presence("app", "ann")
    assert presence.online
    assert (presence.uid, presence.device, presence.ver) == (ann.uid, "javasdk", 7)
    assert (presence.channel, presence.lease_ends) == ("room", None)
    assert presence.since == pytest.approx(EPOCH + 100, abs=1)
    await ann.link.aclose()
    await settle()
    presence = await operator.presence("app", "ann")
    assert presence.since is None
    assert presence.lease_ends == pytest.approx(EPOCH + 150 + 120, abs=2)
    [online] = (await operator.online("app")).items
    assert (online.account, online.channel, online.is_connected) == ("ann", "room", False)
    await trio.sleep(130)
    assert await operator.presence("app", "ann") == attrs.evolve(
        presence, online=False, uid=0, device="", ver=0, channel=None, channels=(), lease_ends=None
    )


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_lists_are_handed_out_in_pages(operator: Operator, log_in: LogIn, limit: int) -> None:
    accounts = {f"user{number}" for number in range(7)}
    for account in sorted(accounts):
        user = await log_in(account)
        await user.call("channel_join", name="room")
        await user.call("voip_invite", channelName=account, peer="user", extra="")
        await operator.set_channel_attribute("app", account, "a", "b")
    online = await all_pages(operator.online, "app", limit=limit)
    assert {it.account for it in online} == accounts
    members = await all_pages(operator.members, "app", "room", limit=limit)
    assert {it.account for it in members} == accounts
    calls = await all_pages(operator.calls, "app", limit=limit)
    assert {(it.caller, it.channel) for it in calls} == {(it, it) for it in accounts}
    channels = await all_pages(operator.channels, "app", limit=limit)
    assert {it.channel for it in channels} == accounts | {"room"}
    connections = await all_pages(operator.connections, "app", limit=limit)
    assert [it.account for it in connections] == sorted(accounts)
    waiting = await all_pages(operator.waiting, "app", "user", limit=limit)
    assert [it.sender for it in waiting] == sorted(accounts)[:4]
    room = await operator.channel("app", "room")
    assert (room.members, room.joins, room.idle_since) == (7, 7, None)
    assert (await operator.call("app", "user3", "user", "user3")).state == "inviting"
    assert [it.channel for it in await operator.calls_of("app", "user3")] == ["user3"]


async def test_attributes_are_set_read_and_deleted(operator: Operator, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await ann.call("channel_join", name="room")
    await operator.set_user_attribute("app", "ann", "mood", {"a": 1})
    await operator.set_user_attribute("app", "ann", built_in.CONN_TIMEOUT, 5)
    await operator.set_channel_attribute("app", "room", "topic", "x")
    assert await operator.user_attributes("app", "ann") == {
        "mood": {"a": 1},
        built_in.CONN_TIMEOUT: "20",
    }
    assert await operator.channel_attributes("app", "room") == {"topic": "x"}
    await operator.delete_user_attribute("app", "ann", "mood")
    await operator.delete_channel_attribute("app", "room", "topic")
    assert await operator.user_attributes("app", "ann") == {built_in.CONN_TIMEOUT: "20"}
    assert await operator.channel_attributes("app", "room") == {}
    await settle()
    told = [(content["account"], content["uid"]) for *_, content in ann.channel_events()]
    assert told == [("_agora_system", 0)] * 2


# --- connections ---


async def test_connections_are_looked_at(server: LocalServer, operator: Operator) -> None:
    await trio.sleep(10)
    async with (
        native_peer(server) as native,
        wire_client(connect(server, "192.0.2.7")) as ann,
        wire_client(server.connect()),
    ):
        await native.login("bob")
        await trio.sleep(5)
        await ann.login("ann", device="javasdk", ver=3)
        await ann.call("channel_join", name="room")
        await trio.sleep(5)
        # Who is not logged in belongs to no app.
        found = (await operator.connections("app")).items
        assert [(it.account, it.wire, it.channel) for it in found] == [
            ("ann", "websocket", "room"),
            ("bob", "native", None),
        ]
        look = await operator.connection("app", "ann")
        assert look == found[0]
        assert (look.device, look.ver, look.outbox_bytes) == ("javasdk", 3, 0)
        assert look.since == pytest.approx(EPOCH + 10, abs=1)
        assert ann.line not in repr(look)
        assert (await operator.connections("other")).items == []


async def test_what_waits_to_be_sent_is_counted(server: LocalServer, operator: Operator) -> None:
    async with wire_client(server.connect()) as ann:
        await ann.login("ann")
        await operator.send("app", "ann", "x" * 1000)
        # Before the flusher's turn.
        assert (await operator.connection("app", "ann")).outbox_bytes >= 0
    await settle()
    with pytest.raises(NotThereError):
        await operator.connection("app", "ann")
    assert (await operator.connections("app")).items == []


# --- tokens ---


async def test_tokens_of_both_forms_let_their_account_in(
    server: LocalServer, operator: Operator
) -> None:
    old = await operator.make_token("guarded", "ann", seconds=60)
    new = await operator.make_token(
        "jwt", "ann", is_jwt=True, expires=int(EPOCH) + 90, rights=Rights(channels=("room",))
    )
    assert (old.expires, new.expires) == (int(EPOCH) + 60, int(EPOCH) + 90)
    assert ":" in old.text
    assert ":" not in new.text
    for made in (old, new):
        assert made.text not in repr(made)
    for app, made in (("guarded", old), ("jwt", new)):
        async with wire_client(server.connect()) as client:
            assert (await client.login("ann", app=app, token=made.text))["err"] == ""
    found = check_token(JWT_APP, new.text, "ann", EPOCH, skew=0)
    assert found.rights == Rights(channels=("room",))
    default = await operator.make_token("guarded", "ann")
    assert default.expires == int(EPOCH) + 24 * 3600


async def test_a_token_that_cannot_be_is_refused(operator: Operator) -> None:
    with pytest.raises(ParameterError, match="the app has no certificate, and needs no token"):
        await operator.make_token("app", "ann")
    with pytest.raises(ParameterError, match="takes no tokens of the original form"):
        await operator.make_token("jwt", "ann")
    for more in ({"rights": Rights(listener=True)}, {"not_before": 5}):
        with pytest.raises(ParameterError, match="only a JWT can have rights"):
            await operator.make_token("guarded", "ann", **more)


# --- durable ---


async def test_nothing_is_said_to_be_done_before_it_is_durable(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(server=ServerConfig(dev=True, data=str(tmp_path / "data")))
    async with local_server(config, listens=False) as server:
        engine, operator = server.node.engine, server.node.operator
        waiting: list[Any] = []
        monkeypatch.setattr(engine, "when_durable", waiting.append)
        done: list[str] = []

        async def do(what: Awaitable[None]) -> None:
            await what
            done.append("done")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(do, operator.set_user_attribute("app", "ann", "a", "b"))
            await settle()
            assert done == []
            waiting.pop(0)(None)
        assert done == ["done"]
        away = SignalError(ECode.GENERAL_E_FAILED, "the disk is full")
        async with trio.open_nursery() as nursery:

            async def fail() -> None:
                with pytest.raises(SignalError, match="the disk is full"):
                    await operator.send("app", "ann", "x")

            nursery.start_soon(fail)
            await settle()
            # Its own entry's delivery, and its answer.
            for then in waiting:
                then(away)
            waiting.clear()
        monkeypatch.undo()

        def refuse() -> None:
            raise away

        monkeypatch.setattr(engine, "check_writable", refuse)
        before = await operator.inbox("app", "ann")
        for question in (
            operator.send("app", "ann", "x"),
            operator.send_to_many("app", ["ann"], "x"),
            operator.kick("app", "ann"),
            operator.set_channel_attribute("app", "room", "a", "b"),
        ):
            with pytest.raises(SignalError, match="the disk is full"):
                await question
        assert await operator.inbox("app", "ann") == before
