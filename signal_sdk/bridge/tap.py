"""A stream of the trio thread that is read in another thread.

Owns: what is handed over of it, and when. Must not know how its reader waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar
from weakref import WeakMethod

from signal_sdk.bridge.handed import Handed
from signal_sdk.client.facts import Turn
from signal_sdk.errors import SignalError
from signal_sdk.streams import Buffer, Stream

__all__ = ["Tap"]

T = TypeVar("T")

EVENTS_PER_ASK: Final = 32
"""How many events are handed over at a time: as many as the server hands over, and some."""


class Tap(Generic[T]):
    """What one reader in another thread has of a stream. All of it is called in the trio thread,
    but for what it has handed over. `tell`, a method of the reader's, is called there when there is
    more, or the end.
    """

    def __init__(self, stream: Stream[T], tell: Callable[[], object]) -> None:
        self.handed: Handed[T] | None = None
        """What was handed over last."""
        self.is_over: bool = False
        """Is there nothing more behind it?"""
        self.error: SignalError | None = None
        """What the stream has ended with."""
        self._stream = stream
        # What tells it is held by the session, and must not keep a stream that nobody has any more.
        self._tell = WeakMethod(tell)
        self._buffer: Buffer[T] | None = None
        self._is_asked = False
        self._is_withdrawn = False

    def begin(self) -> None:
        """From here on, what happens waits for the reader."""
        self._buffer = self._stream.begin()
        self._buffer.sleeper = self
        if self._is_asked:
            self.wake()

    def ask(self) -> None:
        """The reader has done with all that it was handed, and waits for more."""
        self._is_asked = True
        if self.handed is not None:
            self.handed.settle()
        self.wake()

    @property
    def is_asleep(self) -> bool:
        """Does the reader wait?"""
        return self._is_asked

    async def sleep(self) -> None:
        """No task of trio's reads it."""
        raise RuntimeError("this stream is read in another thread")

    def wake(self) -> None:
        """There is something to read, or the end."""
        buffer = self._buffer
        if buffer is None:
            return
        if buffer.is_over and buffer.withdraws and not self._is_withdrawn:
            self._is_withdrawn = True
            self._take_back(buffer)
            buffer.withdraw()
        if not self._is_asked:
            return
        entries: list[tuple[T, Turn | None]] = []
        if buffer.missed:
            missed = self._stream.take_missed(buffer)
            if missed is not None:
                entries.append((missed, None))
        while buffer.events and len(entries) < EVENTS_PER_ASK:
            entries.append(buffer.events.popleft())
        if entries:
            self.handed = Handed(entries)
        elif buffer.is_over:
            self.is_over, self.error = True, buffer.error
        else:
            return
        self._is_asked = False
        tell = self._tell()
        if tell is not None:
            tell()

    def _take_back(self, buffer: Buffer[T]) -> None:
        if self.handed is not None:
            buffer.events.extendleft(reversed(self.handed.take_back()))

    def close(self) -> None:
        """The reader goes."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            self._take_back(buffer)
        self._stream.close()
