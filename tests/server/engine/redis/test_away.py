"""The engine on Redis when Redis is away, and what it has missed when it is back. These tests go by
the real clock: they wait for another process.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
from msgspec.structs import replace

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    Presence,
    UnknownError,
)
from signal_sdk.server.engine.happened import Follow
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import engine as engine_module
from signal_sdk.server.engine.redis.holding import COMPARED_EVERY
from signal_sdk.server.engine.redis.servers import slot_of
from tests.redis.clusters import RedisCluster
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import (
    ANN,
    BOB,
    EVE,
    ROOM,
    WAIT_SECONDS,
    Node,
    nodes,
    post,
    until,
)


async def test_what_was_missed_while_a_connection_was_lost_is_filled_in(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        ann, bob = await here.log_in(ANN), await there.log_in(BOB)
        await here.join(ANN, ann)
        await waited(here.engine.subscribe(ROOM))
        await there.say(BOB, bob, "2", 1)
        await until(lambda: ("event", 2) in here.heard.all)
        here.lose()
        for number in range(3, 6):
            await there.say(BOB, bob, f"{number}", number)
        assert not here.is_up
        await until(lambda: here.is_up)
        await there.say(BOB, bob, "6", 6)
        await until(lambda: ("event", 6) in here.heard.all)
        assert here.heard.all == [("event", msgid) for msgid in range(2, 7)]


async def test_what_sessions_were_told_meanwhile_they_hear(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        ann, bob = await here.log_in(ANN), await here.log_in(BOB)
        here.lose()
        eve = await there.log_in(AccountKey("app", "eve"))
        await there.log_in(BOB, keeps=True)
        asked = Asked(AccountKey("app", "eve"), eve.generation)
        for text in "xy":
            await waited(there.engine.post(asked, post(ANN, text)))
        await until(lambda: len(here.heard.all) >= 2)
        assert sorted(here.heard.all) == [("entry", "ann", 2), ("loss", "bob", bob.generation)]
        assert ann.generation == 1


async def test_who_was_taken_out_of_a_channel_meanwhile_hears_so(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        ann, bob = await here.log_in(ANN), await here.log_in(BOB)
        await here.join(ANN, ann)
        await here.join(BOB, bob)
        here.lose()
        assert await waited(there.engine.remove(ANN, "room"))
        # Joins and the leave were three; it may be told of the last, or of the one behind it.
        expected = [("removal", "ann", ann.generation, "room", msgid) for msgid in (3, 4)]
        await until(lambda: any(it in here.heard.all for it in expected))
        await trio.sleep(0.1)
        assert {it[:4] for it in here.heard.all} == {expected[0][:4]}
        # Who has joined again has nothing to hear.
        await here.join(ANN, ann)
        here.heard.all.clear()
        here.lose()
        await until(lambda: not here.is_up)
        await until(lambda: here.is_up)
        await waited(here.engine.presence(ANN))
        await trio.sleep(0.1)
        assert here.heard.all == []


async def test_what_happens_is_followed_again_on_another_connection(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    """Of what has happened meanwhile nothing is heard, and what is kept for hooks is there."""
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        for node in (here, there):
            node.engine.keep_happenings(("login",), 100)
        await waited(here.engine.follow("app", Follow(frozenset({"login"}))))
        await there.log_in(ANN)
        await until(lambda: here.heard.all == [("login", "ann")])
        assert there.heard.all == [("kept",)]
        here.lose()
        await there.log_in(BOB)
        await until(lambda: not here.is_up)
        await until(lambda: here.is_up)
        await waited(here.engine.presence(ANN))
        await there.log_in(EVE)
        await until(lambda: here.heard.all[-1] == ("login", EVE.account))
        assert len(here.heard.all) == 2
        kept = await waited(here.engine.take_happenings("app", 10, seconds=5))
        assert [it.accounts for it in kept or ()] == [("ann",), ("bob",), (EVE.account,)]


async def test_a_node_that_was_taken_for_dead_meanwhile_is_fenced_and_nobody_kicked(
    shared_redis: RedisServer, redis_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings: Any = {"prefix": f"{redis_prefix}:", "life_seconds": 0.3}
    async with nodes(2, shared_redis.unix_url, **settings) as (here, there):
        await here.log_in(ANN)
        await there.log_in(BOB)
        here.lose()
        # Who is silent is judged while others are heard.
        with trio.fail_after(60):
            while await lease_of(there, ANN) is None:
                await trio.sleep(0.05)
                await waited(there.engine.sweep())
        here.lose()
        await until(lambda: bool(here.heard.all))
        await trio.sleep(0.1)
        assert here.heard.all == [("fencing",)]
        caplog.clear()


async def lease_of(node: Node, key: AccountKey) -> float | None:
    presence = await waited(node.engine.presence(key))
    assert presence is not None
    return presence.lease_ends


async def test_a_connection_s_end_that_could_not_be_told_is_told_afterwards(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    """Else the account would be online for as long as its node lives."""
    async with nodes(2, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (here, there):
        ann, bob, eve = [await here.log_in(it) for it in (ANN, BOB, EVE)]
        here.lose()
        await until(lambda: not here.is_up)
        await waited(here.engine.disconnect(ANN, ann.generation))
        with pytest.raises(SignalError, match="is away"):
            await waited(here.engine.end(BOB, bob.generation))
        await until(lambda: here.is_up)
        await waited(here.engine.presence(EVE))
        for key, has_lease in ((ANN, True), (BOB, True), (EVE, False)):
            assert (await lease_of(there, key) is not None) is has_lease
        assert eve == await waited(there.engine.presence(EVE))
        assert here.heard.all == []


async def test_a_session_that_is_not_here_has_lost_its_connection_in_the_end(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    """The end was refused, without a connection having been lost."""
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann = await node.log_in(ANN)
        await node.log_in(BOB)
        node.engine.forget(ANN, ann.generation)
        assert await lease_of(node, ANN) is None
        for _ in range(COMPARED_EVERY + 2):
            await waited(node.engine.sweep())
        assert await lease_of(node, ANN) is not None
        assert await lease_of(node, BOB) is None


async def test_what_was_under_way_when_the_connection_was_lost_may_be_done(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as (node,):
        ann = await node.log_in(ANN)
        asked = node.engine.leave(Asked(ANN, ann.generation), "room")
        node.lose()
        with pytest.raises(UnknownError) as caught:
            await waited(asked)
        assert caught.value.ecode is ECode.GENERAL_E_FAILED
        # What could not be asked was not done.
        with pytest.raises(SignalError) as told:
            await waited(node.engine.leave(Asked(ANN, ann.generation), "room"))
        assert not isinstance(told.value, UnknownError)


async def test_while_redis_is_away_all_is_refused_and_it_comes_back_by_itself() -> None:
    with RedisServer(appends=True) as redis:
        async with nodes(1, redis.unix_url) as (node,):
            ann = await node.log_in(ANN)
            await node.join(ANN, ann)
            assert await node.say(ANN, ann, "x", 1) is None
            node.engine.check_writable()
            redis.kill()
            await until(lambda: not node.is_up)
            for attempt in (
                node.say(ANN, ann, "y", 2),
                waited(node.engine.presence(ANN)),
                waited(node.engine.read_inbox(ANN, 0, 1)),
            ):
                with pytest.raises(SignalError, match="is away") as caught:
                    await attempt
                assert caught.value.ecode is ECode.GENERAL_E_FAILED
            with pytest.raises(SignalError, match="is away"):
                node.engine.check_writable()
            await waited(node.engine.sweep())
            redis.start()
            await until(lambda: node.is_up)
            node.engine.check_writable()
            # What was acknowledged is there, and is not done again.
            known = await node.say(ANN, ann, "x", 1)
            assert known is not None
            assert (await waited(node.engine.presence(ANN))) == attrs_of(ann, channels=("room",))


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_a_node_stops_in_time_while_redis_is_away(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(engine_module, "FAREWELL_SECONDS", 0.2)
    with RedisServer() as redis:
        async with nodes(1, redis.unix_url) as (node,):
            await node.log_in(ANN)
        if how == "gone":
            redis.kill()
        else:
            redis.stand_still()
        with trio.fail_after(WAIT_SECONDS):
            await node.engine.aclose()


def attrs_of(presence: Presence, **changes: Any) -> Presence:
    return replace(presence, **changes)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"config": ["maxmemory 1gb", "maxmemory-policy allkeys-lru"]}, "throws away what it has"),
        ({"password": "secret"}, "wants a password"),
        ({"users": ["ann on >right ~* &* +@all -function|load"]}, "FUNCTION LOAD"),
    ],
)
async def test_a_redis_that_cannot_be_used_is_refused_in_one_line(
    config: dict[str, Any], why: str
) -> None:
    with RedisServer(**config) as redis:
        login = "ann:right@" if "users" in config else ""
        with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match=why), flatten_subgroups=True):
            async with nodes(1, f"redis://{login}127.0.0.1:{redis.port}"):
                pass


async def test_a_wrong_password_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(password="right") as redis:
        with pytest.RaisesGroup(
            pytest.RaisesExc(StorageError, match="refuses this user and password"),
            flatten_subgroups=True,
        ) as caught:
            async with nodes(1, f"redis://:hunter2@127.0.0.1:{redis.port}"):
                pass
        assert "hunter2" not in repr(caught.value.exceptions) + caplog.text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("SET", "99"), "has data of version 99 under"),
        (("SET", "theirs"), "has data of something else under"),
        (
            ("LPUSH", "theirs"),
            "refuses GET .*:schema: what is there is another program's: use another prefix",
        ),
    ],
)
async def test_data_of_another_form_or_program_is_refused_in_one_line(
    shared_redis: RedisServer, redis_prefix: str, words: tuple[str, str], why: str
) -> None:
    command, value = words
    shared_redis.command(command, f"{redis_prefix}:schema", value)
    with pytest.RaisesGroup(
        pytest.RaisesExc(
            StorageError, match=f"^Redis at .*{why}", check=lambda exc: "\n" not in str(exc)
        ),
        flatten_subgroups=True,
    ):
        async with nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:"):
            pass


@pytest.mark.xdist_group("redis-cluster")
async def test_a_slot_that_moves_is_waited_for_and_nothing_is_done_by_halves(
    shared_cluster: RedisCluster, redis_prefix: str
) -> None:
    url = shared_cluster.urls[0].replace("redis:", "redis+cluster:")
    async with nodes(1, url, prefix=f"{redis_prefix}:") as (node,):
        ann = await node.log_in(ANN)
        await node.join(ANN, ann)
        await waited(node.engine.subscribe(ROOM))
        slot = slot_of("app")
        target = shared_cluster.others(shared_cluster.owner(slot))[0]
        answers: list[Any] = []

        async def talk() -> None:
            for number in range(20):
                # One after the other: the test looks at how many there are.
                answers.append(await node.say(ANN, ann, f"{number}", number + 1))  # noqa: PERF401

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            await until(lambda: len(answers) > 2)
            await trio.to_thread.run_sync(shared_cluster.move, range(slot, slot + 1), target)
        assert answers == [None] * 20
        await until(lambda: ("event", 21) in node.heard.all)
        assert node.heard.all == [("event", msgid) for msgid in range(2, 22)]
