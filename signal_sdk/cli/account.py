"""The options of the commands that log in.

Owns: how the command line names an account and the server that it logs in to. Must not know what
is done once it is logged in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import click

from signal_sdk.signal import Signal
from signal_sdk.wire import names

__all__ = ["Account", "account_options"]


def _or_none_needed(token: str | None) -> str:
    return token or names.NO_TOKEN


@attrs.frozen(kw_only=True)
class Account:
    """Who logs in, and where."""

    app: str
    name: str
    server: str | None
    token: str = attrs.field(repr=False, converter=_or_none_needed)

    def signal(self) -> Signal:
        """The app's door at the server. Raises `ParameterError`."""
        return Signal(self.app, server=self.server)


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
            "--server",
            metavar="SERVER",
            help="The server: HOST:PORT, or an address that begins with http, https, ws or wss."
            "  [default: $SIGNAL_SDK_SERVER, or 127.0.0.1:8001]",
        ),
        click.option(
            "--account", "name", metavar="ACCOUNT", required=True, help="The account to log in."
        ),
        click.option("--app", metavar="ID", required=True, help="The app id."),
    ):
        command = option(command)
    return command
