"""The configuration's keys: their classes, defaults, bounds, text for operators, and checks.

Owns: everything about a key and how its value is spelled. `config` reads and prints files from
what stands here, so that each key stands once. Must not know: files, or what the server
does with a value.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from typing import TypeVar

import attrs

from signal_sdk.errors import ConfigError

__all__ = [
    "APPS",
    "DURABILITIES",
    "MAX_DRAIN_SECONDS",
    "MAX_PORT",
    "TABLES",
    "AppConfig",
    "Config",
    "ConfigKeyError",
    "ConfigPath",
    "LimitsConfig",
    "NativeConfig",
    "ServerConfig",
    "header",
    "parse_address",
    "shown",
    "toml_value",
]

MAX_PORT = 65535
MAX_DRAIN_SECONDS = 3600
DURABILITIES = ("process", "power")
MAX_SHOWN_CHARS = 40

T = TypeVar("T")


def _key(
    default: T, doc: str, *, least: int | None = None, most: int | None = None, secret: bool = False
) -> T:
    """A key of the file: its default, its text for operators, its bounds."""
    field: T = attrs.field(
        default=default,
        repr=not secret,
        metadata={"doc": doc, "least": least, "most": most, "secret": secret},
    )
    return field


@attrs.frozen(kw_only=True)
class ServerConfig:
    """`[server]`: where the server listens, and what it says about where it is."""

    host: str = _key("127.0.0.1", "The address to listen on; `0.0.0.0` is every IPv4 address.")
    port: int = _key(
        8001,
        "The port for the lookup and for plain WebSocket connections; 0 takes any free one. "
        "TLS, where it is on, listens on this port + 1.",
        least=0,
        most=MAX_PORT,
    )
    also_listen: tuple[int, ...] = _key(
        (),
        "More ports for the lookup and for plain connections, such as 80, at which the original "
        "Java SDK asks.",
        least=1,
        most=MAX_PORT,
    )
    cert: str = _key(
        "", "The file with the TLS certificate and its chain, in PEM; empty turns TLS off."
    )
    key: str = _key("", "The file with the TLS certificate's private key, in PEM.")
    advertise: tuple[str, ...] = _key(
        (),
        'The addresses that `/getaddr` names, as `"host:port"` or, with the port above, `"host"`. '
        "Empty names the address at which the client reached the server.",
    )
    data: str = _key(
        "",
        "The directory where the server keeps its state; it is made where there is none. Empty "
        "keeps everything in memory, which only a server for development may do.",
    )
    durability: str = _key(
        "process",
        "What an acknowledged message outlives: `process`, the server's process, however it ends; "
        "`power`, also the machine's, since the disk is waited for.",
    )
    drain_seconds: int = _key(
        10,
        "Over how many seconds the clients are sent away when SIGTERM stops the server.",
        least=0,
        most=MAX_DRAIN_SECONDS,
    )
    dev: bool = _key(
        False,
        "For development only: any app id is accepted, and no login needs a token. "
        "The same as `--dev`.",
    )


@attrs.frozen(kw_only=True)
class NativeConfig:
    """`[native]`: the clients of the original native SDK, in phone and desktop apps."""

    enabled: bool = _key(
        False,
        "Whether they are served. The same as `--native`; in dev mode they are unless this says "
        "otherwise.",
    )
    port: int = _key(
        8003,
        "The TCP port of their connections. 0, or 0 as `[server] port`, takes any free one.",
        least=0,
        most=MAX_PORT,
    )
    also_listen: tuple[int, ...] = _key(
        (), "More TCP ports of their connections.", least=1, most=MAX_PORT
    )
    lookup_ports: tuple[int, ...] = _key(
        (8180, 8181),
        "The UDP ports of their lookup: these are built into the clients. 0, or 0 as "
        "`[server] port`, takes any free one.",
        least=0,
        most=MAX_PORT,
    )
    advertise: tuple[str, ...] = _key(
        (),
        'The IPv4 addresses that the lookup names, as `"address:port"` or, with the port above, '
        '`"address"`. Empty names those of `[server] advertise`, and where there are none the '
        "address that was asked.",
    )


@attrs.frozen(kw_only=True)
class AppConfig:
    """`[[apps]]`: an application whose users may log in; repeat the table for each."""

    id: str = _key("", "The app id, which clients log in with; it may not be empty.")
    certificate: str = _key(
        "",
        "The app's certificate, which its tokens are signed with: a secret. "
        "With none, nobody can tell a right token from a wrong one, and logins need no token.",
        secret=True,
    )
    allow_no_token: bool = _key(
        False, "Whether `_no_need_token` logs in even though the app has a certificate."
    )
    listeners: tuple[str, ...] = _key(
        (),
        "The accounts that may join `_agora_user_online` and `_agora_channel_event`; "
        "empty lets everybody.",
    )


@attrs.frozen(kw_only=True)
class LimitsConfig:
    """`[limits]`: how much one client, one channel and the whole server may use."""

    user_messages_per_second: int = _key(
        60, "How many messages an account may send in a second, to peers and channels.", least=1
    )
    channel_messages_per_second: int = _key(
        1000,
        "How many messages a channel takes in a second; its attribute `_sendmsg_limit` may lower "
        "that.",
        least=1,
    )
    channel_attributes_per_second: int = _key(
        10,
        "How many attribute changes a channel takes in a second; its attribute `_setattr_limit` "
        "has precedence.",
        least=1,
    )
    max_frame_bytes: int = _key(
        131072,
        "How long a WebSocket message or a native packet may be, in bytes, a compressed one also "
        "when it is inflated; a longer one ends its connection.",
        least=1,
    )
    compress_over_bytes: int = _key(
        4096,
        "How long a frame may be, in bytes, before it goes compressed to clients that read that, "
        "as the web SDK 1.4 does. 0 compresses nothing.",
        least=0,
    )
    lookups_per_second: int = _key(
        20,
        "How many questions of native clients an IP address is answered in a second. 0 is no "
        "limit.",
        least=0,
    )
    max_connections: int = _key(
        0, "How many connections may be open at once; 0 is no limit.", least=0
    )
    outbox_bytes: int = _key(
        4194304,
        "How many bytes may wait for a client that reads slowly; one that lets more come together "
        "is disconnected, and may resume. 0 is no limit.",
        least=0,
    )
    inbox_messages: int = _key(
        10000,
        "How many messages and call events may wait for an account; sending to an account with a "
        "full inbox fails. 0 is no limit.",
        least=0,
    )
    attributes: int = _key(
        256,
        "How many attributes a user, and how many a channel, may have: a channel's go to everybody "
        "who joins it. 0 is no limit.",
        least=0,
    )
    handshake_seconds: int = _key(
        10, "How long a client may say nothing before it is logged in.", least=1
    )
    history_events: int = _key(
        256,
        "How many events a channel keeps for members that lose their connection and come back. "
        "0 keeps none.",
        least=0,
    )
    history_seconds: int = _key(
        60, "For how long a channel keeps an event for members that come back.", least=1
    )
    silence_seconds: int = _key(
        40,
        "How long a client that is logged in may say nothing before its connection is taken for "
        "dead; clients ping every 10 s. For one of this SDK, half as long, but not less than 20 s.",
        least=1,
    )


@attrs.frozen(kw_only=True)
class Config:
    """The whole file. An object of this class has passed every check.

    Raises `ConfigError` where two values do not go together, or one is out of bounds.
    """

    server: ServerConfig = ServerConfig()
    native: NativeConfig = NativeConfig()
    apps: tuple[AppConfig, ...] = ()
    limits: LimitsConfig = LimitsConfig()

    def __attrs_post_init__(self) -> None:
        for problem in _problems(self):
            raise problem


APPS = "apps"
Table = ServerConfig | NativeConfig | AppConfig | LimitsConfig
TABLES: dict[str, type[Table]] = {
    "server": ServerConfig,
    "native": NativeConfig,
    APPS: AppConfig,
    "limits": LimitsConfig,
}

ConfigPath = tuple[str | int, ...]
"""Where a value stands: table, number of the app, key, number of the element."""


def header(table: str) -> str:
    """A table as a file spells it."""
    return f"[[{table}]]" if table == APPS else f"[{table}]"


class ConfigKeyError(ConfigError):
    """A `ConfigError` that knows at which `path` it stands, but no file and no line."""

    def __init__(self, path: ConfigPath, text: str, *, said_of: ConfigPath | None = None) -> None:
        self.path = path
        names = [part for part in (path if said_of is None else said_of) if isinstance(part, str)]
        where = [header(names[0]), *(f"{name}:" for name in names[1:])] if names else []
        super().__init__(" ".join([*where, text]))


def toml_value(value: object) -> str:
    """A value as a file spells it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            # JSON's escapes are TOML's; DEL is the one character that only TOML wants escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            raise TypeError(f"no key has values of type {type(value).__name__}")


