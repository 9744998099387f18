"""The configuration's admin address: its keys, defaults, bounds, checks, and text for operators.

Owns: `[admin]` and `[[admin.keys]]`, where that address is, and which key is too weak. Must not
know files, nor what is served there. No error holds a key.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from signal_sdk.server.config_checks import MAX_PORT, place_of
from signal_sdk.server.config_errors import (
    ADMIN_KEYS,
    ConfigKeyError,
    ConfigPath,
    shown,
    table_path,
)
from signal_sdk.server.config_fields import config_key

if TYPE_CHECKING:
    from signal_sdk.server.config_keys import Config

__all__ = [
    "ALL_APPS",
    "MIN_KEY_BITS",
    "RIGHTS",
    "AdminConfig",
    "AdminKeyConfig",
    "admin_place",
    "admin_problems",
]

RIGHTS: Final = ("read", "send", "kick", "attributes", "tokens", "events", "metrics")
ALL_APPS: Final = "*"
MIN_KEY_BITS: Final = 128
MAX_KEY_CHARS: Final = 512
MIN_DIFFERENT_CHARS: Final = 8
"""A key of fewer was not drawn at random."""
PORTS_UP: Final = 10
"""How far above `[server] port` the admin address is, where nothing is said of it."""
DEFAULT_HOST: Final = "127.0.0.1"
EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  nothing is listened on
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What may stand behind `Bearer` (RFC 6750, 2.1)."""
TOO_WEAK: Final = (
    f"it can be guessed: expected {MIN_KEY_BITS} bits or more, drawn at random, such as 32 "
    "hexadecimal digits, or 22 letters and digits"
)


@attrs.frozen(kw_only=True)
class AdminConfig:
    """`[admin]`: the address of those who run the server: its API over HTTP, and its metrics."""

    address: str = config_key(
        "",
        'Where it is, as `"HOST:PORT"`; port 0 takes any free one. Empty is `127.0.0.1` and '
        "`[server] port` + 10. Without any of `[[admin.keys]]`, and without `metrics_open`, it is "
        "not opened, but in dev mode it is. With `workers`, each has its own, one port after the "
        "other.",
    )
    hosts: tuple[str, ...] = config_key(
        (),
        'Names by which it is reached, such as `"admin.example.com"`, where a proxy leads to it: '
        "whoever asks for another host than these, an address, `localhost` or a name without a dot "
        "is refused, since a web page may have had its own name lead here.",
    )
    metrics_open: bool = config_key(
        False, "Whether `/metrics` is served there to whoever asks, without a key."
    )


@attrs.frozen(kw_only=True)
class AdminKeyConfig:
    """`[[admin.keys]]`: a key to the admin address; repeat the table for each."""

    name: str = config_key(
        "",
        "What the key is called in the log: 1 to 64 letters, digits, and `. _ -`; each has its "
        "own.",
    )
    key: str = config_key(
        "",
        "The key itself, which stands behind `Authorization: Bearer`: a secret of 128 bits or "
        "more, drawn at random, such as 32 hexadecimal digits. `$SIGNAL_SDK_…` stands for what "
        "that environment variable holds.",
        secret=True,
        file="key_file",
    )
    key_file: str = config_key(
        "", "The file with the key, in place of `key`; nothing else is in it."
    )
    app: str = config_key(
        "", 'The id of the app that it is good for; `"*"` is every app that there is.'
    )
    rights: tuple[str, ...] = config_key(
        (),
        "What it may do: `read`, `send`, `kick`, `attributes`, `tokens`, `events` and, with the "
        'app `"*"`, `metrics`.',
    )


def admin_place(config: Config) -> tuple[str, int]:
    """The host and the port of the admin address; 0 is any free port."""
    if config.admin.address:
        return place_of(config.admin.address)
    port = config.server.port
    return DEFAULT_HOST, port + PORTS_UP if port else 0


