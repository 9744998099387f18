"""A server on Redis whose Redis goes away, or is full, as its clients see it; by the real clock."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis.engine import RedisEngine
from signal_sdk.server.engine.redis.pipeline import away
from signal_sdk.testing.server import LocalServer, local_server
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import until
from tests.server.helpers import dial, is_refusal, resume
from tests.wire_client import WireClient, wire_client

GENERAL_E_FAILED = 1001
LOGIN_E_NET = 201
MESSAGE = {"peer": "bob", "flag": "v1:E:3600", "t": "instant", "content": "x"}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer(appends=True, config=["maxmemory-policy noeviction"]) as server:
        yield server


@asynccontextmanager
async def serving(redis: RedisServer) -> AsyncIterator[LocalServer]:
    engine = RedisEngine([redis.unix_url])
    async with local_server(engine=engine, clock=time.time) as server:
        yield server


@asynccontextmanager
async def client_of(server: LocalServer) -> AsyncIterator[WireClient]:
    async with wire_client(await dial(server.host, server.port)) as client:
        yield client


def is_ready(server: LocalServer) -> bool:
    return not server.node.why_not_ready()


async def test_while_redis_is_away_connections_stay_and_may_end(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(redis) as server,
        client_of(server) as ann,
        client_of(server) as bob,
        client_of(server) as eve,
    ):
        for client, name in ((ann, "ann"), (bob, "bob"), (eve, "eve")):
            assert (await client.login(name))["result"] == "ok"
        redis.kill()
        await until(lambda: not is_ready(server))
        reply = await ann.call("user_sendmsg", **MESSAGE)
        assert is_refusal(reply, GENERAL_E_FAILED)
        # One logs out, and one's connection is lost.
        assert is_refusal(await bob.call("user_logout"), GENERAL_E_FAILED)
        await bob.wait_closed()
        eve.link.abort()
        await until(lambda: server.node.sessions == 1)
        redis.start()
        await until(lambda: is_ready(server))
        reply = await ann.call("user_sendmsg", **MESSAGE)
        assert reply["result"] == "ok"
        async with client_of(server) as again:
            assert (await resume(again, eve.line))["result"] == "ok"
    ours = [it for it in caplog.records if it.name.startswith("signal_sdk")]
    assert [it.message for it in ours if it.levelno >= logging.ERROR] == []
    caplog.clear()


async def test_while_redis_is_full_changes_are_refused_and_questions_answered(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(redis) as server, client_of(server) as ann, client_of(server) as bob:
        for client, name in ((ann, "ann"), (bob, "bob")):
            assert (await client.login(name))["result"] == "ok"
            assert (await client.call("channel_join", name="room"))["result"] == "ok"
        redis.command("CONFIG", "SET", "maxmemory", "1mb")
        for function, arguments in (
            ("user_sendmsg", MESSAGE),
            ("channel_sendmsg", {"name": "room", "msg": "x"}),
            ("channel_join", {"name": "other"}),
            ("user_set_attr", {"name": "x", "value": "x"}),
        ):
            reply = await ann.call(function, **arguments)
            assert is_refusal(reply, GENERAL_E_FAILED), reply
            assert "Redis is full" in reply["reason"]
        listed = await ann.call("channel_query_userlist", name="room")
        assert len(listed["list"]) == 2
        async with client_of(server) as eve:
            refused = await eve.login("eve")
            assert "Redis is full" in refused["reason"]
        redis.command("CONFIG", "SET", "maxmemory", "0")
        assert (await ann.call("channel_sendmsg", name="room", msg="later"))["result"] == "ok"
        await bob.expect(lambda frame: frame[0] == "notify" and "later" in str(frame[1]))
        assert ann.closed is None
    caplog.clear()


async def test_who_comes_back_while_redis_goes_away_may_come_again(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(redis) as server, client_of(server) as ann:
        assert (await ann.login("ann"))["result"] == "ok"
        engine = server.node.engine

        def lost(*_: object) -> Pending[None]:
            outcome: Pending[None] = Pending()
            outcome.fail(away())
            return outcome

        # In the first step of a login, and behind it.
        for operation in ("resume", "presence"):
            with monkeypatch.context() as patch:
                patch.setattr(engine, operation, lost)
                async with client_of(server) as again:
                    if operation == "resume":
                        refused = await resume(again, ann.line)
                        assert refused["ecode"] == LOGIN_E_NET
                    else:
                        again.send("line_login", {"line": ann.line})
                    await again.wait_closed()
        async with client_of(server) as again:
            assert (await resume(again, ann.line))["result"] == "ok"
