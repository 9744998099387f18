"""Streams: what happens, as async iterators beside callbacks.

Owns: who reads what, each reader's bound, and what becomes of what was not read. Must not know what
is told: whoever makes `Readers` does.
"""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

import trio

from signal_sdk.client.facts import Turn
from signal_sdk.client.log import warn
from signal_sdk.errors import SignalError
from signal_sdk.net.sleeper import Sleeper

__all__ = ["LIMIT", "Readers", "Stream"]

LIMIT: Final = 1000
"""How many events wait for a reader, or for the first one, before the oldest are dropped."""
READS_PER_TURN: Final = 32
"""How many events a reader takes that are there already before other tasks get their turn."""

T = TypeVar("T")


class SharedTurn:
    """An inbox entry's turn, which several have part in: it begins with the first, and ends when
    all have ended.
    """

    __slots__ = ("_left", "_turn", "has_begun", "may_drop")

    def __init__(self, turn: Turn, parts: int, *, may_drop: bool = False) -> None:
        self._turn = turn
        self._left = parts
        self.may_drop: bool = may_drop
        """Does nobody miss its event?"""
        self.has_begun: bool = False

    def begin(self) -> None:
        """One of them begins."""
        if not self.has_begun:
            self.has_begun = True
            self._turn.begin()

    def end(self) -> None:
        """One of them has ended."""
        self._left -= 1
        if not self._left:
            self._turn.end()

    def drop(self) -> None:
        """One of them never comes to it."""
        self._left -= 1
        if not self._left and self.has_begun:
            self._turn.end()


def has_begun(turn: Turn) -> bool:
    """Has anybody with part in it begun? A single reader's begins when it is read."""
    return isinstance(turn, SharedTurn) and turn.has_begun


def may_drop(turn: Turn) -> bool:
    """Does nobody miss its event?"""
    return isinstance(turn, SharedTurn) and turn.may_drop


class Reader(Protocol):
    """Who is woken when there is something to read, or the end."""

    @property
    def is_asleep(self) -> bool:
        """Does somebody wait?"""

    async def sleep(self) -> None:
        """Wait."""

    def wake(self) -> None:
        """There is something."""


class Buffer(Generic[T]):
    """What one reader has not read yet. What has a turn is bounded by whoever gives turns, unless
    it may be dropped.
    """

    __slots__ = ("error", "events", "is_over", "limit", "missed", "sleeper", "withdraws")

    def __init__(self, limit: int) -> None:
        self.events: deque[tuple[T, Turn | None]] = deque()
        self.limit: int = limit
        self.missed: int = 0
        """How many were dropped before these, of which its reader does not know yet."""
        self.sleeper: Reader = Sleeper()
        self.is_over: bool = False
        self.withdraws: bool = False
        """Does what nobody has begun stay with the server?"""
        self.error: SignalError | None = None

    def put(self, event: T, turn: Turn | None) -> None:
        if len(self.events) >= self.limit and (turn is None or may_drop(turn)):
            dropped = self.events.popleft()[1]
            if isinstance(dropped, SharedTurn):
                dropped.drop()
            self.missed += 1
        self.events.append((event, turn))
        self.sleeper.wake()

    def end(self, error: SignalError | None, *, withdraws: bool = False) -> None:
        """Nothing more comes."""
        self.is_over, self.error, self.withdraws = True, error, withdraws
        if withdraws:
            self.withdraw()
        self.sleeper.wake()

    def withdraw(self) -> None:
        """Let go of what nobody has begun."""
        left = [it for it in self.events if it[1] is None or has_begun(it[1])]
        self.events.clear()
        self.events.extend(left)


class Readers(Generic[T]):
    """Who reads one kind of event. With `keep`, what nobody hears is kept for whoever reads next,
    so many at most. `missed` makes an event of how many were dropped; where there is none, the log
    tells of it.
    """

    __slots__ = ("_buffers", "_error", "_is_over", "_keep", "_kept", "_lost", "is_wanted", "missed")

    def __init__(self, keep: int = 0, *, missed: Callable[[int], T] | None = None) -> None:
        self.missed: Callable[[int], T] | None = missed
        self._buffers: list[Buffer[T]] = []
        self._keep = keep
        self._kept: deque[T] | None = None
        """What nobody has heard; none where there never was any, as nearly everywhere."""
        self._lost = 0
        self._is_over = False
        self._error: SignalError | None = None
        self.is_wanted: bool = keep > 0
        """Is `tell` to be called at all?"""

    def tell(
        self, event: T, turn: Turn | None = None, *, is_heard: bool, may_drop: bool = False
    ) -> Turn | None:
        """Something has happened, which a callback hears of, too, where it `is_heard`. Returns the
        turn that whoever calls has part in, None where it is the readers' alone. Where it has a
        turn, and `may_drop`, readers are bounded all the same.
        """
        buffers = self._buffers
        if not buffers:
            if not is_heard:
                self._put_by(event)
            return turn
        if len(buffers) == 1 and not is_heard and not may_drop:
            buffers[0].put(event, turn)
            return None
        parts = len(buffers) + is_heard
        shared = None if turn is None else SharedTurn(turn, parts, may_drop=may_drop)
        for buffer in buffers:
            buffer.put(event, shared)
        return shared if is_heard else None

    def _put_by(self, event: T) -> None:
        if not self._keep:
            return
        if self._kept is None:
            self._kept = deque(maxlen=self._keep)
        self._lost += len(self._kept) == self._keep
        self._kept.append(event)

    def end(self, error: SignalError | None = None, *, withdraws: bool = False) -> None:
        """Nothing more happens: each reader hears so behind what it has not read, by `error` where
        there is one. With `withdraws`, what has a turn that nobody has begun is not read: it stays
        with the server.
        """
        if not self._is_over:
            self._is_over, self._error = True, error
            for buffer in self._buffers:
                buffer.end(error, withdraws=withdraws)

    def open(self, limit: int) -> Buffer[T]:
        """There is another reader."""
        return self.add(Buffer(limit))

    def add(self, buffer: Buffer[T]) -> Buffer[T]:
        """There is another reader, whose buffer this is."""
        buffer.missed, self._lost = self._lost, 0
        for event in self._kept or ():
            buffer.put(event, None)
        self._kept = None
        if self._is_over:
            buffer.end(self._error)
        else:
            self._buffers.append(buffer)
            self.is_wanted = True
        return buffer

    def close(self, buffer: Buffer[T]) -> None:
        """A reader goes. What it has not read is kept where nobody else has it."""
        if buffer not in self._buffers:
            return
        self._buffers.remove(buffer)
        self.is_wanted = bool(self._buffers or self._keep)
        for event, turn in buffer.events:
            if isinstance(turn, SharedTurn) and turn.may_drop:
                turn.drop()
            elif turn is not None:
                turn.begin()
                turn.end()
            if not self._buffers:
                self._put_by(event)
        buffer.events.clear()