def admin_problems(config: Config) -> Iterator[ConfigKeyError]:
    """All that is wrong with these values, each alone and together."""
    yield from _address_problems(config)
    for index, host in enumerate(config.admin.hosts):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", host):
            text = f'expected a name, such as "admin.example.com", got {shown(host)}'
            yield ConfigKeyError(("admin", "hosts", index), text)
    keys = config.admin_keys
    known = {app.id for app in config.apps}
    for index, key in enumerate(keys):
        path: ConfigPath = (*table_path(ADMIN_KEYS), index)
        if not _NAME.fullmatch(key.name):
            text = f"expected 1 to 64 letters, digits, and . _ -, got {shown(key.name)}"
            yield ConfigKeyError((*path, "name"), text)
        elif key.name in (named := [it.name for it in keys[:index]]):
            text = f"the same as that of [[admin.keys]] {named.index(key.name) + 1}"
            yield ConfigKeyError((*path, "name"), text)
        if key.key or not key.key_file:  # what is wrong with the file was said
            yield from _key_problems(key.key, [it.key for it in keys[:index]], (*path, "key"))
        if not key.app:
            yield ConfigKeyError((*path, "app"), 'expected the id of an app, or "*"')
        elif key.app != ALL_APPS and key.app not in known and not config.server.dev:
            yield ConfigKeyError((*path, "app"), f"no app has the id {shown(key.app)}")
        yield from _right_problems(key, (*path, "rights"))


def _address_problems(config: Config) -> Iterator[ConfigKeyError]:
    try:
        host, port = admin_place(config)
    except ValueError as error:
        yield ConfigKeyError(("admin", "address"), str(error))
        return
    # The last of the workers has the highest.
    last = port + max(config.server.workers, 1) - 1 if port else 0
    if config.has_admin and last > MAX_PORT:
        yield ConfigKeyError(("admin", "address"), f"leads to the port {last}: name another")
    elif config.has_admin and not config.admin_by_default and _is_where(host, config.server.host):
        holders = _holders(config)
        for taken in sorted(holders.keys() & set(range(max(port, 1), last + 1))):
            text = f"the port {taken} is taken by {holders[taken]}"
            yield ConfigKeyError(("admin", "address"), text)


def _is_where(host: str, other: str) -> bool:
    """Is something listened on at both?"""
    here = {"127.0.0.1" if it == "localhost" else it for it in (host, other)}
    return len(here) == 1 or not here.isdisjoint(EVERYWHERE)


def _holders(config: Config) -> dict[int, str]:
    """Which ports clients come to, and by what they are named."""
    server, native = config.server, config.native
    found: dict[int, str] = {}
    if native.enabled and not config.native_by_default:
        found |= dict.fromkeys(native.also_listen, "[native] also_listen")
        found[native.port] = "[native] port"
    found |= dict.fromkeys(server.also_listen, "[server] also_listen")
    if server.port:
        found[server.port] = "[server] port"
        if server.cert:
            found[server.port + 1] = "TLS, on [server] port + 1"
    return found


def _key_problems(key: str, others: Sequence[str], path: ConfigPath) -> Iterator[ConfigKeyError]:
    if not key:
        yield ConfigKeyError(path, "may not be empty: set key or key_file")
    elif not _TOKEN.fullmatch(key) or len(key) > MAX_KEY_CHARS:
        text = f"expected letters, digits, and . _ ~ + / - =, at most {MAX_KEY_CHARS}"
        yield ConfigKeyError(path, text)
    elif key_bits(key) < MIN_KEY_BITS:
        yield ConfigKeyError(path, TOO_WEAK)
    elif key in others:
        text = f"the same as that of [[admin.keys]] {others.index(key) + 1}"
        yield ConfigKeyError(path, text)


def key_bits(key: str) -> float:
    """How many bits a key of this look has, where it was drawn at random, and 0 where not."""
    used = set(key)
    if len(used) < MIN_DIFFERENT_CHARS:
        return 0.0
    for alphabet in (string.digits, string.hexdigits.lower(), string.hexdigits.upper()):
        if used <= set(alphabet):
            return len(key) * math.log2(len(set(alphabet)))
    return len(key) * math.log2(len(string.ascii_letters + string.digits))


def _right_problems(key: AdminKeyConfig, path: ConfigPath) -> Iterator[ConfigKeyError]:
    if not key.rights:
        yield ConfigKeyError(path, f"expected some of {', '.join(RIGHTS)}")
    for index, right in enumerate(key.rights):
        if right not in RIGHTS:
            text = f"expected {', '.join(RIGHTS[:-1])} or {RIGHTS[-1]}, got {shown(right)}"
            yield ConfigKeyError((*path, index), text)
    if "metrics" in key.rights and key.app != ALL_APPS:
        yield ConfigKeyError(path, 'the metrics are those of all apps: metrics needs app = "*"')
