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
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.link import ABNORMAL_CLOSURE, LinkClosed, StreamLink
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import Transport
from signal_sdk.websocket import frames

M = TypeVar("M")

CLOSE_SECONDS: Final = 2.0
"""How long the closing handshake may take before the transport is closed without it."""

# The library logs handshakes and frames, and a frame may hold a token.
silent: Final = logging.getLogger("signal_sdk.websocket.library")
silent.disabled = True

NORMAL_CLOSURE: Final = int(CloseCode.NORMAL_CLOSURE)
GOING_AWAY: Final = int(CloseCode.GOING_AWAY)
INVALID_DATA: Final = int(CloseCode.INVALID_DATA)
POLICY_VIOLATION: Final = int(CloseCode.POLICY_VIOLATION)
TRY_AGAIN_LATER: Final = int(CloseCode.TRY_AGAIN_LATER)


class Message(msgspec.Struct, frozen=True, gc=False):
    """A whole message: text, or binary."""

    data: bytes
    binary: bool


def encode_text(text: bytes) -> bytes:
    """A text message as every client of a server may be sent it: unmasked, so that one encoding
    serves all.
    """
    return frames.encode(frames.TEXT, text)


def encode_binary(data: bytes) -> bytes:
    """A binary message as every client of a server may be sent it."""
    return frames.encode(frames.BINARY, data)


class WebSocketLink(StreamLink[M]):
    """A WebSocket connection that is open. Made by handshake.py."""

    __slots__ = (
        "_farewell",
        "_fragments",
        "_fragments_binary",
        "_is_server",
        "_library",
        "_max_bytes",
        "_rest",
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
        self._is_server = side is Side.SERVER
        self._max_bytes = max_bytes or sys.maxsize
        self._library = protocol
        self._fragments: list[bytes] = []
        self._fragments_binary = False
        self._rest = bytearray()
        self._farewell: trio.Lock | None = None

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
                Side.SERVER if self._is_server else Side.CLIENT,
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
        if self._is_library_idle:
            self._library = None

    def feed_early(self, data: bytes) -> None:
        """Take what came in one packet with the opening handshake."""
        if data:
            self._feed(data)

    def send_text(self, text: bytes) -> None:
        """Send one text message. Never waits; on a link that is closing, nothing is sent."""
        if self._library is None or self._library.state is State.OPEN:
            encode = frames.encode if self._is_server else frames.encode_masked
            self.outbox.append(encode(frames.TEXT, text))

    def _end_reason(self) -> LinkClosed:
        close = self._protocol.close_rcvd or self._protocol.close_sent
        if close is None:
            return LinkClosed(ABNORMAL_CLOSURE, f"{self.peer} went without a word")
        return LinkClosed(close.code, close.reason)

    def _feed(self, data: bytes) -> None:
        # Whole messages at once, all else through the library.
        if not data:
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

    def _take_whole_frames(self, data: bytes | bytearray) -> int:
        """Take all frames that are whole; how many bytes that is."""
        at = 0
        while at < len(data):
            if not self._is_library_idle:
                # What the library has begun, it ends.
                self._give_to_library(bytes(data[at:]))
                return len(data)
            head = frames.read_head(data, at)
            if head is None:
                break
            if head.is_masked is not self._is_server or head.end - head.start > self._max_bytes:
                # Wrong, and the library knows what is to be said of it.
                self._give_to_library(bytes(data[at:]))
                return len(data)
            if head.end > len(data):
                break
            if head.first in (frames.TEXT, frames.BINARY):
                payload = (
                    frames.unmask(data, head) if head.is_masked else data[head.start : head.end]
                )
                self._messages.append(
                    self._message(bytes(payload), binary=head.first == frames.BINARY)
                )
            else:
                self._give_to_library(bytes(data[at : head.end]))
            at = head.end
        return at

    @property
    def _is_library_idle(self) -> bool:
        """Is the library in the midst of nothing?"""
        library = self._library
        return library is None or (
            library.current_size is None
            and not library.reader.buffer
            and library.state is State.OPEN
            and library.parser_exc is None
        )

    def _give_to_library(self, data: bytes) -> None:
        if data:
            self._protocol.receive_data(data)
            self._take_events(self._protocol.events_received())
            self._send_pending()

    def _send_pending(self) -> None:
        for data in self._protocol.data_to_send():
            if data == SEND_EOF:
                self.outbox.append_eof()
            else:
                self.outbox.append(data)

    def _take_events(self, events: list[Event]) -> None:
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
                    self._fragments = [bytes(frame.data)]
                    self._fragments_binary = frame.opcode is Opcode.BINARY
            elif frame.opcode is Opcode.CONT:
                if frame.data:
                    # Empty fragments are legal and endless; only what counts against the size limit
                    # is kept.
                    self._fragments.append(bytes(frame.data))
                if frame.fin:
                    data = b"".join(self._fragments)
                    messages.append(self._message(data, binary=self._fragments_binary))
                    self._fragments = []

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
                        self._feed(await self._transport.receive_some())
                        self._messages.clear()
                await self.outbox.drained()
        except LinkError:
            # The other side was quicker; closed is closed.
            pass
        finally:
            self._transport.close()


class Link(WebSocketLink[Message]):
    """A WebSocket connection whose messages are handed on as they are."""

    __slots__ = ()

    def _message(self, data: bytes, *, binary: bool) -> Message:
        return Message(data, binary)
