"""The helper itself: a Redis of a test's own, which ends with it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.redis import resp, servers
from tests.redis.resp import Connection, ReplyError
from tests.redis.servers import RedisServer

ROOT = Path(__file__).parents[2]


def is_there(pid: int) -> bool:
    """Is there such a process, which has not ended?"""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_it_answers_by_its_port_and_by_its_socket_and_ends_with_the_block() -> None:
    with RedisServer() as redis:
        pid, directory = redis.pid, redis.directory
        redis.command("SET", "key", "value")
        with Connection(("127.0.0.1", redis.port)) as by_port:
            assert by_port.command("GET", "key") == "value"
            assert by_port.command("LRANGE", "none", 0, -1) == []
            assert by_port.command("GET", "none") is None
        assert redis.keys() == {"key"}
        assert int(redis.info("server")["process_id"]) == pid
        assert redis.url == f"redis://127.0.0.1:{redis.port}"
        assert redis.unix_url == f"unix://{redis.path}"
    assert not is_there(pid)
    assert not directory.exists()


def test_it_ends_with_a_block_that_fails() -> None:
    pid = 0

    def fail() -> None:
        nonlocal pid
        with RedisServer() as redis:
            pid = redis.pid
            raise ValueError("for one reason or other")

    with pytest.raises(ValueError, match="reason"):
        fail()
    assert pid
    assert not is_there(pid)


def test_it_ends_with_a_process_that_is_killed() -> None:
    code = (
        "import sys, time\n"
        "from tests.redis.servers import RedisServer\n"
        "with RedisServer() as redis:\n"
        "    print(redis.pid, redis.directory, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, directory = process.stdout.readline().split()
        assert is_there(int(pid))
        descriptor = os.pidfd_open(int(pid))
        process.send_signal(signal.SIGKILL)
    # It is readable once its process has ended.
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)
    shutil.rmtree(directory)


def test_a_port_that_is_taken_meanwhile_is_not_insisted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        free = servers.free_port()
        drawn = iter([port, free])
        monkeypatch.setattr(servers, "free_port", lambda: next(drawn))
        with RedisServer() as redis:
            assert redis.port == free


def test_what_is_wrong_with_its_configuration_is_said() -> None:
    with pytest.raises(RuntimeError, match="Bad directive"), RedisServer(config=["no-such 1"]):
        pass


def test_killed_it_comes_back_where_it_was_with_what_was_acknowledged() -> None:
    with RedisServer(appends=True) as redis:
        port, pid = redis.port, redis.pid
        redis.command("SET", "key", "value")
        redis.kill()
        assert not redis.is_running
        assert not is_there(pid)
        redis.start()
        assert (redis.port, redis.command("GET", "key")) == (port, "value")
        assert redis.pid != pid


def test_without_appends_nothing_is_kept() -> None:
    with RedisServer() as redis:
        redis.command("SET", "key", "value")
        redis.kill()
        redis.start()
        assert redis.command("GET", "key") is None


def test_stopped_it_answers_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resp, "REPLY_SECONDS", 0.2)
    with RedisServer() as redis, redis.connect() as connection:
        redis.stand_still()
        with pytest.raises(TimeoutError):
            connection.command("PING")
        assert redis.is_running
        redis.go_on()
        assert redis.command("PING") == "PONG"


def test_stopped_it_can_be_killed() -> None:
    with RedisServer() as redis:
        redis.stand_still()
        pid = redis.pid
    assert not is_there(pid)


def test_a_password_is_asked_for() -> None:
    with RedisServer(password="secret") as redis:
        assert redis.command("PING") == "PONG"
        assert redis.url == f"redis://:secret@127.0.0.1:{redis.port}"
        with Connection(redis.path) as stranger, pytest.raises(ReplyError, match="NOAUTH"):
            stranger.command("PING")


def test_a_user_may_do_what_its_rules_say() -> None:
    users = ["node on >secret ~* &* +@all -eval"]
    with RedisServer(users=users) as redis, Connection(redis.path) as node:
        assert node.command("AUTH", "node", "secret") == "OK"
        with pytest.raises(ReplyError, match="NOPERM"):
            node.command("EVAL", "return 1", 0)


def test_one_that_is_full_refuses() -> None:
    limits = ["maxmemory 2mb", "maxmemory-policy noeviction"]
    with RedisServer(config=limits) as redis:
        assert redis.info("memory")["maxmemory_policy"] == "noeviction"
        redis.command("SET", "before", "value")
        redis.fill("ballast")
        with pytest.raises(ReplyError, match="OOM"):
            redis.command("SET", "after", "value")
        assert redis.command("GET", "before") == "value"
        redis.command("DEL", *redis.keys("ballast"))
        redis.command("SET", "after", "value")


def test_an_old_one_is_there() -> None:
    with RedisServer(program=servers.redis_6()) as redis:
        assert redis.info("server")["redis_version"].startswith("6.")
        assert redis.command("PING") == "PONG"


def test_the_shared_one_is_shared_and_each_test_has_its_own_prefix(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    shared_redis.command("SET", f"{redis_prefix}key", "value")
    assert shared_redis.keys(redis_prefix) == {f"{redis_prefix}key"}
