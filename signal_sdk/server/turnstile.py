"""A turnstile: of those who have much to do, one goes on at a time.

Owns: whose turn it is. Must not know what they do. Others, clients above all, do not stand in this
line: each time all that can go on in the process does so, they find one piece of it done at most.
"""

from __future__ import annotations

import trio

__all__ = ["Turnstile"]


class Turnstile:
    """Lets one through each time all that can go on does so, in the order in which they came."""

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def wait(self) -> None:
        """Wait until it is the caller's turn. What it does then without waiting is one piece."""
        async with self._lock:
            pass
