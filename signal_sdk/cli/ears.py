"""Ears: callbacks that print all that an account hears.

Owns: which callback is which event, and that a stdout that cannot be written to ends the session.
Must not know how events look, nor what a command does beside hearing them.
"""

# ruff: noqa: ARG002  a callback is handed more than it prints

from __future__ import annotations

import base64
import time
from typing import Any

import attrs
import trio

from signal_sdk.call import Call
from signal_sdk.callbacks import ChannelCallback, LoginCallback
from signal_sdk.channel import Channel
from signal_sdk.cli.events import Event, as_json, as_text
from signal_sdk.cli.output import StdoutClosedError, StdoutWriter
from signal_sdk.ecodes import ECode
from signal_sdk.login_session import LoginSession
from signal_sdk.wire import names
from signal_sdk.wire.events import SpecialEvent

__all__ = ["ChannelEar", "Ear", "Printer", "shown_bytes"]


class Printer:
    """Prints events; `failure` is why it cannot any more."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._writer: StdoutWriter | None = None
        self._turn = trio.StrictFIFOLock()
        self.failure: Exception | None = None

    async def show(self, session: LoginSession, event: str, **fields: Any) -> None:
        """Print an event. Where that fails, `session` has nothing left to be there for."""
        told = {"event": event, "ts": int(time.time() * 1000), **fields}
        async with self._turn:
            if self.failure is not None:
                return
            try:
                await self.write(told)
            except (StdoutClosedError, OSError) as exc:
                self.failure = exc
                session.logout()

    async def write(self, told: Event) -> None:
        """Print one event; no two are at the same time. Raises `StdoutClosedError`, `OSError`."""
        if self._writer is None:
            self._writer = StdoutWriter()
        if self._is_json:
            await self._writer.write_line(as_json(told), encoding="utf-8")
        else:
            await self._writer.write_line(as_text(told))


def shown_bytes(data: bytes) -> dict[str, Any]:
    """Bytes: to people, how many there are; to programs, all of them, in base64."""
    return {"size": len(data), "data": base64.b64encode(data).decode()}


@attrs.frozen
class Ear(LoginCallback):
    """Prints what happens to the session."""

    printer: Printer
    has_told: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Was the login told, so that what comes of it may be?"""

    async def on_login_success(self, session: LoginSession, uid: int) -> None:
        await self.printer.show(session, "login", account=session.account, uid=uid)
        self.has_told.set()

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

    async def on_message_instant_receive_bytes(
        self, session: LoginSession, account: str, uid: int, data: bytes
    ) -> None:
        await self.printer.show(session, "bytes", account=account, **shown_bytes(data))

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        await self.printer.show(
            session, "invitation", account=call.peer, channel=call.channel, extra=call.extra
        )

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        await self.printer.show(session, "error", ecode=int(ecode), reason=reason)


@attrs.frozen
class ChannelEar(ChannelCallback):
    """Prints what happens in the channel."""

    printer: Printer

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

    async def on_message_channel_receive_bytes(
        self, session: LoginSession, channel: Channel, account: str, uid: int, data: bytes
    ) -> None:
        told = {"account": account, "uid": uid, **shown_bytes(data)}
        await self._show(session, channel, "channel_bytes", **told)

    async def on_special_event(
        self, session: LoginSession, channel: Channel, event: SpecialEvent
    ) -> None:
        await self.printer.show(session, **attrs.asdict(event))
