"""Where Redis is, as the engine takes it.

Owns: places and what connecting to them takes. Must not know how anybody connects, or how a URL is
spelled. No text here ever holds a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from signal_sdk.errors import ConfigError
from signal_sdk.server.redis_urls import RedisUrlError, parse_redis
from signal_sdk.wire.hidden import hides

__all__ = ["CLUSTER", "SENTINEL", "SINGLE", "Address", "Place", "parse"]

SINGLE: Final = "single"
CLUSTER: Final = "cluster"
SENTINEL: Final = "sentinel"


@attrs.frozen
class Place:
    """One server: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or (f"[{self.host}]" if ":" in self.host else self.host) + f":{self.port}"


@hides("user", "password")
@attrs.frozen(kw_only=True)
class Address:
    """All that connecting takes. `kind` is `SINGLE`, `CLUSTER` or `SENTINEL`; of the latter two,
    `places` are servers to ask; `service` is the name that Sentinels know the master by.
    """

    kind: str = SINGLE
    places: tuple[Place, ...] = ()
    user: str = ""
    password: str = ""
    db: int = 0
    has_tls: bool = False
    service: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def __str__(self) -> str:
        return ", ".join(map(str, self.places))


def parse(urls: Sequence[str], password: str = "") -> Address:
    """Where Redis is by these URLs, as redis_urls.py has them; `password` is for those without one.
    Raises `ConfigError`.
    """
    if not urls:
        raise ConfigError("a URL of Redis is missing")
    try:
        target = parse_redis(urls, password)
    except RedisUrlError as exc:
        raise ConfigError(f"the URL of Redis: {exc}") from None
    places = [Place(host, port) for host, port in target.hosts]
    return Address(
        kind=target.kind,
        places=tuple(places) or (Place(path=target.path),),
        user=target.username,
        password=target.password,
        db=target.database,
        has_tls=target.is_tls,
        service=target.master,
        ca_file=target.ca_file,
        cert_file=target.cert_file,
        key_file=target.key_file,
    )
