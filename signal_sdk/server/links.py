"""The links that a node's connections are made: of which wires, and within which limits.

Owns: what all links of a kind share, and what strangers may cost them all together. Must not know
which connections there are, or what is said on one.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from signal_sdk.net.reactor import Reactor
from signal_sdk.net.strangers import Pool
from signal_sdk.net.transport import Transport
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.wires.base import LONG_LOGINS_BYTES
from signal_sdk.server.wires.native import NativeClientLink, NativeWires
from signal_sdk.server.wires.web import WebClientLink, WebWires
from signal_sdk.websocket import handshake

__all__ = ["Links"]

NO_LIMIT_BYTES: Final = 2**31 - 1
"""How long a message may be where nothing is to limit that: what its length and zlib's can be."""


class Links:
    """Makes them. `pool` is what strangers share."""

    def __init__(self, limits: LimitsConfig, reactor: Reactor) -> None:
        self.pool: Pool = Pool(LONG_LOGINS_BYTES)
        self._limits = limits
        self._reactor = reactor
        self.take_limits()

    def take_limits(self) -> None:
        """The limits of single connections may have changed: for those that come from here on."""
        over = self._limits.compress_over_bytes
        self.native_wires: NativeWires = NativeWires(over, self._reactor, self.pool)
        self.web_wires: WebWires = WebWires(over, self._reactor, self.pool)
        self._max_bytes = self._limits.max_frame_bytes or NO_LIMIT_BYTES
        self._outbox_bytes = self._limits.outbox_bytes

    def native(self, transport: Transport) -> NativeClientLink:
        """A native client's, which does no handshake. Raises `LinkError`."""
        return NativeClientLink(
            self.native_wires,
            transport,
            self._reactor,
            max_bytes=self._max_bytes,
            outbox_bytes=self._outbox_bytes,
        )

    def open_plainly(
        self, data: bytes, transport: Transport, answer: handshake.Answer
    ) -> WebClientLink | None:
        """As `handshake.accept_plain`."""
        return handshake.accept_plain(
            data,
            transport,
            self._reactor,
            answer,
            make=partial(WebClientLink, self.web_wires),
            max_frame_bytes=self._max_bytes,
            outbox_bytes=self._outbox_bytes,
        )

    async def open(
        self, data: bytes | None, transport: Transport, answer: handshake.Answer
    ) -> WebClientLink | None:
        """As `handshake.accept`."""
        return await handshake.accept(
            transport,
            self._reactor,
            answer,
            make=partial(WebClientLink, self.web_wires),
            max_frame_bytes=self._max_bytes,
            outbox_bytes=self._outbox_bytes,
            data=data,
        )
