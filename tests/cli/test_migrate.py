"""`signal-sdk migrate`: what it refuses, and what is left of one that was killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from signal_sdk.cli.main import cli
from signal_sdk.server.engine.filling import filled
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.kept import counts, read
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.revocations import FILE_NAME, Revocation, revoke
from tests.cli.program import Ended, Program, address_in, one_line_of, program, run
from tests.cli.test_serve_redis import log_in
from tests.redis.servers import RedisServer

MANY = 3000
SECRET = "s-e-c-r-e-t"


def invoke(*args: str, prefix: str = "") -> Ended:
    """In this process, which is not within a loop of trio's."""
    environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": prefix}
    result = CliRunner().invoke(cli, ["migrate", *args], env=environment)
    return Ended(code=result.exit_code, out=result.stdout, err=result.stderr)


def good(ended: Ended) -> str:
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def refused(ended: Ended, code: int = 1) -> str:
    line = one_line_of(ended)
    assert SECRET not in line
    assert ended.code == code
    return line


def fill(directory: Path, count: int = 1) -> str:
    """A directory that has so many accounts, each with an attribute and a message that waits."""
    numbers = range(1, count + 1)
    batch: Batch = {
        "accounts": {(n,): (n, "app", f"u{n}", n, 1, 1, *(None,) * 9, 0) for n in numbers},
        "user_attributes": {(n, "name"): (n, "name", 1, None, f'"u{n}"') for n in numbers},
        "entries": {(n,): (n, n, 1, 9e9, f"line of {n}") for n in numbers},
    }
    journal = Journal.open(directory)
    journal.write(batch)
    journal.close()
    return str(directory)


# --- what is said