class Stream(Generic[T]):
    """What happens, one event after the other: `async for event in stream`.

    Made by `LoginSession.messages`, `LoginSession.invitations`, `LoginSession.watch`,
    `Channel.events` and `Call.events`, which say what it gives. It begins where its loop does, or
    its `async with` block: nothing waits for it before. Any number of streams may be read at a
    time, beside callbacks; each gives all that happens, in order. One stream has one reader:
    `RuntimeError` is raised to a second task that waits for it.

    It ends (the loop is left) behind the last event. Leaving its block, `close`, or dropping it
    lets go of it; leaving a loop over `session.messages()` itself drops it. `limit` is how many
    events wait for its reader, where whoever makes it does not say otherwise. Taking an event waits
    where none is there, and lets other tasks run each 32nd time; a cancellation loses nothing.
    """

    def __init__(self, readers: Readers[T], limit: int = LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"a stream's limit is a number from 1 on: {limit!r} is none")
        self._readers = readers
        self._limit = limit
        self._buffer: Buffer[T] | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        """The loop that it has begun in, where there was one."""
        self._turn: Turn | None = None
        self._reads = 0
        self._is_closed = False

    def __repr__(self) -> str:
        buffer = self._buffer
        if buffer is None:
            return f"<Stream {'closed' if self._is_closed else 'not begun'}>"
        return f"<Stream {'over' if buffer.is_over else 'open'}: {len(buffer.events)} wait>"

    def begin(self) -> Buffer[T]:
        """Begin, where it has not: from here on, what happens waits for it."""
        if self._is_closed:
            raise RuntimeError("the stream is closed: ask for another one")
        if self._buffer is None:
            self._buffer = self._readers.open(self._limit)
            self._token = _current_token()
        return self._buffer

    def __aiter__(self) -> Self:
        self.begin()
        return self

    async def __aenter__(self) -> Self:
        self.begin()
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go: nothing waits for this stream any more. May be called again."""
        self._is_closed = True
        buffer, self._buffer = self._buffer, None
        turn, self._turn = self._turn, None
        _let_go(self._readers, buffer, turn)

    def __del__(self) -> None:
        # Nobody can read it any more, which may turn out in any thread.
        if getattr(self, "_buffer", None) is None:
            return
        token = self._token
        if token is None or token is _current_token():
            self.close()
        else:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(_let_go, self._readers, self._buffer, self._turn)

    async def __anext__(self) -> T:
        buffer = self._buffer
        if buffer is None:
            buffer = self.begin()
        turn = self._turn
        if turn is not None:
            self._turn = None
            turn.end()
        if buffer.events:
            self._reads += 1
            if self._reads % READS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.checkpoint_if_cancelled()
        while not buffer.events and not buffer.missed:
            if buffer.is_over:
                if buffer.error is not None:
                    raise copy.copy(buffer.error)
                raise StopAsyncIteration
            if buffer.sleeper.is_asleep:
                raise RuntimeError("another task waits for this stream: ask for another one")
            await buffer.sleeper.sleep()
        if buffer.missed:
            missed = self.take_missed(buffer)
            if missed is not None:
                return missed
        event, turn = buffer.events.popleft()
        if turn is not None:
            turn.begin()
            self._turn = turn
        return event

    def take_missed(self, buffer: Buffer[T]) -> T | None:
        """What tells the reader how many events it has missed; None where the log does."""
        count, buffer.missed = buffer.missed, 0
        if self._readers.missed is not None:
            return self._readers.missed(count)
        warn("%d events were dropped before anybody read them", count)
        return None


def _let_go(readers: Readers[T], buffer: Buffer[T] | None, turn: Turn | None) -> None:
    """Whoever has read has done with the last event, and nothing waits for him any more."""
    if turn is not None:
        turn.end()
    if buffer is not None:
        readers.close(buffer)
        buffer.end(None)


def _current_token() -> trio.lowlevel.TrioToken | None:
    """The loop that runs in this thread, if one does."""
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        return None
