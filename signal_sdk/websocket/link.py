"""The link: one WebSocket connection, either role, as whole messages in and frames out.

Owns: the `websockets` library's sans-I/O protocol object and the closing handshake. Must not know
what a message says: what is made of it is a subclass's affair.
"""

from __future__ import annotations

import logging
import sys
from typing import Final, TypeVar

import msgspec
import trio
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, Event, Protocol, Side, State

from signal_sdk.errors import LinkError
from signal_sdk.net.closed import ABNORMAL_CLOSURE, LinkClosed, MessageTooLong
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.link import MESSAGES_PER_TURN, StreamLink
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.strangers import FRAME_COST_BYTES, READ_COST_BYTES, Pool, StrangerBounds
from signal_sdk.net.transport import Transport
from signal_sdk.websocket import frames

M = TypeVar("M")

CLOSE_SECONDS: Final = 2.0
"""How long the closing handshake may take before the transport is closed without it."""

LIBRARY_BYTES: Final = 1024
"""How much the library reads at once before others run: of the smallest frames, two milliseconds'
work.
"""

# The library logs handshakes and frames, and a frame may hold a token. Nobody finds this logger by
# its name: whoever configures logging switches those that can be found on again.
silent: Final = logging.Logger("signal_sdk.websocket.library", logging.CRITICAL + 1)  # noqa: LOG001  see above
silent.disabled = True

