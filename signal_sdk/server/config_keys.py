"""The configuration's keys: their classes, defaults, bounds, and text for operators.

Owns: everything about a key. `config` reads and prints files from what stands here, and
`config_checks` finds what is wrong, so that each key stands once. Must not know: files, or what
the server does with a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from signal_sdk.server.config_checks import APPS, MAX_PORT, problems
from signal_sdk.server.redis_urls import shown_redis
from signal_sdk.wire.datagrams import LOOKUP_PORTS

__all__ = [
    "MAX_DRAIN_SECONDS",
    "MAX_WORKERS",
    "TABLES",
    "AppConfig",
    "Config",
    "LimitsConfig",
    "NativeConfig",
    "ServerConfig",
    "Table",
]

MAX_DRAIN_SECONDS = 3600
MAX_WORKERS = 1024

T = TypeVar("T")


def _key(
    default: T,
    doc: str,
    *,
    least: int | None = None,
    most: int | None = None,
    secret: bool = False,
    file: str = "",
    shown: Callable[[T], str] | None = None,
) -> T:
    """A key of the file: its default, its text for operators, its bounds; of a `secret`, the key
    that names its `file`, and how a `repr` may show it, if at all.
    """
    field: T = attrs.field(
        default=default,
        repr=shown or not secret,
        metadata={"doc": doc, "least": least, "most": most, "secret": secret, "file": file},
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
        'The addresses that `/getaddr` names, as `"host:port"` or, with the port above, `"host"`, '
        "and with `redis` those of the other servers there, too. Empty names the address at which "
        "the client reached the server.",
    )
    allowed_origins: tuple[str, ...] = _key(
        (),
        'The origins of the web pages that may use the server, such as `"https://example.com"`; '
        '`"*"` is any, `"null"` pages opened from a file. Empty is any, and in dev mode only pages '
        "of this machine (`localhost`). Clients that are no pages say no origin, and are let in.",
    )
    trusted_proxies: tuple[str, ...] = _key(
        (),
        'The addresses and networks of the proxies before the server, such as `"10.0.0.0/8"`: what '
        "they say counts for whom they connect, in `X-Forwarded-For` or by the PROXY protocol, and "
        "the limits of an address are not theirs.",
    )
    proxy_protocol: bool = _key(
        False,
        "Whether each connection of a trusted proxy begins with a header of the PROXY protocol, "
        "version 2. `X-Forwarded-For` is not heard then.",
    )
    data: str = _key(
        "",
        "The directory where the server keeps its state; it is made where there is none. Empty, "
        "and without `redis`, everything is in memory, which only a server for development may do.",
    )
    redis: tuple[str, ...] = _key(
        (),
        "The Redis in which the server keeps its state, and shares it with others, in place of "
        '`data`: `"redis://HOST:PORT"`; `rediss://` is inside TLS, `unix:///PATH` a socket; '
        "several of `redis+cluster://HOST:PORT` are nodes of a Cluster, several of "
        "`redis+sentinel://HOST:PORT/NAME` the Sentinels of a master. The same as `--redis`. "
        "`$SIGNAL_SDK_…` stands for what that environment variable holds.",
        secret=True,
        shown=shown_redis,
    )
    redis_password: str = _key(
        "",
        "The password for `redis`, where none is in its URL; `$SIGNAL_SDK_…` stands for what that "
        "environment variable holds.",
        secret=True,
        file="redis_password_file",
    )
    redis_password_file: str = _key(
        "",
        "The file with the password, in place of `redis_password`; nothing else is in it.",
    )
    redis_prefix: str = _key(
        "signal",
        "What the names of all keys and topics in `redis` begin with: another for each system "
        "that shares it.",
    )
    workers: int = _key(
        1,
        "How many processes serve on the same ports, for which `redis` is needed; 0 is one for "
        "each core that they may use. The limits are those of each. The same as `--workers`.",
        least=0,
        most=MAX_WORKERS,
    )
    durability: str = _key(
        "process",
        "What an acknowledged message outlives: `process`, the server's process, however it ends; "
        "`power`, also the machine's, since the disk is waited for. With `redis`: `redis`, which "
        "is the same as `process`, all that Redis itself outlives; `replicas`, also the loss of "
        "its master, since `replicas` of them are waited for.",
    )
    replicas: int = _key(
        1,
        "How many replicas of `redis` have what is acknowledged, with the durability `replicas`.",
        least=1,
    )
    drain_seconds: int = _key(
        10,
        "Over how many seconds the clients are sent away when SIGTERM stops the server.",
        least=0,
        most=MAX_DRAIN_SECONDS,
    )
    clock_skew_seconds: int = _key(
        60,
        "How far the clocks of those who make tokens may be ahead of this machine's, in seconds, "
        "and how far this one may be set back before tokens are checked against the newest time "
        "that was seen, which is kept in `data`. 0 goes by the clock alone, whatever it says, and "
        "forgets a newer time.",
        least=0,
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
        LOOKUP_PORTS,
        "The UDP ports of their lookup: these are built into the clients. 0, or 0 as "
        "`[server] port`, takes any free one.",
        least=0,
        most=MAX_PORT,
    )
    advertise: tuple[str, ...] = _key(
        (),
        'The IPv4 addresses that the lookup names, as `"address:port"` or, with the port above, '
        '`"address"`, and with `redis` those of the other servers there, too. Empty names those of '
        "`[server] advertise`, and where there are none the address that was asked.",
    )


@attrs.frozen(kw_only=True)
class AppConfig:
    """`[[apps]]`: an application whose users may log in; repeat the table for each."""

    id: str = _key(
        "",
        "The app id, which clients log in with: 1 to 128 visible characters, without white space "
        "and colons.",
    )
    certificate: str = _key(
        "",
        "The app's certificate, which its tokens are signed with: a secret of 32 characters or "
        "more, which no other app has. `$SIGNAL_SDK_…` stands "
        "for what that environment variable holds. "
        "With none, nobody can tell a right token from a wrong one, and logins need no token.",
        secret=True,
        file="certificate_file",
    )
    certificate_file: str = _key(
        "", "The file with the app's certificate, in place of `certificate`; nothing else is in it."
    )
    old_certificates: tuple[str, ...] = _key(
        (),
        "Certificates that the app has had before: tokens that were signed with them are good "
        "until they expire, and no new ones are made.",
        secret=True,
        file="old_certificate_files",
    )
    old_certificate_files: tuple[str, ...] = _key(
        (), "The files with one such certificate each, in place of `old_certificates`."
    )
    allow_old_tokens: bool = _key(
        True,
        "Whether tokens of the original form (`1:APP_ID:EXPIRY:MD5`) log in; all original clients "
        "can take a JWT instead.",
    )
    allow_no_token: bool = _key(
        False, "Whether `_no_need_token` logs in even though the app has a certificate."
    )
    listeners: tuple[str, ...] = _key(
        (),
        "The accounts that may join `_agora_user_online` and `_agora_channel_event`, beside those "
        'whose token says so; `"*"` is everybody. With none, nobody else may, but in dev mode '
        "everybody.",
    )
    channel_managers: tuple[str, ...] = _key(
        (),
        "The accounts that may clear the attributes of channels that they are not in, and set or "
        'delete `_sendmsg_limit` and `_setattr_limit` there; `"*"` is everybody.',
    )


@attrs.define(kw_only=True)
class LimitsConfig:
    """`[limits]`: how much one client, one channel and the whole server may use. 0 is no limit."""

    user_messages_per_second: int = _key(
        60,
        "How many messages an account may send in a second, to peers and channels. 0 is no limit.",
        least=0,
    )
    channel_messages_per_second: int = _key(
        1000,
        "How many messages a channel takes in a second; its attribute `_sendmsg_limit` may lower "
        "that. 0 is no limit.",
        least=0,
    )
    channel_joins_per_second: int = _key(
        3000,
        "How many joins a channel takes in a second where its members are told of them, as they "
        "are unless its attribute `_userNotification` is 0. Each counts as several in a large "
        "channel: as one for each 200 members. 0 is no limit.",
        least=0,
    )
    channel_attributes_per_second: int = _key(
        60,
        "How many attribute changes a channel takes in a second; its attribute `_setattr_limit` "
        "has precedence. 0 is no limit.",
        least=0,
    )
    frames_per_second: int = _key(
        500,
        "How many messages, pings among them, are read of a connection in a second; what comes "
        "faster waits in the network for its turn. One that goes to many counts as one more for "
        "each 200 of them. 0 is no limit.",
        least=0,
    )
    changes_per_second: int = _key(
        100,
        "How many joins, leaves, changes of attributes and steps of calls a session may ask for in "
        "a second. 0 is no limit.",
        least=0,
    )
    questions_per_second: int = _key(
        300,
        "How many questions and polls of its inbox a session may ask in a second; a long answer "
        "counts as several. 0 is no limit.",
        least=0,
    )
    count_push_seconds: int = _key(
        5,
        "How many seconds there are at least between two pushes of a channel's `_member_num` or "
        "`_total_member_num`, whatever `_auto_update_num` says. 0 is no limit.",
        least=0,
    )
    max_frame_bytes: int = _key(
        131072,
        "How long a WebSocket message or a native packet may be, in bytes, a compressed one also "
        "when it is inflated; a longer one ends its connection. 0 is no limit.",
        least=0,
    )
    compress_over_bytes: int = _key(
        4096,
        "How long a frame may be, in bytes, before it goes compressed to clients that read that, "
        "as the web SDK 1.4 does. 0 is no limit: nothing is compressed.",
        least=0,
    )
    lookups_per_second: int = _key(
        20,
        "How many questions of native clients an IP address is answered in a second. 0 is no "
        "limit.",
        least=0,
    )
    max_connections: int = _key(
        20_000,
        "How many connections may be open at once. The last tenth of them is for clients that come "
        "back to a session. 0 is no limit.",
        least=0,
    )
    app_connections: int = _key(
        15_000,
        "How many accounts of one app may be connected at once. The last tenth of them is for "
        "clients that come back to a session. 0 is no limit.",
        least=0,
    )
    connections_per_address: int = _key(
        1000,
        "How many connections an IP address, or an IPv6 network of 64 bits, may have at once. 0 is "
        "no limit.",
        least=0,
    )
    connections_per_second: int = _key(
        200,
        "How many connections an address, as above, may begin in a second. 0 is no limit.",
        least=0,
    )
    logins_per_second: int = _key(
        100, "How many logins an address may try in a second. 0 is no limit.", least=0
    )
    wrong_logins_per_minute: int = _key(
        60,
        "How many wrong tokens and wrong session lines an address may give in a minute before its "
        "logins wait, for 2 s and then ever longer, up to a minute. 0 is no limit.",
        least=0,
    )
    account_logins_per_minute: int = _key(
        60,
        "How many times an account may log in in a minute; coming back to a session is no login. "
        "0 is no limit.",
        least=0,
    )
    memory_percent: int = _key(
        80,
        "How many percent of the memory that the process may have (its control group's limit, or "
        "what the machine has, as it was at the start) may be in use. Over that nobody new is let "
        "in, and the newest go that are not logged in. 0 is no limit.",
        least=0,
        most=100,
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
    inbox_bytes: int = _key(
        16_777_216,
        "How many bytes of messages may wait for an account. Call events have a tenth more room, "
        "in messages and bytes. 0 is no limit.",
        least=0,
    )
    inbox_sender_messages: int = _key(
        2000,
        "How many messages of one sender may wait for one account, so that nobody's inbox is "
        "filled by a stranger. 0 is no limit.",
        least=0,
    )
    account_channels: int = _key(
        1000,
        "How many channels that one account has made, by joining them or by an attribute, may be "
        "there. 0 is no limit.",
        least=0,
    )
    account_calls: int = _key(
        100, "How many live calls one account may have made. 0 is no limit.", least=0
    )
    app_accounts: int = _key(
        1_000_000,
        "How many accounts an app may have of which something is kept: who is online, has messages "
        "or attributes. 0 is no limit.",
        least=0,
    )
    app_channels: int = _key(100_000, "How many channels an app may have. 0 is no limit.", least=0)
    app_bytes: int = _key(
        1_073_741_824,
        "How many bytes of messages and attributes are kept for an app. 0 is no limit.",
        least=0,
    )
    attributes: int = _key(
        256,
        "How many attributes a user, and how many a channel, may have: a channel's go to everybody "
        "who joins it. 0 is no limit.",
        least=0,
    )
    handshake_seconds: int = _key(
        10,
        "How many seconds a client may say nothing before it is logged in. 0 is no limit.",
        least=0,
    )
    history_events: int = _key(
        256,
        "How many events a channel keeps for members that lose their connection and come back. "
        "0 is no limit but `history_seconds`; not both may be 0, or all would be kept.",
        least=0,
    )
    history_seconds: int = _key(
        60,
        "For how many seconds a channel keeps an event for members that come back. 0 is no limit "
        "but `history_events`; not both may be 0, or all would be kept.",
        least=0,
    )
    silence_seconds: int = _key(
        40,
        "How many seconds a client that is logged in may say nothing before its connection is "
        "taken for dead; clients ping every 10 s. For one of this SDK, half as long, but not less "
        "than 20 s. 0 is no limit.",
        least=0,
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
    native_by_default: bool = attrs.field(default=False, eq=False)
    """Are native clients served only because dev mode is on, which nobody has asked for by name?
    Then the server does without them where their ports are not to be had.
    """
    is_draft: bool = attrs.field(default=False, eq=False)
    """Is it only to be shown, and not yet to be served? Then nobody need be able to log in."""

    def __attrs_post_init__(self) -> None:
        for problem in problems(self):
            raise problem


Table = ServerConfig | NativeConfig | AppConfig | LimitsConfig
TABLES: dict[str, type[Table]] = {
    "server": ServerConfig,
    "native": NativeConfig,
    APPS: AppConfig,
    "limits": LimitsConfig,
}
