"""`signal-sdk send`: one message, to an account or to a channel.

Owns: who gets it, and that nothing else comes of the login. Must not know how messages travel.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import trio

from signal_sdk.callbacks import LoginCallback
from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.completing import files
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.output import say
from signal_sdk.cli.stdin import read_bytes, read_stdin
from signal_sdk.errors import SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.wire import names
from signal_sdk.wire.properties import MAX_BYTES

__all__ = ["send"]


@click.command(short_help="Log an account in, and send one message.")
@account_options
@click.option("--to", metavar="ACCOUNT", help="Send it to this account.")
@click.option(
    "--ttl",
    type=click.IntRange(0),
    metavar="SECONDS",
    help="How long the server keeps it for an account that is offline."
    f"  [default: {names.DEFAULT_TTL_SECONDS}]",
)
@click.option("--channel", metavar="NAME", help="Send it to the members of this channel.")
@click.option(
    "--force/--join",
    default=True,
    help="Send it to the channel without joining it, or join first, which its members hear of."
    "  [default: --force]",
)
@click.option(
    "--bytes",
    "file",
    metavar="FILE",
    shell_complete=files,
    help="Send what this file has, or stdin for -, as bytes: 6 KiB at most.",
)
@json_option
@click.argument("message", required=False)
def send(
    *,
    to: str | None,
    ttl: int | None,
    channel: str | None,
    force: bool,
    file: str | None,
    is_json: bool,
    message: str | None,
    **options: Any,
) -> None:
    """Log ACCOUNT in, send MESSAGE, and return once the server has it.

    MESSAGE is the text itself, or - to read it from stdin, without the newline at its end; with
    --bytes, what FILE has is sent, as bytes, to who has asked for such: the server refuses it where
    the account, or a member of the channel, has not, or is offline (1004). An
    account is logged in once: where it is logged in already, that login ends. What waits in its
    inbox stays there for its next login.
    """
    if (to is None) == (channel is None):
        raise click.UsageError("Give either --to or --channel.")
    if ttl is not None and to is None:
        raise click.UsageError("--ttl goes with --to: nothing is kept for a channel.")
    if not force and channel is None:
        raise click.UsageError("--join goes with --channel.")
    if ttl is not None and file is not None:
        raise click.UsageError("--ttl goes with a text: bytes are kept for nobody.")
    account = Account(**options)
    said = _said(message, file)

    async def send_in(session: LoginSession) -> None:
        if to is not None:
            seconds = names.DEFAULT_TTL_SECONDS if ttl is None else ttl
            await session.message_instant_send(to, said, seconds)
        elif channel is not None and force:
            await session.message_channel_send_force(channel, said)
        elif channel is not None:
            joined = await session.channel_join(channel)
            await joined.message_channel_send(said)

    with hangup_ignored():
        trio.run(_send, account, send_in, file is not None)
    if is_json:
        say(as_json({"event": "sent", "ts": int(time.time() * 1000), "to": to, "channel": channel}))


def _said(message: str | None, file: str | None) -> str | bytes:
    """The message. Raises click's `UsageError` where there is none, or not one, and as below."""
    if (message is None) == (file is None):
        raise click.UsageError("Give either MESSAGE or --bytes.")
    said: str | bytes = message or ""
    if file is not None:
        said = _bytes_of(file)
    elif message == "-":
        said = read_stdin("the message").removesuffix("\n")
    if not said:
        raise click.UsageError("The message is empty.")
    return said


def _bytes_of(file: str) -> bytes:
    """What is to be sent. Raises click's `UsageError` where it cannot be read, or is too much."""
    if file == "-":
        data = read_bytes(MAX_BYTES + 1)
    else:
        try:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
        except OSError as exc:
            raise click.UsageError(f"{file}: {exc.strerror or exc}.") from None
    if len(data) > MAX_BYTES:
        where = "on stdin" if file == "-" else f"in {file}"
        raise click.UsageError(f"There are more than {MAX_BYTES} bytes {where}.")
    return data


class _Deaf(LoginCallback):
    """Hears nothing of the inbox: messages whose callbacks have not begun when the session logs
    out stay with the server, and none begins before this one has returned.
    """

    async def on_login_success(self, session: LoginSession, uid: int) -> None:  # noqa: ARG002  only that it came counts
        await session.wait_logged_out()


async def _send(
    account: Account, send_in: Callable[[LoginSession], Awaitable[None]], takes_bytes: bool
) -> None:
    failure: SignalError | None = None
    async with account.signal() as app:
        try:
            # Where it joins, it is among those who have to take bytes.
            login = app.login(account.name, account.token, _Deaf(), takes_bytes=takes_bytes)
            await send_in(await login)
        except SignalError as exc:
            # The block is left as if nothing were wrong, so that the account logs out.
            failure = exc
    if failure is not None:
        raise failure
