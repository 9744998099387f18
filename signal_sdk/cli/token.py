"""`signal-sdk token`: tokens made, checked and taken back by hand.

Owns: what is asked for. Must not know a token's form, nor where a certificate is read from, and
never prints one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from signal_sdk.cli.certificates import app_of, certificate_options
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.failures import FAILED
from signal_sdk.cli.output import say
from signal_sdk.cli.revoke import revoke
from signal_sdk.cli.stdin import read_stdin
from signal_sdk.cli.times import shown_time
from signal_sdk.errors import LoginError
from signal_sdk.printable import one_line
from signal_sdk.server.tokens import DEFAULT_SECONDS, check_token, make_token
from signal_sdk.wire import names
from signal_sdk.wire.rights import ALL, Rights

__all__ = ["token"]


@click.group(no_args_is_help=False)
def token() -> None:
    """Make a token, check one, or take tokens back.

    To make and check, the app's certificate is read from a file, from the configuration of the
    server, or from $SIGNAL_SDK_CERTIFICATE. No option takes the certificate itself: what stands on
    a command line, every user of the machine can read in the list of processes.
    """


def _with_app(command: Callable[..., Any]) -> Callable[..., Any]:
    """Whose token it is, and where its certificate is found."""
    for option in (
        certificate_options,
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
@click.option("--jwt", "is_jwt", is_flag=True, help="Make a JWT, not a token of the original form.")
@click.option(
    "--not-before", type=click.IntRange(0), metavar="UNIX", help="A JWT: from when on it is good."
)
@click.option(
    "--channel",
    "channels",
    metavar="NAME",
    multiple=True,
    help="A JWT: no channel but this; again for more. NAME* is all that begin so.",
)
@click.option(
    "--peer",
    "peers",
    metavar="ACCOUNT",
    multiple=True,
    help="A JWT: writes to and calls nobody but ACCOUNT; again for more.",
)
@click.option("--listener", is_flag=True, help="A JWT: may join the special channels.")
@json_option
def make(
    *,
    app: str,
    account: str,
    certificate_file: str | None,
    config: str | None,
    seconds: int | None,
    expiry: int | None,
    is_jwt: bool,
    not_before: int | None,
    channels: tuple[str, ...],
    peers: tuple[str, ...],
    listener: bool,
    is_json: bool,
) -> None:
    """Print a token with which ACCOUNT can log in to the app.

    Any client can take either form. A JWT may say what its holder is allowed to do, and can be
    taken back by when it was made.
    """
    if seconds and expiry:
        raise click.UsageError("Give --seconds or --expiry, not both.")
    found = app_of(app, certificate_file, config)
    now = int(time.time())
    if expiry is None:
        expiry = now + (seconds or DEFAULT_SECONDS)
    rights = Rights(channels=channels or None, peers=peers or None, listener=listener)
    if not is_jwt:
        if rights != ALL or not_before is not None:
            text = "--channel, --peer, --listener and --not-before"
            raise click.UsageError(f"Only a JWT can say that: {text} need --jwt.")
        if not found.allow_old_tokens:
            raise click.UsageError("This app takes no tokens of the original form: give --jwt.")
    made = make_token(
        found,
        account,
        now=now,
        expires=expiry,
        is_jwt=is_jwt,
        not_before=not_before,
        rights=rights,
    )
    told = {"token": made, "app": app, "account": account, "expires": expiry}
    say(as_json(told) if is_json else made)


@token.command(short_help="Print until when a token is good, and what it allows.")
@click.argument("text", metavar="TOKEN")
@_with_app
@json_option
def check(
    *,
    text: str,
    app: str,
    account: str,
    certificate_file: str | None,
    config: str | None,
    is_json: bool,
) -> int:
    """Print until when TOKEN is good, and what it allows if that is not all, or why it is not good
    (exit code 1).

    TOKEN is the token itself, or - to read it from stdin.
    """
    if text == "-" and certificate_file == "-":
        raise click.UsageError("Only one of the token and the certificate can come from stdin.")
    found = app_of(app, certificate_file, config)
    if text == "-":
        text = read_stdin("the token").strip()
    account = names.check_account(account)
    if text in ("", names.NO_TOKEN):
        raise click.UsageError("That is no token, but what stands for none.")
    try:
        token = check_token(found, text, account, time.time(), skew=0.0)
    except LoginError as exc:
        if not is_json:
            raise
        say(as_json({"ok": False, "ecode": int(exc.ecode), "reason": exc.reason}))
        return FAILED
    if is_json:
        rights = token.rights
        say(
            as_json(
                {
                    "ok": True,
                    "expires": token.expires,
                    "channels": rights.channels,
                    "peers": rights.peers,
                    "listener": rights.listener,
                }
            )
        )
        return 0
    say(f"good until {shown_time(token.expires or 0)}{_shown_rights(token.rights)}")
    return 0


def _shown_rights(rights: Rights) -> str:
    lists = (("channels", rights.channels), ("peers", rights.peers))
    said = [
        f"{what}: {', '.join(map(repr, some)) or 'none'}"
        for what, some in lists
        if some is not None
    ]
    if rights.listener:
        said.append("listener")
    return one_line("".join(f"; {it}" for it in said))


token.add_command(revoke)
