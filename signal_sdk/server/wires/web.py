"""WebSocket clients: JSON texts in frames, compressed for those who have said that they read that.

Owns: which client it is, which spelling of an inbox entry it gets, and when, which frames are worth
compressing, what it makes of an end, and the WebSocket's own codes. What the original Java SDK has
of its own, java.py does. Must not know who is logged in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from signal_sdk.net.delay import DelayLine
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.strangers import Pool
from signal_sdk.net.transport import Transport
from signal_sdk.server.wires.base import STRANGER, Wire
from signal_sdk.server.wires.java import JavaTongue, JavaWires
from signal_sdk.websocket.frames import SHORT_HEAD_BYTES, lone_text
from signal_sdk.websocket.link import (
    GOING_AWAY,
    INVALID_DATA,
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    WebSocketLink,
    encode_binary,
    encode_text,
)
from signal_sdk.wire import call2, events, frames, json_frames, login, names, typed
from signal_sdk.wire.properties import SEPARATOR
from signal_sdk.wire.remembered import remembered

MAX_REASON_BYTES: Final = 120
"""A close frame's reason holds 123."""
ALONE_SECONDS: Final = 1.0
"""Who pings no sooner than this after what was heard last is answered at once."""
PONGS_KEPT: Final = 256
"""Of how many texts that may be pings it is kept what answers them."""
HOLD_SECONDS: Final = 1.0
"""How long a page may say nothing behind its login until it is handed entries all the same."""
HOLDS_TOGETHER_SECONDS: Final = 0.1
"""By how much later, where very many pages say nothing."""
MAX_HELD: Final = 64
"""How many entries wait for that; with the next, it gets all."""
PYTHON_LOGIN: Final = b'["login", {'
"""How the retired Python SDK's login begins; those of all others have no blank there."""
_CODES: Final = {
    typed.End.DONE: NORMAL_CLOSURE,
    typed.End.GOING_AWAY: GOING_AWAY,
    typed.End.BAD_DATA: INVALID_DATA,
}


def is_long(text: bytes, over: int) -> bool:
    """Has `text` more than `over` bytes, and no more than a frame may have? Longer ones take
    milliseconds, and a receiver may refuse to inflate them. With `over` 0, nothing is long.
    """
    return 0 < over < len(text) <= names.MAX_FRAME_BYTES


def encode_packed(text: bytes) -> bytes:
    """`text` as a compressed binary message, or as a text message where that is shorter."""
    packed = frames.compress(text)
    return encode_binary(packed) if len(packed) < len(text) else encode_text(text)


@remembered(PONGS_KEPT)
def _pong(text: bytes) -> bytes | None:
    """What answers a text, as bytes for an outbox, where that is a ping as nearly all are."""
    number = json_frames.ping_number(text)
    return encode_text(json_frames.encode_pong(number)) if number else None


class _TextWire:
    """What every WebSocket client reads."""

    @property
    def plain(self) -> Wire:
        return self

    encode: Callable[[bytes], bytes] = staticmethod(encode_text)
    """A frame's text, as bytes for an outbox."""

    def encode_event(
        self, channel: str, msgid: int, content: events.ChannelContent, time_ms: int
    ) -> bytes:
        return self.encode(events.encode_channel_event(channel, msgid, content, time_ms))


class _OwnWire(_TextWire):
    """What clients of ours read: messages with their properties."""

    def encode_event(
        self, channel: str, msgid: int, content: events.ChannelContent, time_ms: int
    ) -> bytes:
        return self.encode(
            events.encode_channel_event(channel, msgid, content, time_ms, has_properties=True)
        )


class _PackedWire(_TextWire):
    """What those read who have said so: long frames come compressed."""

    def __init__(self, plain: Wire, over: int) -> None:
        self._plain = plain
        self._over = over

    @property
    def plain(self) -> Wire:
        return self._plain

    def encode(self, text: bytes) -> bytes:
        return encode_packed(text) if is_long(text, self._over) else encode_text(text)


class WebWires:
    """A node's four ways to speak to WebSocket clients; frames of more than `compress_over_bytes`
    (0: none) go out compressed to those who read that. `pool` is for strangers' long logins.
    """

    def __init__(
        self, compress_over_bytes: int, reactor: Reactor, pool: Pool | None = None
    ) -> None:
        self.pool = pool
        self.text: _TextWire = _TextWire()
        self.own: _OwnWire = _OwnWire()
        self.packed: _PackedWire = _PackedWire(self.text, compress_over_bytes)
        self.java: JavaWires = JavaWires(reactor)
        self.held: DelayLine = DelayLine(reactor, HOLD_SECONDS, HOLDS_TOGETHER_SECONDS)


