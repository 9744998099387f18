"""`Lock` whose block is a plain `with`: the lock is got and renewed in the trio thread, while the
block runs in another.

Owns: what is raised from the block. Must not know how a lock is got or renewed.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from signal_sdk.client.locks import LockAsk
from signal_sdk.errors import LockLostError
from signal_sdk.lock import Ask, BaseLock, held_until, lost
from signal_sdk.sync.waiter import Waiter

__all__ = ["Lock"]


class Lock(BaseLock):
    """As `signal_sdk.Lock`, but that nobody can break off a block that runs in a thread: it goes on
    when the lock is lost, `is_held` says so, and `LockLostError` is raised where the block ends.
    """

    def __init__(self, name: str, begin: Ask, waiter: Waiter, wait: float) -> None:
        super().__init__(name, begin)
        self._waiter = waiter
        self._wait = wait

    def __enter__(self) -> Self:
        timeout = None if self._waiter.timeout is None else self._waiter.timeout + self._wait
        self._waiter.get(self._acquire, timeout, undo=LockAsk.give_up)
        return self

    async def _acquire(self) -> LockAsk:
        """In the trio thread."""
        ask = self._enter(_nobody)
        try:
            await ask.acquired
        except BaseException:
            # Broken off: nobody waits for it any more.
            ask.give_up()
            raise
        return ask

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        was_held = self._waiter.get(self._give_up)
        if exc is None and not was_held:
            raise lost(self._loss, self._name)

    async def _give_up(self) -> bool:
        """In the trio thread: was it held until now?"""
        ask = self._ask
        if ask is None:
            raise RuntimeError("the block of a lock was not entered")
        return await held_until(ask.give_up())


def _nobody(_: LockLostError) -> None:
    """The block looks for itself."""
