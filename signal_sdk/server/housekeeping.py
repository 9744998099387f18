"""Housekeeping: what a node does again and again, whoever is connected.

Owns: how often. Must not know how it is done, nor when a node starts and stops.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Final

import trio

from signal_sdk.errors import SignalError
from signal_sdk.server.admission import Admission
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.places import Places
from signal_sdk.server.presence import Presences
from signal_sdk.server.revocations import Revocations
from signal_sdk.server.visitors import Visitors

__all__ = ["Housekeeping"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

SWEEP_SECONDS: Final = 1.0
"""Between two of the engine's sweeps, and two announcements."""


class Housekeeping:
    """One node's. Its owner runs the loops."""

    def __init__(
        self,
        engine: Engine,
        places: Places,
        admission: Admission,
        visitors: Visitors,
        revocations: Revocations,
        presences: Presences,
    ) -> None:
        self._engine = engine
        self._places = places
        self._admission = admission
        self._visitors = visitors
        self._revocations = revocations
        self._presences = presences
        self._has_revoked = False
        """Is there a session that is to end, perhaps?"""

    async def sweep_loop(self) -> None:
        """Have the engine drop what is over, for ever."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            await waited(self._engine.sweep())

    async def look_loop(self) -> None:
        """Look for tokens that were taken back, for ever."""
        while True:
            await trio.sleep(self._revocations.look_seconds)
            await self.look_for_revocations()

    async def look_for_revocations(self) -> None:
        """Look for them now, and end the sessions that they were for."""
        if await self._revocations.look():
            self._has_revoked = True
        if not self._has_revoked:
            return
        try:
            await self._presences.end_revoked()
        except SignalError as exc:
            logger.warning("who is to be logged out is looked for again: %s", exc.reason)
        else:
            self._has_revoked = False

    async def announce_loop(self) -> None:
        """`announce`, for ever."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            await self.announce()

    async def announce(self) -> None:
        """Tell the other nodes where this one is, and hear where they are."""
        if not self._places.is_advertised:
            return
        is_ready = not self._admission.why_not_ready() and self._visitors.has_room(1)
        place = self._places.own(self._visitors.count) if is_ready else None
        with contextlib.suppress(SignalError):
            # While the engine is away nobody is told anything, by the lookups either.
            self._places.take(await waited(self._engine.announce(place)))
