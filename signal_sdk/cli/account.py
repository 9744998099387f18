"""The options of the commands that log in.

Owns: how the command line names an account and the server that it logs in to. Must not know what
is done once it is logged in.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Any

import attrs
import click

from signal_sdk.cli.completing import files
from signal_sdk.client.dialer import SERVER_VARIABLE
from signal_sdk.errors import ConfigError
from signal_sdk.signal import Signal
from signal_sdk.wire import names

__all__ = ["Account", "account_options", "server_options", "trusting"]


def _or_none_needed(token: str | None) -> str:
    return token or names.NO_TOKEN


@attrs.frozen(kw_only=True)
class Account:
    """Who logs in, and where."""

    app: str
    name: str
    server: str | None
    ca: str | None
    token: str = attrs.field(repr=False, converter=_or_none_needed)

    def signal(self) -> Signal:
        """The app's door at the server. Raises `ParameterError`, `ConfigError` (the CA's file), or
        click's `UsageError` for a CA that would not be asked.
        """
        if self.ca is None:
            return Signal(self.app, server=self.server)
        server = self.server or os.environ.get(SERVER_VARIABLE) or ""
        if not server.startswith(("https://", "wss://")):
            raise click.UsageError("--ca goes with a server that begins with https or wss.")
        return Signal(self.app, server=server, ssl_context=trusting(self.ca))


def trusting(ca: str) -> ssl.SSLContext:
    """What trusts the CAs in a file beside the system's. Raises `ConfigError`."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca)
    except OSError as exc:
        raise ConfigError(f"cannot use the CA in {ca}: {exc.strerror or exc}") from None
    return context


def account_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which makes an `Account` of them."""
    for option in (
        click.option(
            "--token",
            metavar="TOKEN",
            envvar="SIGNAL_SDK_TOKEN",
            help="The SignalingToken; better in $SIGNAL_SDK_TOKEN, which not every user of the "
            f"machine can read.  [default: {names.NO_TOKEN}]",
        ),
        click.option(
            "--account", "name", metavar="ACCOUNT", required=True, help="The account to log in."
        ),
        server_options,
    ):
        command = option(command)
    return command


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add those that say where, for a command that logs in accounts of its own."""
    for option in (
        click.option(
            "--ca",
            metavar="FILE",
            shell_complete=files,
            help="With https or wss: a CA to trust beside the system's, in PEM.",
        ),
        click.option(
            "--server",
            metavar="SERVER",
            help="The server: HOST:PORT, or an address that begins with http, https, ws or wss."
            "  [default: $SIGNAL_SDK_SERVER, or 127.0.0.1:8001]",
        ),
        click.option("--app", metavar="ID", required=True, help="The app id."),
    ):
        command = option(command)
    return command
