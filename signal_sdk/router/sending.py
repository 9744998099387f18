"""Sending, in order for each receiver, at the rate that the server takes.

Owns: who sends next, how many may wait for that, and the pause where the server says one. Must not
know what is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from signal_sdk.errors import SignalError
from signal_sdk.router.failures import BacklogError

__all__ = ["MAX_WAITING_SENDS", "Sender"]

MAX_WAITING_SENDS: Final = 100
"""How many messages may wait for each receiver."""
MIN_PAUSE_SECONDS: Final = 0.05
"""What a server says may be rounded to nothing; to ask again at once would be of no use."""


class _Lane:
    """Those who want to send to one receiver."""

    __slots__ = ("count", "lock")

    def __init__(self) -> None:
        # It lets in those who wait in the order of their coming.
        self.lock = trio.Lock()
        self.count = 0


class Sender:
    """Sends for one session."""

    def __init__(self, *, waits_for_rate: bool) -> None:
        self._waits_for_rate = waits_for_rate
        self._lanes: dict[tuple[str, str], _Lane] = {}

    async def deliver(self, kind: str, receiver: str, send: Callable[[], Awaitable[None]]) -> None:
        """Wait until what was handed over before for this receiver is sent, and send.

        Raises what `send` raises, `SignalError`, but for a refusal that says after how many seconds
        to try again: that is waited for. Raises `BacklogError` where 100 wait already.
        """
        key = kind, receiver
        lane = self._lanes.setdefault(key, _Lane())
        if lane.count >= MAX_WAITING_SENDS:
            raise BacklogError(
                f"{MAX_WAITING_SENDS} messages to the {kind} {receiver!r} wait to be sent: this one"
                " is not sent; await each, or send fewer"
            )
        lane.count += 1
        try:
            if lane.count > 1:
                await lane.lock.acquire()
            else:
                # Alone, it need not wait for a turn of the event loop either.
                lane.lock.acquire_nowait()
            try:
                await self._send(send)
            finally:
                lane.lock.release()
        finally:
            lane.count -= 1
            if not lane.count:
                del self._lanes[key]

    async def _send(self, send: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await send()
            except SignalError as exc:
                pause = exc.retry_after
                if pause is None or not self._waits_for_rate:
                    raise
            await trio.sleep(max(pause, MIN_PAUSE_SECONDS))
