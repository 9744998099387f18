"""Who waits, in any thread, for what the trio thread does.

Owns: how long, and what becomes of the waiting that is broken off. Must not know what it is for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from signal_sdk.bridge.lodger import Lodger

__all__ = ["Waiter"]

T = TypeVar("T")


class Waiter:
    """Waits for what `lodger` does, for at most `timeout` seconds; with None, for ever."""

    def __init__(self, lodger: Lodger, timeout: float | None) -> None:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"a timeout is a number of seconds above 0, or None: {timeout!r}")
        self.lodger: Lodger = lodger
        self.timeout: float | None = timeout

    def get(
        self,
        ask: Callable[[], Awaitable[T]],
        timeout: float | None = None,
        *,
        undo: Callable[[T], object] | None = None,
    ) -> T:
        """What the awaitable that `ask` returns in the trio thread comes to. What is broken off,
        by its time or Ctrl-C, is not undone, but by `undo`, which is called there where it has come
        to something all the same. Raises `TimeoutError`.
        """
        seconds = self.timeout if timeout is None else timeout
        answer, give_up = self.lodger.spawn(ask)
        try:
            return self.lodger.wait(answer, seconds)
        except BaseException as exc:
            give_up()
            if undo is not None:
                answer.add_done_callback(partial(self._undo, undo))
            if isinstance(exc, TimeoutError):
                raise TimeoutError(f"there was no outcome within {seconds:g} s") from None
            raise

    def _undo(self, undo: Callable[[T], object], answer: Future[T]) -> None:
        if answer.exception() is None:
            self.lodger.call(partial(undo, answer.result()))

    def now(self, do: Callable[[], T]) -> T:
        """What `do` returns in the trio thread, where it waits for nothing."""
        return self.lodger.now(do)
