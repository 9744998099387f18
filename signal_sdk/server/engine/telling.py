"""Telling: those who have waited for a batch are told what has become of it, in turns.

Owns: who is still to be told, in which order, and how many in one turn. Must not know what a batch
is, nor when there is a turn.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import Then

__all__ = ["TELLS_PER_LOOK", "TELL_SECONDS", "Telling"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.engine")

TELL_SECONDS: Final = 0.001
"""For how long some are told before others run."""
TELLS_PER_LOOK: Final = 16
"""How many of them are told between two looks at the clock."""


class _Batch:
    """Those who have waited for one."""

    __slots__ = ("at", "error", "then", "waiting")

    def __init__(
        self, waiting: list[Then], error: SignalError | None, then: Callable[[], None] | None
    ) -> None:
        self.waiting = waiting
        self.error = error
        self.then = then
        self.at = 0
        """So many have been told."""


class Telling:
    """Those who are still to be told."""

    def __init__(self) -> None:
        self._batches: deque[_Batch] = deque()

    def __bool__(self) -> bool:
        return bool(self._batches)

    def add(self, waiting: list[Then], error: SignalError | None) -> None:
        """These are told behind all others, and whoever is added to the list meanwhile."""
        self._batches.append(_Batch(waiting, error, None))

    def add_first(
        self, waiting: list[Then], error: SignalError | None, then: Callable[[], None]
    ) -> None:
        """These are told before all others, and `then` is called behind them."""
        self._batches.appendleft(_Batch(waiting, error, then))

    def add_behind(self, then: Then) -> None:
        """There is somebody to be told: tell this one behind the last of them, and the same."""
        self._batches[-1].waiting.append(then)

    def tell_some(self) -> None:
        """Tell one turn's, those among them who come meanwhile."""
        ends = trio.current_time() + TELL_SECONDS
        while self._batches:
            batch = self._batches[0]
            some = batch.waiting[batch.at : batch.at + TELLS_PER_LOOK]
            if not some:
                self._batches.popleft()
                if batch.then is not None:
                    batch.then()
                continue
            batch.at += len(some)
            for then in some:
                try:
                    then(batch.error)
                except Exception:
                    # One client's reply must not take the others' away.
                    logger.exception("what was to follow a commit failed")
            if trio.current_time() >= ends:
                break
