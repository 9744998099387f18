"""`signal-sdk listen`: an account that prints all that it hears.

Owns: what it listens to. Must not know how events look, nor how a session begins and ends.
"""

from __future__ import annotations

from typing import Any

import click
import trio

from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.attending import attend
from signal_sdk.cli.ears import ChannelEar, Ear, Printer
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.login_session import LoginSession
from signal_sdk.wire import names

__all__ = ["listen"]


@click.command()
@account_options
@click.option("--channel", metavar="NAME", help="Join this channel, and print what happens there.")
@click.option(
    "--users",
    is_flag=True,
    help="Print who comes online and goes offline in the whole app.",
)
@click.option(
    "--channels",
    is_flag=True,
    help="Print who joins and leaves which channel in the whole app.",
)
@click.option("--json", "is_json", is_flag=True, help="Print each event as one JSON object.")
def listen(
    *, channel: str | None, users: bool, channels: bool, is_json: bool, **options: Any
) -> None:
    """Log ACCOUNT in and print what it hears, until SIGTERM or SIGINT ends it.

    That is messages to it and calls (which it lets ring), and one of --channel, --users and
    --channels: an account is in one channel at a time. An account is logged in once, too: another
    login of it ends this one.
    """
    if (channel is not None) + users + channels > 1:
        raise click.UsageError("Give one of --channel, --users and --channels.")
    if users:
        channel = names.USER_ONLINE_CHANNEL
    elif channels:
        channel = names.CHANNEL_EVENT_CHANNEL
    with hangup_ignored():
        trio.run(_listen, Account(**options), channel, is_json)


async def _listen(account: Account, channel: str | None, is_json: bool) -> None:
    printer = Printer(is_json=is_json)

    async def join(session: LoginSession) -> None:
        if channel is not None:
            await session.channel_join(channel, ChannelEar(printer))
        await trio.sleep_forever()

    await attend(account, printer, Ear(printer), join)
