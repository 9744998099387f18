"""`signal-sdk token`: SignalingTokens made and checked by hand.

Owns: where the certificate is read from. Must not know the token's form, and never prints a
certificate.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from signal_sdk.cli.output import say
from signal_sdk.cli.stdin import read_stdin
from signal_sdk.errors import ConfigError
from signal_sdk.server import config as configs
from signal_sdk.wire import names, tokens

__all__ = ["token"]

CERTIFICATE_VARIABLE: Final = "SIGNAL_SDK_CERTIFICATE"
DEFAULT_SECONDS: Final = 24 * 3600
LAST_DATE: Final = 253402300799
"""The end of the year 9999, where the calendar of `datetime` ends; expiries go on for longer."""


@click.group(no_args_is_help=False)
def token() -> None:
    """Make a SignalingToken, or check one.

    The app's certificate is read from a file, from the configuration of the server, or from
    $SIGNAL_SDK_CERTIFICATE. No option takes the certificate itself: what stands on a command line,
    every user of the machine can read in the list of processes.
    """


def _with_app(command: Callable[..., Any]) -> Callable[..., Any]:
    """Whose token it is, and where its certificate is found."""
    for option in (
        click.option("--config", metavar="FILE", help="The server's configuration, with the app."),
        click.option("--certificate-file", metavar="FILE", help="A file with the certificate."),
        click.option("--account", metavar="ACCOUNT", required=True, help="The account."),
        click.option("--app", metavar="ID", required=True, help="The app id."),
    ):
        command = option(command)
    return command


@token.command()
@_with_app
@click.option(
    "--seconds",
    type=click.IntRange(1),
    metavar="SECONDS",
    help=f"How long it is good for.  [default: {DEFAULT_SECONDS}]",
)
@click.option(
    "--expiry",
    type=click.IntRange(1),
    metavar="UNIX",
    help="Until when it is good, in Unix seconds.",
)
def make(
    *,
    app: str,
    account: str,
    certificate_file: str | None,
    config: str | None,
    seconds: int | None,
    expiry: int | None,
) -> None:
    """Print a token with which ACCOUNT can log in to the app."""
    if seconds and expiry:
        raise click.UsageError("Give --seconds or --expiry, not both.")
    certificate = _certificate(app, certificate_file, config)
    if expiry is None:
        expiry = int(time.time()) + (seconds or DEFAULT_SECONDS)
    say(tokens.make_token(app, certificate, account, expiry))


@token.command()
@click.argument("text", metavar="TOKEN")
@_with_app
def check(
    *, text: str, app: str, account: str, certificate_file: str | None, config: str | None
) -> None:
    """Print until when TOKEN is good, or why it is not (exit code 1).

    TOKEN is the token itself, or - to read it from stdin.
    """
    if text == "-" and certificate_file == "-":
        raise click.UsageError("Only one of the token and the certificate can come from stdin.")
    certificate = _certificate(app, certificate_file, config)
    if text == "-":
        text = read_stdin("the token").strip()
    account = names.check_account(account)
    expiry = tokens.check_token(text, app, certificate, account, time.time())
    say(f"good until {_shown(expiry)}")


def _certificate(app: str, file: str | None, config: str | None) -> str:
    """The app's certificate. Raises `ConfigError`, or click's `UsageError`."""
    if file and config:
        raise click.UsageError("Give --certificate-file or --config, not both.")
    if config:
        return _configured_certificate(app, config)
    if file:
        return _read_certificate(file)
    certificate = os.environ.get(CERTIFICATE_VARIABLE, "").strip()
    if not certificate:
        raise click.UsageError(
            f"Give the certificate: --certificate-file, --config, or ${CERTIFICATE_VARIABLE}."
        )
    return certificate


def _configured_certificate(app: str, path: str) -> str:
    for configured in configs.load(path, environ=os.environ).apps:
        if configured.id == app:
            if not configured.certificate:
                raise ConfigError(f"{path}: this app has no certificate, and needs no token: {app}")
            return configured.certificate
    raise ConfigError(f"{path}: no [[apps]] has this id: {app}")


def _read_certificate(path: str) -> str:
    if path == "-":
        certificate = read_stdin("the certificate").strip()
    else:
        try:
            certificate = Path(path).read_text("utf-8").strip()
        except OSError as exc:
            raise ConfigError(f"{path}: {exc.strerror or 'cannot be read'}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: not UTF-8 text") from None
    if not certificate:
        raise ConfigError(f"{path}: the certificate is empty")
    return certificate


def _shown(expiry: int) -> str:
    if expiry > LAST_DATE:
        return f"{expiry} (Unix seconds)"
    return f"{datetime.fromtimestamp(expiry, UTC):%Y-%m-%d %H:%M:%S} UTC ({expiry})"
