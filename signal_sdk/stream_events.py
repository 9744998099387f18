"""What streams give: each thing that happens, as a value to be matched.

Owns: the classes. Must not know a callback, or who reads a stream.

    match event:
        case ChannelMessage(account=account, text=text): ...
        case UserJoined(account): ...

Each has the fields of the callback that hears of the same, under its documented meaning. No `repr`
shows what users say to each other.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.wire.events import SpecialEvent
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.properties import NONE as NO_PROPERTIES
from signal_sdk.wire.properties import Properties

__all__ = [
    "AttributeUpdated",
    "CallAccepted",
    "CallEnded",
    "CallEvent",
    "CallFailed",
    "CallMessage",
    "CallRefused",
    "CallRinging",
    "ChannelEvent",
    "ChannelJoined",
    "ChannelLeft",
    "ChannelMessage",
    "Message",
    "Missed",
    "UserJoined",
    "UserLeft",
]


class Missed(msgspec.Struct, frozen=True):
    """The reader has fallen behind, or there was no reader yet: the `count` oldest events that
    waited for it are gone. What comes next is the oldest that is left.
    """

    count: int


# --- of a session


@hides("text", "data")
class Message(msgspec.Struct, frozen=True):
    """`account` has sent a point-to-point message, as `LoginCallback.on_message_instant_receive`
    hears it. Its `properties` are of use to who continues its trace (docs/tracing.md). One that
    says bytes has `data`, and no text, as `on_message_instant_receive_bytes` hears it: it comes
    only where `Signal.login(…, takes_bytes=True)` has asked for such.
    """

    account: str
    text: str
    properties: Properties = NO_PROPERTIES
    data: bytes | None = None


# --- of a channel


class ChannelJoined(msgspec.Struct, frozen=True):
    """The session is in the channel: `users` are who else is there, the newest 200 as (account,
    uid), oldest first. As `ChannelCallback.on_channel_joined` and `on_channel_user_list`.
    """

    users: tuple[tuple[str, int], ...]


class ChannelLeft(msgspec.Struct, frozen=True):
    """The session is in the channel no more, or could not be: always the last event. `ecode` is
    what `ChannelCallback.on_channel_leaved` or `on_channel_join_failed` hears.
    """

    ecode: ECode


@hides("text", "data")
class ChannelMessage(msgspec.Struct, frozen=True):
    """`account` has sent a message to the channel; one's own come back, too. As
    `ChannelCallback.on_message_channel_receive`; `properties` and `data` as of a `Message`.
    """

    account: str
    text: str
    uid: int
    properties: Properties = NO_PROPERTIES
    data: bytes | None = None


class UserJoined(msgspec.Struct, frozen=True):
    """Another user has joined. As `ChannelCallback.on_channel_user_joined`."""

    account: str
    uid: int


class UserLeft(msgspec.Struct, frozen=True):
    """Another user has left. As `ChannelCallback.on_channel_user_leaved`."""

    account: str
    uid: int


@hides("value")
class AttributeUpdated(msgspec.Struct, frozen=True):
    """An attribute of the channel has changed: `change` is `update`, `del` or `clear`. After the
    join there is one for each that is set. As `ChannelCallback.on_channel_attr_updated`.
    """

    name: str
    value: str
    change: str


ChannelEvent: TypeAlias = (
    ChannelJoined
    | ChannelLeft
    | ChannelMessage
    | UserJoined
    | UserLeft
    | AttributeUpdated
    | SpecialEvent
    | Missed
)
"""What a channel's stream gives."""


# --- of a call


class CallRinging(msgspec.Struct, frozen=True):
    """The peer's SDK has the invitation. As `CallCallback.on_invite_received_by_peer`."""


@hides("extra")
class CallAccepted(msgspec.Struct, frozen=True):
    """The peer has accepted. As `CallCallback.on_invite_accepted_by_peer`."""

    extra: str


@hides("extra")
class CallMessage(msgspec.Struct, frozen=True):
    """The peer has sent something within the call, such as dialled digits. As
    `CallCallback.on_invite_msg`.
    """

    extra: str


@hides("extra")
class CallRefused(msgspec.Struct, frozen=True):
    """The peer has refused: the last event. As `CallCallback.on_invite_refused_by_peer`."""

    extra: str


@hides("extra")
class CallEnded(msgspec.Struct, frozen=True):
    """A side has ended the call, the peer or this one: the last event. As
    `CallCallback.on_invite_end_by_peer` and `on_invite_end_by_myself`.
    """

    by_peer: bool
    extra: str


class CallFailed(msgspec.Struct, frozen=True):
    """The call is over without anybody's having ended it: the last event. As
    `CallCallback.on_invite_failed`.
    """

    ecode: ECode


CallEvent: TypeAlias = (
    CallRinging | CallAccepted | CallMessage | CallRefused | CallEnded | CallFailed
)
"""What a call's stream gives."""
