"""Typed frames as the original Java SDK reads them: as json_frames.py spells them, but that all
that users gave is text, as which it reads it whatever it is.

Owns: what of a frame is made text, and the form of an entry that is handed over. Must not know when
one is, nor how a text travels.
"""

from __future__ import annotations

from typing import Any

import attrs

from signal_sdk.wire import call2, events, frames, json_frames, lines, names, typed

CALL_EVENTS = "voip_"
"""What the types of a call's entries begin with."""


def encode_server(frame: typed.ServerFrame) -> bytes:
    """What the server says."""
    match frame:
        case typed.Reply(callid, str(result)):
            return call2.encode_success(callid, _result(result))
        case typed.Reply(callid, page) if not isinstance(page, str):
            msgs = tuple((version, _line(line)) for version, line in page.msgs)
            page = attrs.evolve(page, msgs=msgs)
            return call2.encode_success(callid, call2.encode_result(page))
        case typed.Entry(version, line):
            return events.encode_java_push(version, _line(line))
    return json_frames.encode_server(frame, has_ids=False, is_pushed=False)


def encode_event(channel: str, msgid: int, content: events.ChannelContent, time_ms: int) -> bytes:
    """The frame that tells of a channel's event."""
    match content:
        case events.ChannelMessage(msg=msg) if not isinstance(msg, str):
            content = attrs.evolve(content, msg=names.json_text(msg))
        case events.ChannelAttrUpdate(value=value) if not isinstance(value, str):
            content = attrs.evolve(content, value=names.json_text(value))
    return events.encode_channel_event(channel, msgid, content, time_ms)


def _result(text: str) -> str:
    """A result, the attributes in it as text."""
    if '"attrs":' not in text and '"value":' not in text:
        return text
    said = frames.decode_json(text, dict[str, Any], call2.REPLY)
    if "attrs" in said:
        said["attrs"] = {name: names.json_text(value) for name, value in said["attrs"].items()}
    if "value" in said:
        said["value"] = names.json_text(said["value"])
    return frames.encode_json(said).decode()


def _line(line: str) -> str:
    """A message line, a call's `extra` in it as text."""
    text = lines.without_id(line)
    *head, kind, time, content = text.split(" ", 6)
    if not kind.startswith(CALL_EVENTS):
        return text
    said = frames.decode_json(content, dict[str, Any], kind)
    if isinstance(said.get("extra", ""), str):
        return text
    said["extra"] = names.json_text(said["extra"])
    return " ".join([*head, kind, time, frames.encode_json(said).decode()])
