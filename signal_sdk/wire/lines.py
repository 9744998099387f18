"""Message lines: the text form of an inbox entry and of a channel event.

    msg-v2 SRC DST FLAG TYPE TIME CONTENT
    msg-v3 MSGID SRC DST FLAG TYPE TIME CONTENT

Owns: protocol.md, section 4's line and its FLAG. Must not know what a TYPE means.
"""

from __future__ import annotations

from typing import Final

import msgspec

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import names, properties
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.properties import SEPARATOR, Properties, attach, bare, detach
from signal_sdk.wire.remembered import remembered

V2: Final = "msg-v2"
V3: Final = "msg-v3"
_FLAG: Final = "v1:E:"
EVENT_TTL_SECONDS: Final = 3600
"""The TTL on the line of an event: a call's is kept for an hour, a channel's is in no inbox."""
_V3_HEAD: Final = f"{V3} "
_TOO_FEW: Final = "a message line has too few fields"
FLAGS_KEPT: Final = 256
"""How many FLAGs are remembered as they were read: few different ones are ever sent."""


@hides("content")
class MessageLine(msgspec.Struct, frozen=True, gc=False):
    """One message as the protocol's text carries it.

    `time` is in Unix milliseconds (ours: the original clients read past it); `ttl` in seconds;
    `msg_id` is there on a v3 line only, and `properties` where there are any behind that.
    """

    src: str
    dst: str
    type: str
    content: str
    time: int
    ttl: int = EVENT_TTL_SECONDS
    msg_id: str | None = None
    properties: Properties | None = None

    def encode(self) -> str:
        """The line's text: v3 where there is a message id, v2 otherwise."""
        facts = self.src, self.dst, self.ttl, self.type, self.time, self.content
        return encode_message(attach(self.msg_id or "", self.properties), *facts)


def encode_message(
    msg_id: str, src: str, dst: str, ttl: int, kind: str, time: int, content: str
) -> str:
    """As `MessageLine.encode`, without the object; an empty `msg_id` is none."""
    head = f"{V3} {msg_id}" if msg_id else V2
    return f"{head} {src} {dst} {_FLAG}{ttl} {kind} {time} {content}"


def time_ms(text: str) -> int:
    """The TIME of a line's text, of which nothing else is looked at; 0 where it has none."""
    fields = text.split(" ", 7)
    at = 6 if fields[0] == V3 else 5
    time = fields[at] if at < len(fields) else ""
    return int(time) if time.isascii() and time.isdigit() else 0


def without_id(text: str) -> str:
    """A line's text as it is without a message id."""
    version, _, rest = text.partition(" ")
    if version == V3:
        rest = rest.partition(" ")[2]
    return f"{V2} {rest}"


def without_properties(text: str) -> str:
    """A line's text as it is for who reads ids, and knows nothing of what may stand behind them."""
    if not text.startswith(_V3_HEAD):
        return text
    msg_id, _, rest = text[len(_V3_HEAD) :].partition(" ")
    return f"{_V3_HEAD}{bare(msg_id)} {rest}" if SEPARATOR in msg_id else text


def is_binary(text: str) -> bool:
    """Are what a line's text says bytes?"""
    if SEPARATOR not in text or not text.startswith(_V3_HEAD):
        return False
    return properties.is_binary(detach(text.split(" ", 2)[1])[1])


def content_size(text: str) -> int:
    """How many bytes the content of a line's text has, which is one of ours."""
    content = text.split(" ", 7 if text.startswith(_V3_HEAD) else 6)[-1]
    if is_binary(text):
        return properties.size_of_bytes(content)
    return len(content) if content.isascii() else len(content.encode())


def field(text: str) -> str:
    """`text` as one field of a line, which white space would cut in two.

    Only a channel's name can hold any; it stands in DST, which nobody reads, since the frame names
    the channel.
    """
    return "".join("_" if char.isspace() else char for char in text) or "_"


def make_flag(ttl: int) -> str:
    """FLAG for a message that its inbox keeps for `ttl` seconds."""
    return f"{_FLAG}{ttl}"


@remembered(FLAGS_KEPT)
def parse_flag(flag: str) -> int:
    """The TTL of a FLAG in seconds, cut to `MAX_TTL_SECONDS`. Raises `ProtocolError`."""
    version, _, rest = flag.partition(":")
    kind, _, ttl = rest.partition(":")
    if version != "v1" or kind != "E" or not ttl.isascii() or not ttl.isdigit() or len(ttl) > 12:
        raise ProtocolError("a message line's flag is not of the form v1:E:TTL_SECONDS")
    return min(int(ttl), names.MAX_TTL_SECONDS)


@remembered(FLAGS_KEPT)
def cut_flag(flag: str) -> str:
    """A FLAG whose TTL is cut to `MAX_TTL_SECONDS`. Raises `ProtocolError`."""
    return make_flag(parse_flag(flag))


def decode(text: str) -> MessageLine:
    """Take a line apart. Raises `ProtocolError` for anything that is not one."""
    msg_id = found = None
    if text.startswith(_V3_HEAD):
        fields = text.split(" ", 7)
        if len(fields) != 8:
            raise ProtocolError(_TOO_FEW)
        _, msg_id, src, dst, flag, kind, time, content = fields
        if SEPARATOR in msg_id:
            msg_id, found = detach(msg_id)
    else:
        fields = text.split(" ", 6)
        if fields[0] not in (V2, V3):
            raise ProtocolError(f"a message line begins with neither {V2} nor {V3}")
        if len(fields) != 7:
            raise ProtocolError(_TOO_FEW)
        _, src, dst, flag, kind, time, content = fields
    if not (src and dst and flag and kind and time) or msg_id == "":
        raise ProtocolError(_TOO_FEW)
    if not time.isascii() or not time.isdigit() or len(time) > 16:
        raise ProtocolError("a message line's time is not a number")
    return MessageLine(src, dst, kind, content, int(time), parse_flag(flag), msg_id, found)