def test_it_says_what_was_carried(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    source, target = fill(tmp_path / "data", 3), str(tmp_path / "new" / "back")
    url = shared_redis.unix_url
    said = (
        "carried over: apps: 1, accounts: 3, sessions: 0, messages: 3, answers: 0, channels: 0, "
        "members: 0, attributes: 3, calls: 0, locks: 0, revocations: 0\n"
    )
    assert good(invoke("--from", source, "--to", url, prefix=redis_prefix)) == said
    assert good(invoke("--from", url, "--to", target, prefix=redis_prefix)) == said
    # As a server makes them.
    for path, mode in ((Path(target), 0o700), (Path(target) / "signal.db", 0o600)):
        assert path.stat().st_mode & 0o777 == mode
    assert [it.name for it in Path(target).iterdir()] == ["signal.db"]


def test_the_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(SECRET)
    config = tmp_path / "signal.toml"
    source = fill(tmp_path / "data")
    with RedisServer(password=SECRET) as redis:
        where = redis.unix_url.replace(f":{SECRET}@", "")
        config.write_text(
            f'[server]\nredis = "{where}"\nredis_password_file = "{tmp_path / "password"}"\n'
            'redis_prefix = "other"\n'
        )
        line = refused(invoke("--from", source, "--to", where))
        assert "wants a password" in line
        good(invoke("--from", source, "--to", where, "--config", str(config)))
        assert redis.keys("other:") == redis.keys() != set()


# --- what is refused


@pytest.mark.parametrize(
    ("source", "target"), [("a", "b"), ("redis://localhost", "redis://localhost:1")]
)
def test_one_of_both_is_a_directory(source: str, target: str) -> None:
    line = refused(invoke("--from", source, "--to", target), code=2)
    assert "give a directory and the URL of a Redis" in line


def test_a_url_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    source = fill(tmp_path / "data")
    line = refused(invoke("--from", source, "--to", f"redis://:{SECRET}@:::/x"), code=2)
    assert "redis://HOST:PORT" in line


def test_what_is_there_already_is_left_alone(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    source, url = fill(tmp_path / "data"), shared_redis.unix_url
    shared_redis.command("SET", f"{redis_prefix}:{{app}}:app", "x")
    before = shared_redis.keys(redis_prefix)
    line = refused(invoke("--from", source, "--to", url, prefix=redis_prefix))
    assert f"has something under {redis_prefix}: already" in line
    assert shared_redis.keys(redis_prefix) == before
    # Another's, with a prefix that this one begins with, is no matter.
    good(invoke("--from", source, "--to", url, prefix=redis_prefix + "x"))
    line = refused(invoke("--from", url, "--to", source, prefix=redis_prefix + "x"))
    assert line.endswith("signal.db: there is one already: name another directory")
    other = tmp_path / "other"
    other.mkdir()
    (other / FILE_NAME).write_text("[]")
    line = refused(invoke("--from", url, "--to", str(other), prefix=redis_prefix + "x"))
    assert f"{FILE_NAME}: there is one already" in line


def test_another_releases_data_is_left_alone(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    source, url = fill(tmp_path / "data"), shared_redis.unix_url
    shared_redis.command("SET", f"{redis_prefix}:schema", "99")
    for ends in (("--from", source, "--to", url), ("--from", url, "--to", str(tmp_path / "x"))):
        line = refused(invoke(*ends, prefix=redis_prefix))
        assert f"has data of version 99 under {redis_prefix}:schema" in line
    assert shared_redis.command("GET", f"{redis_prefix}:schema") == "99"
    assert not list((tmp_path / "x").iterdir())


def test_where_nobody_has_kept_anything_there_is_nothing_to_carry(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    url = shared_redis.unix_url
    line = refused(invoke("--from", url, "--to", str(tmp_path / "x"), prefix=redis_prefix))
    assert f"no server keeps its state there under {redis_prefix}:" in line
    line = refused(invoke("--from", str(tmp_path / "y"), "--to", url, prefix=redis_prefix))
    assert line.endswith("no server keeps its state there")
    assert shared_redis.keys(redis_prefix) == set()


def test_what_cannot_be_read_is_named(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    source, url = fill(tmp_path / "data"), shared_redis.unix_url
    good(invoke("--from", source, "--to", url, prefix=redis_prefix))
    shared_redis.command("LSET", f"{redis_prefix}:{{app}}:i:u1", 0, SECRET)
    line = refused(invoke("--from", url, "--to", str(tmp_path / "x"), prefix=redis_prefix))
    assert "the account 'u1' of the app 'app' cannot be read" in line
    assert not list((tmp_path / "x").iterdir())


@pytest.mark.parametrize("kind", ["data", "redis"])
async def test_a_running_server_is_let_be(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str, kind: str
) -> None:
    """A directory's has locked it; one on Redis is seen where it serves an app."""
    url, directory = shared_redis.unix_url, str(tmp_path / "data")
    where = ("--data", directory) if kind == "data" else ("--redis", url)
    environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": redis_prefix}
    ends = ("--from", directory, "--to", url)
    if kind == "redis":
        ends = ("--from", url, "--to", directory)
    flags = ("--dev", "--port", "0", *where)
    async with program("serve", *flags, environment=environment) as server:
        address = address_in(await server.out.next())
        async with AsyncExitStack() as stack:
            await log_in(stack, address, "ann")
            ended = await trio.to_thread.run_sync(
                partial(run, "migrate", *ends, environment=environment)
            )
    line = one_line_of(ended)
    assert "stop" in line
    assert ended.code == 1


# --- one that is killed


def test_two_do_not_fill_the_same_directory(tmp_path: Path, shared_redis: RedisServer) -> None:
    with filled(tmp_path):
        line = refused(invoke("--from", shared_redis.unix_url, "--to", str(tmp_path)))
    assert line.endswith("another command changes what is kept there")


async def until(is_so: Callable[[], bool], migration: Program) -> None:
    with trio.fail_after(30):
        while not is_so():
            assert migration.process.poll() is None
            await trio.sleep(0.001)


async def test_no_server_starts_on_a_part_of_it_and_the_next_run_does_it(tmp_path: Path) -> None:
    source = fill(tmp_path / "data", MANY)
    revoke(source, Revocation(app="app", before=5))
    with RedisServer() as redis:
        ends = ("--from", source, "--to", redis.unix_url)
        async with program("migrate", *ends) as migration:
            await until(lambda: redis.command("DBSIZE") > 300, migration)
            redis.stand_still()
            migration.process.kill()
            await migration.process.wait()
            redis.go_on()
        assert redis.command("GET", "signal:schema").startswith("incomplete")
        ended = run("serve", "--dev", "--port", "0", "--redis", redis.unix_url)
        assert "signal-sdk migrate has not ended: run it again" in one_line_of(ended)
        assert ended.code == 1
        # Neither does anybody carry a part of it on.
        line = refused(run("migrate", "--from", redis.unix_url, "--to", str(tmp_path / "x")))
        assert "has not ended" in line
        # What is left of that run, and not in this one, goes.
        redis.command("SET", "signal:{app}:a:nobody", "x")
        said = good(run("migrate", *ends))
        assert f"accounts: {MANY}, sessions: 0, messages: {MANY}" in said
        assert redis.command("GET", "signal:schema") == "1"
        assert redis.keys("signal:{app}:a:nobody") == set()
        target = str(tmp_path / "back")
        assert good(run("migrate", "--from", redis.unix_url, "--to", target)) == said


async def test_a_directory_has_all_of_it_or_nothing(tmp_path: Path) -> None:
    source, target = fill(tmp_path / "data", MANY), tmp_path / "back"
    revoke(source, Revocation(app="app", before=5))
    with RedisServer() as redis:
        said = good(run("migrate", "--from", source, "--to", redis.unix_url))
        ends = ("--from", redis.unix_url, "--to", str(target))
        log = target / "migrating" / "signal.db-wal"
        async with program("migrate", *ends) as migration:
            await until(lambda: log.exists() and log.stat().st_size > 100_000, migration)
            redis.stand_still()
            migration.process.kill()
            await migration.process.wait()
            redis.go_on()
        assert [it.name for it in target.iterdir()] == ["migrating"]
        # One that was killed in its last step.
        (target / FILE_NAME).write_text("[]")
        assert good(run("migrate", *ends)) == said
        assert sorted(it.name for it in target.iterdir()) == [FILE_NAME, "signal.db"]
        assert counts(read(target))["accounts"] == MANY


def test_a_redis_that_is_full_is_said_and_what_is_there_is_no_state(tmp_path: Path) -> None:
    source = fill(tmp_path / "data", MANY)
    with RedisServer(config=["maxmemory 3mb", "maxmemory-policy noeviction"]) as redis:
        line = refused(invoke("--from", source, "--to", redis.unix_url))
        assert "Redis is full" in line
        assert redis.command("GET", "signal:schema").startswith("incomplete")
        redis.command("CONFIG", "SET", "maxmemory", "0")
        assert f"accounts: {MANY}," in good(invoke("--from", source, "--to", redis.unix_url))


def test_one_that_was_killed_before_it_began_has_left_nothing(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    """What has come there meanwhile is a server's."""
    source, url = fill(tmp_path / "data"), shared_redis.unix_url
    shared_redis.command("SET", f"{redis_prefix}:schema", "claimed")
    shared_redis.command("SET", f"{redis_prefix}:{{app}}:app", "x")
    line = refused(invoke("--from", source, "--to", url, prefix=redis_prefix))
    assert "already" in line
    shared_redis.command("DEL", f"{redis_prefix}:{{app}}:app")
    good(invoke("--from", source, "--to", url, prefix=redis_prefix))


def test_programs_are_told_how_much(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    source = fill(tmp_path / "data", 3)
    args = ("--from", source, "--to", shared_redis.unix_url, "--json")
    told = json.loads(good(invoke(*args, prefix=redis_prefix)))
    assert (told["accounts"], told["messages"], told["revocations"]) == (3, 3, 0)
