"""What stands more open than it need: said at a server's start, a line each, and nothing refused.

Owns: what is looked at, and the lines. Must not know what the server does with any of it. No line
holds a secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from signal_sdk.server.config import Config
from signal_sdk.server.config_admin import admin_place
from signal_sdk.server.config_errors import shown
from signal_sdk.server.origins import is_loopback
from signal_sdk.server.redis_urls import parse_redis

__all__ = ["app_warnings", "warnings"]


def warnings(config: Config, path: str | None) -> Iterator[str]:
    """What an operator had better know of `config`, which came from the file `path` if from any.
    In dev mode there is nothing to tell: everybody may do everything.
    """
    if config.server.dev:
        return
    yield from app_warnings(config)
    if config.server.key:
        yield from _readable(config.server.key, "this private key")
    if config.server.redis_password_file:
        yield from _readable(config.server.redis_password_file, "the password of Redis")
    for file in filter(None, (config.hooks.secret_file, config.hooks.old_secret_file)):
        yield from _readable(file, "this secret of hooks")
    for app in config.apps:
        for file in filter(None, (app.certificate_file, *app.old_certificate_files)):
            yield from _readable(file, f"this certificate of the app {shown(app.id)}")
    yield from _admin_warnings(config)
    if path is not None:
        if _holds_secret(path, config):
            yield from _readable(path, "the secrets in this configuration")
        yield from _writable(path)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        yield (
            "running as root: whoever finds a way in has the whole machine; run it as a user of "
            "its own, with CAP_NET_BIND_SERVICE where a port is below 1024"
        )


def _admin_warnings(config: Config) -> Iterator[str]:
    for key in filter(None, (key.key_file for key in config.admin_keys)):
        yield from _readable(key, "this key to the admin address")
    if config.has_admin and not is_loopback(place := admin_place(config)[0]):
        yield (
            f"the admin address {shown(place)} can be reached from other machines, and speaks no "
            "TLS: let a proxy that does stand before it, and nobody else reach it"
        )
    if config.admin.address and not config.has_admin:
        yield "[admin] address is not opened: nobody has a key to it; add [[admin.keys]]"


def app_warnings(config: Config) -> Iterator[str]:
    """The apps to which anybody may log in, where that is not for development."""
    if config.server.dev:
        return
    for app in config.apps:
        if not app.certificate:
            yield (
                f"the app {shown(app.id)} has no certificate: anybody can log in to it as anybody"
            )
        elif app.allow_no_token:
            yield (
                f"the app {shown(app.id)} allows logins without a token (allow_no_token): "
                "anybody can log in to it as anybody"
            )


def _mode(file: str) -> int:
    try:
        return stat.S_IMODE(Path(file).stat().st_mode)
    except OSError:
        # Whoever needs it says so.
        return 0


def _readable(file: str, what: str) -> Iterator[str]:
    if _mode(file) & stat.S_IROTH:
        yield f"{file}: every user of this machine can read {what}: chmod o-r"


def _writable(file: str) -> Iterator[str]:
    mode = _mode(file)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        whose = "every user of this machine" if mode & stat.S_IWOTH else "its whole group"
        yield f"{file}: {whose} can write this configuration: chmod go-w"


def _holds_secret(path: str, config: Config) -> bool:
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError):
        return False
    server = config.server
    secrets = [secret for app in config.apps for secret in (app.certificate, *app.old_certificates)]
    secrets += [key.key for key in config.admin_keys]
    secrets += [
        server.redis_password,
        config.hooks.secret,
        config.hooks.old_secret,
        *(url for url in server.redis if parse_redis([url]).password),
    ]
    return any(secret and secret in text for secret in secrets)
