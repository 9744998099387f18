"""`signal-sdk listen`: an account that prints all that it hears.

Owns: what it listens to. Must not know how events look, nor how a session begins and ends.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@click.command(short_help="Log an account in, and print what it hears.")
@account_options
@click.option(
    "--channel",
    "names_",
    metavar="NAME",
    multiple=True,
    help="Join this channel, and print what happens there. May be given several times.",
)
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
    *, names_: tuple[str, ...], users: bool, channels: bool, is_json: bool, **options: Any
) -> None:
    """Log ACCOUNT in and print what it hears, until SIGTERM or SIGINT ends it.

    That is messages to it and calls (which it lets ring), and what --channel, --users and
    --channels name. An account is logged in once: another login of it ends this one.
    """
    wanted = list(dict.fromkeys(names_))
    if users:
        wanted.append(names.USER_ONLINE_CHANNEL)
    if channels:
        wanted.append(names.CHANNEL_EVENT_CHANNEL)
    with hangup_ignored():
        trio.run(_listen, Account(**options), wanted, is_json)


async def _listen(account: Account, channels: Sequence[str], is_json: bool) -> None:
    printer = Printer(is_json=is_json)

    async def join(session: LoginSession) -> None:
        for channel in channels:
            await session.channel_join(channel, ChannelEar(printer))
        await trio.sleep_forever()

    # A server that knows nothing of many is asked for one.
    await attend(account, printer, Ear(printer), join, many_channels=len(channels) > 1)
