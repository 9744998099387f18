"""`Lock`: the block in which a program has a lock of a channel.

Owns: that the block is left when the lock is lost. Must not know how a lock is got or renewed:
client/ does.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeAlias

import trio

from signal_sdk.client.locks import LockAsk, State
from signal_sdk.client.operation import Operation
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LockLostError, SignalError

__all__ = ["Ask", "BaseLock", "Lock", "held_until", "lost"]

ONCE: Final = "the block of a lock is entered once: Channel.lock() makes another"
Ask: TypeAlias = Callable[..., LockAsk]


class BaseLock:
    """What all locks have, whatever their block is entered by."""

    def __init__(self, name: str, begin: Ask) -> None:
        self._name = name
        self.begin: Ask = begin
        """What asks for the lock."""
        self._ask: LockAsk | None = None

    @property
    def name(self) -> str:
        """The lock's name."""
        return self._name

    @property
    def fence(self) -> int:
        """The number of this holding, which is larger than that of each before, of all locks of the
        app; 0 before the lock is held. Whoever is written to under a lock remembers the largest
        that it has seen, and refuses what comes with a smaller one: so it is safe from a holder
        that stood still for longer than its lease.
        """
        return self._ask.fence if self._ask is not None else 0

    @property
    def is_held(self) -> bool:
        """Is the lock held now, as far as this process knows?"""
        return self._ask is not None and self._ask.state is State.HELD

    def __repr__(self) -> str:
        state = "not asked for" if self._ask is None else self._ask.state.name.lower()
        return f"<Lock {self._name!r}: {state}, fence {self.fence}>"

    def _enter(self, on_lost: Callable[[LockLostError], None]) -> LockAsk:
        """Ask for it."""
        if self._ask is not None:
            raise RuntimeError(ONCE)
        self._ask = self.begin(on_lost=on_lost)
        return self._ask

    @property
    def _loss(self) -> LockLostError | None:
        return self._ask.loss if self._ask is not None else None


def lost(loss: LockLostError | None, name: str) -> LockLostError:
    """What is raised from a block whose lock was lost: as it is known, or as the server has said
    when it was given up.
    """
    if loss is not None:
        return LockLostError(loss.ecode, loss.reason)
    reason = f"the lock {name!r} is lost: the server had ended its lease when it was given up"
    return LockLostError(ECode.GENERAL_E_FAILED, reason)


async def held_until(given: Operation[bool]) -> bool:
    """Was the lock held until it was given up? Where the server was not heard, its lease had not
    ended.
    """
    try:
        return await given
    except SignalError:
        return True


class Lock(BaseLock):
    """A lock of a channel: made by `Channel.lock`, and held within its block.

    Entering waits for the lock, in the order in which it was asked for; a cancellation there takes
    that back at the server. Where the lock is lost (the process stood still for longer than the
    lease, the server was away for that long, the session is not in the channel any more), the block
    is cancelled, and `LockLostError` is raised from it. Leaving gives the lock up, and waits until
    the server has heard of that; `LockLostError` is raised, too, where that says that it had ended
    before. What the block itself raises is raised as it is.

    Two locks of one name keep each other out, also those of one session. docs/locks.md.
    """

    def __init__(self, name: str, begin: Ask) -> None:
        super().__init__(name, begin)
        self._scope = trio.CancelScope()
        """Of the block."""

    async def __aenter__(self) -> Self:
        ask = self._enter(self._is_lost)
        try:
            await ask.acquired
        except BaseException:
            # Cancelled: nobody waits for it any more.
            ask.give_up()
            raise
        self._scope.__enter__()
        return self

    def _is_lost(self, _: LockLostError) -> None:
        self._scope.cancel()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._ask is None:
            raise RuntimeError(ONCE)
        loss = self._ask.loss
        given = self._ask.give_up()
        self._scope.__exit__(exc_type, exc, traceback)
        if self._scope.cancelled_caught or (exc is None and loss is not None):
            raise lost(loss, self._name)
        if exc is None and not await held_until(given):
            raise lost(None, self._name)
        return False
