"""How long one handler may take, in which waiting for somebody's answer does not count.

Owns: the scope and its deadline. Must not know what runs in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from signal_sdk.router.failures import HandlerTimeoutError

__all__ = ["TimeLimit"]


class TimeLimit:
    """The limit of one handler; None for none."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._scope = trio.CancelScope()
        self._pauses = 0
        self._left = math.inf

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Cancel the block, and raise `HandlerTimeoutError`, once its time is over."""
        if self._seconds is None:
            yield
            return
        self._scope.deadline = trio.current_time() + self._seconds
        with self._scope:
            yield
        if self._scope.cancelled_caught:
            raise HandlerTimeoutError(
                f"a handler took longer than {self._seconds:g} s, and was cancelled"
            )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is waited for in the block does not count; there may be several at a time."""
        if not self._pauses:
            self._left = self._scope.deadline - trio.current_time()
            self._scope.deadline = math.inf
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._scope.deadline = trio.current_time() + self._left
