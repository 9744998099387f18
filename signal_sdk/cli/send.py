"""`signal-sdk send`: one message, to an account or to a channel.

Owns: who gets it, and that nothing else comes of the login. Must not know how messages travel.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import click
import trio

from signal_sdk.callbacks import LoginCallback
from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.output import say
from signal_sdk.cli.stdin import read_stdin
from signal_sdk.errors import SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.wire import names

__all__ = ["send"]


@click.command()
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
@json_option
@click.argument("message")
def send(
    *,
    to: str | None,
    ttl: int | None,
    channel: str | None,
    force: bool,
    is_json: bool,
    message: str,
    **options: Any,
) -> None:
    """Log ACCOUNT in, send MESSAGE, and return once the server has it.

    MESSAGE is the text itself, or - to read it from stdin, without the newline at its end. An
    account is logged in once: where it is logged in already, that login ends. What waits in its
    inbox stays there for its next login.
    """
    if (to is None) == (channel is None):
        raise click.UsageError("Give either --to or --channel.")
    if ttl is not None and to is None:
        raise click.UsageError("--ttl goes with --to: nothing is kept for a channel.")
    if not force and channel is None:
        raise click.UsageError("--join goes with --channel.")
    account = Account(**options)
    if message == "-":
        message = read_stdin("the message").removesuffix("\n")
    if not message:
        raise click.UsageError("The message is empty.")

    async def send_in(session: LoginSession) -> None:
        if to is not None:
            seconds = names.DEFAULT_TTL_SECONDS if ttl is None else ttl
            await session.message_instant_send(to, message, seconds)
        elif channel is not None and force:
            await session.message_channel_send_force(channel, message)
        elif channel is not None:
            joined = await session.channel_join(channel)
            await joined.message_channel_send(message)

    with hangup_ignored():
        trio.run(_send, account, send_in)
    if is_json:
        say(as_json({"event": "sent", "ts": int(time.time() * 1000), "to": to, "channel": channel}))


class _Deaf(LoginCallback):
    """Hears nothing of the inbox: messages whose callbacks have not begun when the session logs
    out stay with the server, and none begins before this one has returned.
    """

    async def on_login_success(self, session: LoginSession, uid: int) -> None:  # noqa: ARG002  only that it came counts
        await session.wait_logged_out()


async def _send(account: Account, send_in: Callable[[LoginSession], Awaitable[None]]) -> None:
    failure: SignalError | None = None
    async with account.signal() as app:
        try:
            await send_in(await app.login(account.name, account.token, _Deaf()))
        except SignalError as exc:
            # The block is left as if nothing were wrong, so that the account logs out.
            failure = exc
    if failure is not None:
        raise failure
