"""One connection that faults strike: what carries bytes between a client's end and a server's.

Owns: the life of one link, and each frame's fate on it. Must not know which links there are: the
network does.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs
import trio
from attrs.validators import ge, le

from signal_sdk.errors import LinkError
from signal_sdk.net.transport import OnReadable
from signal_sdk.testing.memory import MemoryTransport
from signal_sdk.testing.splitter import Splitter

__all__ = ["Faults", "FaultyLink"]

LANE_BYTES: Final = 256 * 1024
"""What is under way in one direction before no more is read from its sender; a frame that is larger
passes alone.
"""


def _rate() -> float:
    value: float = attrs.field(default=0.0, validator=[ge(0), le(1)])
    return value


def _mean() -> float:
    value: float = attrs.field(default=0.0, validator=ge(0))
    return value


@attrs.frozen(kw_only=True)
class Faults:
    """How often what goes wrong. All default to 0: never.

    Rates are probabilities, from 0 to 1. Means are seconds, and what is drawn has the exponential
    distribution with that mean. Raises `ValueError` for anything else. A frame is a WebSocket frame
    of either direction, pings and closing frames too; the handshake before it, and the parts of a
    fragmented message, are neither dropped nor repeated.
    """

    mean_delay_seconds: float = _mean()
    """How much later a frame arrives. Their order stays, as on TCP."""
    drop_rate: float = _rate()
    """How probably a frame vanishes."""
    repeat_rate: float = _rate()
    """How probably a frame comes twice, the second right behind the first."""
    mean_cut_seconds: float = _mean()
    """After what time a link is cut: both ends see it end, and what is under way is lost."""
    mean_half_open_seconds: float = _mean()
    """After what time a link is half-open, in one direction or in both, as is drawn: nothing passes
    from then on, and nobody is told."""
    refuse_rate: float = _rate()
    """How probably dialing fails."""


class _AtOnce:
    """Calls at once what would else be called soon: what is sent is under way the moment that it
    is.
    """

    def call_soon(self, on_readable: OnReadable) -> None:
        on_readable()


class _Lane:
    """One direction of a link: frames that are under way, in order.

    It goes on reading where nothing passes any more, so that no sender is held up by what became of
    its receiver.
    """

    def __init__(
        self,
        link: FaultyLink,
        name: str,
        source: MemoryTransport,
        target: MemoryTransport,
        draw: random.Random,
    ) -> None:
        self.name = name
        self.passes = True
        self.is_over = False
        self._link = link
        self._source = source
        self._target = target
        self._draw = draw
        self._splitter = Splitter()
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._last_due = 0.0
        self._frames = 0
        self._news = trio.lowlevel.ParkingLot()
        self._is_full = False

    def listen(self) -> None:
        """From here on, take what the source sends as soon as it does."""
        try:
            self._source.watch(_AtOnce(), self._read)
        except LinkError:
            # It was cut here before.
            self._put(b"")

    def _read(self) -> None:
        try:
            data = self._source.receive_nowait()
        except LinkError:
            # The link was cut here.
            data = b""
        if data is None:
            return
        for piece in self._splitter.feed(data):
            if piece.is_frame and self.passes:
                self._take_frame(piece.data)
            else:
                self._put(piece.data)
        if not data:
            self._source.unwatch()
            if rest := self._splitter.rest():
                self._put(rest)
            self._put(b"")
        elif self._held > LANE_BYTES:
            self._source.unwatch()
            self._is_full = True

    def _take_frame(self, data: bytes) -> None:
        faults, draw = self._link.faults, self._draw
        self._frames += 1
        # Always the same three, so that one fault's rate does not change what another strikes.
        is_dropped = draw.random() < faults.drop_rate
        is_repeated = draw.random() < faults.repeat_rate
        delay = draw.expovariate(1.0) * faults.mean_delay_seconds
        if is_dropped:
            self._link.record(f"{self.name} frame {self._frames} dropped")
            return
        self._put(data, delay)
        if is_repeated:
            self._link.record(f"{self.name} frame {self._frames} repeated")
            self._put(data)

    def _put(self, data: bytes, delay: float = 0.0) -> None:
        now = trio.current_time()
        self._last_due = max(self._last_due, now + delay)
        if data and not self._under_way and self._last_due <= now:
            data = self._hand_on(data)
            if not data:
                return
        self._under_way.append((self._last_due, data))
        self._held += len(data)
        self._news.unpark()

    def _hand_on(self, data: bytes) -> bytes:
        """Give the receiver what it has room for; what is left is returned."""
        if not self.passes:
            return b""
        try:
            return data[self._target.send_nowait(data) :]
        except LinkError:
            # The receiver has closed. What it sent before may still be under way to the other side,
            # which hears of the end behind it.
            self.passes = False
            self._end()
            return b""

    async def write_loop(self) -> None:
        """Hand on what is late, or had no room, up to the end."""
        while True:
            while not self._under_way:
                await self._news.park()
            due, data = self._under_way[0]
            if due > trio.current_time():
                await trio.sleep_until(due)
            if not data:
                break
            left = self._hand_on(data)
            while left:
                with suppress(LinkError):  # which the next one says, too
                    await self._target.wait_writable()
                left = self._hand_on(left)
            # Only now, so that nothing overtakes it.
            self._under_way.popleft()
            self._held -= len(data)
            if self._is_full and self._held <= LANE_BYTES:
                self._is_full = False
                self.listen()
        if self.passes:
            self._target.send_eof()
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self._link.lane_ended()


class FaultyLink:
    """One link of a `FaultyNetwork`, from its dialing to its end.

    `number` counts the network's dials, from 1. `name` is the client's, empty where it has none.
    `faults` is what strikes it, and may be set: frames go by it at once; when the link is cut or
    half-open was drawn at its beginning, and still happens unless that mean is 0 by then.
    """

    def __init__(
        self,
        *,
        number: int,
        name: str,
        ends: tuple[MemoryTransport, MemoryTransport],
        faults: Faults,
        draw: random.Random,
        record: Callable[[int, str], None],
    ) -> None:
        self.number = number
        self.name = name
        self.faults = faults
        self._record = record
        self._near, self._far = near, far = ends
        self._cut_seconds = draw.expovariate(1.0) * faults.mean_cut_seconds
        self._half_open_seconds = draw.expovariate(1.0) * faults.mean_half_open_seconds
        self._half_open_ways = draw.choice(((True, True), (True, False), (False, True)))
        self._up = _Lane(self, "up", near, far, random.Random(draw.getrandbits(64)))  # noqa: S311  as in faults.py
        self._down = _Lane(self, "down", far, near, random.Random(draw.getrandbits(64)))  # noqa: S311  as in faults.py
        self._scope = trio.CancelScope()
        self.is_open: bool = True

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<FaultyLink {self.number} {self.name!r}: {state}>"

    def record(self, what: str) -> None:
        """Write down what happened here."""
        self._record(self.number, what)

    async def run(self) -> None:
        """Carry bytes, and faults, until the link ends. The network's."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for lane in (self._up, self._down):
                        lane.listen()
                        nursery.start_soon(lane.write_loop)
                    nursery.start_soon(self._fate_loop)
        finally:
            self._close()

    async def _fate_loop(self) -> None:
        """Do at its time what was drawn for the whole link, unless it was healed before."""
        begun = trio.current_time()
        fates = [(self._half_open_seconds, self._fall_half_open), (self._cut_seconds, self._fall)]
        for seconds, strike in sorted(fates, key=lambda fate: fate[0]):
            if seconds:
                await trio.sleep_until(begun + seconds)
                strike()

    def _fall(self) -> None:
        if self.faults.mean_cut_seconds:
            self.cut()

    def _fall_half_open(self) -> None:
        if self.faults.mean_half_open_seconds:
            up, down = self._half_open_ways
            self.half_open(up=up, down=down)

    def lane_ended(self) -> None:
        """Nothing more passes in one direction: in the second, the link has ended."""
        if self.is_open and self._up.is_over and self._down.is_over:
            self.record("ended")
            self._close()

    def _close(self) -> None:
        self.is_open = False
        self._near.close()
        self._far.close()
        self._scope.cancel()

    def cut(self) -> None:
        """Cut it: each end reads what has arrived there, then the end of the stream, and its writes
        fail. What is under way is lost.
        """
        if self.is_open:
            self.record("cut")
            self._close()

    def half_open(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing pass any more from the client (`up`) or from the server (`down`), not even
        the stream's end, and tell nobody. What the two send is taken and lost.
        """
        for lane, is_struck in ((self._up, up), (self._down, down)):
            if is_struck and self.is_open and lane.passes and not lane.is_over:
                lane.passes = False
                self.record(f"{lane.name} half-open")
