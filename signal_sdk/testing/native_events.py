"""What a native client's user hears of what arrives, under the names that `ICallBack` has.

Owns: which callback an inbox entry, a channel's event and a join are. Must not know a session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.wire import events, names
from signal_sdk.wire.lines import MessageLine

__all__ = ["Heard", "entry_events", "join_events", "line_events"]


@attrs.frozen
class Heard:
    """One callback."""

    name: str
    args: tuple[Any, ...]


_CALLS: Final[Mapping[str, str]] = {
    events.VOIP_INVITE: "on_invite_received",
    events.VOIP_ACK: "on_invite_received_by_peer",
    events.VOIP_ACCEPT: "on_invite_accepted_by_peer",
    events.VOIP_REFUSE: "on_invite_refused_by_peer",
    events.VOIP_BYE: "on_invite_end_by_peer",
}


def entry_events(line: MessageLine) -> Iterator[Heard]:
    """The callback of an inbox entry."""
    if line.type == events.INSTANT:
        yield Heard("on_message_instant_receive", (line.src, 0, line.content))
        return
    content = events.decode_call_content(line)
    who = (content.channel, content.peer, content.peeruid)
    extra = names.json_text(content.extra)
    match line.type:
        case events.VOIP_FAILED:
            # Whatever it carries.
            yield Heard("on_invite_failed", (*who, ECode.INVITE_E_OTHER, extra))
        case events.VOIP_MSG:
            yield Heard("on_invite_msg", (*who, *_message_in(extra), extra))
        case events.VOIP_ACK:
            yield Heard(_CALLS[line.type], who)
        case _:
            yield Heard(_CALLS[line.type], (*who, extra))


def _message_in(extra: str) -> tuple[str, str]:
    """The type and the text of what is told within a call, where `extra` is of that form."""
    try:
        fields = msgspec.json.decode(extra)
        return str(fields["msgtype"]), str(fields["msgdata"])
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
        return "", ""


def line_events(line: MessageLine) -> Iterator[Heard]:
    """The callback of a channel's event."""
    content = msgspec.json.decode(line.content)
    who = (content["account"], content["uid"])
    match line.type:
        case "channel_msg":
            msg = names.json_text(content["msg"])
            yield Heard("on_message_channel_receive", (content["channel"], *who, msg))
        case "channel_user_join":
            yield Heard("on_channel_user_joined", who)
        case "channel_user_leave":
            yield Heard("on_channel_user_leaved", who)
        case "channel_attr_update":
            value = names.json_text(content["value"])
            what = (content["channel"], content["name"], value, content["type"])
            yield Heard("on_channel_attr_updated", what)


def join_events(channel: str, answer: Mapping[str, Any]) -> Iterator[Heard]:
    """The callbacks of a join that was answered."""
    yield Heard("on_channel_joined", (channel,))
    accounts = [account for account, _ in answer["list"]]
    uids = [uid for _, uid in answer["list"]]
    yield Heard("on_channel_user_list", (len(accounts), accounts, uids))
    for name, value in answer["attrs"].items():
        what = (channel, name, names.json_text(value), "update")
        yield Heard("on_channel_attr_updated", what)
