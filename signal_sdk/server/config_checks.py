"""The configuration's checks: what values may be.

Owns: every check that takes more than a value's type, and its one line of text. Must not know:
files, how a place and a value are spelled (config_errors.py does), or which keys there are beyond
those that it checks.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from signal_sdk.errors import ParameterError
from signal_sdk.net.addresses import plain_address
from signal_sdk.printable import LOGGERS
from signal_sdk.server.config_errors import APPS, ConfigKeyError, ConfigPath, shown, toml_value
from signal_sdk.server.config_hooks import HooksConfig, faults
from signal_sdk.server.redis_urls import RedisUrlError, parse_redis
from signal_sdk.wire import names

if TYPE_CHECKING:
    from signal_sdk.server.config_keys import AppConfig, Config, NativeConfig, ServerConfig
    from signal_sdk.server.config_limits import LimitsConfig

__all__ = [
    "ANY_ORIGIN",
    "DURABILITIES",
    "LOG_FORMATS",
    "MAX_PORT",
    "parse_address",
    "parse_log_level",
    "parse_origin",
    "place_of",
    "problems",
]

ANY_ORIGIN = "*"
DEFAULT_PORTS = {"http": 80, "https": 443}
"""What browsers leave out of an origin."""
MAX_PORT = 65535
DURABILITIES = ("process", "power", "redis", "replicas")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
MIN_CERTIFICATE_CHARS = 32
"""What the original ones have, and what HMAC-SHA256 asks of its key (RFC 7518, 3.2)."""
TOO_SHORT = f"expected {MIN_CERTIFICATE_CHARS} characters or more: a shorter secret can be guessed"


def problems(config: Config) -> Iterator[ConfigKeyError]:
    """All that is wrong with the values, each alone and together."""
    yield from _out_of_bounds(config.server, ("server",))
    yield from _out_of_bounds(config.native, ("native",))
    yield from _out_of_bounds(config.limits, ("limits",))
    yield from _out_of_bounds(config.hooks, ("hooks",))
    yield from _server_problems(config.server)
    yield from _native_problems(config.native)
    if config.native.enabled and not config.native_by_default:
        yield from _clashes(config.server, config.native)
    for path, text, got in faults(config.hooks):
        more = "" if got is None else f", got {shown(got)}"
        yield ConfigKeyError(("hooks", *path), f"{text}{more}")
    if not (config.limits.history_events or config.limits.history_seconds):
        text = "may not be 0 where history_seconds is: all would be kept"
        yield ConfigKeyError(("limits", "history_events"), text)
    yield from _app_problems(config.apps)
    if not (config.apps or config.server.dev or config.is_draft):
        yield ConfigKeyError((), "nobody could log in: add [[apps]], or set dev = true in [server]")


def _app_problems(apps: Sequence[AppConfig]) -> Iterator[ConfigKeyError]:
    first_with: dict[str, int] = {}  # numbered from 1, as people count
    for index, app in enumerate(apps):
        path = (APPS, index, "id")
        if not app.id:
            yield ConfigKeyError(path, "may not be empty")
        elif app.id in first_with:
            yield ConfigKeyError(path, f"the same as that of [[apps]] {first_with[app.id]}")
        else:
            try:
                names.check_app_id(app.id)
            except ParameterError as exc:
                yield ConfigKeyError(path, exc.reason)
        first_with.setdefault(app.id, index + 1)
        if app.certificate and len(app.certificate) < MIN_CERTIFICATE_CHARS:
            yield ConfigKeyError((APPS, index, "certificate"), TOO_SHORT)
        if any(len(old) < MIN_CERTIFICATE_CHARS for old in app.old_certificates):
            yield ConfigKeyError((APPS, index, "old_certificates"), TOO_SHORT)
        if app.old_certificates and not app.certificate:
            text = "needs the certificate that is in force: set certificate, too"
            yield ConfigKeyError((APPS, index, "old_certificates"), text)
    yield from _shared_certificates(apps)


def _shared_certificates(apps: Sequence[AppConfig]) -> Iterator[ConfigKeyError]:
    """The digest of an original token has no delimiters: with one certificate, or one within the
    other, a token of one app could be made into one of another.
    """
    seen: list[tuple[str, str]] = []
    for index, app in enumerate(apps):
        own = [secret for secret in (app.certificate, *app.old_certificates) if secret]
        for other, theirs in seen:
            if any(one in theirs or theirs in one for one in own):
                text = (
                    f"the apps {shown(other)} and {shown(app.id)} have one certificate, or one "
                    "holds the other's: give each a secret of its own"
                )
                yield ConfigKeyError((APPS, index, "certificate"), text)
                break
        seen += [(app.id, secret) for secret in own]


def _out_of_bounds(
    table: ServerConfig | NativeConfig | LimitsConfig | HooksConfig, path: ConfigPath
) -> Iterator[ConfigKeyError]:
    for field in attrs.fields(type(table)):
        least, most = field.metadata["least"], field.metadata["most"]
        found = getattr(table, field.name)
        values = dict(enumerate(found)) if isinstance(found, tuple) else {None: found}
        for index, value in values.items():
            if (least is not None and value < least) or (most is not None and value > most):
                bounds = f"{least} or more" if most is None else f"{least} to {most}"
                text = f"expected {bounds}, got {shown(value)}"
                where = (*path, field.name) if index is None else (*path, field.name, index)
                yield ConfigKeyError(where, text)


def _server_problems(server: ServerConfig) -> Iterator[ConfigKeyError]:
    yield from _state_problems(server)
    if not server.host:
        yield ConfigKeyError(("server", "host"), "may not be empty")
    if server.cert and not server.key:
        yield ConfigKeyError(("server", "cert"), "needs its private key: set key, too")
    if server.key and not server.cert:
        yield ConfigKeyError(("server", "key"), "needs its certificate: set cert, too")
    if server.cert and server.port == MAX_PORT:
        yield ConfigKeyError(
            ("server", "port"), f"leaves no port + 1 for TLS: at most {MAX_PORT - 1}"
        )
    yield from _repeated((server.port, *server.also_listen), ("server", "also_listen"))
    yield from _taken(
        _each(server.also_listen, "server"), {_tls_port(server): "TLS, on [server] port + 1"}
    )
    yield from _comer_problems(server)
    yield from _log_problems(server)
    for index, address in enumerate(server.advertise):
        try:
            parse_address(address)
        except ValueError as error:
            yield ConfigKeyError(("server", "advertise", index), str(error))


def _state_problems(server: ServerConfig) -> Iterator[ConfigKeyError]:
    """Of where state is kept."""
    if server.durability not in DURABILITIES:
        named = " or ".join(map(toml_value, DURABILITIES))
        text = f"expected {named}, got {shown(server.durability)}"
        yield ConfigKeyError(("server", "durability"), text)
    if not server.redis:
        if server.durability in ("redis", "replicas"):
            text = f"{toml_value(server.durability)} is a Redis's: set redis, too, or --redis URL"
            yield ConfigKeyError(("server", "durability"), text)
        if server.redis_password:
            yield ConfigKeyError(("server", "redis_password"), "needs what it is for: set redis")
        if server.workers != 1:
            text = (
                f"{server.workers or 'auto'} is not 1, and processes share their state in Redis: "
                "set redis, too, or --redis URL"
            )
            yield ConfigKeyError(("server", "workers"), text)
        return
    try:
        parse_redis(server.redis, server.redis_password)
    except RedisUrlError as error:
        yield ConfigKeyError(("server", "redis", error.index), str(error))
    if server.data:
        yield ConfigKeyError(("server", "data"), "state is kept there or in redis: set one of both")
    if server.durability == "power":
        text = '"power" is that of data: with redis, set "redis" or "replicas"'
        yield ConfigKeyError(("server", "durability"), text)
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", server.redis_prefix):
        text = f"expected 1 to 64 of A-Z a-z 0-9 _ . : -, got {shown(server.redis_prefix)}"
        yield ConfigKeyError(("server", "redis_prefix"), text)


def _log_problems(server: ServerConfig) -> Iterator[ConfigKeyError]:
    """Of what is logged, and how."""
    if server.log_format not in LOG_FORMATS:
        named = " or ".join(map(toml_value, LOG_FORMATS))
        text = f"expected {named}, got {shown(server.log_format)}"
        yield ConfigKeyError(("server", "log_format"), text)
    for index, entry in enumerate(server.log_levels):
        try:
            parse_log_level(entry)
        except ValueError as error:
            yield ConfigKeyError(("server", "log_levels", index), str(error))


def _comer_problems(server: ServerConfig) -> Iterator[ConfigKeyError]:
    """Of the proxies and the pages that may come."""
    for index, entry in enumerate(server.trusted_proxies):
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            text = f"expected an address or a network, such as 10.0.0.0/8, got {shown(entry)}"
            yield ConfigKeyError(("server", "trusted_proxies", index), text)
    if server.proxy_protocol and not server.trusted_proxies:
        text = "needs the proxies that speak it: set trusted_proxies, too"
        yield ConfigKeyError(("server", "proxy_protocol"), text)
    for index, origin in enumerate(server.allowed_origins):
        try:
            parse_origin(origin)
        except ValueError as error:
            yield ConfigKeyError(("server", "allowed_origins", index), str(error))


def _native_problems(native: NativeConfig) -> Iterator[ConfigKeyError]:
    yield from _repeated((native.port, *native.also_listen), ("native", "also_listen"))
    yield from _repeated((0, *native.lookup_ports), ("native", "lookup_ports"))
    for index, address in enumerate(native.advertise):
        try:
            host, _ = parse_address(address)
            ipaddress.IPv4Address(host)
        except ValueError:
            text = f'expected "address:port" or "address", an IPv4 one, got {shown(address)}'
            yield ConfigKeyError(("native", "advertise", index), text)


def _repeated(ports: tuple[int, ...], path: ConfigPath) -> Iterator[ConfigKeyError]:
    """A port can be listened on once; 0 stands for any."""
    for index, port in enumerate(ports[1:]):
        if port and port in ports[: index + 1]:
            yield ConfigKeyError((*path, index), f"the port {port} is named twice")


def _clashes(server: ServerConfig, native: NativeConfig) -> Iterator[ConfigKeyError]:
    """Native clients say other things than those of `[server]`, so that they need other ports."""
    if not server.port:
        # Theirs are any free ones, too.
        return
    holders = dict.fromkeys(server.also_listen, "[server] also_listen")
    holders |= {server.port: "[server] port", _tls_port(server): "TLS, on [server] port + 1"}
    named = [(("native", "port"), native.port), *_each(native.also_listen, "native")]
    yield from _taken(named, holders)


def _tls_port(server: ServerConfig) -> int:
    """Where TLS listens; 0 where it does not, or on any port."""
    return server.port + 1 if server.cert and server.port else 0


def _each(also_listen: tuple[int, ...], table: str) -> Iterator[tuple[ConfigPath, int]]:
    for index, port in enumerate(also_listen):
        yield (table, "also_listen", index), port


def _taken(
    named: Iterable[tuple[ConfigPath, int]], holders: Mapping[int, str]
) -> Iterator[ConfigKeyError]:
    """Of the ports that are named at these paths, which are somebody else's; 0 stands for any."""
    for path, port in named:
        if port and port in holders:
            yield ConfigKeyError(path, f"the port {port} is taken by {holders[port]}")


