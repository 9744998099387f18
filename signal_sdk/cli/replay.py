"""`signal-sdk replay`: what a recording has, said again in its own tempo.

Owns: which of it is said, to whom, and when. Must not know the file's form, nor how events look.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import click
import trio
from msgspec import structs

from signal_sdk.channel import Channel
from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.attending import attend
from signal_sdk.cli.completing import files
from signal_sdk.cli.ears import ChannelEar, Ear, Printer, shown_bytes
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.numbers import Positive
from signal_sdk.cli.recording import SAYINGS, Entry, entries, is_in_many
from signal_sdk.errors import ConfigError, SignalError
from signal_sdk.login_session import LoginSession

__all__ = ["replay"]

MAX_SPEED: Final = 1000
HEARD: Final = {"channel_message": "channel_sent", "channel_bytes": "channel_bytes_sent"}
"""What is said again of what was heard, and what that is as a saying."""


@click.command(short_help="Log an account in, and say again what was recorded.")
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

    That is its channels, which are joined, and its messages, each as long after the beginning as it
    was then; the next one waits for the server's answer. What the account hears meanwhile is
    printed as `listen` does. Exit code 1: a message was refused.
    """
    # All of it is looked at before anything is said.
    if not sum(1 for _ in _chosen(file, heard=heard)):
        more = "" if heard else "; --heard says what was heard in channels"
        raise ConfigError(f"{file}: nothing in it was said{more}")
    printer = Printer(is_json=is_json)
    refused: list[SignalError] = []
    many = is_in_many(file)
    speaker = _Speaker(printer, is_in_many=many)
    work = partial(_say_all, _chosen(file, heard=heard), speaker, refused, speed)
    attending = partial(attend, Account(**options), printer, Ear(printer), work, many_channels=many)
    with hangup_ignored():
        trio.run(attending)
    if refused:
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise click.ClickException(f"a message was refused{more}: {refused[0]}")


def _chosen(file: str, *, heard: bool) -> Iterator[Entry]:
    """What is to be said. Raises `ConfigError`."""
    for entry in entries(file):
        if entry.direction == "out" and entry.event in SAYINGS:
            yield entry
        elif heard and entry.event in HEARD and entry.channel:
            again = structs.replace(entry, direction="out", event=HEARD[entry.event])
            if not again.lacks:
                yield again


class _Speaker:
    """Says what is to be said, and prints it. `is_in_many` is whether its session may be in many
    channels, so that to join one is not to leave another.
    """

    def __init__(self, printer: Printer, *, is_in_many: bool) -> None:
        self.printer = printer
        self._is_in_many = is_in_many
        self._joined: dict[str, Channel] = {}

    async def say(self, session: LoginSession, entry: Entry) -> None:
        """Say one thing. Raises `SignalError`."""
        channel, to = entry.channel or "", entry.to or ""
        if entry.event == "joining":
            await self.printer.show(session, entry.event, channel=channel)
            if not self._is_in_many:
                self._joined.clear()
            self._joined[channel] = await session.channel_join(channel, ChannelEar(self.printer))
            return
        said: str | bytes
        if "data" in SAYINGS[entry.event]:
            said = entry.data or b""
            shown = shown_bytes(said)
        else:
            said = entry.msg or ""
            shown = {"msg": said}
        if "to" in SAYINGS[entry.event]:
            await self.printer.show(session, entry.event, to=to, **shown)
            await session.message_instant_send(to, said)
            return
        await self.printer.show(session, entry.event, channel=channel, **shown)
        if channel in self._joined:
            await self._joined[channel].message_channel_send(said)
        else:
            await session.message_channel_send_force(channel, said)


async def _say_all(
    chosen: Iterator[Entry],
    speaker: _Speaker,
    refused: list[SignalError],
    speed: float,
    session: LoginSession,
) -> None:
    began = trio.current_time()
    for entry in chosen:
        await trio.sleep(max(0.0, began + entry.at / speed - trio.current_time()))
        try:
            await speaker.say(session, entry)
        except SignalError as exc:
            refused.append(exc)
            await speaker.printer.show(session, "error", ecode=int(exc.ecode), reason=exc.reason)
