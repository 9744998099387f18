"""The proxy does to a connection what it is told to."""

from __future__ import annotations

import pytest
import trio

from tests.redis.proxies import Proxy, proxied
from tests.redis.resp import encode
from tests.redis.servers import RedisServer

PONG = b"+PONG\r\n"


async def connect(proxy: Proxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def ask(stream: trio.SocketStream, *words: str) -> bytes:
    """The reply to a command, or nothing where the connection has ended."""
    with trio.fail_after(10):
        await stream.send_all(encode(*words))
        return bytes(await stream.receive_some())


async def test_what_is_asked_goes_through_and_the_replies_come_back(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with proxied(shared_redis.path) as proxy, await connect(proxy) as stream:
        assert await ask(stream, "SET", redis_prefix, "x") == b"+OK\r\n"
        assert proxy.connections == proxy.accepted == 1
        assert proxy.url == f"redis://127.0.0.1:{proxy.port}"
    assert shared_redis.command("GET", redis_prefix) == "x"


async def test_a_delay_is_each_reply_s_and_not_their_sum(shared_redis: RedisServer) -> None:
    async with proxied(("127.0.0.1", shared_redis.port)) as proxy, await connect(proxy) as stream:
        proxy.delay_seconds = 0.2
        began = trio.current_time()
        got = b""
        for _ in range(20):
            await stream.send_all(encode("PING"))
            await trio.sleep(0.005)
        while len(got) < 20 * len(PONG):
            got += await stream.receive_some()
        assert 0.2 <= trio.current_time() - began < 2


async def test_connections_are_cut_and_new_ones_let_in(shared_redis: RedisServer) -> None:
    async with proxied(shared_redis.path) as proxy:
        async with await connect(proxy) as stream:
            assert await ask(stream, "PING") == PONG
            proxy.cut()
            with trio.fail_after(10), pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        async with await connect(proxy) as stream:
            assert await ask(stream, "PING") == PONG
        assert proxy.accepted == 2


async def test_new_ones_are_refused_until_they_are_admitted(shared_redis: RedisServer) -> None:
    async with proxied(shared_redis.path) as proxy, await connect(proxy) as old:
        assert await ask(old, "PING") == PONG
        proxy.refuse()
        with pytest.raises(OSError, match="127"):
            await connect(proxy)
        assert await ask(old, "PING") == PONG
        proxy.admit()
        async with await connect(proxy) as stream:
            assert await ask(stream, "PING") == PONG


async def test_what_is_asked_is_done_where_its_reply_is_lost(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with proxied(shared_redis.path) as proxy, await connect(proxy) as stream:
        assert await ask(stream, "PING") == PONG
        lost = proxy.swallow()
        await stream.send_all(encode("INCR", redis_prefix))
        with trio.fail_after(10):
            await lost.wait()
        proxy.swallows = False
        assert await ask(stream, "PING") == PONG
    assert shared_redis.command("GET", redis_prefix) == "1"


async def test_a_redis_that_is_not_there_ends_the_connection() -> None:
    with RedisServer() as redis:
        redis.kill()
        async with proxied(redis.path) as proxy, await connect(proxy) as stream:
            with trio.fail_after(10):
                assert await stream.receive_some() == b""
