"""What nearly all that a client hears is, decoded in one go: answers, and inbox entries that are
handed over.

Owns: nothing that call2.py and events.py do not; what they make of a frame step by step, this makes
of its text, or nothing. Must not know who hears it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import lines
from signal_sdk.wire.call2 import CallId, Reply
from signal_sdk.wire.events import InboxPushed

__all__ = ["decode_plain"]

_PUSH_HEAD: Final = b'["notify",["recvmsg",'
_REPLY_HEAD: Final = b'["call2-ret",['
_push = msgspec.json.Decoder(tuple[str, tuple[str, str]])
_entry = msgspec.json.Decoder(tuple[int, str])
_reply = msgspec.json.Decoder(tuple[str, tuple[CallId, str, str]])


def decode_plain(text: bytes) -> Reply | InboxPushed | None:
    """What a frame's text says. None for whatever else it is, and where anything is wrong with it:
    whoever decodes it step by step finds out. Never raises.
    """
    try:
        if text.startswith(_PUSH_HEAD):
            version, line = _entry.decode(_push.decode(text)[1][1])
            return InboxPushed(version, lines.decode(line))
        if text.startswith(_REPLY_HEAD):
            return Reply(*_reply.decode(text)[1])
    except (msgspec.MsgspecError, ProtocolError, ValueError, RecursionError):
        pass
    return None
