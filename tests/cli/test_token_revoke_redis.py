"""`signal-sdk token revoke --redis`: all servers that share it log out who has the token."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from signal_sdk.cli.main import cli
from signal_sdk.server.engine.redis import revoked
from tests.cli.program import Ended, address_in, one_line_of, program, run
from tests.cli.test_token_revoke import APP, CERTIFICATE
from tests.redis.servers import RedisServer
from tests.server.helpers import dial
from tests.wire_client import WireClient, wire_client

PATIENCE_SECONDS = 30
TRIES = 200
SECRET = "s-e-c-r-e-t"


def revoke(*args: str, prefix: str = "") -> Ended:
    environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": prefix}
    result = CliRunner().invoke(cli, ["token", "revoke", "--app", APP, *args], env=environment)
    return Ended(code=result.exit_code, out=result.stdout, err=result.stderr)


def token_of(account: str) -> str:
    args = ["token", "make", "--app", APP, "--account", account, "--jwt", "--seconds", "900"]
    made = CliRunner().invoke(cli, args, env={"SIGNAL_SDK_CERTIFICATE": CERTIFICATE})
    return str(made.stdout.strip())


def config_of(tmp_path: Path, redis: RedisServer, prefix: str) -> str:
    path = tmp_path / "signal.toml"
    path.write_text(
        f'[server]\nport = 0\nredis = "{redis.unix_url}"\nredis_prefix = "{prefix}"\n'
        f'[[apps]]\nid = "{APP}"\ncertificate = "{CERTIFICATE}"\n'
    )
    return str(path)


async def attempt(server: str, account: str, token: str) -> int:
    """The code that a login ends with."""
    host, port = server.split(":")
    async with wire_client(await dial(host, int(port))) as client:
        answer = await client.login(account, app=APP, token=token)
    code: int = answer.get("ecode", 0)
    return code


async def refused_at(server: str, account: str, token: str) -> None:
    """It is refused there, soon."""
    for _ in range(TRIES):
        if await attempt(server, account, token) == 206:
            return
        await trio.sleep(0.1)
    raise AssertionError("it is good, still")


async def started(stack: AsyncExitStack, config: str) -> str:
    server = await stack.enter_async_context(program("serve", "--config", config))
    return address_in(await server.out.next())


async def test_all_servers_take_it_up(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    config = config_of(tmp_path, shared_redis, redis_prefix)
    tokens = {account: token_of(account) for account in ("ann", "bob", "carl")}
    async with AsyncExitStack() as stack:
        servers = [await started(stack, config) for _ in range(2)]
        clients: dict[str, WireClient] = {}
        for account, number in (("ann", 0), ("bob", 1), ("carl", 1)):
            host, port = servers[number].split(":")
            client = await stack.enter_async_context(wire_client(await dial(host, int(port))))
            answer = await client.login(account, app=APP, token=tokens[account])
            assert answer["result"] == "ok"
            clients[account] = client
        for account in ("ann", "bob"):
            args = ("token", "revoke", "--config", config, "--app", APP, "--account", account)
            ended = run(*args)
            assert (ended.code, ended.err) == (0, "")
            assert ended.out.startswith(f"revoked: tokens of '{account}' of the app '{APP}'")
            with trio.fail_after(PATIENCE_SECONDS):
                assert (await clients[account].expect("close"))["ecode"] == 105
        for server in servers:
            for account in ("ann", "bob"):
                await refused_at(server, account, tokens[account])
        asked = await clients["carl"].call("user_query_user_status", account="ann")
        assert asked["status"] == 0
        # One that begins later knows it from its beginning, and others are good.
        later = await started(stack, config)
        assert await attempt(later, "ann", tokens["ann"]) == 206
        assert await attempt(later, "carl", tokens["carl"]) == 0


async def test_a_server_does_not_start_on_a_list_that_it_cannot_read(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    """Nobody would know who is to be kept out."""
    shared_redis.command(*revoked.noting(f"{redis_prefix}:", {"x": SECRET.encode()}))
    ended = run("serve", "--config", config_of(tmp_path, shared_redis, redis_prefix))
    line = one_line_of(ended)
    assert "the list of revoked tokens that servers share cannot be read" in line
    assert SECRET not in line
    assert ended.code == 1


def test_it_is_noted_where_servers_keep_their_state_only(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    args = ("--redis", shared_redis.unix_url, "--before", "5")
    ended = revoke(*args, prefix=redis_prefix)
    assert "no server keeps its state there" in one_line_of(ended)
    assert ended.code == 1
    assert shared_redis.keys(redis_prefix) == set()
    key = f"{redis_prefix}:schema"
    shared_redis.command("SET", key, "1")
    marks = []
    for _ in range(2):
        assert revoke(*args, prefix=redis_prefix).code == 0
        mark, *_ = shared_redis.command("HMGET", f"{redis_prefix}:revoked", "")
        marks.append(mark)
    assert len(set(marks)) == 2
    # The same of the same takes its place.
    assert shared_redis.command("HLEN", f"{redis_prefix}:revoked") == 2


@pytest.mark.parametrize(
    "args",
    [
        ("--before", "5"),
        ("--data", "x", "--redis", "redis://h", "--before", "5"),
        ("--data", "x", "--config", "x", "--before", "5"),
    ],
)
def test_one_place_at_a_time(args: tuple[str, ...]) -> None:
    ended = revoke(*args)
    assert "give either --data, or --redis or --config" in one_line_of(ended)
    assert ended.code == 2


def test_a_password_shows_nowhere() -> None:
    with RedisServer(password="another") as redis:
        ended = revoke("--redis", f"unix://:{SECRET}@{redis.path}", "--before", "5")
    assert "refuses this user and password" in one_line_of(ended)
    assert SECRET not in ended.err