class WebClientLink(WebSocketLink[typed.ClientFrame]):
    """A WebSocket client's link."""

    __slots__ = (
        *("_has_flag", "_has_ids", "_has_properties", "_held", "_is_pushed", "_is_python"),
        *("_is_web", "_java", "_wires"),
    )
    kind: Final = "websocket"

    def __init__(
        self, wires: WebWires, transport: Transport, reactor: Reactor, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(transport, reactor, *args, **kwargs)
        self._wires = wires
        self.outbox.wire = wires.text
        self.distrust(STRANGER, wires.pool)
        self._has_flag = False
        """Has the client said `set_flag`? Of the web SDKs, only 1.4 does."""
        self._has_ids = False
        """Does the client read v3 lines?"""
        self._has_properties = False
        """And what stands behind the ids in them?"""
        self._is_pushed = False
        """Is it handed its inbox entries, instead of being told to poll?"""
        self._held: list[typed.Entry] | None = None
        """What a page gets once it has said something since its login. A web SDK 1.4 says first
        `set_flag`: what it got before would have no id, and be told again after a reconnection.
        """
        self._is_web = False
        self._is_python = False
        """Is it the retired Python SDK? It says that it is the Java one, but cannot read an entry
        that is handed to it.
        """
        self._java: JavaTongue | None = None
        """How it is spoken to where it is the original Java SDK."""

    SHORT_BYTES = SHORT_HEAD_BYTES + json_frames.PING_BYTES

    def _is_answered(self, data: bytes) -> bool:
        """The ping of one who has said nothing for a while is: of very many who do no more, each
        step costs as if it were the first. It does not count as a frame; so few are none too many.
        """
        patient_now, now = self._reactor.read_at
        if patient_now - self.heard_at < ALONE_SECONDS or self._java is not None:
            return False
        if self._library is not None or self._rest or self._held is not None:
            return False
        text = lone_text(data)
        pong = None if text is None else _pong(text)
        if pong is None:
            return False
        self.heard_at = patient_now
        self.outbox.send_now(pong, now)
        return True

    def _message(self, data: bytes, *, binary: bool) -> typed.ClientFrame:
        if binary:
            return typed.Malformed(reason="a binary frame, which only the server may send")
        message = call2.decode_message(data)
        if message is not None:
            if self._held is not None:
                self._release()
            return message
        frame = json_frames.decode_client(data)
        if self._java is not None:
            self._java.hear(frame)
        elif isinstance(frame, login.Login):
            # It may be kicked before its login is answered.
            self._is_web = frame.device == login.WEB_DEVICE
            self._is_python = data.startswith(PYTHON_LOGIN)
        elif isinstance(frame, login.SetFlag):
            self.outbox.wire = self._wires.packed if frame.binary else self._wires.text
            # Only the web SDK 1.4 says this, which reads v3 lines: by their ids it knows what it
            # has had before a reconnection, and would hand over again.
            self._has_flag = self._has_ids = self._is_pushed = True
        if self._held is not None:
            self._release()
        return frame

    def _release(self) -> None:
        """The page has said something, or says nothing: it gets what it gets."""
        held, self._held = self._held, None
        for entry in held or ():
            self.send(entry)

    @property
    def alive_at(self) -> float:
        return self.heard_at

    def send(self, frame: typed.ServerFrame) -> None:
        if type(frame) is typed.LoggedIn:
            self.trust()
            self._is_web = frame.device == login.WEB_DEVICE
            self._has_ids = self._has_ids or frame.ver >= login.PUSH_VERSION
            self._is_pushed = self._is_web or self._has_ids
            if self._is_web and not self._has_ids:
                self._held = []
            if frame.ver >= login.PROPERTIES_VERSION:
                self._has_properties = True
                self.outbox.wire = self._wires.own
            is_old = frame.device == login.NATIVE_DEVICE and not self._has_ids
            if is_old and not self._is_python:
                self._java = JavaTongue(self._wires.java, self.send_text)
                self.outbox.wire = self._wires.java.wire
        if self._java is not None:
            self._java.say(frame)
            return
        if self._library is not None and not self.is_open:
            return
        # The first two are nearly all that is said, and as `encode_server` has them.
        if type(frame) is typed.Entry and (
            self._has_properties or (self._has_ids and SEPARATOR not in frame.line)
        ):
            text = events.encode_push(frame.version, frame.line)
        elif type(frame) is typed.Reply and type(frame.result) is str:
            text = call2.encode_success(frame.callid, frame.result)
        else:
            if self._held is not None and type(frame) is typed.Entry:
                if len(self._held) < MAX_HELD:
                    if not self._held:
                        self._wires.held.put(self._release)
                    self._held.append(frame)
                    return
                self._release()
            text = json_frames.encode_server(
                frame,
                has_ids=self._has_ids,
                is_pushed=self._is_pushed,
                has_properties=self._has_properties,
            )
        outbox = self.outbox
        outbox.append(outbox.wire.encode(text))

    def end(self, farewell: typed.Farewell) -> None:
        self._held = None
        if farewell.end is typed.End.DONE and self._java is not None:
            # What it says from here on is nobody's word, but it hangs up itself.
            self._is_closed = True
            self._java.part(self.close)
            return
        text = json_frames.encode_farewell(farewell)
        is_leaving = farewell.end is typed.End.GOING_AWAY
        # The web SDK 1.4 takes `close` for a logout, and comes back by itself after a mere closing.
        # Earlier ones notice neither that nor a kick, but `close`.
        if text is not None and not (is_leaving and self._is_web and self._has_flag):
            self.send_text(text)
        if farewell.end is typed.End.KICKED and self._is_web and not self._has_flag:
            self.send_text(json_frames.encode_close(farewell))
        reason = "" if farewell.end is typed.End.DONE else farewell.reason or farewell.end.value
        code = _CODES.get(farewell.end, POLICY_VIOLATION)
        self.close(code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
