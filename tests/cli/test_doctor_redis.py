"""`signal-sdk doctor --redis`: what is there, what is wrong, and that nothing is changed."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from signal_sdk.cli.main import cli
from signal_sdk.server.engine.redis import checkup
from tests.cli.program import Ended, address_in, program, run
from tests.cli.test_migrate import SECRET, fill, good, invoke
from tests.cli.test_serve_redis import log_in
from tests.redis.sentinels import RedisSentinel
from tests.redis.servers import RedisServer, redis_6, valkey


def doctor(*args: str, prefix: str = "") -> Ended:
    environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": prefix}
    result = CliRunner().invoke(cli, ["doctor", *args], env=environment)
    ended = Ended(code=result.exit_code, out=result.stdout, err=result.stderr)
    assert SECRET not in ended.out + ended.err
    return ended


def facts(ended: Ended) -> dict[str, str]:
    lines = ended.out.splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def problem(ended: Ended) -> str:
    """The one thing that is wrong."""
    assert ended.code == 1
    assert "all is well" not in ended.out
    line, end, rest = ended.err.partition("\n")
    assert (end, rest) == ("\n", "")
    return line


@pytest.mark.parametrize(("name", "binary"), [("redis", ""), ("valkey", valkey())])
def test_where_all_is_well_it_prints_facts(name: str, binary: str, tmp_path: Path) -> None:
    with RedisServer(appends=True, program=binary) as redis:
        good(invoke("--from", fill(tmp_path / "data", 3), "--to", redis.unix_url))
        before = redis.keys()
        ended = doctor("--redis", redis.unix_url)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines()[-1] == "all is well"
        found = facts(ended)
        version = redis.info("server")[f"{name}_version"]
        assert found["server"] == f"{redis.path}, {name} {version}"
        assert found["memory"].endswith("bytes in use, no maxmemory")
        assert found["disk"] == "a log of changes (appendonly yes, appendfsync always)"
        assert found["replicas"] == "0, and 0 are waited for"
        assert found["clock"].startswith("0.0")
        assert found["schema"] == "1, and this release writes 1"
        assert found["nodes that serve"] == "0"
        size = sum(len(f'"u{n}"') + len(f"line of {n}") for n in (1, 2, 3))
        said = f"accounts: 3, online: 0, channels: 0, calls: 0, bytes: {size}"
        assert found["app 'app'"] == said
        assert (found["accounts"], found["entries"], found["calls"]) == ("3", "3", "0")
        assert "warning" not in found
        assert redis.keys() == before


def test_what_is_not_kept_is_a_warning(shared_redis: RedisServer, redis_prefix: str) -> None:
    """And one that no server has used yet is well."""
    ended = doctor("--redis", shared_redis.unix_url, prefix=redis_prefix)
    assert (ended.code, ended.err) == (0, "")
    found = facts(ended)
    assert found["disk"] == "no log of changes (appendonly no)"
    assert "set appendonly to yes" in found["warning"]
    assert found["schema"] == f"none: no server keeps its state there under {redis_prefix}:"
    assert shared_redis.keys(redis_prefix) == set()


async def test_servers_may_run_meanwhile(shared_redis: RedisServer, redis_prefix: str) -> None:
    environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": redis_prefix}
    flags = ("--dev", "--port", "0", "--redis", shared_redis.unix_url)
    serving = program("serve", *flags, environment=environment)
    async with serving as server, AsyncExitStack() as stack:
        await log_in(stack, address_in(await server.out.next()), "ann")
        ended = run("doctor", "--redis", shared_redis.unix_url, environment=environment)
    assert (ended.code, ended.err) == (0, "")
    found = facts(ended)
    assert found["nodes that serve"] == "1"
    assert found["records"] == "not read one by one, since servers change them"
    assert "accounts: 1, online: 1," in ended.out


# --- what is wrong


def test_a_record_that_cannot_be_read_is_named(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    url = shared_redis.unix_url
    good(invoke("--from", fill(tmp_path / "data", 3), "--to", url, prefix=redis_prefix))
    shared_redis.command("LSET", f"{redis_prefix}:{{app}}:i:u2", 0, SECRET)
    line = problem(doctor("--redis", url, prefix=redis_prefix))
    assert "the account 'u2' of the app 'app' cannot be read" in line


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("99", "has data of version 99"),
        (SECRET, "has data of something else"),
        ("incomplete 1", "signal-sdk migrate has not ended: run it again"),
    ],
)
def test_data_that_no_server_would_use_is_a_problem(
    shared_redis: RedisServer, redis_prefix: str, version: str, said: str
) -> None:
    shared_redis.command("SET", f"{redis_prefix}:schema", version)
    assert said in problem(doctor("--redis", shared_redis.unix_url, prefix=redis_prefix))


def test_another_program_s_data_is_a_problem(shared_redis: RedisServer, redis_prefix: str) -> None:
    shared_redis.command("LPUSH", f"{redis_prefix}:schema", SECRET)
    line = problem(doctor("--redis", shared_redis.unix_url, prefix=redis_prefix))
    assert line.endswith("what is there is another program's: use another prefix")


def test_a_redis_that_evicts_or_is_nearly_full_is_a_problem() -> None:
    with RedisServer(config=["maxmemory 3mb", "maxmemory-policy noeviction"]) as redis:
        redis.fill("x")
        line = problem(doctor("--redis", redis.unix_url))
        assert "is full to " in line
        redis.command("CONFIG", "SET", "maxmemory", "100mb")
        redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        line = problem(doctor("--redis", redis.unix_url))
        assert line.endswith("(maxmemory-policy allkeys-lru): set it to noeviction")


def test_an_old_redis_is_a_problem() -> None:
    with RedisServer(program=redis_6()) as redis:
        assert "; 7 or later is needed" in problem(doctor("--redis", redis.unix_url))


def test_a_replica_is_a_problem_and_replicas_that_are_missing_are(tmp_path: Path) -> None:
    config = tmp_path / "signal.toml"
    with RedisSentinel() as sentinel:
        line = problem(doctor("--redis", sentinel.replica.unix_url))
        assert line.endswith("is a replica: the URL has to be its master's")
        config.write_text(
            f'[server]\nredis = "{sentinel.url}"\ndurability = "replicas"\nreplicas = 1\n'
        )
        ended = doctor("--config", str(config))
        assert (ended.code, ended.err) == (0, "")
        assert facts(ended)["replicas"] == "1, and 1 are waited for"
        config.write_text(config.read_text().replace("replicas = 1", "replicas = 2"))
        line = problem(doctor("--config", str(config)))
        assert "fewer replicas than are waited for (1 of 2)" in line


def test_a_clock_that_shows_another_time_is_a_warning(
    shared_redis: RedisServer, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "wall", lambda: time.time() - 90)
    ended = doctor("--redis", shared_redis.unix_url, prefix=redis_prefix)
    assert ended.code == 0
    # A machine that is busy takes its time.
    assert 89 < float(facts(ended)["clock"].split()[0]) < 100
    assert "Redis' clock decides" in ended.out


def test_one_that_is_not_there_or_lets_nobody_in_is_one_line() -> None:
    with RedisServer(password="another") as redis:
        url = f"unix://:{SECRET}@{redis.path}"
        assert "refuses this user and password" in problem(doctor("--redis", url))
    assert "cannot be reached" in problem(doctor("--redis", url))


# --- what is asked for


def test_the_configuration_says_where(tmp_path: Path) -> None:
    config = tmp_path / "signal.toml"
    config.write_text(f'[server]\ndata = "{fill(tmp_path / "data")}"\n')
    assert f"file: {tmp_path / 'data' / 'signal.db'}" in doctor("--config", str(config)).out
    config.write_text("[limits]\njoins = 1\n")
    assert doctor("--config", str(config)).code == 2
    config.write_text("[server]\ndev = true\n")
    ended = doctor("--config", str(config))
    assert ended.code == 2
    assert f"{config} names no Redis" in ended.err


@pytest.mark.parametrize(
    "args",
    [
        ("--redis", "redis://h", "--data", "x"),
        ("--config", "x", "--client", "web"),
        ("--redis", "redis://h", "--app", "x"),
    ],
)
def test_one_way_at_a_time(args: tuple[str, ...]) -> None:
    assert doctor(*args).code == 2