def parse_address(address: str) -> tuple[str, int | None]:
    """The host and the port, if there is one, of an entry of `[server] advertise`.

    An IPv6 address with a port stands in brackets, as in a URL. One that maps an IPv4 address is
    taken as that, since no client can use it. Raises `ValueError`.
    """
    host, port = _split(address)
    if not host or port == 0 or (port or 0) > MAX_PORT:
        raise ValueError(f'expected "host:port" or "host", got {shown(address)}')
    return host, port


def place_of(address: str) -> tuple[str, int]:
    """The host and the port of an address to listen on; port 0 is any. Raises `ValueError`."""
    host, port = _split(address)
    if not host or port is None or port > MAX_PORT:
        raise ValueError(f'expected "HOST:PORT", got {shown(address)}')
    return host, port


def _split(address: str) -> tuple[str, int | None]:
    """The host, empty where there is none, and the port, if there is one."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+))(?::([0-9]{1,5}))?", address)
    if match is None:
        return "", None
    return match[2] or _address(match[1]), int(match[3]) if match[3] else None


def _address(text: str) -> str:
    """An address as its own family writes it; empty for what is none."""
    try:
        return plain_address(str(ipaddress.ip_address(text)))
    except ValueError:
        return ""


def parse_log_level(entry: str) -> tuple[str, int]:
    """The logger and the level of an entry of `[server] log_levels`: `LEVEL`, or `LOGGER=LEVEL`.
    Raises `ValueError`.
    """
    name, _, level = entry.rpartition("=")
    name = name or LOGGERS[0]
    if level.lower() not in LOG_LEVELS:
        raise ValueError(f"expected one of {', '.join(LOG_LEVELS)}, got {shown(level)}")
    if name not in LOGGERS:
        raise ValueError(f"expected one of {', '.join(LOGGERS)}, got {shown(name)}")
    return name, int(getattr(logging, level.upper()))


def parse_origin(origin: str) -> str:
    """An origin as browsers write it: `scheme://host`, with the port where it is not the scheme's
    own; `null`, which pages have that were opened from a file; or `*`. Raises `ValueError`.
    """
    if origin in (ANY_ORIGIN, "null"):
        return origin
    match = re.fullmatch(r"([a-z][a-z0-9+.-]*)://(\S+)", origin.lower(), re.ASCII)
    try:
        host, port = parse_address(match[2] if match else "")
    except ValueError:
        text = 'expected "scheme://host", "scheme://host:port", "null" or "*", got '
        raise ValueError(f"{text}{shown(origin)}") from None
    scheme = match[1] if match else ""
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" + (
        f":{port}" if port not in (None, DEFAULT_PORTS.get(scheme)) else ""
    )
