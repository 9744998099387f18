"""`Lock` for asyncio: the lock is got and renewed in the trio thread, and its block is a task's of
the loop.

Owns: that the block is cancelled in its loop when the lock is lost. Must not know how a lock is got
or renewed.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from signal_sdk import lock as _lock
from signal_sdk.aio.crossing import Crossing
from signal_sdk.errors import LockLostError
from signal_sdk.lock import Ask, held_until, lost

__all__ = ["Lock"]


class Lock(_lock.Lock):
    """As `signal_sdk.Lock`, in asyncio: where the lock is lost, the task that is in the block is
    cancelled, and `LockLostError` is raised from the block instead of that.
    """

    def __init__(self, name: str, begin: Ask, crossing: Crossing) -> None:
        super().__init__(name, begin)
        self.crossing = crossing
        self._task: asyncio.Task[Any] | None = None
        """Who is in the block."""
        self._cancelling = 0
        """How often that task was cancelled before it entered."""
        self._is_cut_off = False

    async def __aenter__(self) -> Self:
        ask = self.crossing.now(lambda: self._enter(self._is_lost))
        try:
            await self.crossing.ask(lambda: ask.acquired)
        except BaseException:
            # Cancelled: nobody waits for it any more.
            self.crossing.call(ask.give_up)
            raise
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        if ask.loss is not None:
            self._cut_off()
        return self

    def _is_lost(self, _: LockLostError) -> None:
        """In the trio thread."""
        self.crossing.put(self._cut_off)

    def _cut_off(self) -> None:
        if self._task is not None and not self._is_cut_off:
            self._is_cut_off = True
            self._task.cancel()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        task, self._task = self._task, None
        ask, loss = self._ask, self._loss
        if ask is None or task is None:
            raise RuntimeError("the block of a lock was not entered")
        given = self.crossing.ask(ask.give_up)
        if self._is_cut_off:
            is_ours = task.uncancel() <= self._cancelling
            is_cancelled = isinstance(exc, asyncio.CancelledError)
            if is_ours and not is_cancelled:
                await self._take_back(task)
            if is_ours and (exc is None or is_cancelled):
                raise lost(loss, self._name) from exc
        elif exc is None and loss is not None:
            raise lost(loss, self._name)
        if exc is None and not await held_until(given):
            raise lost(None, self._name)
        return False

    async def _take_back(self, task: asyncio.Task[Any]) -> None:
        """The block has ended without waiting for anything more: its cancellation, which Python
        3.11 and 3.12 still have in store, must not befall what comes next.
        """
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if task.cancelling() > self._cancelling:
                # It is somebody else's.
                raise
