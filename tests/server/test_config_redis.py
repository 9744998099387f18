"""The configuration of a Redis: what is read, what is refused, and that no password is shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import ServerConfig, loads, print_config
from signal_sdk.server.redis_urls import ENCODED, EXPECTED

SECRET = "5cfd2fd1755d40ecb72977518be15d3b"
PASSWORD = "SIGNAL_SDK_SERVER_REDIS_PASSWORD"
REDIS_VARIABLE = "SIGNAL_SDK_SERVER_REDIS"
ALONE = "is not 1, and processes share their state in Redis: set redis, too, or --redis URL"
REDIS = f"redis://ann:{SECRET}@10.0.0.5:7000/1"
DEV = "[server]\ndev = true\n"


def test_every_key_of_redis_is_read() -> None:
    config = loads(
        f"""{DEV}redis = "redis+sentinel://10.0.0.5/main"
        redis_password = "{SECRET}"
        redis_prefix = "chat:2"
        workers = 4
        durability = "replicas"
        replicas = 2
        """
    )
    assert config.server == ServerConfig(
        dev=True,
        redis=("redis+sentinel://10.0.0.5/main",),
        redis_password=SECRET,
        redis_prefix="chat:2",
        workers=4,
        durability="replicas",
        replicas=2,
    )
    assert loads(print_config(config), environ={PASSWORD: SECRET}) == config


@pytest.mark.parametrize("text", ['"redis://h"', '["redis://h"]'])
def test_one_redis_needs_no_array(text: str) -> None:
    assert loads(f"{DEV}redis = {text}\n").server.redis == ("redis://h",)
    assert loads(DEV, environ={REDIS_VARIABLE: text}).server.redis == ("redis://h",)
    assert loads(DEV, environ={REDIS_VARIABLE: "redis://h"}).server.redis == ("redis://h",)


def test_a_password_is_in_no_repr_and_no_print() -> None:
    config = loads(f'{DEV}redis = "{REDIS}"\n')
    assert SECRET not in repr(config)
    assert "10.0.0.5:7000" in repr(config)
    printed = print_config(config)
    assert SECRET not in printed
    assert f'redis = ["${REDIS_VARIABLE}"]' in printed
    for value in (REDIS, f'["{REDIS}"]'):
        assert loads(printed, environ={REDIS_VARIABLE: value}) == config
    open_one = loads(f'{DEV}redis = "redis://10.0.0.5"\n')
    assert 'redis = ["redis://10.0.0.5"]' in print_config(open_one)


def test_a_password_may_stand_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    text = f'{DEV}redis = "redis://10.0.0.5"\n'
    config = loads(f'{text}redis_password_file = "{file}"\n')
    assert config.server.redis_password == SECRET
    assert SECRET not in print_config(config)
    assert loads(print_config(config)) == config
    refer = f'{text}redis_password = "$SIGNAL_SDK_X"\n'
    assert loads(refer, environ={"SIGNAL_SDK_X": SECRET}).server.redis_password == SECRET
    refer = f'{DEV}redis = "$SIGNAL_SDK_X"\n'
    assert loads(refer, environ={"SIGNAL_SDK_X": REDIS}).server.redis == (REDIS,)
    with pytest.raises(ConfigError, match=r"redis_password_file: give either this or redis_passw"):
        loads(f'{text}redis_password = "{SECRET}"\nredis_password_file = "{file}"\n')
    file.unlink()
    with pytest.raises(ConfigError, match=r"redis_password_file: the file: No such file"):
        loads(f'{text}redis_password_file = "{file}"\n')


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            f'redis = ["redis://:{SECRET}/@h"]',
            f"redis: {EXPECTED}; {ENCODED}",
        ),
        (
            f'redis = "{REDIS}"\nredis_password = "{SECRET}"',
            "redis: has a password already: give it here or as redis_password, not both",
        ),
        (f'redis = ["{REDIS}", 5]', "redis: expected only strings in the array, got a number"),
        ("redis_password = 12345678", "redis_password: expected a string, got a number"),
        (
            f'redis_password = "{SECRET}"',
            "redis_password: needs what it is for: set redis",
        ),
        (
            'redis = "redis://h"\ndata = "x"',
            "data: state is kept there or in redis: set one of both",
        ),
        (
            'redis = "redis://h"\ndurability = "power"',
            'durability: "power" is that of data: with redis, set "redis" or "replicas"',
        ),
        (
            'durability = "replicas"',
            'durability: "replicas" is a Redis\'s: set redis, too, or --redis URL',
        ),
        (
            'durability = "disk"',
            'durability: expected "process" or "power" or "redis" or "replicas", got "disk"',
        ),
        (
            'redis = "redis://h"\nredis_prefix = "a{b}"',
            'redis_prefix: expected 1 to 64 of A-Z a-z 0-9 _ . : -, got "a{b}"',
        ),
        (
            "workers = 2",
            f"workers: 2 {ALONE}",
        ),
        (
            "workers = 0",
            f"workers: auto {ALONE}",
        ),
        ("replicas = 0", "replicas: expected 1 or more, got 0"),
    ],
)
def test_what_is_wrong_with_redis_is_one_line_without_a_secret(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(f"{DEV}{text}\n")
    assert str(caught.value).partition("[server] ")[2] == error
    assert SECRET not in "".join(traceback.format_exception(caught.value))
