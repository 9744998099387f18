"""The native link: packets over a stream, either role, as texts in and packets out.

Owns: reading packets, and how such a connection is closed: it has no closing handshake. Must not
know what a text says: what is made of it is a subclass's affair.
"""

from __future__ import annotations

from typing import Final, TypeVar

from signal_sdk.errors import LinkError
from signal_sdk.net.closed import ABNORMAL_CLOSURE, LinkClosed, MessageTooLong
from signal_sdk.net.deadline import move_on_after
from signal_sdk.net.link import StreamLink
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.strangers import READ_COST_BYTES, Pool, StrangerBounds
from signal_sdk.net.transport import Transport
from signal_sdk.wire.packets import PacketReader, PacketTooLong

M = TypeVar("M")

CLOSE_SECONDS: Final = 2.0
"""How long the other side may take to close, too."""


class NativeLink(StreamLink[M]):
    """A connection that carries packets. A packet may hold `max_bytes`."""

    __slots__ = ("_has_eof", "_max_bytes", "_reader")

    def __init__(
        self,
        transport: Transport,
        reactor: Reactor,
        *,
        max_bytes: int,
        outbox_bytes: int = 0,
        reads_bundles: bool = True,
    ) -> None:
        super().__init__(transport, reactor, outbox_bytes=outbox_bytes)
        self._reader = PacketReader(max_bytes, reads_bundles=reads_bundles)
        self._max_bytes = max_bytes
        self._has_eof = False

    def distrust(self, bounds: StrangerBounds, pool: Pool | None = None) -> None:
        """The other side is a stranger, until `trust`."""
        super().distrust(bounds, pool)
        self._reader.max_bytes = min(bounds.frame_bytes, self._max_bytes)

    def trust(self) -> None:
        """From here on the link's own bounds are all."""
        super().trust()
        self._reader.max_bytes = self._max_bytes

    def _message(self, text: bytes) -> M:
        """What is made of a text. Must not raise."""
        raise NotImplementedError

    def _feed(self, data: bytes) -> None:
        if data:
            self._messages += map(self._message, self._reader.feed(data))
            self._has_more = self._reader.has_more
        else:
            self._has_eof = True

    def _feed_more(self) -> None:
        self._messages += map(self._message, self._reader.feed(b""))
        self._has_more = self._reader.has_more

    @property
    def _kept_bytes(self) -> int:
        return self._reader.rest

    @property
    def _is_ended(self) -> bool:
        return self._has_eof or self._is_closed or self._reader.error is not None

    def _end_reason(self) -> LinkClosed:
        reason = f"{self.peer} has closed"
        if self._is_closed:
            reason = "closed here"
        elif self._reader.error is not None:
            reason = str(self._reader.error)
        is_long = isinstance(self._reader.error, PacketTooLong)
        return (MessageTooLong if is_long else LinkClosed)(ABNORMAL_CLOSURE, reason)

    def close(self) -> None:
        """Close behind all that waits to be sent; a `receive` that waits ends. Never waits; may be
        called again.
        """
        if not self._is_closed:
            self._is_closed = True
            self.outbox.append_eof()
            self.wake()

    async def aclose(self) -> None:
        """Close: send what waits, let the other side close, close the transport. Always ends
        closed, within two seconds by the reactor's patient clock, while that runs.

        A transport that is closed while something lies unread there may throw away what was sent.
        """
        try:
            with move_on_after(self._reactor, CLOSE_SECONDS):
                self.close()
                await self.outbox.drained()
                while not self._has_eof and not self.outbox.broken:
                    data = await self._transport.receive_some()
                    if not self._affords(len(data) + READ_COST_BYTES):
                        break
                    self._has_eof = not data
        except LinkError:
            # The other side was quicker; closed is closed.
            pass
        finally:
            self._transport.close()
            self.let_go()


class PacketLink(NativeLink[bytes]):
    """A connection whose texts are handed on as they are."""

    __slots__ = ()

    def _message(self, text: bytes) -> bytes:
        return text
