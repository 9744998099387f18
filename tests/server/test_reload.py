"""A node that takes up another configuration: what changes from then on, and what does not."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trustme
from trio.testing import MockClock

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import AppConfig, Config, LimitsConfig, ServerConfig
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import FOREVER
from tests.wire_client import WireClient, logged_in, wire_client


@pytest.fixture
def config() -> Config:
    return Config(
        server=ServerConfig(port=0),
        apps=(AppConfig(id="app"),),
        limits=LimitsConfig(silence_seconds=FOREVER),
    )


@pytest.fixture
async def server(autojump_clock: MockClock, config: Config) -> AsyncIterator[LocalServer]:
    async with local_server(config, listens=False) as server:
        yield server


def with_limits(config: Config, **limits: int) -> Config:
    return attrs.evolve(config, limits=attrs.evolve(config.limits, **limits))


async def outcome(server: LocalServer, account: str, **more: str) -> str:
    """What comes of a login."""
    async with wire_client(server.connect()) as client:
        return str((await client.login(account, **more))["result"])


async def send(client: WireClient, peer: str) -> str:
    """What comes of a message."""
    reply = await client.call("user_sendmsg", peer=peer, flag="v1:E:60", t="instant", content="x")
    return str(reply.get("reason") or reply["result"])


async def test_apps_come_and_go_and_who_is_logged_in_stays(
    server: LocalServer, config: Config
) -> None:
    async with logged_in(server, "bob") as bob:
        server.node.reload(attrs.evolve(config, apps=(AppConfig(id="other"),)))
        assert await outcome(server, "ann") == "failed"
        assert await outcome(server, "ann", app="other") == "ok"
        assert (await bob.call("user_query_user_status", account="bob"))["status"] == 1


async def test_an_app_s_certificate_and_listeners_change(
    server: LocalServer, config: Config
) -> None:
    app = AppConfig(
        id="app", certificate="a secret of 32 characters or so, or more", listeners=("desk",)
    )
    async with logged_in(server, "bob") as bob:
        server.node.reload(attrs.evolve(config, apps=(app,)))
        assert await outcome(server, "ann") == "failed"
        joined = await bob.call("channel_join", name="_agora_user_online")
        assert joined["result"] == "failed"
        server.node.reload(attrs.evolve(config, apps=(attrs.evolve(app, listeners=("bob",)),)))
        joined = await bob.call("channel_join", name="_agora_user_online")
        assert joined["result"] == "ok"


async def test_limits_change_and_nobody_else_s_do(server: LocalServer, config: Config) -> None:
    before = attrs.evolve(config.limits)
    async with logged_in(server, "bob") as bob:
        server.node.reload(with_limits(config, user_messages_per_second=1, attributes=1))
        assert await send(bob, "carl") == "ok"
        assert "more than 1 messages" in await send(bob, "carl")
        assert (await bob.call("user_set_attr", name="a", value="1"))["result"] == "ok"
        assert (await bob.call("user_set_attr", name="b", value="1"))["result"] == "failed"
        server.node.reload(with_limits(config, user_messages_per_second=0, inbox_messages=1))
        assert "full" in await send(bob, "carl")
        assert (await bob.call("user_set_attr", name="b", value="1"))["result"] == "ok"
    assert config.limits == before


async def test_what_a_frame_may_have_changes_for_those_who_come_later(
    server: LocalServer, config: Config
) -> None:
    async with logged_in(server, "bob") as early:
        server.node.reload(with_limits(config, max_frame_bytes=1000))
        async with logged_in(server, "ann") as late:
            early.send("ping", [1] * 1000)
            late.send("ping", [1] * 1000)
            assert (await late.wait_closed()).code == 1009
        server.node.reload(with_limits(config, max_frame_bytes=0))
        async with logged_in(server, "ann") as late:
            late.send("unknown", "x" * 1_000_000)
            assert await send(late, "bob") == "ok"


async def test_what_needs_a_restart_is_named_and_stays(
    server: LocalServer, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    other = ServerConfig(port=9, dev=True, cert="a", key="b")
    server.node.reload(attrs.evolve(config, server=other))
    told = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    keys = "[server] port, [server] cert, [server] key, [server] dev"
    assert told == [f"a restart is needed for what has changed in {keys}"]
    assert await outcome(server, "ann", app="unknown") == "failed"
    caplog.clear()
    server.node.reload(config)
    assert "the certificate, the apps and the limits were read again" in caplog.messages
    assert not any("restart" in text for text in caplog.messages)


async def test_a_certificate_that_cannot_be_used_changes_nothing(
    config: Config, tmp_path: Path
) -> None:
    issued = trustme.CA().issue_cert("sig.example")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    at = attrs.evolve(config.server, cert=str(cert), key=str(key))
    config = attrs.evolve(config, server=at)
    async with local_server(config) as server:
        wrong = attrs.evolve(
            with_limits(config, attributes=1),
            apps=(AppConfig(id="other"),),
            server=attrs.evolve(at, cert="nowhere.pem"),
        )
        with pytest.raises(ConfigError, match=r"nowhere\.pem"):
            server.node.reload(wrong)
        assert server.node.config.apps == config.apps
        assert server.node.config.limits == config.limits
        server.node.reload(config)
