"""What a session tells, as the flat callbacks that tell the same.

Owns: the translation, fact by fact. Must not know how a callback is run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from signal_sdk.client.call_side import (
    CallEnded,
    CallFact,
    CallFailed,
    CallSide,
    CallStepped,
    InvitationRefused,
    Invited,
)
from signal_sdk.client.call_states import CallStep
from signal_sdk.client.dispatcher import Dispatcher
from signal_sdk.client.facts import (
    ChannelFact,
    EventsMissed,
    Joined,
    JoinFailed,
    Left,
    LoggedIn,
    MessageReceived,
    OperationFailed,
    PassedOver,
    Reconnected,
    Reconnecting,
    Rejoined,
    Turn,
)
from signal_sdk.client.session import SessionFact
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.flat.failures import general
from signal_sdk.wire import events, frames, names
from signal_sdk.wire.names import JsonValue

__all__ = ["FD", "Listener", "Tell"]

FD: Final = 0
"""The documented `fd`, "internal use only"."""
SENDER_UID: Final = 0
"""The uid of a message's sender, which a message line does not carry."""
UPDATE: Final = "update"


class Tell(Protocol):
    """Has an `ICallBack` method run by its PEP 8 name."""

    def __call__(self, name: str, *args: Any) -> Awaitable[None]:
        """Have it run, and wait until it has."""


class Listener:
    """The sink of one session, of its channels and of its calls. Its end is told by the login,
    which may take several.
    """

    def __init__(self, tell: Tell, dispatcher: Dispatcher) -> None:
        self._tell = tell
        self._dispatcher = dispatcher

    def _put(self, turn: Turn | None, name: str, *args: Any) -> None:
        self._dispatcher.put(partial(self._tell, name, *args), turn)

    def _put_event(self, name: str, *args: Any) -> None:
        self._dispatcher.put_event(partial(self._tell, name, *args))

    # --- the session ---

    def session(self, fact: SessionFact) -> None:
        """Something has happened to the session."""
        match fact:
            case MessageReceived(account=account, text=text, turn=turn):
                self._put(turn, "on_message_instant_receive", account, SENDER_UID, text)
            case PassedOver(turn=turn):
                self._dispatcher.put(_nothing, turn)
            case Invited(side=side, turn=turn):
                side.sink = self.call
                self._dispatcher.put(partial(self._tell_invited, side), turn)
            case LoggedIn(uid=uid):
                self._put(None, "on_login_success", uid, FD)
            case Reconnecting(attempt=attempt):
                self._dispatcher.put_outcome(partial(self._tell, "on_reconnecting", attempt))
            case Reconnected():
                self._put(None, "on_reconnected", FD)
            case EventsMissed(reason=reason):
                self._put_event("on_error", "session", ECode.GENERAL_E, reason)
            case OperationFailed():
                self._dispatcher.put_outcome(partial(self._tell_failed, fact))
            case _:
                pass

    async def _tell_invited(self, side: CallSide) -> None:
        uid, extra = side.peer_uid, side.extra
        await self._tell("on_invite_received", side.channel, side.peer, uid, extra)

    async def _tell_failed(self, fact: OperationFailed) -> None:
        if not fact.operation.is_awaited:
            await self._tell("on_error", "session", fact.error.ecode, fact.reason)

    # --- the channel ---

    def channel(self, name: str, fact: ChannelFact) -> None:
        """Something has happened in the channel `name`."""
        match fact:
            case events.ChannelMessage(account=account, uid=uid, msg=msg):
                text = names.json_text(msg)
                self._put_event("on_message_channel_receive", name, account, uid, text)
            case events.SpecialEvent():
                # As it is on the wire: no other documented callback could name its channel.
                text = frames.encode_json(fact).decode()
                self._put_event("on_message_channel_receive", name, name, 0, text)
            case events.ChannelUserJoin(account=account, uid=uid):
                self._put_event("on_channel_user_joined", account, uid)
            case events.ChannelUserLeave(account=account, uid=uid):
                self._put_event("on_channel_user_leaved", account, uid)
            case events.ChannelAttrUpdate(name=attr, value=value, change=change):
                text = names.json_text(value)
                self._put_event("on_channel_attr_updated", name, attr, text, change)
            case Joined(members=members, attributes=attributes):
                self._put(None, "on_channel_joined", name)
                users, uids = [account for account, _ in members], [uid for _, uid in members]
                self._put(None, "on_channel_user_list", len(users), users, uids)
                self._put_attributes(name, attributes)
            case Rejoined(attributes=attributes):
                self._put_attributes(name, attributes)
            case JoinFailed(error=error):
                self._dispatcher.put_outcome(partial(self._tell_join_failed, name, error))
            case Left(ecode=ecode):
                self._put(None, "on_channel_leaved", name, ecode)
            case _:
                pass

    def _put_attributes(self, channel: str, attributes: Mapping[str, JsonValue]) -> None:
        for name, value in attributes.items():
            text = names.json_text(value)
            self._put(None, "on_channel_attr_updated", channel, name, text, UPDATE)

    async def _tell_join_failed(self, channel: str, error: SignalError) -> None:
        """`on_error` hears why, beside the callback of its own."""
        await self._tell("on_channel_join_failed", channel, error.ecode)
        await self._tell("on_error", "channel_join", *general(error))

    # --- calls ---

    def call(self, fact: CallFact) -> None:
        """Something has happened to a call."""
        side = fact.side
        match fact:
            case CallStepped(turn=turn):
                self._dispatcher.put(partial(self._tell_step, fact), turn)
            case CallFailed(ecode=ecode, turn=turn):
                self._dispatcher.put(partial(self._tell_call_failed, side, ecode), turn)
            case InvitationRefused(error=error):
                failed = partial(self._tell_call_failed, side, error.ecode)
                self._dispatcher.put_outcome(failed)
            case CallEnded():
                # The original names nobody here.
                self._put(None, "on_invite_end_by_myself", side.channel, "", 0)

    async def _tell_step(self, fact: CallStepped) -> None:
        side, extra = fact.side, fact.extra
        channel, peer, uid = side.channel, side.peer, side.peer_uid
        match fact.step:
            case CallStep.PEER_RECEIVED:
                await self._tell("on_invite_received_by_peer", channel, peer, uid)
            case CallStep.PEER_ACCEPTED:
                await self._tell("on_invite_accepted_by_peer", channel, peer, uid, extra)
            case CallStep.PEER_REFUSED:
                await self._tell("on_invite_refused_by_peer", channel, peer, uid, extra)
            case CallStep.PEER_ENDED:
                await self._tell("on_invite_end_by_peer", channel, peer, uid, extra)
            case _:
                kind, data = _take_apart(extra)
                await self._tell("on_invite_msg", channel, peer, uid, kind, data, extra)

    async def _tell_call_failed(self, side: CallSide, ecode: ECode) -> None:
        uid, extra = side.peer_uid, side.extra
        await self._tell("on_invite_failed", side.channel, side.peer, uid, ecode, extra)
        # Of a call that fails later on, `on_error` hears nothing.
        try:
            await side.invited
        except SignalError as exc:
            await self._tell("on_error", "invite", *general(exc))


def _nothing() -> None:
    """What an entry that no callback hears of does in its turn, which it has all the same."""


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
