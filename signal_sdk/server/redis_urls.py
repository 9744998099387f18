"""The addresses of a Redis: from the URLs that operators know to what is dialled.

Owns: how such a URL is spelled, and what is wrong with one. Must not know a connection. A URL may
hold a password: no error and no `repr` here shows one, and so none shows a URL that was not
understood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

__all__ = ["RedisTarget", "RedisUrlError", "parse_redis", "shown_redis"]

Kind: TypeAlias = Literal["single", "cluster", "sentinel"]

DEFAULT_PORTS: Final[Mapping[Kind, int]] = {"single": 6379, "cluster": 6379, "sentinel": 26379}
SCHEMES: Final[Mapping[str, tuple[Kind, bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
}
"""What a scheme stands for, and whether it is inside TLS."""
EXPECTED: Final = (
    "expected redis://HOST:PORT, rediss://HOST:PORT, unix:///PATH, redis+cluster://HOST:PORT or "
    "redis+sentinel://HOST:PORT/NAME"
)
ENCODED: Final = "in a user name or a password, : / @ ? # and % are written %3A %2F %40 %3F %23 %25"
SEVERAL: Final = (
    "several addresses are those of a Cluster (redis+cluster://) or of Sentinels "
    "(redis+sentinel://)"
)
TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""What a URL's query calls the files of TLS, as the usual libraries do."""
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
MAX_PORT: Final = 65535


@attrs.frozen(kw_only=True)
class RedisTarget:
    """A Redis, and who is to log in there.

    `hosts` are its own, those of some nodes of a Cluster, or those of the Sentinels that know where
    `master` is; `path` is a Unix socket, in place of hosts.
    """

    kind: Kind = "single"
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    master: str = ""
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    database: int = 0
    is_tls: bool = False
    ca_file: str = ""
    """Who is trusted, in PEM; empty is whom the system trusts."""
    cert_file: str = ""
    key_file: str = ""

    def __str__(self) -> str:
        """Where it is, as a log may show it."""
        places = [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        ]
        where = self.path or " and ".join(places)
        match self.kind:
            case "cluster":
                return f"the Redis Cluster of {where}"
            case "sentinel":
                return f"the Redis {self.master} of the Sentinels {where}"
            case _:
                return f"the Redis at {where}"


class RedisUrlError(ValueError):
    """The URL of this number is wrong, for a reason that has nothing of it."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


def parse_redis(urls: Sequence[str], password: str = "") -> RedisTarget:
    """What `urls` stand for together, of which there is one at least: several are of one Cluster,
    or of the Sentinels of one master. `password` is for URLs without one.

    Raises `RedisUrlError`.
    """
    targets = []
    for index, url in enumerate(urls):
        try:
            targets.append(_parse(url))
        except ValueError as exc:
            raise RedisUrlError(index, str(exc)) from None
    first = targets[0]
    if len(targets) > 1 and first.kind == "single":
        raise RedisUrlError(1, SEVERAL)
    for index, target in enumerate(targets):
        if attrs.evolve(target, hosts=first.hosts) != first:
            raise RedisUrlError(index, "may differ from the first in its host and port only")
    if password and first.password:
        raise RedisUrlError(
            0, "has a password already: give it here or as redis_password, not both"
        )
    hosts = tuple(dict.fromkeys(host for target in targets for host in target.hosts))
    return attrs.evolve(first, hosts=hosts, password=first.password or password)


def shown_redis(urls: Sequence[str]) -> str:
    """`urls` as a `repr` may show them."""
    try:
        return f"<{parse_redis(urls)}>" if urls else "()"
    except ValueError:
        return "<no Redis>"


def _parse(url: str) -> RedisTarget:
    if not url.isprintable() or " " in url:
        raise ValueError(EXPECTED)
    # What `urlsplit` says of what it refuses may have a password in it.
    try:
        parts = urlsplit(url)
        scheme, (users, _, place) = parts.scheme, parts.netloc.rpartition("@")
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(EXPECTED) from None
    if scheme not in SCHEMES or not url.lower().startswith(f"{scheme}://") or parts.fragment:
        raise ValueError(f"{EXPECTED}; {ENCODED}")
    kind, is_tls = SCHEMES[scheme]
    username, _, password = users.partition(":")
    asked = _query(query, is_tls=is_tls)
    path, database = unquote(parts.path), asked.get("db", "")
    if scheme == "unix":
        if place or not path.strip("/"):
            raise ValueError(f"{EXPECTED}; {ENCODED}")
        hosts: list[tuple[str, int]] = []
    else:
        hosts = [_host(one, DEFAULT_PORTS[kind]) for one in place.split(",")]
        path = path.removeprefix("/")
    if kind == "single":
        if len(hosts) > 1:
            raise ValueError(SEVERAL)
        if hosts and path and database:
            raise ValueError("names a database twice")
        database = database or ("" if scheme == "unix" else path)
    elif kind == "cluster" and (path or database).strip("0"):
        raise ValueError("a Cluster has the database 0 only")
    elif kind == "sentinel" and (not path or "/" in path):
        raise ValueError("Sentinels are asked for a master by name: redis+sentinel://HOST/NAME")
    if not re.fullmatch("[0-9]{0,5}", database):
        raise ValueError(f"expected the number of a database behind the host; {ENCODED}")
    return RedisTarget(
        kind=kind,
        hosts=tuple(hosts),
        path=path if scheme == "unix" else "",
        master=path if kind == "sentinel" else "",
        username=unquote(username),
        password=unquote(password),
        database=int(database or 0),
        is_tls=is_tls,
        ca_file=asked.get("ssl_ca_certs", ""),
        cert_file=asked.get("ssl_certfile", ""),
        key_file=asked.get("ssl_keyfile", ""),
    )


def _query(pairs: Sequence[tuple[str, str]], *, is_tls: bool) -> dict[str, str]:
    """What stands behind the question mark."""
    asked = dict(pairs)
    known = ("db", *TLS_FILES) if is_tls else ("db",)
    if len(asked) < len(pairs) or any(name not in known or not asked[name] for name in asked):
        raise ValueError(f"behind ? there may be {', '.join(known)}, each once")
    if asked.get("ssl_certfile") and not asked.get("ssl_keyfile"):
        raise ValueError("ssl_certfile needs its private key: ssl_keyfile")
    return asked


def _host(text: str, default_port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    port = int(match[3] or default_port) if match else 0
    if match is None or not 1 <= port <= MAX_PORT:
        raise ValueError(f"{EXPECTED}; {ENCODED}")
    return match[1] or match[2], port