def shown(value: object) -> str:
    """A value as an error shows it: on one line, and not all of a long one."""
    text = toml_value(value)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}..."


def _problems(config: Config) -> Iterator[ConfigKeyError]:
    yield from _out_of_bounds(config.server, ("server",))
    yield from _out_of_bounds(config.native, ("native",))
    yield from _out_of_bounds(config.limits, ("limits",))
    yield from _server_problems(config.server)
    yield from _native_problems(config.native)
    first_with: dict[str, int] = {}  # numbered from 1, as people count
    for index, app in enumerate(config.apps):
        path = (APPS, index, "id")
        if not app.id:
            yield ConfigKeyError(path, "may not be empty")
        elif app.id in first_with:
            yield ConfigKeyError(path, f"the same as that of [[apps]] {first_with[app.id]}")
        first_with.setdefault(app.id, index + 1)
    if not config.apps and not config.server.dev:
        yield ConfigKeyError((), "nobody could log in: add [[apps]], or set dev = true in [server]")


def _out_of_bounds(
    table: ServerConfig | NativeConfig | LimitsConfig, path: ConfigPath
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
    if server.durability not in DURABILITIES:
        text = f'expected "process" or "power", got {shown(server.durability)}'
        yield ConfigKeyError(("server", "durability"), text)
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
    for index, address in enumerate(server.advertise):
        try:
            parse_address(address)
        except ValueError as error:
            yield ConfigKeyError(("server", "advertise", index), str(error))


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


def parse_address(address: str) -> tuple[str, int | None]:
    """The host and the port, if there is one, of an entry of `[server] advertise`.

    An IPv6 address with a port stands in brackets, as in a URL. Raises `ValueError`.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+))(?::([0-9]{1,5}))?", address)
    port = int(match[3]) if match and match[3] else None
    if match is None or (port is not None and not 1 <= port <= MAX_PORT):
        raise ValueError(f'expected "host:port" or "host", got {shown(address)}')
    return match[1] or match[2], port
