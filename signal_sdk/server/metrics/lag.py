"""How late the scheduler is: for how long a task waits that could go on.

Owns: the measuring. Must not know why it was late.
"""

from __future__ import annotations

from typing import Final

import trio

from signal_sdk.server.counts import Histogram

__all__ = ["Lag"]

LOOK_SECONDS: Final = 0.7
"""Between two looks: beside those who do something once a second, so that these are met in all
phases of what they do.
"""


class Lag:
    """By how many `seconds` a task was woken later than it had asked for, at each look."""

    def __init__(self) -> None:
        self.seconds: Histogram = Histogram(
            (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
        )

    async def measure_loop(self) -> None:
        """Look until cancelled."""
        while True:
            due = trio.current_time() + LOOK_SECONDS
            await trio.sleep(LOOK_SECONDS)
            self.seconds.add(max(trio.current_time() - due, 0.0))
