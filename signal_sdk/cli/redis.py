"""The Redis that a command is about: where it is, and a look into it.

Owns: what the flags, the configuration and the environment say of it together. Must not know what
is done there. No `repr` shows a URL: a password may be in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import click
import trio

from signal_sdk.cli.settings import Settings
from signal_sdk.errors import ConfigError
from signal_sdk.extras import needs_extra
from signal_sdk.server.config import ServerConfig

__all__ = ["needs_redis", "redis_of", "redis_option", "visit"]

T = TypeVar("T")

redis_option: Final = click.option(
    "--redis",
    multiple=True,
    metavar="URL",
    help="The Redis that state is kept in; repeat it for a Cluster and for Sentinels.",
)
"""The flag of commands that look into one."""


def redis_of(urls: Sequence[str], config: str | None) -> ServerConfig:
    """What the server of this configuration, or of the environment, has of Redis; with `urls`, in
    place of where it keeps its state itself. Raises `ConfigError`.
    """
    overrides: dict[str, Any] = {}
    if urls:
        overrides = {"redis": tuple(urls), "data": "", "durability": "process"}
    found = Settings(config=config, server=overrides).read(is_draft=True).server
    if not found.redis:
        where = config or "the environment"
        raise ConfigError(f"{where} names no Redis: set redis in [server], or give its URL")
    return found


def needs_redis() -> Any:
    """What visits a Redis. Raises `ConfigError` where the extra is not installed."""
    try:
        # coredis, which it stands on, is an extra.
        from signal_sdk.server.engine.redis import visiting  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if exc.name != "coredis":
            raise
        raise ConfigError(needs_extra("Redis", "redis")) from None
    return visiting


def visit(
    server: ServerConfig, work: Callable[[Any], Awaitable[T]], *, is_careful: bool = True
) -> T:
    """Visit the Redis and do the work there, which is handed a `Visit`. Raises what that raises,
    and, in a group, `StorageError` where Redis cannot be reached or used.
    """
    visiting = needs_redis()

    async def run() -> T:
        async with visiting.visiting(
            server.redis,
            password=server.redis_password,
            prefix=f"{server.redis_prefix}:",
            is_careful=is_careful,
        ) as found:
            return await work(found)

    return trio.run(run)
