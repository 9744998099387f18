"""Which event of a stream each fact of a channel or a call is.

Owns: that, and nothing else. Must not know who reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from signal_sdk import stream_events as told
from signal_sdk.client.call_side import (
    CallEnded,
    CallFact,
    CallFailed,
    CallStepped,
    InvitationRefused,
)
from signal_sdk.client.call_states import CallStep
from signal_sdk.client.facts import ChannelFact, Joined, JoinFailed, Left, Rejoined
from signal_sdk.wire import events, names
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import NONE as NO_PROPERTIES

__all__ = ["call_event", "channel_events"]

_UPDATE: Final = "update"


def channel_events(fact: ChannelFact) -> Iterator[told.ChannelEvent]:
    """What a channel's readers hear of a fact."""
    match fact:
        case events.ChannelMessage(account=account, uid=uid, msg=msg):
            properties, data = fact.properties or NO_PROPERTIES, fact.data
            text = names.json_text(msg) if data is None else ""
            yield told.ChannelMessage(account, text, uid, properties, data)
        case events.ChannelUserJoin(account=account, uid=uid):
            yield told.UserJoined(account, uid)
        case events.ChannelUserLeave(account=account, uid=uid):
            yield told.UserLeft(account, uid)
        case events.ChannelAttrUpdate(name=name, value=value, change=change):
            yield told.AttributeUpdated(name, names.json_text(value), change)
        case events.SpecialEvent():
            yield fact
        case Joined(members=members, attributes=attributes):
            yield told.ChannelJoined(tuple(members))
            yield from _set(attributes)
        case Rejoined(attributes=attributes):
            yield from _set(attributes)
        case JoinFailed(error=error):
            yield told.ChannelLeft(error.ecode)
        case Left(ecode=ecode):
            yield told.ChannelLeft(ecode)


def _set(attributes: Mapping[str, JsonValue]) -> Iterator[told.ChannelEvent]:
    for name, value in attributes.items():
        yield told.AttributeUpdated(name, names.json_text(value), _UPDATE)


def call_event(fact: CallFact) -> told.CallEvent | None:
    """What a call's readers hear of a fact; None where it is just the end."""
    match fact:
        case CallStepped(step=step, extra=extra):
            return _step(step, extra)
        case CallEnded(extra=extra):
            return told.CallEnded(by_peer=False, extra=extra)
        case CallFailed(ecode=ecode):
            return told.CallFailed(ecode)
        case InvitationRefused(error=error):
            return told.CallFailed(error.ecode)
    return None


def _step(step: CallStep, extra: str) -> told.CallEvent:
    """What the peer has done."""
    match step:
        case CallStep.PEER_RECEIVED:
            return told.CallRinging()
        case CallStep.PEER_ACCEPTED:
            return told.CallAccepted(extra)
        case CallStep.PEER_REFUSED:
            return told.CallRefused(extra)
        case CallStep.PEER_ENDED:
            return told.CallEnded(by_peer=True, extra=extra)
        case _:
            return told.CallMessage(extra)
