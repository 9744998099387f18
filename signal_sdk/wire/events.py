"""What the server tells without being asked: the inbox's announcements, channel events, call
entries, special events.

Owns: the payloads of `notify` and the CONTENTs of protocol.md, sections 4 to 6. Must not know who
hears of them.
"""

from __future__ import annotations

from typing import Final

import attrs
import msgspec

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import frames, lines, names
from signal_sdk.wire.attribute_functions import WatchedEvent, decode_watched
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong_content
from signal_sdk.wire.properties import (
    Properties,
    attach,
    decode_bytes,
    detach,
    is_binary,
    size_of_bytes,
)

NOTIFY: Final = "notify"
INSTANT: Final = "instant"

_encode = msgspec.json.Encoder().encode
_notified = msgspec.json.Decoder(list[str | int])
_pushed = msgspec.json.Decoder(tuple[int, str])

VOIP_INVITE: Final = "voip_invite"
VOIP_ACK: Final = "voip_invite_ack"
VOIP_ACCEPT: Final = "voip_invite_accept"
VOIP_REFUSE: Final = "voip_invite_refuse"
VOIP_FAILED: Final = "voip_invite_failed"
VOIP_BYE: Final = "voip_invite_bye"
VOIP_MSG: Final = "voip_invite_msg"


# --- the inbox ------------------------------------------------------------------------------------


class InboxAnnounced(msgspec.Struct, frozen=True, gc=False):
    """The inbox has an entry of this version: poll."""

    version: int


@hides("line")
class InboxPushed(msgspec.Struct, frozen=True, gc=False):
    """An inbox entry itself."""

    version: int
    line: lines.MessageLine


def encode_announcement(version: int) -> bytes:
    """The frame that tells a `javasdk` client to poll."""
    return frames.encode_frame(NOTIFY, ["msg", version])


def encode_push(version: int, line: str) -> bytes:
    """The frame that hands an entry to a `websdk` client."""
    # Text and a number, which JSON always can hold: a line that came in is free of surrogates.
    return _encode([NOTIFY, ["recvmsg", _encode([version, line]).decode()]])


def encode_java_push(version: int, line: str) -> bytes:
    """The frame that hands an entry to the original Java SDK, which takes it where its last one was
    the one before. It reads the three parts of one text, of which the first says nothing.
    """
    entry = frames.encode_json([version, line]).decode()
    return frames.encode_frame(NOTIFY, f"{NOTIFY} recvmsg {entry}")


# --- channels -------------------------------------------------------------------------------------


@hides("msg")
@attrs.frozen(kw_only=True)
class ChannelMessage:
    """CONTENT of `channel_msg`. `id` is ours, and there where the sender gave one: sent again by
    `account` under the same id, it is the same message. Its `properties` stand behind that for who
    reads them.
    """

    type = "channel_msg"
    channel: str
    account: str
    uid: int
    msg: JsonValue
    id: str = ""
    properties: Properties | None = None

    @property
    def data(self) -> bytes | None:
        """The bytes that it says; None where it says text. Raises `ParameterError` where it says
        neither.
        """
        return decode_bytes(self.msg) if is_binary(self.properties) else None

    @property
    def size(self) -> int:
        """How many bytes its text has, or it says."""
        text = names.json_text(self.msg)
        return size_of_bytes(text) if is_binary(self.properties) else len(text.encode())


@attrs.frozen(kw_only=True)
class ChannelUserJoin:
    """CONTENT of `channel_user_join`."""

    type = "channel_user_join"
    channel: str
    account: str
    uid: int


@attrs.frozen(kw_only=True)
class ChannelUserLeave:
    """CONTENT of `channel_user_leave`. `ecode` is ours, and there where whoever hears it has been
    taken out of the channel itself: by an operator.
    """

    type = "channel_user_leave"
    channel: str
    account: str
    uid: int
    ecode: int = 0


