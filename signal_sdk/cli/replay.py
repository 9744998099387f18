"""`signal-sdk replay`: what a recording has, said again in its own tempo.

Owns: which of it is said, to whom, and when. Must not know the file's form, nor how events look.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import click
import trio

from signal_sdk.channel import Channel
from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.attending import attend
from signal_sdk.cli.completing import files
from signal_sdk.cli.ears import ChannelEar, Ear, Printer
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.numbers import Positive
from signal_sdk.cli.recording import SAYINGS, Entry, entries
from signal_sdk.errors import ConfigError, SignalError
from signal_sdk.login_session import LoginSession

__all__ = ["replay"]

MAX_SPEED: Final = 1000
HEARD: Final = "channel_message"


@click.command()
@click.argument("file", metavar="FILE", shell_complete=files)
@account_options
@click.option(
    "--speed",
    type=Positive(MAX_SPEED),
    default=1.0,
    metavar="TIMES",
    help="How many times as fast as it was.  [default: 1]",
)
@click.option(
    "--heard",
    is_flag=True,
    help="Say what was heard in channels, too, as if this account had said it.",
)
@click.option("--json", "is_json", is_flag=True, help="Print each event as one JSON object.")
def replay(*, file: str, speed: float, heard: bool, is_json: bool, **options: Any) -> None:
    """Log ACCOUNT in, and say again what a session has said that `record` has written into FILE.

    That is its channel, which is joined, and its messages, each as long after the beginning as it
    was then; the next one waits for the server's answer. What the account hears meanwhile is
    printed as `listen` does. Exit code 1: a message was refused.
    """
    # All of it is looked at before anything is said.
    if not sum(1 for _ in _chosen(file, heard=heard)):
        more = "" if heard else "; --heard says what was heard in channels"
        raise ConfigError(f"{file}: nothing in it was said{more}")
    printer = Printer(is_json=is_json)
    refused: list[SignalError] = []
    work = partial(_say_all, _chosen(file, heard=heard), printer, refused, speed)
    with hangup_ignored():
        trio.run(attend, Account(**options), printer, Ear(printer), work)
    if refused:
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise click.ClickException(f"a message was refused{more}: {refused[0]}")


def _chosen(file: str, *, heard: bool) -> Iterator[Entry]:
    """What is to be said. Raises `ConfigError`."""
    for entry in entries(file):
        if entry.direction == "out" and entry.event in SAYINGS:
            yield entry
        elif heard and entry.event == HEARD and entry.channel and entry.msg is not None:
            yield Entry(
                at=entry.at,
                direction="out",
                event="channel_sent",
                channel=entry.channel,
                msg=entry.msg,
            )


async def _say_all(
    chosen: Iterator[Entry],
    printer: Printer,
    refused: list[SignalError],
    speed: float,
    session: LoginSession,
) -> None:
    began = trio.current_time()
    joined: dict[str, Channel] = {}
    for entry in chosen:
        await trio.sleep(max(0.0, began + entry.at / speed - trio.current_time()))
        try:
            await _say(entry, printer, joined, session)
        except SignalError as exc:
            refused.append(exc)
            await printer.show(session, "error", ecode=int(exc.ecode), reason=exc.reason)


async def _say(
    entry: Entry, printer: Printer, joined: dict[str, Channel], session: LoginSession
) -> None:
    """Say one thing. Raises `SignalError`."""
    channel, to, msg = entry.channel or "", entry.to or "", entry.msg or ""
    if entry.event == "sent":
        await printer.show(session, "sent", to=to, msg=msg)
        await session.message_instant_send(to, msg)
        return
    if entry.event == "joining":
        await printer.show(session, "joining", channel=channel)
        joined.clear()
        joined[channel] = await session.channel_join(channel, ChannelEar(printer))
        return
    await printer.show(session, "channel_sent", channel=channel, msg=msg)
    if channel in joined:
        await joined[channel].message_channel_send(msg)
    else:
        await session.message_channel_send_force(channel, msg)
