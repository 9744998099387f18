"""Streams as plain iterators.

Owns: how their reader waits, and for how long. Must not know what is told.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from signal_sdk import streams
from signal_sdk.bridge.handed import Handed
from signal_sdk.bridge.tap import Tap
from signal_sdk.sync.waiter import Waiter

__all__ = ["Stream"]

T = TypeVar("T")


class Stream(Generic[T]):
    """What happens, one event after the other: `for event in stream`.

    It begins where its loop does, or its `with` block. The loop is left behind the last event, and
    where nothing has come for `timeout` seconds; another loop over the same stream goes on then. An
    event has been handled when the next one is asked for. Leaving its block, `close`, or dropping
    it lets go of it. One stream has one reader: `RuntimeError` is raised to a second thread that
    waits for it.
    """

    def __init__(
        self,
        waiter: Waiter,
        stream: streams.Stream[Any],
        timeout: float | None,
        change: Callable[[Any], T],
    ) -> None:
        if timeout is not None and timeout < 0:
            raise ValueError(f"a timeout is a number of seconds from 0 on, or None: {timeout!r}")
        self._waiter = waiter
        self._tap = Tap(stream, self._tell)
        self._timeout = timeout
        self._change = change
        self._reading = threading.Lock()
        self._handed: Handed[Any] | None = None
        self._asked: Future[None] | None = None
        self._has_begun = False
        self._is_closed = False

    def __repr__(self) -> str:
        if self._is_closed:
            return "<Stream closed>"
        return f"<Stream {'open' if self._has_begun else 'not begun'}>"

    def _begin(self) -> None:
        self._waiter.lodger.check()
        if self._is_closed:
            raise RuntimeError("the stream is closed: ask for another one")
        if not self._has_begun:
            self._has_begun = True
            self._waiter.lodger.ask(self._tap.begin)

    def __iter__(self) -> Self:
        self._begin()
        return self

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go: nothing waits for this stream any more. May be called again, in any thread."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._has_begun:
            self._end_turn()
            self._waiter.lodger.call(self._tap.close)
            self._waiter.lodger.ask(self._tell)

    def __del__(self) -> None:
        # Nobody can read it any more.
        if getattr(self, "_has_begun", False):
            self.close()

    def _end_turn(self) -> None:
        if self._handed is not None:
            self._handed.end()

    def _tell(self) -> None:
        """In the trio thread: there is more, or the end."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.set_result(None)

    def __next__(self) -> T:
        self._begin()
        if not self._reading.acquire(blocking=False):
            raise RuntimeError("another thread waits for this stream: ask for another one")
        try:
            return self._change(self._next())
        finally:
            self._reading.release()

    def _next(self) -> Any:
        self._end_turn()
        while True:
            # Looked at first: where nothing is asked any more, what has come is there by now.
            asked = self._asked
            handed = self._handed
            entry = handed.take() if handed is not None else None
            if handed is not None and entry is not None:
                if self._is_closed:
                    # By another thread, meanwhile: nobody asks for the next one.
                    handed.end()
                handed.report(self._waiter.lodger.call)
                return entry[0]
            if self._handed is not self._tap.handed:
                self._handed = self._tap.handed
                continue
            if self._is_closed:
                raise StopIteration
            if self._tap.is_over:
                if self._tap.error is not None:
                    raise copy.copy(self._tap.error)
                raise StopIteration
            try:
                self._wait(asked)
            except TimeoutError:
                raise StopIteration from None

    def _wait(self, asked: Future[None] | None) -> None:
        """Wait until there is more, which is asked for, where it is not yet."""
        lodger = self._waiter.lodger
        if asked is None:
            asked = self._asked = Future()
            lodger.ask(self._tap.ask)
        lodger.wait(asked, self._timeout)