@hides("value")
@attrs.frozen(kw_only=True)
class ChannelAttrUpdate:
    """CONTENT of `channel_attr_update`; `change` (`type` on the wire) is `update`, `del`, `clear`
    or `set`.
    """

    type = "channel_attr_update"
    channel: str
    account: str
    uid: int
    name: str
    value: JsonValue
    change: str


ChannelContent = ChannelMessage | ChannelUserJoin | ChannelUserLeave | ChannelAttrUpdate

_CHANNEL_CONTENTS: Final[dict[str, type[ChannelContent]]] = {
    cls.type: cls for cls in (ChannelMessage, ChannelUserJoin, ChannelUserLeave, ChannelAttrUpdate)
}


class ChannelEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A channel event as it arrived: `msgid` rises strictly within `channel`."""

    channel: str
    msgid: int
    content: ChannelContent


def channel_line(
    channel: str, content: ChannelContent, time_ms: int, *, has_properties: bool = False
) -> str:
    """The message line of a channel's event; with properties where there are any, for who reads
    them.
    """
    fields = attrs.asdict(content, recurse=False)
    if isinstance(content, ChannelAttrUpdate):
        fields["type"] = fields.pop("change")
    elif isinstance(content, ChannelMessage):
        del fields["properties"]
        if has_properties:
            fields["id"] = attach(content.id, content.properties)
        if not fields["id"]:
            del fields["id"]
    elif isinstance(content, ChannelUserLeave) and not content.ecode:
        del fields["ecode"]
    return lines.MessageLine(
        src=lines.field(content.account),
        dst=lines.field(channel),
        type=content.type,
        time=time_ms,
        content=frames.encode_json(fields).decode(),
    ).encode()


def encode_channel_event(
    channel: str,
    msgid: int,
    content: ChannelContent,
    time_ms: int,
    *,
    has_properties: bool = False,
) -> bytes:
    """The frame that every member of `channel` gets; properties as in `channel_line`."""
    line = channel_line(channel, content, time_ms, has_properties=has_properties)
    return frames.encode_frame(NOTIFY, ["channel2", channel, msgid, line])


def _decode_channel_content(line: lines.MessageLine) -> ChannelContent:
    cls = _CHANNEL_CONTENTS.get(line.type)
    if cls is None:
        raise ProtocolError(f"a channel event of the unknown type {line.type[:40]!r}")
    if cls is not ChannelAttrUpdate:
        content = frames.decode_json(line.content, cls, line.type)
        if type(content) is ChannelMessage:
            message_id, properties = detach(content.id)
            return attrs.evolve(content, id=message_id, properties=properties)
        return content
    fields = frames.decode_json(line.content, dict[str, JsonValue], line.type)
    fields["change"] = fields.pop("type", "update")
    try:
        return msgspec.convert(fields, ChannelAttrUpdate)
    except msgspec.ValidationError as exc:
        raise ProtocolError(f"{line.type}: {exc}") from None


def decode_notify(
    frame: frames.Frame,
) -> InboxAnnounced | InboxPushed | ChannelEvent | WatchedEvent:
    """What a `notify` frame says. Raises `ProtocolError`."""
    match frame.decode_by(_notified):
        case ["recvmsg", str(text)]:
            version, line = frames.decode_by(_pushed, text, "recvmsg")
            return InboxPushed(version, lines.decode(line))
        case ["msg", int(version)]:
            return InboxAnnounced(version)
        case ["channel2", str(channel), int(msgid), str(line)]:
            return ChannelEvent(
                channel=channel, msgid=msgid, content=_decode_channel_content(lines.decode(line))
            )
        case ["watched", str(text)]:
            return decode_watched(text)
    raise ProtocolError("a notify of an unknown kind")


# --- locks ----------------------------------------------------------------------------------------

LOCK: Final = "lock"
"""The event by which a client of ours that waits for a lock is told to ask again. All others pass
over it."""


class LockGranted(msgspec.Struct, frozen=True, kw_only=True, rename={"ask": "askID"}):
    """Of which channel's lock, and under which id it was asked for."""

    channel: str
    lock: str
    ask: str


