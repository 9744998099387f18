"""The link to Redis is slow, breaks in the midst of what is said, or goes silent, while nodes talk:
what was acknowledged is done, once, and what others hear has no hole. By the real clock.
"""

from __future__ import annotations

import random
from functools import partial

import pytest
import trio

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.redis import pipeline, resp
from signal_sdk.server.engine.redis.addresses import parse
from signal_sdk.server.engine.redis.connection import Connection, ask_once
from tests.redis.proxies import Proxy, proxied
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import nodes, until
from tests.server.engine.redis.talk import talking

CUTS = 20


def is_more(proxy: Proxy, accepted: int) -> bool:
    """Has there been another connection since?"""
    return proxy.accepted > accepted


@pytest.mark.parametrize("where", ["commands", "replies", "both"])
async def test_a_link_that_breaks_in_the_midst_of_something_loses_and_doubles_nothing(
    shared_redis: RedisServer, redis_prefix: str, where: str
) -> None:
    draw = random.Random(where)
    async with (
        proxied(shared_redis.path) as proxy,
        nodes(1, proxy.url, prefix=f"{redis_prefix}:") as here,
        nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as there,
    ):
        async with talking([*here, *there]) as talk:
            for _ in range(CUTS):
                await until(lambda: here[0].is_up)
                accepted = proxy.accepted
                count = draw.randrange(1, 4000)
                if where != "replies":
                    proxy.command_bytes = count
                if where != "commands":
                    proxy.reply_bytes = count // 4
                await until(partial(is_more, proxy, accepted))
            proxy.command_bytes = proxy.reply_bytes = None
            await until(lambda: here[0].is_up)
        await talk.check()
    assert talk.refused


async def test_a_slow_link_slows_and_nothing_else(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with (
        proxied(shared_redis.path) as proxy,
        nodes(1, proxy.url, prefix=f"{redis_prefix}:") as here,
        nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as there,
    ):
        async with talking([*here, *there]) as talk:
            proxy.delay_seconds = 0.2
            count = len(talk.said)
            await trio.sleep(3)
            assert here[0].is_up
            # Many are under way at once, and those of the other node are not held up.
            assert len(talk.said) > count + 50
            proxy.delay_seconds = 0.0
        await talk.check()
    assert talk.refused == 0


@pytest.mark.parametrize("is_new", [False, True])
async def test_a_link_that_goes_silent_is_noticed_in_time(
    shared_redis: RedisServer,
    redis_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    is_new: bool,
) -> None:
    monkeypatch.setattr(pipeline, "SILENCE_SECONDS", 1)
    async with (
        proxied(shared_redis.path) as proxy,
        nodes(1, proxy.url, prefix=f"{redis_prefix}:") as here,
        nodes(1, shared_redis.unix_url, prefix=f"{redis_prefix}:") as there,
    ):
        async with talking([*here, *there]) as talk:
            proxy.is_silent = True
            if is_new:
                # The next connection is made, and nothing is said on it.
                proxy.cut()
            began = trio.current_time()
            await until(lambda: not here[0].is_up)
            assert trio.current_time() - began < 3
            await trio.sleep(0.5)
            proxy.is_silent = False
            proxy.cut()
            await until(lambda: here[0].is_up)
        # A channel keeps 256 events: whoever has missed more knows that.
        await talk.check(may_miss=True)


async def test_a_question_on_a_connection_that_is_lost_by_then_is_one_error(
    shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(connection: Connection, _: bytes) -> None:
        raise StorageError(f"the connection to Redis at {connection.place} is lost")

    monkeypatch.setattr(Connection, "send", send)
    address = parse([shared_redis.unix_url])
    with pytest.raises(StorageError, match="cannot be reached, or does not answer"):
        await ask_once(address.places[0], address, resp.command("PING"))
