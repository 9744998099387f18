"""The engines that a node may have, and which one a configuration asks for.

Owns: the choice, and which keys are the engine's bounds. Must not know what a node does with it.
"""

from __future__ import annotations

from typing import Final

import attrs

from signal_sdk.errors import ConfigError
from signal_sdk.extras import needs_extra
from signal_sdk.server.config import Config
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal

__all__ = ["bounds_of", "make_engine"]

NO_REDIS: Final = needs_extra("[server] redis", "redis")


def make_engine(config: Config) -> Engine:
    """The engine of a node: in memory, with `[server] data` on the journal there, or with `redis`
    on that. Raises `StorageError`.
    """
    server = config.server
    if server.redis:
        try:
            # coredis, which it stands on, is an extra.
            from signal_sdk.server.engine.redis.engine import RedisEngine  # noqa: PLC0415
        except ModuleNotFoundError as exc:
            if exc.name != "coredis":
                raise
            raise ConfigError(NO_REDIS) from None
        return RedisEngine(
            server.redis,
            password=server.redis_password,
            prefix=f"{server.redis_prefix}:",
            replicas=server.replicas if server.durability == "replicas" else 0,
        )
    return EmbeddedEngine(
        journal=Journal.open(server.data, server.durability) if server.data else None
    )


def bounds_of(config: Config) -> Bounds:
    """What the engine is to keep to."""
    known = {**attrs.asdict(config.limits), **attrs.asdict(config.server, recurse=False)}
    return Bounds(**{field.name: known[field.name] for field in attrs.fields(Bounds)})
