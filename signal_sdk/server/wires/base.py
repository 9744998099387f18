"""The seam between a link and whoever serves its client: typed frames in, typed frames out.

Owns: what a connection, the hub and the requests may ask of a link, whatever its wire. Must not
know any wire; above it, nobody does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from signal_sdk.net.strangers import StrangerBounds
from signal_sdk.wire import typed
from signal_sdk.wire.events import ChannelContent

PONGS_TOGETHER_SECONDS: Final = 0.025
"""What pings within is answered together, where pongs have to wait in any case: a pass for each
would cost as much as the pong.
"""
STRANGER: Final = StrangerBounds(
    allowance_bytes=12 * 1024, frame_bytes=8 * 1024, outbox_bytes=32 * 1024, kept_bytes=768
)
"""What a client may cost before it is logged in, on any wire. A login of the original clients takes
less than 1 KiB; an answer to a lookup that names 200 addresses takes 20. With what is kept of half
a login, a connection takes less than 4 KiB.
"""
LONG_LOGINS_BYTES: Final = 4 * 1024 * 1024
"""How much more is kept of all clients together that are not logged in: half of a login, or of an
opening request, that is longer.
"""


class Wire(Protocol):
    """One way to spell what many hear. It is spelled once for all clients of a wire, whose links
    name the same object.
    """

    @property
    def plain(self) -> Wire:
        """The same without compression, for what one client alone is told."""

    def encode_event(
        self, channel: str, msgid: int, content: ChannelContent, time_ms: int
    ) -> bytes:
        """A channel's event, as bytes for an outbox."""


class Ear(Protocol):
    """What events are put into: an outbox, or a gate before one."""

    @property
    def wire(self) -> Wire:
        """How its client is spoken to now."""

    def append(self, data: bytes) -> None:
        """Take an event."""


class ClientLink(Protocol):
    """A client's open connection. What it says of reading is `net.link.StreamLink`'s."""

    @property
    def kind(self) -> str:
        """Which kind of link it is: a name for people and counts."""

    @property
    def alive_at(self) -> float:
        """When there was last a sign that the client is there, by the reactor's patient clock.
        Asked once a second.
        """

    @property
    def taken_at(self) -> float:
        """When what is being handed out was read, by trio's clock."""

    @property
    def outbox(self) -> Ear:
        """Where events go."""

    @property
    def unsent_bytes(self) -> int:
        """How many bytes wait to be sent."""

    @property
    def peer(self) -> str:
        """The client's address, for logs."""

    @property
    def host(self) -> str:
        """The client's IP address; empty where it has none."""

    @property
    def is_open(self) -> bool:
        """Can anything still be said?"""

    @property
    def is_listening(self) -> bool:
        """Is what the client says still of interest?"""

    def watch(self, take: Callable[[typed.ClientFrame], bool]) -> None:
        """Hand the frames that arrive to `take`."""

    def pause(self, seconds: float) -> None:
        """Hand out nothing for so long, beginning with the frame that is not taken now; where a
        task waits in `receive` for what it reads itself, that has it at once.
        """

    def hold(self) -> None:
        """Hand out nothing, beginning with the frame that is not taken now, until `go_on`; where a
        task waits in `receive` for what it reads itself, that has it at once.
        """

    def go_on(self) -> None:
        """What was held goes on."""

    def rest(self, rouse: Callable[[], None]) -> bool:
        """Have frames taken without a task, until `rouse` is called."""

    def wake(self) -> None:
        """Have whoever serves the client look again."""

    async def receive(self) -> list[typed.ClientFrame]:
        """Wait for frames. Raises `LinkClosed` at the end."""

    def send(self, frame: typed.ServerFrame) -> None:
        """Say something. Never waits; on a link that is closing, nothing is said."""

    def send_encoded(self, data: bytes) -> None:
        """Say what a `Wire` has spelled."""

    def end(self, farewell: typed.Farewell) -> None:
        """Tell the client why, as far as it understands that, and close behind all that waits to be
        sent. Never waits.
        """

    async def aclose(self) -> None:
        """Close. Always ends closed, within two seconds."""

    def let_go(self) -> None:
        """It is closed: hold nothing any more. May be called again."""

    def abort(self) -> None:
        """Close at once, without a word."""