NORMAL_CLOSURE: Final = int(CloseCode.NORMAL_CLOSURE)
GOING_AWAY: Final = int(CloseCode.GOING_AWAY)
INVALID_DATA: Final = int(CloseCode.INVALID_DATA)
POLICY_VIOLATION: Final = int(CloseCode.POLICY_VIOLATION)
MESSAGE_TOO_BIG: Final = int(CloseCode.MESSAGE_TOO_BIG)
TRY_AGAIN_LATER: Final = int(CloseCode.TRY_AGAIN_LATER)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A whole message: text, or binary."""

    data: bytes
    binary: bool

    def __repr__(self) -> str:
        # Not what it says, which may hold a token.
        return f"Message({len(self.data)} bytes, binary={self.binary})"


encode_text: Final = frames.encode_text


def encode_binary(data: bytes) -> bytes:
    """A binary message as every client of a server may be sent it."""
    return frames.encode(frames.BINARY, data)


class WebSocketLink(StreamLink[M]):
    """A WebSocket connection that is open. Made by handshake.py."""

    __slots__ = (
        "_farewell",
        "_fragments",
        "_fragments_binary",
        "_frame_bytes",
        "_library",
        "_max_bytes",
        "_rest",
        "is_server",
    )

    def __init__(
        self,
        transport: Transport,
        reactor: Reactor,
        side: Side,
        *,
        max_bytes: int,
        outbox_bytes: int = 0,
        protocol: Protocol | None = None,
    ) -> None:
        super().__init__(transport, reactor, outbox_bytes=outbox_bytes)
        self.is_server: bool = side is Side.SERVER
        """Is this the side that was connected to?"""
        self._max_bytes = self._frame_bytes = max_bytes or sys.maxsize
        self._library = protocol
        self._fragments = bytearray()
        self._fragments_binary = False
        self._rest = bytearray()
        self._farewell: trio.Lock | None = None

    def distrust(self, bounds: StrangerBounds, pool: Pool | None = None) -> None:
        """The other side is a stranger, until `trust`."""
        super().distrust(bounds, pool)
        self._frame_bytes = min(bounds.frame_bytes, self._max_bytes)

    def trust(self) -> None:
        """From here on the link's own bounds are all."""
        super().trust()
        self._frame_bytes = self._max_bytes

    def _message(self, data: bytes, *, binary: bool) -> M:
        """What is made of a message. Must not raise."""
        raise NotImplementedError

    @property
    def _protocol(self) -> Protocol:
        """The library's part of this connection. Most never need it: it is made for the first frame
        that is not a whole message.
        """
        if self._library is None:
            self._library = Protocol(
                Side.SERVER if self.is_server else Side.CLIENT,
                max_size=None if self._max_bytes == sys.maxsize else self._max_bytes,
                logger=silent,
            )
        return self._library

    @property
    def _is_ended(self) -> bool:
        """Has one of the two sides said farewell, or something wrong?"""
        library = self._library
        return library is not None and (
            library.state is not State.OPEN or library.parser_exc is not None
        )

    @property
    def is_open(self) -> bool:
        """Can messages still be sent?"""
        library = self._library
        return (library is None or library.state is State.OPEN) and not self.outbox.broken

    def take_early(self, events: list[Event]) -> None:
        """Take the frames that the library has read behind the opening handshake."""
        self._take_events(events)
        self._send_pending()
        self._do_without_library()

    def feed_early(self, data: bytes) -> None:
        """Take what came in one packet with the opening handshake."""
        if not data:
            return
        if self._tab is None:
            self._feed(data)
        else:
            self._feed_of_stranger(self._tab, data)

    def send_text(self, text: bytes) -> None:
        """Send one text message. Never waits; on a link that is closing, nothing is sent."""
        if self._library is None or self._library.state is State.OPEN:
            encode = frames.encode if self.is_server else frames.encode_masked
            self.outbox.append(encode(frames.TEXT, text))

    def _end_reason(self) -> LinkClosed:
        close = self._protocol.close_rcvd or self._protocol.close_sent
        if close is None:
            return LinkClosed(ABNORMAL_CLOSURE, f"{self.peer} went without a word")
        ours = self._protocol.close_sent
        is_long = ours is not None and ours.code == MESSAGE_TOO_BIG
        return (MessageTooLong if is_long else LinkClosed)(close.code, close.reason)

    def _feed(self, data: bytes) -> None:
        # Whole messages at once, all else through the library.
        if not data:
            self._has_more = False
            self._give_to_library(bytes(self._rest))
            self._rest.clear()
            self._protocol.receive_eof()
            self._take_events(self._protocol.events_received())
            self._send_pending()
            return
        rest = self._rest
        if rest:
            rest += data
            del rest[: self._take_whole_frames(rest)]
        elif (at := self._take_whole_frames(data)) < len(data):
            rest += data[at:]

    def _feed_more(self) -> None:
        rest = self._rest
        del rest[: self._take_whole_frames(rest)]

    def _take_whole_frames(self, data: bytes | bytearray) -> int:
        """Take the frames that are whole, or of very many some; how many bytes that is."""
        library = self._library
        at = taken = 0
        if library is None or self._is_library_idle:
            # Nearly all that ever comes.
            texts, at = frames.take_texts(
                data, MESSAGES_PER_TURN, self._frame_bytes, masked=self.is_server
            )
            taken = len(texts)
            for text in texts:
                self._messages.append(self._message(text, binary=False))
        self._has_more = False
        for _ in range(MESSAGES_PER_TURN - taken):
            if at >= len(data):
                return at
            library = self._library
            if library is not None and self._is_ended:
                # It is ended, or about to be.
                end = min(at + LIBRARY_BYTES, len(data))
                self._give_to_library(bytes(data[at:end]))
                self._has_more = end < len(data)
                return end
            head = frames.read_head(data, at)
            if head is None:
                return at
            if head.is_masked is not self.is_server or head.end - head.start > self._frame_bytes:
                # Wrong, and the library knows what is to be said of it.
                self._give_to_library(bytes(data[at : head.start]))
                if not self._is_ended:
                    # It knows nothing of a stranger's bound.
                    self._fail_library(
                        MESSAGE_TOO_BIG, f"a frame of more than {self._frame_bytes} bytes"
                    )
                return len(data)
            if head.end > len(data):
                return at
            if head.first in (frames.TEXT, frames.BINARY) and (
                library is None or library.current_size is None
            ):
                payload = (
                    frames.unmask(data, head) if head.is_masked else data[head.start : head.end]
                )
                self._messages.append(
                    self._message(bytes(payload), binary=head.first == frames.BINARY)
                )
            else:
                # Whole, so that where the next one begins is never for the library alone to know.
                self._give_to_library(bytes(data[at : head.end]))
            at = head.end
        self._has_more = at < len(data)
        return at

    @property
    def _is_library_idle(self) -> bool:
        """Is the library in the midst of nothing? It is given whole frames only."""
        return not self._is_ended and (self._library is None or self._library.current_size is None)

    def _give_to_library(self, data: bytes) -> None:
        if data:
            self._protocol.receive_data(data)
            self._take_events(self._protocol.events_received())
            self._send_pending()
            if self._tab is not None:
                # A stranger's is a third of what it may take.
                self._do_without_library()

    def _do_without_library(self) -> None:
        """Let go of the library where it is in the midst of nothing."""
        if self._is_library_idle:
            self._end_library()
            self._library = None

    def _fail_library(self, code: int, reason: str) -> None:
        """End the connection over what came, and hear nothing more."""
        self._protocol.fail(code, reason)
        self._send_pending()

    def let_go(self) -> None:
        """It is closed: hold nothing that holds it."""
        super().let_go()
        self._end_library()

    def _end_library(self) -> None:
        library = self._library
        if library is not None:
            # Its generator's frame holds it, and so does the traceback of what has ended that.
            library.parser.close()
            if library.parser_exc is not None:
                library.parser_exc.__traceback__ = None

    @property
    def _kept_bytes(self) -> int:
        return len(self._rest) + len(self._fragments)

    def _turn_away(self, reason: str, *, is_full: bool) -> None:
        self._rest = bytearray()
        self._fragments = bytearray()
        self._has_more = False
        self._fail_library(TRY_AGAIN_LATER if is_full else POLICY_VIOLATION, reason)

    def _send_pending(self) -> None:
        for data in self._protocol.data_to_send():
            if data == SEND_EOF:
                self.outbox.append_eof()
            else:
                self.outbox.append(data)

    def _take_events(self, events: list[Event]) -> None:
        if self._tab is not None and not self._affords(len(events) * FRAME_COST_BYTES):
            return
        messages = self._messages
        for frame in events:
            if not isinstance(frame, Frame):
                continue
            if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
                if frame.fin:
                    messages.append(
                        self._message(bytes(frame.data), binary=frame.opcode is Opcode.BINARY)
                    )
                else:
                    self._fragments = bytearray(frame.data)
                    self._fragments_binary = frame.opcode is Opcode.BINARY
            elif frame.opcode is Opcode.CONT:
                self._fragments += frame.data
                if frame.fin:
                    data = bytes(self._fragments)
                    messages.append(self._message(data, binary=self._fragments_binary))
                    self._fragments = bytearray()

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake behind all that waits to be sent; a `receive` that waits
        ends. Never waits; may be called again.
        """
        self._is_closed = True
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._send_pending()
            # Whether the other side ever answers is aclose's affair: it has a deadline.
            self.wake()

    async def aclose(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Close: send what waits, do the closing handshake, close the transport. Always ends
        closed, within two seconds by the reactor's patient clock, while that runs.
        """
        if self._farewell is None:
            self._farewell = trio.Lock()
        try:
            with move_on_after(self._reactor, CLOSE_SECONDS):
                self.close(code, reason)
                await self.outbox.drained()
                async with self._farewell:
                    while self._protocol.state is not State.CLOSED and not self.outbox.broken:
                        if self._has_more:
                            await trio.lowlevel.checkpoint()
                            self._feed_more()
                        else:
                            data = await self._transport.receive_some()
                            if not self._affords(len(data) + READ_COST_BYTES):
                                break
                            self._feed(data)
                        self._messages.clear()
                await self.outbox.drained()
        except LinkError:
            # The other side was quicker; closed is closed.
            pass
        finally:
            self._transport.close()
            self.let_go()


class Link(WebSocketLink[Message]):
    """A WebSocket connection whose messages are handed on as they are."""

    __slots__ = ()

    def _message(self, data: bytes, *, binary: bool) -> Message:
        return Message(data, binary)
