"""The facts that the functions in Redis publish of a channel's event, as events.

Owns: their form, which is what `tell` of channels.lua packs. Must not know who hears of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from signal_sdk.server.engine import told
from signal_sdk.server.engine.facts import Event
from signal_sdk.server.engine.values import decode_json
from signal_sdk.wire.events import ChannelContent, ChannelMessage
from signal_sdk.wire.properties import detach

__all__ = ["event", "unpack"]

unpack: Final[Callable[[bytes], Any]] = msgspec.msgpack.Decoder().decode
pack: Final = msgspec.msgpack.Encoder().encode


def event(channel: str, packed: bytes) -> Event:
    """The event of a channel."""
    msgid, time_ms, kind, *facts = unpack(packed)
    return Event(msgid, _content(channel, time_ms, kind, facts), time_ms)


def _content(channel: str, time_ms: int, kind: str, facts: Sequence[Any]) -> ChannelContent:
    if kind == "message":
        account, uid, text, number = facts
        message_id, properties = detach(number)
        return ChannelMessage(
            channel=channel,
            account=account,
            uid=uid,
            msg=decode_json(text),
            id=message_id,
            properties=properties,
        )
    if kind == "moved":
        event, where, account, uid = facts
        return told.moved(event, where, account, uid)
    if kind == "special":
        event, where, account, uid = facts
        return told.special(channel, event, where, account, uid, time_ms)[1]
    if kind == "changed":
        account, uid, change, name, text = facts
        return told.changed(channel, account, uid, change, name, decode_json(text))
    raise ValueError(f"an event of the unknown kind {kind!r}")
