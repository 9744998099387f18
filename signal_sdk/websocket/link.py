"""The link: one WebSocket connection, either role, as whole messages in and frames out.

Owns: the `websockets` library's sans-I/O protocol object and the closing handshake. Must not know
what a message says.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final

import msgspec
import trio
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, Event, Protocol, Side, State

from signal_sdk.errors import LinkError
from signal_sdk.net.outbox import Outbox
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.net.transport import Transport
from signal_sdk.websocket import frames

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


class LinkClosed(LinkError):
    """The link is closed: by the other side (its code and reason), or by a break (code 1006)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"the connection is closed: {self.code} {self.reason}".rstrip()


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


Take = Callable[[Message], bool]
"""Takes a message at once, without waiting; False where it cannot."""
MESSAGES_PER_TURN: Final = 32
"""How many messages of one read are handed out at once before others run."""


class Link:
    """A WebSocket connection that is open. Made by handshake.py."""

    __slots__ = (
        "_failure",
        "_farewell",
        "_fragments",
        "_fragments_binary",
        "_is_closed",
        "_is_server",
        "_library",
        "_max_bytes",
        "_messages",
        "_reactor",
        "_receiving",
        "_rest",
        "_rouse",
        "_sleeper",
        "_take",
        "_transport",
        "heard_at",
        "outbox",
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
        self._transport = transport
        self._is_server = side is Side.SERVER
        self._is_closed = False
        self._max_bytes = max_bytes or sys.maxsize
        self._library = protocol
        self._fragments: list[bytes] = []
        self._fragments_binary = False
        self._messages: list[Message] = []
        self._rest = bytearray()
        self._reactor = reactor
        self._take: Take | None = None
        self._failure: Exception | None = None
        self._sleeper = Sleeper()
        self._rouse: Callable[[], None] | None = None
        self._receiving: trio.CancelScope | None = None
        self._farewell: trio.Lock | None = None
        self.heard_at = trio.current_time()
        """When the last message arrived, or the link began."""
        self.outbox = Outbox(transport, reactor.flusher, self._on_broken, max_bytes=outbox_bytes)

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
    def peer(self) -> str:
        """The other side's address, for logs."""
        return self._transport.peer

    @property
    def is_open(self) -> bool:
        """Can messages still be sent?"""
        library = self._library
        return (library is None or library.state is State.OPEN) and not self.outbox.broken

    @property
    def is_listening(self) -> bool:
        """Is what arrives still of interest: was it not this side that has closed? What the other
        side said before its own close is.
        """
        return not self._is_closed and not self.outbox.broken

    def _on_broken(self, reason: str) -> None:
        self._fail(LinkClosed(CloseCode.ABNORMAL_CLOSURE, reason))

    def _fail(self, exc: Exception) -> None:
        """There is nothing more to be received, and this is why."""
        if self._failure is None:
            self._failure = exc
        self.wake()

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

    def send_encoded(self, data: bytes) -> None:
        """Send what `encode_text` or `encode_binary` made. Never waits; on a link that is closing,
        nothing is sent.
        """
        if self._library is None or self._library.state is State.OPEN:
            self.outbox.append(data)

    def watch(self, take: Take) -> None:
        """From here on, whenever messages arrive, the reactor hands them to `take`, one by one.
        What `take` returns False for waits for `receive`, and so does all behind it: until
        `receive` is called again, no more is read. An exception of `take` is raised by `receive`.
        """
        self._take = take

    def rest(self, rouse: Callable[[], None]) -> bool:
        """Have messages taken while nobody is in `receive`; `rouse` is called once, when there is
        something for it: what `take` did not take, or the end. False where `receive` is needed from
        the start. Raises `LinkError` where the transport is closed.
        """
        is_due = self._messages or self._failure is not None or self._is_ended
        if is_due or not self._transport.watch(self._reactor, self._read):
            return False
        self._rouse = rouse
        return True

    async def receive(self) -> list[Message]:
        """Wait for messages: one or more, in order. Raises `LinkClosed` once there are none to
        come: the other side has closed or gone, or `close` was called here, by whatever task.
        """
        while True:
            if self._messages:
                messages, self._messages = self._messages, []
                return messages
            if self._failure is not None:
                raise self._failure
            if self._is_ended:
                raise self._closed(self._protocol.close_rcvd or self._protocol.close_sent)
            try:
                await self._arrival()
            except LinkError as exc:
                self._fail(LinkClosed(CloseCode.ABNORMAL_CLOSURE, str(exc)))

    async def _arrival(self) -> None:
        """Wait until something has arrived, which may be nothing for `receive`."""
        if self._take is not None and self._transport.watch(self._reactor, self._read):
            try:
                await self._sleeper.sleep()
            finally:
                self._transport.unwatch()
            return
        data = None
        with trio.CancelScope() as self._receiving:
            data = await self._transport.receive_some()
        if data is not None:
            self._feed(data)
            self._hand_out()

    def wake(self) -> None:
        """Have whoever waits in `receive` look again; where nobody does, rouse somebody."""
        rouse, self._rouse = self._rouse, None
        if rouse is not None:
            self._transport.unwatch()
            rouse()
        self._sleeper.wake()
        if self._receiving is not None:
            self._receiving.cancel()

    def _read(self) -> None:
        """Take what has arrived, without waiting. The reactor's."""
        if not self._sleeper.is_asleep and self._rouse is None:
            # Whoever receives has been woken, and is not there yet.
            return
        try:
            data = self._transport.receive_nowait()
            if data is None:
                return
            self._feed(data)
            self._hand_out()
        except LinkError as exc:
            self._fail(LinkClosed(CloseCode.ABNORMAL_CLOSURE, str(exc)))
        except Exception as exc:  # noqa: BLE001  `receive` raises it
            self._messages.clear()
            self._fail(exc)
        if self._messages or self._is_ended:
            self.wake()

    def _hand_out(self) -> None:
        """Let `take` have what it takes."""
        take, messages = self._take, self._messages
        if not messages:
            return
        self.heard_at = trio.current_time()
        if take is None:
            return
        taken = 0
        for message in messages[:MESSAGES_PER_TURN]:
            if not self.is_listening or not take(message):
                break
            taken += 1
        del messages[:taken]

    def _closed(self, close: Close | None) -> LinkClosed:
        if close is None:
            return LinkClosed(CloseCode.ABNORMAL_CLOSURE, f"{self.peer} went without a word")
        return LinkClosed(close.code, close.reason)

    def _feed(self, data: bytes) -> None:
        """Take what was received: whole messages at once, all else through the library."""
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
                self._messages.append(Message(bytes(payload), head.first == frames.BINARY))
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
                    messages.append(Message(bytes(frame.data), frame.opcode is Opcode.BINARY))
                else:
                    self._fragments = [bytes(frame.data)]
                    self._fragments_binary = frame.opcode is Opcode.BINARY
            elif frame.opcode is Opcode.CONT:
                if frame.data:
                    # Empty fragments are legal and endless; only what counts against the size limit
                    # is kept.
                    self._fragments.append(bytes(frame.data))
                if frame.fin:
                    messages.append(Message(b"".join(self._fragments), self._fragments_binary))
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
        closed, within two seconds.
        """
        if self._farewell is None:
            self._farewell = trio.Lock()
        try:
            with trio.move_on_after(CLOSE_SECONDS):
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

    def abort(self) -> None:
        """Close the transport at once, without a word."""
        self._is_closed = True
        self._transport.close()
        self.wake()
