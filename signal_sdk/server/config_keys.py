"""The configuration's keys: their classes, defaults, bounds, and text for operators.

Owns: everything about a key, and which tables there are; the keys of `[limits]` are in
`config_limits`, those of `[admin]` in `config_admin`. `config` reads and prints files from what
stands in these, and `config_checks` finds what is wrong, so that each key stands once. Must not
know: files, or what the server does with a value.
"""

from __future__ import annotations

from itertools import chain

import attrs

from signal_sdk.server.config_admin import AdminConfig, AdminKeyConfig, admin_problems
from signal_sdk.server.config_checks import MAX_PORT, problems
from signal_sdk.server.config_errors import ADMIN_KEYS, APPS, ConfigKeyError
from signal_sdk.server.config_fields import config_key
from signal_sdk.server.config_hooks import HooksConfig
from signal_sdk.server.config_limits import LimitsConfig
from signal_sdk.server.redis_urls import shown_redis
from signal_sdk.wire.datagrams import LOOKUP_PORTS

__all__ = [
    "MAX_DRAIN_SECONDS",
    "MAX_WORKERS",
    "TABLES",
    "AppConfig",
    "Config",
    "NativeConfig",
    "ServerConfig",
    "Table",
]

MAX_DRAIN_SECONDS = 3600
MAX_WORKERS = 1024


@attrs.frozen(kw_only=True)
class ServerConfig:
    """`[server]`: where the server listens, and what it says about where it is."""

    host: str = config_key(
        "127.0.0.1", "The address to listen on; `0.0.0.0` is every IPv4 address."
    )
    port: int = config_key(
        8001,
        "The port for the lookup and for plain WebSocket connections; 0 takes any free one. "
        "TLS, where it is on, listens on this port + 1.",
        least=0,
        most=MAX_PORT,
    )
    also_listen: tuple[int, ...] = config_key(
        (),
        "More ports for the lookup and for plain connections, such as 80, at which the original "
        "Java SDK asks.",
        least=1,
        most=MAX_PORT,
    )
    cert: str = config_key(
        "", "The file with the TLS certificate and its chain, in PEM; empty turns TLS off."
    )
    key: str = config_key("", "The file with the TLS certificate's private key, in PEM.")
    advertise: tuple[str, ...] = config_key(
        (),
        'The addresses that `/getaddr` names, as `"host:port"` or, with the port above, `"host"`, '
        "and with `redis` those of the other servers there, too. Empty names the address at which "
        "the client reached the server.",
    )
    allowed_origins: tuple[str, ...] = config_key(
        (),
        'The origins of the web pages that may use the server, such as `"https://example.com"`; '
        '`"*"` is any, `"null"` pages opened from a file. Empty is any, and in dev mode only pages '
        "of this machine (`localhost`). Clients that are no pages say no origin, and are let in.",
    )
    trusted_proxies: tuple[str, ...] = config_key(
        (),
        'The addresses and networks of the proxies before the server, such as `"10.0.0.0/8"`: what '
        "they say counts for whom they connect, in `X-Forwarded-For` or by the PROXY protocol, and "
        "the limits of an address are not theirs.",
    )
    proxy_protocol: bool = config_key(
        False,
        "Whether each connection of a trusted proxy begins with a header of the PROXY protocol, "
        "version 2. `X-Forwarded-For` is not heard then.",
    )
    data: str = config_key(
        "",
        "The directory where the server keeps its state; it is made where there is none. Empty, "
        "and without `redis`, everything is in memory, which only a server for development may do.",
    )
    redis: tuple[str, ...] = config_key(
        (),
        "The Redis in which the server keeps its state, and shares it with others, in place of "
        '`data`: `"redis://HOST:PORT"`; `rediss://` is inside TLS, `unix:///PATH` a socket; '
        "several of `redis+cluster://HOST:PORT` are nodes of a Cluster, several of "
        "`redis+sentinel://HOST:PORT/NAME` the Sentinels of a master. The same as `--redis`. "
        "`$SIGNAL_SDK_…` stands for what that environment variable holds.",
        secret=True,
        shown=shown_redis,
    )
    redis_password: str = config_key(
        "",
        "The password for `redis`, where none is in its URL; `$SIGNAL_SDK_…` stands for what that "
        "environment variable holds.",
        secret=True,
        file="redis_password_file",
    )
    redis_password_file: str = config_key(
        "",
        "The file with the password, in place of `redis_password`; nothing else is in it.",
    )
    redis_prefix: str = config_key(
        "signal",
        "What the names of all keys and topics in `redis` begin with: another for each system "
        "that shares it.",
    )
    workers: int = config_key(
        1,
        "How many processes serve on the same ports, for which `redis` is needed; 0 is one for "
        "each core that they may use. The limits are those of each. The same as `--workers`.",
        least=0,
        most=MAX_WORKERS,
    )
    durability: str = config_key(
        "process",
        "What an acknowledged message outlives: `process`, the server's process, however it ends; "
        "`power`, also the machine's, since the disk is waited for. With `redis`: `redis`, which "
        "is the same as `process`, all that Redis itself outlives; `replicas`, also the loss of "
        "its master, since `replicas` of them are waited for.",
    )
    replicas: int = config_key(
        1,
        "How many replicas of `redis` have what is acknowledged, with the durability `replicas`.",
        least=1,
    )
    drain_seconds: int = config_key(
        10,
        "Over how many seconds the clients are sent away when SIGTERM stops the server.",
        least=0,
        most=MAX_DRAIN_SECONDS,
    )
    clock_skew_seconds: int = config_key(
        60,
        "How far the clocks of those who make tokens may be ahead of this machine's, in seconds, "
        "and how far this one may be set back before tokens are checked against the newest time "
        "that was seen, which is kept in `data`. 0 goes by the clock alone, whatever it says, and "
        "forgets a newer time.",
        least=0,
    )
    log_format: str = config_key(
        "text",
        "How the log on stderr is written: `text`, lines to read, or `json`, an object on each "
        "line. The same as `--log-format`.",
    )
    log_levels: tuple[str, ...] = config_key(
        (),
        'What the log has, as `-v` says for all of it: `"info"`, and for a part '
        '`"signal_sdk.server.logins=debug"`. The same as `--log-level`.',
    )
    tracing: bool = config_key(
        False,
        "Whether messages that carry their sender's trace have spans here, by OpenTelemetry, for "
        "which the extra `otel` is needed.",
    )
    dev: bool = config_key(
        False,
        "For development only: any app id is accepted, and no login needs a token. "
        "The same as `--dev`.",
    )


