"""What others are told of a change of presence, membership or attributes.

Owns: the contents of these events, and the channels that they go to (protocol.md, section 5). Must
not know who is told, or when.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from signal_sdk.wire import built_in, events, frames, names
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.names import JsonValue

ONLINE: Final = "online"
OFFLINE: Final = "offline"
JOIN: Final = "join"
LEAVE: Final = "leave"

COUNTS: Final[Mapping[str, str]] = {
    built_in.AUTO_UPDATE_NUM: built_in.MEMBER_NUM,
    built_in.AUTO_UPDATE_TOTAL_NUM: built_in.TOTAL_MEMBER_NUM,
}
"""Which attribute asks for which count."""


def number_of(attributes: Mapping[str, JsonValue], name: str, default: int) -> int:
    """A built-in attribute's value, which was checked when it was set."""
    return built_in.check_number(name, attributes[name]) if name in attributes else default


def announces(channel: str, attributes: Mapping[str, JsonValue]) -> bool:
    """Are the channel's members told who joins and leaves?"""
    return (
        channel not in names.SPECIAL_CHANNELS
        and number_of(attributes, built_in.USER_NOTIFICATION, 1) != 0
    )


def counts(attributes: Mapping[str, JsonValue], num: int, total: int) -> dict[str, int]:
    """The counts that a channel's attributes ask for: of its members, and of all joins."""
    if not number_of(attributes, built_in.AUTO_UPDATE_NUM, 0):
        return {}
    found = {built_in.MEMBER_NUM: num}
    if number_of(attributes, built_in.AUTO_UPDATE_TOTAL_NUM, 0):
        found[built_in.TOTAL_MEMBER_NUM] = total
    return found


def moved(event: str, channel: str, account: str, uid: int) -> ChannelContent:
    """Somebody did `join` or `leave` the channel."""
    cls = events.ChannelUserJoin if event in (ONLINE, JOIN) else events.ChannelUserLeave
    return cls(channel=channel, account=account, uid=uid)


def special(
    name: str, event: str, channel: str, account: str, uid: int, time_ms: int
) -> tuple[ChannelContent, ChannelContent]:
    """What the special channel `name` is told of the same, or of who went `online` or `offline`."""
    told = events.SpecialEvent(event=event, channel=channel, account=account, uid=uid, ts=time_ms)
    text = frames.encode_json(told).decode()
    return (
        moved(event, channel, account, uid),
        events.ChannelMessage(channel=name, account=name, uid=0, msg=text),
    )


def changed(
    channel: str, account: str, uid: int, change: str, name: str = "", value: JsonValue = ""
) -> events.ChannelAttrUpdate:
    """An attribute was changed: by `update`, `del`, or `clear` all of them."""
    return events.ChannelAttrUpdate(
        channel=channel, account=account, uid=uid, name=name, value=value, change=change
    )


def counted(channel: str, name: str, count: int) -> events.ChannelAttrUpdate:
    """The server's own count has changed."""
    return changed(channel, names.SYSTEM_ACCOUNT, 0, "update", name, str(count))
