"""`signal-sdk serve --redis --workers`: processes on one Redis, as an operator sees them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import trio

from tests.cli.program import Program, address_in, one_line_of, program, run
from tests.redis.servers import RedisServer
from tests.server.helpers import dial
from tests.wire_client import WireClient, wire_client

PATIENCE_SECONDS = 30
SERVES = re.compile(r".* INFO worker (\d) \(pid (\d+)\) serves")


@asynccontextmanager
async def two_workers(redis: RedisServer, prefix: str) -> AsyncIterator[tuple[Program, str]]:
    """A server of two workers, both of which serve, and its address."""
    environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": prefix}
    flags = ("--dev", "--port", "0", "--redis", redis.unix_url, "--workers", "2", "-v")
    async with program("serve", *flags, environment=environment) as server:
        address = address_in(await server.out.next())
        yield server, address


async def line_with(server: Program, pattern: re.Pattern[str]) -> re.Match[str]:
    while not (found := pattern.fullmatch(await server.err.next())):
        pass
    return found


async def workers_of(server: Program) -> dict[int, int]:
    """The process of each, once both serve."""
    found = [await line_with(server, SERVES) for _ in range(2)]
    return {int(it[1]): int(it[2]) for it in found}


async def log_in(stack: AsyncExitStack, address: str, account: str) -> WireClient:
    host, port = address.split(":")
    client = await stack.enter_async_context(wire_client(await dial(host, int(port))))
    assert (await client.login(account, device="javasdk"))["result"] == "ok"
    return client


async def test_workers_are_one_server(shared_redis: RedisServer, redis_prefix: str) -> None:
    """Whoever comes to either; and SIGTERM sends the clients of both away."""
    async with two_workers(shared_redis, redis_prefix) as (server, address):
        assert sorted(await workers_of(server)) == [1, 2]
        async with AsyncExitStack() as stack:
            clients = [await log_in(stack, address, f"user{number}") for number in range(12)]
            for client in clients:
                assert (await client.call("channel_join", name="room"))["result"] == "ok"
            listed = await clients[0].call("channel_query_userlist", name="room")
            assert len(listed["list"]) == 12
            server.process.send_signal(signal.SIGTERM)
            for client in clients:
                await client.expect("close")
        ended = await server.end()
    assert ended.code == 0
    logged = re.findall(r"worker (\d): .* logged in", ended.err)
    assert (len(logged), set(logged)) == (12, {"1", "2"})


async def test_a_worker_that_is_killed_is_replaced(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with two_workers(shared_redis, redis_prefix) as (server, address):
        workers = await workers_of(server)
        os.kill(workers[2], signal.SIGKILL)
        said = rf".* WARNING worker 2 \(pid {workers[2]}\) has ended by SIGKILL: another in 0.5 s"
        await line_with(server, re.compile(said))
        again = await line_with(server, SERVES)
        assert again[1] == "2"
        assert int(again[2]) != workers[2]
        async with AsyncExitStack() as stack:
            for number in range(8):
                await log_in(stack, address, f"user{number}")
        assert (await server.end(signal.SIGINT)).code == 0


async def test_workers_end_with_their_supervisor_however_that_ends(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    async with two_workers(shared_redis, redis_prefix) as (server, address):
        workers = await workers_of(server)
        watched = [os.pidfd_open(pid) for pid in workers.values()]
        server.process.kill()
        for pidfd in watched:
            await trio.lowlevel.wait_readable(pidfd)
            os.close(pidfd)
        # They have said so.
        assert (await server.err.rest()).count("the supervisor is gone") == 2
    assert address


def test_where_redis_cannot_be_used_one_line_says_so_for_all_workers(tmp_path: object) -> None:
    url = f"unix://:secret-of-redis@{tmp_path}/nobody.sock"
    ended = run("serve", "--dev", "--port", "0", "--redis", url, "--workers", "4")
    line = one_line_of(ended)
    assert line.startswith(f"signal-sdk: Redis at {tmp_path}/nobody.sock ")
    assert "secret-of-redis" not in line
    assert ended.code == 1


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_readiness_says_that_redis_is_away_and_that_it_is_back(workers: str) -> None:
    with RedisServer() as redis:
        flags = ("--dev", "--port", "0", "--redis", redis.unix_url, "--workers", workers)
        async with program("serve", *flags) as server:
            url = f"http://{address_in(await server.out.next())}"

            async def answer(path: str) -> tuple[int, str]:
                # A connection each: any of the workers answers.
                async with httpx.AsyncClient(trust_env=False) as http:
                    found = await http.get(f"{url}{path}")
                return found.status_code, found.text

            assert await answer("/readyz") == (200, "ok\n")
            redis.kill()
            with trio.fail_after(PATIENCE_SECONDS):
                while (said := await answer("/readyz"))[0] == 200:
                    pass
            assert said[0] == 503
            assert "Redis" in said[1]
            assert await answer("/healthz") == (200, "ok\n")
            redis.start()
            with trio.fail_after(PATIENCE_SECONDS):
                while (await answer("/readyz"))[0] != 200:
                    pass
            assert (await server.end(signal.SIGTERM)).code == 0
