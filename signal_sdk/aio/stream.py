"""Streams that are read in a loop, while they are told in the trio thread.

Owns: how their reader waits. Must not know what is told.
"""

from __future__ import annotations

import asyncio
import copy
from types import TracebackType
from typing import Self, TypeVar

from signal_sdk.aio.crossing import Crossing
from signal_sdk.bridge.handed import Handed
from signal_sdk.bridge.tap import Tap
from signal_sdk.streams import Stream

__all__ = ["LoopStream"]

T = TypeVar("T")


class LoopStream(Stream[T]):
    """A stream of the trio thread, to be read in the loop of `crossing`. Nothing of the base's is
    here but its name: that is read there.
    """

    def __init__(self, crossing: Crossing, stream: Stream[T]) -> None:
        self._crossing = crossing
        self._tap = Tap(stream, self._tell)
        self._handed: Handed[T] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._is_asked = False
        """Was more asked for that has not come? Whoever asked may be cancelled meanwhile: another
        one waits for the same, since what is handed over last is all that is looked at."""
        self._has_begun = False
        self._is_closed = False

    def __repr__(self) -> str:
        if self._is_closed:
            return "<Stream closed>"
        return f"<Stream {'open' if self._has_begun else 'not begun'}>"

    def _start(self) -> None:
        lodger = self._crossing.check()
        if self._is_closed:
            raise RuntimeError("the stream is closed: ask for another one")
        if not self._has_begun:
            self._has_begun = True
            lodger.ask(self._tap.begin)

    def __aiter__(self) -> Self:
        self._start()
        return self

    async def __aenter__(self) -> Self:
        self._start()
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
        if self._is_closed:
            return
        self._is_closed = True
        if self._has_begun:
            self._end_turn()
            self._crossing.call(self._tap.close)
            if self._reader is not None and not self._reader.done():
                self._reader.set_result(None)

    def __del__(self) -> None:
        # Nobody can read it any more.
        if getattr(self, "_has_begun", False):
            self.close()

    def _end_turn(self) -> None:
        if self._handed is not None:
            self._handed.end()

    # --- in the trio thread ---

    def _tell(self) -> None:
        self._crossing.put(self._told)

    # --- in the loop ---

    def _told(self) -> None:
        self._is_asked = False
        self._handed = self._tap.handed
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def __anext__(self) -> T:
        self._start()
        if self._reader is not None:
            raise RuntimeError("another task waits for this stream: ask for another one")
        self._end_turn()
        while True:
            if self._is_closed:
                # By another task, meanwhile: nobody would say that what came last is handled.
                raise StopAsyncIteration
            handed = self._handed
            entry = handed.take() if handed is not None else None
            if handed is not None and entry is not None:
                handed.report(self._crossing.call)
                return entry[0]
            if self._tap.is_over:
                if self._tap.error is not None:
                    raise copy.copy(self._tap.error)
                raise StopAsyncIteration
            await self._wait()

    async def _wait(self) -> None:
        """Wait until there is more."""
        self._reader = self._crossing.loop.create_future()
        try:
            if not self._is_asked:
                self._crossing.check().ask(self._tap.ask)
                self._is_asked = True
            await self._reader
        finally:
            self._reader = None
