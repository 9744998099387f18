"""What a session of the objects tells, as the flat callbacks that tell the same.

Owns: the translation, callback by callback. Must not know how a callback is run.
"""

# ruff: noqa: ARG002, D102  the methods are those of the callback classes, and documented there

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, Protocol

import msgspec

from signal_sdk.call import Call
from signal_sdk.callbacks import CallCallback, ChannelCallback, LoginCallback
from signal_sdk.channel import Channel
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.flat.failures import general
from signal_sdk.login_session import LoginSession
from signal_sdk.wire import frames
from signal_sdk.wire.events import SpecialEvent

__all__ = ["FD", "Listener", "Tell"]

FD: Final = 0
"""The documented `fd`, "internal use only"."""


class Tell(Protocol):
    """Has an `ICallBack` method run by its PEP 8 name."""

    def __call__(self, name: str, *args: Any) -> Awaitable[None]:
        """Have it run, and wait until it has."""


class Listener(LoginCallback, ChannelCallback, CallCallback):
    """All callbacks of one session. Its end is told by the login, which may take several."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    # --- the session ---

    async def on_login_success(self, session: LoginSession, uid: int) -> None:
        await self._tell("on_login_success", uid, FD)

    async def on_reconnecting(self, session: LoginSession, attempt: int) -> None:
        await self._tell("on_reconnecting", attempt)

    async def on_reconnected(self, session: LoginSession) -> None:
        await self._tell("on_reconnected", FD)

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        await self._tell("on_message_instant_receive", account, uid, msg)

    async def on_invite_received(self, session: LoginSession, call: Call) -> None:
        call.cb = self
        await self._tell("on_invite_received", call.channel, call.peer, call.peer_uid, call.extra)

    async def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        await self._tell("on_error", "session", ecode, reason)

    async def _tell_error(self, name: str, asked: Awaitable[object]) -> None:
        """Tell `on_error` why a request was refused, beside the callback of its own."""
        try:
            await asked
        except SignalError as exc:
            await self._tell("on_error", name, *general(exc))

    # --- the channel ---

    async def on_channel_joined(self, session: LoginSession, channel: Channel) -> None:
        await self._tell("on_channel_joined", channel.name)

    async def on_channel_join_failed(
        self, session: LoginSession, channel: Channel, ecode: ECode
    ) -> None:
        await self._tell("on_channel_join_failed", channel.name, ecode)
        await self._tell_error("channel_join", channel)

    async def on_channel_leaved(
        self, session: LoginSession, channel: Channel, ecode: ECode
    ) -> None:
        await self._tell("on_channel_leaved", channel.name, ecode)

    async def on_channel_user_joined(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        await self._tell("on_channel_user_joined", account, uid)

    async def on_channel_user_leaved(
        self, session: LoginSession, channel: Channel, account: str, uid: int
    ) -> None:
        await self._tell("on_channel_user_leaved", account, uid)

    async def on_channel_user_list(
        self, session: LoginSession, channel: Channel, users: list[str], uids: list[int]
    ) -> None:
        await self._tell("on_channel_user_list", len(users), users, uids)

    async def on_channel_attr_updated(
        self,
        session: LoginSession,
        channel: Channel,
        name: str,
        value: str,
        type: str,  # noqa: A002  its documented name
    ) -> None:
        await self._tell("on_channel_attr_updated", channel.name, name, value, type)

    async def on_message_channel_receive(
        self, session: LoginSession, channel: Channel, account: str, uid: int, msg: str
    ) -> None:
        await self._tell("on_message_channel_receive", channel.name, account, uid, msg)

    async def on_special_event(
        self, session: LoginSession, channel: Channel, event: SpecialEvent
    ) -> None:
        # As it is on the wire: no other documented callback could name the event's channel.
        text = frames.encode_json(event).decode()
        await self._tell("on_message_channel_receive", channel.name, channel.name, 0, text)

    # --- calls ---

    async def on_invite_received_by_peer(self, session: LoginSession, call: Call) -> None:
        await self._tell("on_invite_received_by_peer", call.channel, call.peer, call.peer_uid)

    async def on_invite_accepted_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        await self._tell_step("on_invite_accepted_by_peer", call, extra)

    async def on_invite_refused_by_peer(
        self, session: LoginSession, call: Call, extra: str
    ) -> None:
        await self._tell_step("on_invite_refused_by_peer", call, extra)

    async def on_invite_end_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        await self._tell_step("on_invite_end_by_peer", call, extra)

    async def _tell_step(self, name: str, call: Call, extra: str) -> None:
        await self._tell(name, call.channel, call.peer, call.peer_uid, extra)

    async def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> None:
        uid, extra = call.peer_uid, call.extra
        await self._tell("on_invite_failed", call.channel, call.peer, uid, ecode, extra)
        # Of a call that fails later on, `on_error` hears nothing.
        await self._tell_error("invite", call)

    async def on_invite_end_by_myself(self, session: LoginSession, call: Call, extra: str) -> None:
        # The original names nobody here.
        await self._tell("on_invite_end_by_myself", call.channel, "", 0)

    async def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> None:
        kind, data = _take_apart(extra)
        uid = call.peer_uid
        await self._tell("on_invite_msg", call.channel, call.peer, uid, kind, data, extra)


def _take_apart(extra: str) -> tuple[str, str]:
    """`msgtype` and `msgdata` in what was sent within a call; empty where it has none."""
    try:
        message = msgspec.json.decode(extra)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return "", ""
    if not isinstance(message, dict):
        return "", ""
    kind, data = message.get("msgtype", ""), message.get("msgdata", "")
    return (_text(kind), _text(data))


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
