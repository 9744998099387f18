"""The way to a server's admin address, for commands that look at a server.

Owns: where it is and which key opens it, by options, by a configuration or by the environment. Must
not know what is asked there. No option takes the key itself, and neither `repr` nor error shows it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import click

from signal_sdk.admin import AsyncAdminClient
from signal_sdk.cli.account import trusting
from signal_sdk.cli.completing import files
from signal_sdk.errors import ConfigError
from signal_sdk.server import config as configs
from signal_sdk.server.config import Config
from signal_sdk.server.config_admin import ALL_APPS, admin_place

__all__ = [
    "KEY_VARIABLE",
    "URL_VARIABLE",
    "Access",
    "access_of",
    "access_options",
    "alone_option",
]

KEY_VARIABLE: Final = "SIGNAL_SDK_OPERATOR_KEY"
URL_VARIABLE: Final = "SIGNAL_SDK_OPERATOR_URL"
"""Neither is the name of a key of the configuration, as one that began with SIGNAL_SDK_ADMIN_ is.
"""
DEFAULT_URL: Final = "http://127.0.0.1:8011"
WANTED: Final = ("read", "metrics")
"""The rights that these commands have a use for; the first they need."""
TIMEOUT_SECONDS: Final = 5.0
ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing is listened on
"""How what is listened on everywhere is reached from this machine."""


@attrs.frozen(kw_only=True)
class Access:
    """Where the admin address is, and the key."""

    url: str
    key: str = attrs.field(repr=False)
    ca: str | None = None

    def client(self) -> AsyncAdminClient:
        """Who asks there. Raises `ConfigError` (the CA's file)."""
        verify = True if self.ca is None else trusting(self.ca)
        return AsyncAdminClient(self.url, self.key, timeout=TIMEOUT_SECONDS, verify=verify)

    def at(self, port: int) -> Access:
        """The same at another port."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return attrs.evolve(self, url=parts._replace(netloc=f"{host}:{port}").geturl())


def alone_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that has one worker looked at, `is_alone`."""
    return click.option(
        "--alone", "is_alone", is_flag=True, help="Look at that process alone, not at all workers."
    )(command)


def access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which makes an `Access` of them by `access_of`."""
    for option in (
        click.option(
            "--ca",
            metavar="FILE",
            shell_complete=files,
            help="With https: a CA to trust beside the system's, in PEM.",
        ),
        click.option(
            "--config",
            metavar="FILE",
            shell_complete=files,
            help="The server's configuration, which has the address and a key.",
        ),
        click.option(
            "--key-file",
            metavar="FILE",
            shell_complete=files,
            help=f"A file with the key.  [default: ${KEY_VARIABLE}]",
        ),
        click.option(
            "--admin",
            metavar="URL",
            help=f"The admin address.  [default: ${URL_VARIABLE}, or {DEFAULT_URL}]",
        ),
    ):
        command = option(command)
    return command


def access_of(
    *, admin: str | None, key_file: str | None, config: str | None, ca: str | None
) -> Access:
    """What the options say. Raises `ConfigError`, or click's `UsageError`."""
    if key_file and config:
        raise click.UsageError("Give --key-file or --config, not both.")
    url, key = admin or os.environ.get(URL_VARIABLE, ""), ""
    if config:
        found = configs.load(config, environ=os.environ)
        url, key = url or _url(found), _key(found, config)
    elif key_file:
        key = _read(key_file)
    else:
        key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise click.UsageError(f"Give the key: --key-file, --config, or ${KEY_VARIABLE}.")
    if not key.isascii() or not key.isprintable():
        raise click.UsageError("The key has characters that no key has.")
    url = url or DEFAULT_URL
    if not _is_url(url):
        raise click.UsageError(
            f"--admin is an address that begins with http:// or https://, such as {DEFAULT_URL}."
        )
    if ca is not None and not url.startswith("https://"):
        raise click.UsageError("--ca goes with an address that begins with https://.")
    return Access(url=url, key=key, ca=ca)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Asked for, a port is looked at.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _url(config: Config) -> str:
    host, port = admin_place(config)
    host = ANYWHERE.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _key(config: Config, path: str) -> str:
    """One with as many of the rights as there is, of all apps."""
    able = [it for it in config.admin_keys if it.app == ALL_APPS and WANTED[0] in it.rights]
    if not able:
        raise ConfigError(f'{path}: none of [[admin.keys]] has the right "read" for all apps')
    return max(able, key=lambda it: len(set(WANTED) & set(it.rights))).key


def _read(path: str) -> str:
    try:
        key = Path(path).read_text("utf-8").strip()
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror or 'cannot be read'}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    if not key:
        raise ConfigError(f"{path}: the key is empty")
    return key
