"""Native clients: words in packets, which they read compressed from the first on.

Owns: what goes out compressed, when a ping is answered, and what such a client makes of an end.
Must not know who is logged in.
"""

from __future__ import annotations

from typing import Any, Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.native.link import NativeLink
from signal_sdk.net.delay import DelayLine
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.strangers import Pool
from signal_sdk.net.transport import Transport
from signal_sdk.server.wires.base import PONGS_TOGETHER_SECONDS, STRANGER, Wire
from signal_sdk.wire import events, names, packets, typed, words
from signal_sdk.wire.results import GetMessagesResult

PONG_SECONDS: Final = 0.005
"""How much later than its ping a pong leaves: one that arrives within the same millisecond is taken
for none.
"""
MAX_COMPRESSED_BYTES: Final = 1024 * 1024
"""What is still compressed: it takes 20 ms, during which nobody else is served."""
UNANSWERED: Final = frozenset({ECode.LOGIN_E_NET, ECode.LOGIN_E_ALREADY_LOGIN})
"""Refusals that a native client has no word for: the server cannot let anybody in now, upon which
it dials again, or it is logged in here already.
"""


def encode_packet(text: bytes, over: int) -> bytes:
    """The packet of a text, compressed where it has more than `over` (0: none) bytes, and no more
    than is compressed in a moment. Raises `PacketError`.
    """
    if 0 < over < len(text) <= MAX_COMPRESSED_BYTES:
        return packets.encode_compressed(text)
    return packets.encode_plain(text)


class _NativeWire:
    """What every native client reads."""

    def __init__(self, over: int) -> None:
        self._over = over

    @property
    def plain(self) -> Wire:
        return self if not self._over else _PLAIN

    def encode_event(
        self, channel: str, msgid: int, content: events.ChannelContent, time_ms: int
    ) -> bytes:
        line = events.channel_line(channel, content, time_ms)
        return encode_packet(words.encode_channel_event(msgid, line), self._over)


_PLAIN: Final = _NativeWire(0)


class NativeWires:
    """What a node's native links share: packets of more than `compress_over_bytes` (0: none) go out
    compressed. `pool` is for strangers' long logins.
    """

    def __init__(
        self, compress_over_bytes: int, reactor: Reactor, pool: Pool | None = None
    ) -> None:
        self.pool = pool
        self.over = compress_over_bytes
        self.wire: _NativeWire = _NativeWire(compress_over_bytes)
        self.pongs: DelayLine = DelayLine(reactor, PONG_SECONDS, PONGS_TOGETHER_SECONDS)


class NativeClientLink(NativeLink[typed.ClientFrame]):
    """A native client's link."""

    __slots__ = ("_is_in", "_pong", "_told_at", "_wires")
    kind: Final = "native"

    def __init__(
        self, wires: NativeWires, transport: Transport, reactor: Reactor, **bounds: Any
    ) -> None:
        super().__init__(transport, reactor, reads_bundles=False, **bounds)
        self._is_in = False
        """Is the client logged in? Until then it has little to say."""
        self.distrust(STRANGER, wires.pool)
        self._wires = wires
        self._pong: int | None = None
        self._told_at = 0.0
        self.outbox.wire = wires.wire

    @property
    def alive_at(self) -> float:
        # It pings when it has heard nothing for 10 s: one that is always told something says
        # nothing at all. That it is gone, the network notices (`doors`).
        if self.outbox.has_sent:
            self.outbox.has_sent = False
            self._told_at = self._reactor.clock.time()
        return max(self.heard_at, self._told_at)

    def _message(self, text: bytes) -> typed.ClientFrame:
        return words.decode_client(text, is_in=self._is_in)

    def _feed(self, data: bytes) -> None:
        super()._feed(data)
        if data:
            self._tell_of_error()

    def _feed_more(self) -> None:
        super()._feed_more()
        self._tell_of_error()

    def _tell_of_error(self) -> None:
        if self._reader.error is not None:
            self._messages.append(typed.Malformed(reason=str(self._reader.error)))

    def send(self, frame: typed.ServerFrame) -> None:
        match frame:
            case typed.Pong(number):
                # One that pings faster than it is answered gets one answer for several.
                if self._pong is None:
                    self._pong = number
                    self._wires.pongs.put(self._send_pong)
            case typed.Refused(error=error) if error.ecode in UNANSWERED:
                pass
            case typed.LockGranted():
                # It has no word for what it may have asked for by its name: it has to ask again.
                pass
            case typed.Refused(is_resume=True, error=error):
                self._refuse_resume(error.ecode)
            case typed.Reply(_, GetMessagesResult(msgs=msgs), version) if version:
                self._send_frame(frame)
                if len(msgs) < names.MAX_INBOX_PAGE:
                    # Behind a full page it asks for the next by itself.
                    self.send_encoded(packets.encode_plain(words.encode_announcement(version)))
            case _:
                self._send_frame(frame)

    def _send_frame(self, frame: typed.Plain) -> None:
        if isinstance(frame, typed.LoggedIn):
            self._is_in = True
            self.trust()
        try:
            self.send_encoded(encode_packet(words.encode_server(frame), self._wires.over))
        except packets.PacketError as exc:
            if not isinstance(frame, typed.Reply):
                raise
            error = SignalError(ECode.GENERAL_E_FAILED, f"the answer is too long: {exc}")
            self._send_frame(typed.Failure(frame.callid, error))

    def _send_pong(self) -> None:
        number, self._pong = self._pong, None
        if number is not None:
            self._send_frame(typed.Pong(number))

    def _refuse_resume(self, ecode: ECode) -> None:
        """A native client knows one refusal, `kick`, which is the end of its session. Where that
        lives on, or has ended for another reason, it is told otherwise.
        """
        if ecode is ECode.LOGIN_E_TOKENEXPIRED:
            self.send_encoded(packets.encode_plain(b"line_login_res ok "))
            self.send_encoded(packets.encode_plain(words.FAREWELLS[typed.End.EXPIRED]))
        else:
            self.send_encoded(packets.encode_plain(b"line_login_res kick"))

    def end(self, farewell: typed.Farewell) -> None:
        text = words.FAREWELLS.get(farewell.end)
        if text is not None:
            self.send_encoded(packets.encode_plain(text))
        self.close()
