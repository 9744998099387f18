"""Strangers: what the other side of a connection may cost before anybody knows who it is.

Owns: the bounds of one, the room that all share for what is long, and what one has used up. Must
not know what is sent, nor what becomes of whoever is over a bound.
"""

from __future__ import annotations

import attrs

__all__ = ["FRAME_COST_BYTES", "READ_COST_BYTES", "Pool", "StrangerBounds", "Tab"]

READ_COST_BYTES = 8
"""What a read counts of a stranger's allowance beside its bytes: one byte at a time costs more."""
FRAME_COST_BYTES = 64
"""What a frame counts beside its bytes: an empty one takes as long as one of so many."""


@attrs.frozen(kw_only=True)
class StrangerBounds:
    """What the other side may cost before anybody knows who it is."""

    allowance_bytes: int
    """How much it may send in all, where each read and each frame counts as some bytes more."""
    frame_bytes: int
    """How long a frame may be."""
    outbox_bytes: int
    """How much may wait for it."""
    kept_bytes: int = 0
    """How much is kept of what is not whole yet, before it takes of a pool."""


class Pool:
    """Room for `size` bytes, which strangers share."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left: int = size


class Tab:
    """What one stranger has used up. It may send `allowance` bytes, and have `own` of them kept;
    more takes of `pool`, and without one is free.
    """

    __slots__ = ("_left", "_own", "_pool", "_taken")

    def __init__(self, allowance: int, own: int = 0, pool: Pool | None = None) -> None:
        self._left = allowance
        self._own = own
        self._pool = pool
        self._taken = 0

    @property
    def is_over(self) -> bool:
        """Has it used up its allowance?"""
        return self._left < 0

    def affords(self, cost: int) -> bool:
        """Count what was sent. False where that is over the allowance."""
        self._left -= cost
        return self._left >= 0

    def keeps(self, size: int) -> bool:
        """From here on, `size` bytes are kept. False, and all is as before, where the pool has no
        room for that.
        """
        pool = self._pool
        if pool is None:
            return True
        more = max(size - self._own, 0) - self._taken
        if more > max(pool.left, 0):
            return False
        pool.left -= more
        self._taken += more
        return True

    def let_go(self) -> None:
        """Nothing is kept any more."""
        self.keeps(0)

    def end(self) -> None:
        """Nothing is kept any more, and nothing more is afforded."""
        self.let_go()
        self._left = -1
