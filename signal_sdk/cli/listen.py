"""`signal-sdk listen`: an account that prints all that it hears.

Owns: which callback is which event, and how listening begins and ends. Must not know how events
look.
"""

# ruff: noqa: ARG002  a callback is handed more than it prints

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import attrs
import click
import trio

from signal_sdk.call import Call
from signal_sdk.callbacks import ChannelCallback, LoginCallback
from signal_sdk.channel import Channel
from signal_sdk.cli.account import Account, account_options
from signal_sdk.cli.events import as_json, as_text
from signal_sdk.cli.hangup import hangup_ignored
from signal_sdk.cli.output import StdoutClosedError, StdoutWriter, give_up_stdout
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LogoutError, SignalError
from signal_sdk.login_session import LoginSession
from signal_sdk.wire import names
from signal_sdk.wire.events import SpecialEvent

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


class _Printer:
    """Prints events; `failure` is why it cannot any more."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._writer = StdoutWriter()
        self.failure: Exception | None = None

    async def show(self, session: LoginSession, event: str, **fields: Any) -> None:
        """Print an event. Where that fails, `session` has nothing left to be there for."""
        if self.failure is not None:
            return
        told = {"event": event, "ts": int(time.time() * 1000), **fields}
        try:
            if self._is_json:
                await self._writer.write_line(as_json(told), encoding="utf-8")
            else:
                await self._writer.write_line(as_text(told))
        except (StdoutClosedError, OSError) as exc:
            self.failure = exc
            session.logout()


@attrs.frozen
class _Listener(LoginCallback):
    """Prints what happens to the session."""

    printer: _Printer

    async def on_login_success(self, session: LoginSession, uid: int) -> None:
        await self.printer.show(session, "login", account=session.account, uid=uid)

    async def on_logout(self, session: LoginSession, ecode: ECode) -> None:
        await self.printer.show(session, "logout", ecode=int(ecode), reason=ecode.meaning)

    async def on_reconnecting(self, session: LoginSession, attempt: int) -> None:
        await self.printer.show(session, "reconnecting", attempt=attempt)

    async def on_reconnected(self, session: LoginSession) -> None:
        await self.printer.show(session, "reconnected")

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        await self.printer.show(session, "message", account=account, msg=msg)

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        await self.printer.show(
            session, "invitation", account=call.peer, channel=call.channel, extra=call.extra
        )

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        await self.printer.show(session, "error", ecode=int(ecode), reason=reason)


@attrs.frozen
class _ChannelListener(ChannelCallback):
    """Prints what happens in the channel."""

    printer: _Printer

    async def _show(
        self, session: LoginSession, channel: Channel, event: str, **fields: Any
    ) -> None:
        await self.printer.show(session, event, channel=channel.name, **fields)

    async def on_channel_joined(self, session: LoginSession, channel: Channel) -> None:
        await self._show(session, channel, "joined")

    async def on_channel_leaved(
        self, session: LoginSession, channel: Channel, ecode: ECode
    ) -> None:
        await self._show(session, channel, "left", ecode=int(ecode))

    async def on_channel_user_list(
        self, session: LoginSession, channel: Channel, users: list[str], uids: list[int]
    ) -> None:
        if channel.name not in names.SPECIAL_CHANNELS:
            await self._show(session, channel, "users", accounts=users, uids=uids)

    async def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        # A special channel tells the same, and more, by on_special_event.
        if channel.name not in names.SPECIAL_CHANNELS:
            await self._show(session, channel, "user_joined", account=account, uid=uid)

    async def on_channel_user_leaved(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        if channel.name not in names.SPECIAL_CHANNELS:
            await self._show(session, channel, "user_left", account=account, uid=uid)

    async def on_channel_attr_updated(
        self,
        session: LoginSession,
        channel: Channel,
        name: str,
        value: str,
        type: str,  # noqa: A002  its documented name
    ) -> None:
        await self._show(session, channel, "attribute", name=name, value=value, type=type)

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        await self._show(session, channel, "channel_message", account=account, uid=uid, msg=msg)

    async def on_special_event(
        self, session: LoginSession, channel: Channel, event: SpecialEvent
    ) -> None:
        await self.printer.show(session, **attrs.asdict(event))


async def _listen(account: Account, channel: str | None, is_json: bool) -> None:
    door = account.signal()
    printer = _Printer(is_json=is_json)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            stopping = trio.Event()
            failure: Exception | None = None
            async with door as app:
                session = app.login(account.name, account.token, _Listener(printer))
                nursery.start_soon(_end_on_signal, signals, session, stopping, nursery.cancel_scope)
                try:
                    await session
                    if channel is not None:
                        await session.channel_join(channel, _ChannelListener(printer))
                    raise LogoutError(await session.wait_logged_out())
                except SignalError as exc:
                    # The block is left as if nothing were wrong, so that the account logs out.
                    if not stopping.is_set():
                        failure = exc
            nursery.cancel_scope.cancel()
    if isinstance(printer.failure, StdoutClosedError):
        # Whoever read has seen enough.
        give_up_stdout()
        return
    if printer.failure is not None:
        raise printer.failure
    if failure is not None:
        raise failure


async def _end_on_signal(
    signals: AsyncIterator[int],
    session: LoginSession,
    stopping: trio.Event,
    everything: trio.CancelScope,
) -> None:
    """At the first signal, log out; at the second, end at once."""
    await anext(signals)
    stopping.set()
    session.logout()
    await anext(signals)
    everything.cancel()
