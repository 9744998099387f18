"""The admin address of a real node: it steers what clients see, and nothing that comes there ends
the node.
"""

from __future__ import annotations

import json
import logging
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio

from signal_sdk.errors import ConfigError
from signal_sdk.server import config as configs
from signal_sdk.server.admin.server import MAX_CONNECTIONS, AdminServer
from signal_sdk.server.config import AdminConfig, AdminKeyConfig, Config
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.admin.helpers import APP_KEY, KEY, admin_config
from tests.server.helpers import dial
from tests.wire_client import logged_in, wire_client


def real_config(**admin: Any) -> Config:
    """As `admin_config`, of a server that takes any free ports."""
    config = admin_config(**admin)
    return attrs.evolve(config, server=attrs.evolve(config.server, port=0))


@asynccontextmanager
async def admin_of(server: LocalServer, key: str = KEY) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to the admin address of `server`."""
    url = f"http://127.0.0.1:{server.admin_port}/v1/"
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        yield client


async def test_a_backend_steers_what_clients_see() -> None:
    async with local_server(real_config()) as server, admin_of(server) as admin:
        assert (await admin.get("apps/app/accounts/ann")).json()["online"] is False
        async with logged_in(server, "ann") as ann:
            assert (await ann.call("channel_join", name="news"))["result"] == "ok"
            found = (await admin.get("apps/app/accounts")).json()
            assert [one["account"] for one in found["items"]] == ["ann"]
            members = (await admin.get("apps/app/channels/news/members")).json()
            assert [one["account"] for one in members["items"]] == ["ann"]
            answer = await admin.post("apps/app/accounts/ann/messages", json={"message": "hi"})
            assert answer.status_code == 204
            answer = await admin.put("apps/app/channels/news/attributes/mood", json={"value": 1})
            assert answer.status_code == 204
            attributes = (await admin.get("apps/app/channels/news/attributes")).json()
            assert attributes["attributes"]["mood"] == 1
            assert (await admin.delete("apps/app/accounts/ann/session")).status_code == 204
            await ann.expect("close")
        answer = await admin.delete("apps/app/accounts/ann/session")
        assert (answer.status_code, answer.json()["type"]) == (
            404,
            "urn:signal-sdk:problem:not-there",
        )
        waiting = (await admin.get("apps/app/accounts/ann/inbox")).json()
        assert waiting["entries"] == 1


async def test_metrics_are_those_of_the_node() -> None:
    async with local_server(real_config(metrics_open=True)) as server, logged_in(server, "ann"):
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{server.admin_port}/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "signal_sdk_" in answer.text


async def test_of_two_admins_that_kick_at_once_one_has_done_it() -> None:
    async with local_server(real_config()) as server, admin_of(server) as admin:
        for _ in range(5):
            async with logged_in(server, "ann") as ann:
                answers: list[int] = []

                async def kick(answers: list[int] = answers) -> None:
                    answer = await admin.delete("apps/app/accounts/ann/session")
                    answers.append(answer.status_code)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(kick)
                    nursery.start_soon(kick)
                await ann.expect("close")
            assert sorted(answers) == [204, 404]


async def test_an_app_s_key_sees_its_app_alone() -> None:
    async with (
        local_server(real_config()) as server,
        admin_of(server, APP_KEY) as admin,
        logged_in(server, "ann", vid="other"),
        logged_in(server, "bob"),
    ):
        found = (await admin.get("apps/app/accounts")).json()
        assert [one["account"] for one in found["items"]] == ["bob"]
        assert (await admin.get("apps/other/accounts")).status_code == 403


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
async def test_a_thousand_connections_there_leave_clients_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with local_server(real_config()) as server:
        strangers: list[trio.SocketStream] = []
        async with logged_in(server, "ann") as ann:
            for number in range(1000):
                stranger = await trio.open_tcp_stream("127.0.0.1", server.admin_port)
                if number % 2:
                    await stranger.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
                strangers.append(stranger)
                if number % 100 == 0:
                    assert (await ann.call("user_getmsg", ver_clear=0, max=1))["result"] == "ok"
            transport = await dial("127.0.0.1", server.port)
            async with wire_client(transport) as bob:
                assert (await bob.login("bob"))["result"] == "ok"
            transport.close()
            async with admin_of(server) as admin:
                assert (await admin.get("key")).json()["name"] == "all"
        assert len(server.node._admin._server) <= MAX_CONNECTIONS  # type: ignore[union-attr]
        for stranger in strangers:
            await stranger.aclose()
    assert "the admin address has as many connections as it may" in caplog.text


async def test_a_fault_there_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = AdminServer.run
    times = 0

    async def fail_once(self: AdminServer) -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise RuntimeError("this was to happen")
        await run(self)

    monkeypatch.setattr(AdminServer, "run", fail_once)
    async with local_server(real_config()) as server, logged_in(server, "ann") as ann:
        async with admin_of(server) as admin:
            assert (await admin.get("key")).status_code == 200
        assert (await ann.call("user_getmsg", ver_clear=0, max=1))["result"] == "ok"
    assert times == 2
    assert "the admin address failed" in caplog.text
    caplog.clear()


async def test_a_stopped_node_answers_up_to_its_end_and_waits_for_no_admin() -> None:
    async with local_server(real_config()) as server:
        idle = await trio.open_tcp_stream("127.0.0.1", server.admin_port)
        url = f"http://127.0.0.1:{server.admin_port}"
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/readyz")).status_code == 200
            server.node.stop(0.0)
            assert await idle.receive_some() == b""
        with pytest.raises(OSError, match=r"^all attempts to connect to "):
            await trio.open_tcp_stream("127.0.0.1", server.admin_port)
        await idle.aclose()


async def test_keys_are_read_again_and_what_needs_a_restart_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with local_server(real_config()) as server, admin_of(server) as admin:
        key = AdminKeyConfig(name="new", key=APP_KEY, app="*", rights=("read",))
        config = attrs.evolve(server.node.config, admin_keys=(key,))
        server.node.reload(config)
        assert (await admin.get("key")).status_code == 401
        async with admin_of(server, APP_KEY) as other:
            assert (await other.get("key")).json()["name"] == "new"
        assert "a restart is needed" not in caplog.text
        admin_config = AdminConfig(address="127.0.0.1:1")
        server.node.reload(attrs.evolve(config, admin=admin_config))
    assert "a restart is needed for what has changed in [admin]" in caplog.text


async def test_an_address_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.RaisesGroup(
            pytest.RaisesExc(ConfigError, match=rf"127\.0\.0\.1:{port}: .* is using it$")
        ):
            async with local_server(real_config(address=f"127.0.0.1:{port}")):
                pass


async def test_one_by_default_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING):
        port = taken.getsockname()[1]
        config = real_config(address=f"127.0.0.1:{port}")
        async with local_server(attrs.evolve(config, admin_by_default=True)) as server:
            assert server.admin_port == 0
    assert f"there is no admin address: cannot listen on 127.0.0.1:{port}" in caplog.text


async def test_without_keys_there_is_none() -> None:
    async with local_server(configs.dev()) as server:
        assert server.admin_port == 0


async def test_a_stream_is_heard_over_a_real_connection() -> None:
    async with local_server(real_config()) as server, admin_of(server) as admin:
        async with admin.stream("GET", "apps/app/events?kinds=login,logout") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            async with logged_in(server, "ann"):
                await anext(lines)
                assert await anext(lines) == "event: login"
                data = json.loads((await anext(lines)).removeprefix("data: "))
                assert data["account"] == "ann"
                await admin.delete("apps/app/accounts/ann/session")
            server.node.stop()
            heard = [line async for line in lines]
            assert "event: logout" in heard
        with pytest.raises(httpx.TransportError):
            await admin.get("key")