def encode_grant(channel: str, lock: str, ask: str) -> bytes:
    """The frame that says so."""
    return frames.encode_frame(LOCK, LockGranted(channel=channel, lock=lock, ask=ask))


# --- calls ----------------------------------------------------------------------------------------


@hides("extra")
@attrs.frozen(kw_only=True)
class CallContent:
    """CONTENT of a `voip_…` entry; `peer` is the other side. Ours are `ecode`, which is there on
    `voip_invite_failed`, and `call`, the call's id: an entry may come when its call is over, and
    another one about the same channel has begun.
    """

    channel: str
    peer: str
    peeruid: int = 0
    extra: JsonValue = ""
    ecode: int = 0
    call: str = ""


def encode_call_content(content: CallContent) -> str:
    """CONTENT's text; `ecode` and `call` are left out where they say nothing."""
    fields = attrs.asdict(content, recurse=False)
    for name in ("ecode", "call"):
        if not fields[name]:
            del fields[name]
    return frames.encode_json(fields).decode()


def decode_call_content(line: lines.MessageLine) -> CallContent:
    """CONTENT of a `voip_…` entry. Raises `ProtocolError`."""
    return frames.decode_json(line.content, CallContent, line.type)


@attrs.frozen(kw_only=True)
class CallOptions:
    """What the server reads in an invitation's `extra`."""

    require_peer_online: bool = False
    timeout_seconds: float | None = None


def call_options(extra: JsonValue) -> CallOptions:
    """The options in `extra`, given as JSON text or as the value itself; there are none in what is
    no object.

    Raises `ParameterError` (1004) where `_timeout` is not a number of at least 1.
    """
    fields = _object_in(extra)
    if fields is None:
        return CallOptions()
    timeout = fields.get("_timeout")
    if timeout is not None:
        try:
            timeout = float(timeout)
        except (TypeError, ValueError, OverflowError):
            raise wrong_content("_timeout", "is not a number of seconds") from None
        if not 1 <= timeout <= names.MAX_TTL_SECONDS:
            why = f"is not from 1 to {names.MAX_TTL_SECONDS} seconds"
            raise wrong_content("_timeout", why)
    return CallOptions(
        require_peer_online=fields.get("_require_peer_online") in (1, "1", True),
        timeout_seconds=timeout,
    )


def _object_in(extra: JsonValue) -> dict[str, JsonValue] | None:
    """`extra`, given as JSON text or as the value itself, where it is an object. Text may be
    anything.
    """
    if isinstance(extra, str):
        try:
            extra = msgspec.json.decode(extra)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return None
    return extra if isinstance(extra, dict) else None


def with_source(extra: JsonValue, source: str) -> str:
    """`extra` with the number that a call shows, as JSON text. What is no object stands in it as
    `extra`.
    """
    fields = _object_in(extra)
    if fields is None:
        fields = {"extra": extra} if extra not in ("", None) else {}
    return frames.encode_json({**fields, "srcNum": source}).decode()


def call_id_in(extra: JsonValue) -> str:
    """The id that a native client has put into an invitation's `extra`; empty for none."""
    callid = (_object_in(extra) or {}).get("callid")
    return callid if isinstance(callid, str) else ""


def encode_dtmf(digits: str) -> str:
    """The `extra` of a `voip_invite_msg` for `digits`, each one of 0 to 9, * and #. Raises
    `ParameterError` (1004).
    """
    data = names.check_digits(digits)
    return frames.encode_json({"msgtype": "dtmf", "msgdata": data}).decode()


# --- special channels -----------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SpecialEvent:
    """An event of a special channel: who went `online` or `offline`, or did `join` or `leave`
    `channel`, at `ts` (Unix ms).
    """

    event: str
    channel: str
    account: str
    uid: int
    ts: int


def decode_special_event(msg: JsonValue) -> SpecialEvent:
    """The event in the `msg` of a special channel's message. Raises `ProtocolError`."""
    if not isinstance(msg, str):
        raise ProtocolError("a special event that is not text")
    return frames.decode_json(msg, SpecialEvent, "special event")
