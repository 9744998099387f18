"""No number is given twice, though Redis has lost the latest; and none is left out where it has
not. By the real clock.
"""

from __future__ import annotations

import pytest
import trio

from signal_sdk.server.engine.base import Asked
from signal_sdk.server.engine.pending import waited
from tests.redis.sentinels import RedisSentinel
from tests.redis.servers import RedisServer, wait_until
from tests.server.engine.redis.nodes import ANN, BOB, ROOM, Node, nodes, post, until


async def begin(here: Node, there: Node) -> tuple[Asked, Asked]:
    """Ann speaks there, and bob hears her here."""
    ann, bob = await there.log_in(ANN), await here.log_in(BOB)
    await there.join(ANN, ann)
    await waited(here.engine.subscribe(ROOM))
    # The app knows by then whose data it is.
    await waited(here.engine.sweep())
    return Asked(ANN, ann.generation), Asked(BOB, bob.generation)


async def begin_again(redis: RedisServer, *made: Node) -> None:
    """Redis is killed, and begins on what it has kept."""
    redis.kill()
    await until(lambda: not any(node.is_up for node in made))
    redis.start()
    await until(lambda: all(node.is_up for node in made))


async def speak(here: Node, there: Node, asked: Asked, count: int) -> list[tuple[str, int]]:
    """What was heard: the msgids and versions of so many messages, in the channel and to bob."""
    # The newest entry is told again behind a new connection, as the same that it was.
    before = set(here.heard.all)
    presence = await waited(there.engine.presence(ANN))
    assert presence is not None
    for _ in range(count):
        await there.say(ANN, presence, "x", None)  # type: ignore[arg-type]
        await waited(there.engine.post(asked, post(BOB, "x")))
    await until(lambda: len(set(here.heard.all) - before) == 2 * count)
    return [(it[0], it[-1]) for it in dict.fromkeys(here.heard.all) if it not in before]


async def test_what_was_lost_with_a_redis_s_memory_gives_no_number_to_anything_else() -> None:
    with RedisServer() as redis:
        async with nodes(2, redis.unix_url) as (here, there):
            asked, _ = await begin(here, there)
            first = await speak(here, there, asked, 3)
            redis.command("SAVE")
            lost = await speak(here, there, asked, 3)
            await begin_again(redis, here, there)
            after = await speak(here, there, asked, 3)
            given = [*first, *lost, *after]
            assert len(set(given)) == len(given)
            for kind in ("event", "entry"):
                numbers = [number for it, number in given if it == kind]
                assert numbers == sorted(numbers)
            # Nobody jumps twice.
            more = await speak(here, there, asked, 1)
            assert more == [(kind, number + 1) for kind, number in after[-2:]]


async def change(node: Node, asked: Asked, count: int) -> list[int]:
    """The revisions of so many changes of an attribute."""
    given = []
    for number in range(count):
        await waited(node.engine.set_user_attr(asked, "a", number))
        given.append(await waited(node.engine.last_revision(asked.key.app)))
    return given


async def test_what_was_lost_with_a_redis_s_memory_gives_no_revision_to_anything_else() -> None:
    with RedisServer() as redis:
        async with nodes(2, redis.unix_url) as (here, there):
            asked, _ = await begin(here, there)
            first = await change(there, asked, 3)
            redis.command("SAVE")
            lost = await change(there, asked, 3)
            await begin_again(redis, here, there)
            after = await change(there, asked, 3)
            assert [*first, *lost] == [1, 2, 3, 4, 5, 6]
            assert after[0] > lost[-1]
            # Nobody jumps twice.
            assert after == [*range(after[0], after[0] + 3)]


async def test_where_nothing_was_lost_no_number_is_left_out() -> None:
    with RedisServer(appends=True) as redis:
        async with nodes(2, redis.unix_url) as (here, there):
            asked, _ = await begin(here, there)
            first = await speak(here, there, asked, 3)
            await begin_again(redis, here, there)
            after = await speak(here, there, asked, 1)
            assert after == [(kind, number + 1) for kind, number in first[-2:]]


async def test_where_a_redis_may_not_be_asked_what_it_keeps_it_is_taken_to_have_lost_some() -> None:
    with RedisServer(appends=True, users=["node on >secret ~* &* +@all -config"]) as redis:
        url = f"redis://node:secret@127.0.0.1:{redis.port}"
        async with nodes(2, url) as (here, there):
            asked, _ = await begin(here, there)
            first = await speak(here, there, asked, 1)
            await begin_again(redis, here, there)
            after = await speak(here, there, asked, 1)
            assert [number for _, number in after] > [number + 1 for _, number in first]


@pytest.mark.timeout(60)
async def test_what_a_new_master_never_had_gives_no_number_to_anything_else() -> None:
    with RedisSentinel() as sentinel:
        before, after = sentinel.master, sentinel.replica
        async with nodes(2, sentinel.url) as (here, there):
            asked, _ = await begin(here, there)
            first = await speak(here, there, asked, 3)
            with before.connect() as connection:
                connection.command("SET", "last", "x")
                assert connection.command("WAIT", 1, 5000) == 1
            after.stand_still()
            lost = await speak(here, there, asked, 3)
            before.kill()
            after.go_on()
            await trio.to_thread.run_sync(
                wait_until, lambda: sentinel.master is after, "the Sentinel has made it no master"
            )
            await until(lambda: here.is_up and there.is_up)
            given = [*first, *lost, *await speak(here, there, asked, 3)]
            assert len(set(given)) == len(given)