@attrs.frozen(kw_only=True)
class NativeConfig:
    """`[native]`: the clients of the original native SDK, in phone and desktop apps."""

    enabled: bool = config_key(
        False,
        "Whether they are served. The same as `--native`; in dev mode they are unless this says "
        "otherwise.",
    )
    port: int = config_key(
        8003,
        "The TCP port of their connections. 0, or 0 as `[server] port`, takes any free one.",
        least=0,
        most=MAX_PORT,
    )
    also_listen: tuple[int, ...] = config_key(
        (), "More TCP ports of their connections.", least=1, most=MAX_PORT
    )
    lookup_ports: tuple[int, ...] = config_key(
        LOOKUP_PORTS,
        "The UDP ports of their lookup: these are built into the clients. 0, or 0 as "
        "`[server] port`, takes any free one.",
        least=0,
        most=MAX_PORT,
    )
    advertise: tuple[str, ...] = config_key(
        (),
        'The IPv4 addresses that the lookup names, as `"address:port"` or, with the port above, '
        '`"address"`, and with `redis` those of the other servers there, too. Empty names those of '
        "`[server] advertise`, and where there are none the address that was asked.",
    )


@attrs.frozen(kw_only=True)
class AppConfig:
    """`[[apps]]`: an application whose users may log in; repeat the table for each."""

    id: str = config_key(
        "",
        "The app id, which clients log in with: 1 to 128 visible characters, without white space "
        "and colons.",
    )
    certificate: str = config_key(
        "",
        "The app's certificate, which its tokens are signed with: a secret of 32 characters or "
        "more, which no other app has. `$SIGNAL_SDK_…` stands "
        "for what that environment variable holds. "
        "With none, nobody can tell a right token from a wrong one, and logins need no token.",
        secret=True,
        file="certificate_file",
    )
    certificate_file: str = config_key(
        "", "The file with the app's certificate, in place of `certificate`; nothing else is in it."
    )
    old_certificates: tuple[str, ...] = config_key(
        (),
        "Certificates that the app has had before: tokens that were signed with them are good "
        "until they expire, and no new ones are made.",
        secret=True,
        file="old_certificate_files",
    )
    old_certificate_files: tuple[str, ...] = config_key(
        (), "The files with one such certificate each, in place of `old_certificates`."
    )
    allow_old_tokens: bool = config_key(
        True,
        "Whether tokens of the original form (`1:APP_ID:EXPIRY:MD5`) log in; all original clients "
        "can take a JWT instead.",
    )
    allow_no_token: bool = config_key(
        False, "Whether `_no_need_token` logs in even though the app has a certificate."
    )
    listeners: tuple[str, ...] = config_key(
        (),
        "The accounts that may join `_agora_user_online` and `_agora_channel_event`, beside those "
        'whose token says so; `"*"` is everybody. With none, nobody else may, but in dev mode '
        "everybody.",
    )
    channel_managers: tuple[str, ...] = config_key(
        (),
        "The accounts that may clear the attributes of channels that they are not in, and set or "
        'delete `_sendmsg_limit` and `_setattr_limit` there; `"*"` is everybody.',
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
    admin: AdminConfig = AdminConfig()
    admin_keys: tuple[AdminKeyConfig, ...] = ()
    hooks: HooksConfig = HooksConfig()
    native_by_default: bool = attrs.field(default=False, eq=False)
    """Are native clients served only because dev mode is on, which nobody has asked for by name?
    Then the server does without them where their ports are not to be had.
    """
    admin_by_default: bool = attrs.field(default=False, eq=False)
    """Is there an admin address only because dev mode is on? Then the server does without it where
    its port is not to be had.
    """
    is_draft: bool = attrs.field(default=False, eq=False)
    """Is it only to be shown, and not yet to be served? Then nobody need be able to log in."""

    def __attrs_post_init__(self) -> None:
        if problem := ConfigKeyError.first_of(chain(problems(self), admin_problems(self))):
            raise problem

    @property
    def has_admin(self) -> bool:
        """Is there anything to serve at the admin address?"""
        return bool(self.admin_keys or self.admin.metrics_open)


Table = (
    ServerConfig
    | NativeConfig
    | AppConfig
    | LimitsConfig
    | AdminConfig
    | AdminKeyConfig
    | HooksConfig
)
TABLES: dict[str, type[Table]] = {
    "server": ServerConfig,
    "native": NativeConfig,
    APPS: AppConfig,
    "limits": LimitsConfig,
    "admin": AdminConfig,
    ADMIN_KEYS: AdminKeyConfig,
    "hooks": HooksConfig,
}
