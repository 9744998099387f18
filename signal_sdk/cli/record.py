"""`signal-sdk record`: a session's traffic, written down as it comes.

Owns: what the session hears and says. Must not know the file's form, nor how events look.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.attending import attend
from signal_sdk.cli.completing import files
from signal_sdk.cli.ears import ChannelEar, Ear
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.keys import typed
from signal_sdk.cli.newfile import new_file
from signal_sdk.cli.recording import Recorder
from signal_sdk.errors import SignalError
from signal_sdk.login_session import LoginSession

__all__ = ["record"]


@click.command(short_help="Log an account in, and write what it hears into a file.")
@click.argument("file", metavar="FILE", shell_complete=files)
@account_options
@click.option(
    "--channel",
    "channels",
    metavar="NAME",
    multiple=True,
    help="Join this channel, and record what happens there. May be given several times.",
)
@click.option("--to", metavar="ACCOUNT", help="Send the lines of stdin to this account.")
@click.option("--force", is_flag=True, help="Replace FILE where it is there already.")
@click.option("--json", "is_json", is_flag=True, help="Print each event as one JSON object.")
def record(
    *,
    file: str,
    channels: tuple[str, ...],
    to: str | None,
    force: bool,
    is_json: bool,
    **options: Any,
) -> None:
    """Log ACCOUNT in, and write what it hears and says into FILE, until SIGTERM or SIGINT ends it.

    It hears what `listen` does. What it says are the lines of stdin: each is sent to --to, or to
    the --channel; with neither, or with several channels, stdin is not read. FILE is for this user
    alone (mode 0600).
    """
    account = Account(**options)
    failure: Exception | None = None
    with hangup_ignored(), new_file(Path(file), is_forced=force) as fd:
        channels = tuple(dict.fromkeys(channels))
        many = len(channels) > 1
        recorder = Recorder(
            fd, app=account.app, account=account.name, is_json=is_json, many_channels=many
        )
        work = partial(_speak, recorder=recorder, channels=channels, to=to)
        attending = partial(attend, account, recorder, Ear(recorder), work, many_channels=many)
        try:
            trio.run(attending)
        except Exception as exc:
            if not recorder.has_begun:
                raise
            # However it ends, what was written down is kept.
            failure = exc
    if failure is not None:
        raise failure


async def _speak(
    session: LoginSession, *, recorder: Recorder, channels: Collection[str], to: str | None
) -> None:
    """Join, and say each line, until cancelled."""
    joined = None
    for channel in channels:
        await recorder.show(session, "joining", channel=channel)
        joined = await session.channel_join(channel, ChannelEar(recorder))
    if to is None and len(channels) != 1:
        await trio.sleep_forever()
    async for line in typed(by_line=True):
        if not line:
            continue
        try:
            if to is not None:
                await recorder.show(session, "sent", to=to, msg=line)
                await session.message_instant_send(to, line)
            elif joined is not None:
                await recorder.show(session, "channel_sent", channel=joined.name, msg=line)
                await joined.message_channel_send(line)
        except SignalError as exc:
            await recorder.show(session, "error", ecode=int(exc.ecode), reason=exc.reason)
    await trio.sleep_forever()
