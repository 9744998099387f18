"""The link: one WebSocket connection, either role, as whole messages in and frames out.

Owns: the `websockets` library's sans-I/O protocol object and the closing handshake. Must not know
what a message says.
"""

from __future__ import annotations

from typing import Final

import attrs
import trio
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, Event, Protocol, Side, State

from signal_sdk.errors import LinkError
from signal_sdk.websocket.outbox import Flusher, Outbox
from signal_sdk.websocket.transport import Transport

CLOSE_SECONDS: Final = 2.0
"""How long the closing handshake may take before the transport is closed without it."""

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


@attrs.frozen
class Message:
    """A whole message: text, or binary."""

    data: bytes
    binary: bool


def encode_text(text: bytes) -> bytes:
    """A text message as every client of a server may be sent it: unmasked, so that one encoding
    serves all.
    """
    return Frame(Opcode.TEXT, text).serialize(mask=False)


def encode_binary(data: bytes) -> bytes:
    """A binary message as every client of a server may be sent it."""
    return Frame(Opcode.BINARY, data).serialize(mask=False)


class Link:
    """A WebSocket connection that is open. Made by handshake.py."""

    def __init__(
        self, transport: Transport, protocol: Protocol, flusher: Flusher, *, outbox_bytes: int = 0
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._fragments: list[bytes] = []
        self._fragments_binary = False
        self._early: list[Event] = []
        self._broken = ""
        self._receiving: trio.CancelScope | None = None
        self._farewell = trio.Lock()
        self.outbox = Outbox(transport, flusher, self._on_broken, max_bytes=outbox_bytes)

    @property
    def peer(self) -> str:
        """The other side's address, for logs."""
        return self._transport.peer

    @property
    def is_open(self) -> bool:
        """Can messages still be sent?"""
        return self._protocol.state is State.OPEN and not self.outbox.broken

    def _on_broken(self, reason: str) -> None:
        self._broken = reason

    def take_early(self, events: list[Event]) -> None:
        """Keep the frames that came in one packet with the opening handshake."""
        self._early = events

    def send_text(self, text: bytes) -> None:
        """Send one text message. Never waits; on a link that is closing, nothing is sent."""
        if self._protocol.state is State.OPEN:
            self.outbox.append(
                Frame(Opcode.TEXT, text).serialize(mask=self._protocol.side is Side.CLIENT)
            )

    def send_encoded(self, data: bytes) -> None:
        """Send what `encode_text` or `encode_binary` made. Never waits; on a link that is closing,
        nothing is sent.
        """
        if self._protocol.state is State.OPEN:
            self.outbox.append(data)

    async def receive(self) -> list[Message]:
        """Wait for messages: one or more, in order. Raises `LinkClosed` once there are none to
        come: the other side has closed or gone, or `close` was called here, by whatever task.
        """
        while True:
            if messages := self._messages():
                return messages
            protocol = self._protocol
            if protocol.state is not State.OPEN or protocol.parser_exc is not None:
                raise self._closed(protocol.close_rcvd or protocol.close_sent)
            data = None
            try:
                with trio.CancelScope() as self._receiving:
                    data = await self._transport.receive_some()
            except LinkError as exc:
                raise LinkClosed(CloseCode.ABNORMAL_CLOSURE, self._broken or str(exc)) from None
            if data is not None:
                self._feed(data)

    def _closed(self, close: Close | None) -> LinkClosed:
        if close is None:
            return LinkClosed(
                CloseCode.ABNORMAL_CLOSURE, self._broken or f"{self.peer} went without a word"
            )
        return LinkClosed(close.code, close.reason)

    def _feed(self, data: bytes) -> None:
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._send_pending()

    def _send_pending(self) -> None:
        for data in self._protocol.data_to_send():
            if data == SEND_EOF:
                self.outbox.append_eof()
            else:
                self.outbox.append(data)

    def _messages(self) -> list[Message]:
        messages = []
        events = self._protocol.events_received()
        if self._early:
            events = [*self._early, *events]
            self._early = []
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
        return messages

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake behind all that waits to be sent; a `receive` that waits
        ends. Never waits; may be called again.
        """
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._send_pending()
            if self._receiving is not None:
                # Whether the other side ever answers is aclose's affair: it has a deadline.
                self._receiving.cancel()

    async def aclose(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Close: send what waits, do the closing handshake, close the transport. Always ends
        closed, within two seconds.
        """
        try:
            with trio.move_on_after(CLOSE_SECONDS):
                self.close(code, reason)
                await self.outbox.drained()
                async with self._farewell:
                    while self._protocol.state is not State.CLOSED and not self.outbox.broken:
                        self._feed(await self._transport.receive_some())
                        self._protocol.events_received()
                await self.outbox.drained()
        except LinkError:
            # The other side was quicker; closed is closed.
            pass
        finally:
            self._transport.close()

    def abort(self) -> None:
        """Close the transport at once, without a word."""
        self._transport.close()
