"""The certificate that a command makes or checks tokens with.

Owns: where it is read from. Must not know what is done with it. No option takes the certificate
itself, and no error holds it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from signal_sdk.cli.completing import files
from signal_sdk.cli.stdin import read_stdin
from signal_sdk.errors import ConfigError
from signal_sdk.server import config as configs
from signal_sdk.server.config import AppConfig

__all__ = ["CERTIFICATE_VARIABLE", "app_of", "certificate_options"]

CERTIFICATE_VARIABLE: Final = "SIGNAL_SDK_CERTIFICATE"


def certificate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where it is."""
    for option in (
        click.option(
            "--config",
            metavar="FILE",
            shell_complete=files,
            help="The server's configuration, with the app.",
        ),
        click.option(
            "--certificate-file",
            metavar="FILE",
            shell_complete=files,
            help="A file with the certificate.",
        ),
    ):
        command = option(command)
    return command


def app_of(app: str, file: str | None, config: str | None) -> AppConfig:
    """The app, with its certificate. Raises `ConfigError`, or click's `UsageError`."""
    if config and not file:
        return _configured_app(app, config)
    return AppConfig(id=app, certificate=_certificate(file, config))


def _certificate(file: str | None, config: str | None) -> str:
    if file and config:
        raise click.UsageError("Give --certificate-file or --config, not both.")
    if file:
        return _read_certificate(file)
    certificate = os.environ.get(CERTIFICATE_VARIABLE, "").strip()
    if not certificate:
        raise click.UsageError(
            f"Give the certificate: --certificate-file, --config, or ${CERTIFICATE_VARIABLE}."
        )
    return certificate


def _configured_app(app: str, path: str) -> AppConfig:
    for configured in configs.load(path, environ=os.environ).apps:
        if configured.id == app:
            if not configured.certificate:
                raise ConfigError(f"{path}: this app has no certificate, and needs no token: {app}")
            return configured
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
