"""What there is of an app in Redis is counted as it changes. Where nodes of a release were there
that does not count, all is counted once they are gone.
"""

from __future__ import annotations

import struct

from signal_sdk.server.engine.base import Asked
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import amounts
from signal_sdk.server.engine.redis.amounts import FIRST, Amounts
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import ANN, BOB, Node, nodes, post


def has(node: Node) -> tuple[int | None, int | None, dict[str, int]]:
    measures = node.engine.measures(("app",))
    app = measures.apps["app"]
    calls = {state: count for state, count in measures.calls.items() if count}
    return app.entries, app.members, calls


async def test_what_an_earlier_release_left_is_counted_when_it_is_gone(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    prefix = f"{redis_prefix}:"
    heard, app = f"{prefix}{{app}}:heard", f"{prefix}{{app}}:app"

    def tick_of_it(now: float) -> None:
        """It leaves no word of what it counts."""
        shared_redis.command("SET", heard, struct.pack("dd", now, now))

    now = 1_000_000.0
    settings = {"prefix": prefix, "life_seconds": 10.0, "now": lambda: now}
    async with nodes(1, shared_redis.unix_url, **settings) as (node,):
        ann = await node.log_in(ANN)
        await node.join(ANN, ann)
        await waited(node.engine.post(Asked(ANN, ann.generation), post(BOB, "hello")))
        invitation = ("bob", "room", "")
        asked = Asked(ANN, ann.generation)
        await waited(
            node.engine.invite(asked, *invitation, call_id="1", timeout=100, is_online=False)
        )
        await waited(node.engine.count())
        assert has(node) == (2, 1, {"inviting": 1})
        # It has changed something, and said nothing.
        for what in ("ie", "mb", "ki"):
            shared_redis.command("HINCRBY", app, what, 7)
        tick_of_it(now)
        for _ in range(3):
            now += 4
            await waited(node.engine.count())
            if now < 1_000_000.0 + 4 * 3:
                assert has(node) == (None, None, {"": 1})
                tick_of_it(now)
        assert has(node) == (None, None, {"": 1})
        for _ in range(3):
            now += 4
            await waited(node.engine.count())
        assert has(node) == (2, 1, {"inviting": 1})


async def test_who_comes_to_what_nobody_has_counted_counts_it(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    prefix = f"{redis_prefix}:"
    async with nodes(1, shared_redis.unix_url, prefix=prefix) as (node,):
        ann = await node.log_in(ANN)
        await waited(node.engine.post(Asked(ANN, ann.generation), post(BOB, "hello")))
    shared_redis.command("HDEL", f"{prefix}{{app}}:app", "ie")
    shared_redis.command("DEL", f"{prefix}{{app}}:heard")
    async with nodes(1, shared_redis.unix_url, prefix=prefix) as (node,):
        await node.log_in(ANN)
        await waited(node.engine.count())
        assert has(node)[0] == 1


COUNTS = (2, 1, 1, 0, 0, 0)


def test_a_round_over_all_inboxes_finds_the_eldest() -> None:
    seen = Amounts()
    seen.saw(COUNTS, [3, 1, 0, 0, 0, 70], [b"(5.0", 900])
    assert (seen.behind, seen.eldest_ms) == ("(5.0", 0)
    # What is looked into for the sake of something else says nothing of it.
    seen.saw(COUNTS, [3, 1, 0, 0, 0, 70], [])
    assert seen.behind == "(5.0"
    seen.saw(COUNTS, [3, 1, 0, 0, 0, 70], [b"", 1000])
    assert (seen.behind, seen.eldest_ms) == (FIRST, 900)
    seen.saw(COUNTS, [3, 1, 0, 0, 0, 70], [b"", 0])
    assert seen.eldest_ms == 0


def test_what_is_not_known_of_one_app_is_not_known_of_all() -> None:
    known, unknown = Amounts(), Amounts()
    known.saw(COUNTS, [3, 1, 0, 2, 0, 70], [])
    unknown.saw((1, 1, 1, 5, 0, 0), [8], [])
    found = amounts.holdings({"one": known, "two": unknown, "three": unknown}, ("one",))
    assert (found["one"].entries, found["one"].members, found["one"].bytes) == (3, 1, 70)
    assert (found[""].entries, found[""].accounts, found[""].bytes) == (None, 2, 16)
    assert amounts.calls([known]) == {"inviting": 0, "ringing": 2, "accepted": 0}
    assert amounts.calls([known, unknown]) == {"": 5}
