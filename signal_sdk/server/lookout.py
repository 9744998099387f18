"""The lookout: which clients have said nothing for too long, or are not logged in in time.

Owns: when each is looked at next. Must not know how a connection ends, nor what its client said.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from signal_sdk.net.patience import PatientClock
from signal_sdk.net.transport import Transport
from signal_sdk.server.connection import Connection
from signal_sdk.server.wheel import Wheel


class Lookout:
    """Looks at each of these connections when it may be overdue by this clock, and at no other."""

    def __init__(self, clock: PatientClock, connections: Mapping[Transport, Connection]) -> None:
        self._clock = clock
        self._connections = connections
        self._wheel: Wheel[Transport] = Wheel()

    def look_later(self, transport: Transport) -> None:
        """Look at it, anew, when it may be overdue."""
        connection, now = self._connections[transport], trio.current_time()
        left = connection.patience(self._clock.time_at(now))
        connection.place = self._wheel.put(transport, now + max(left, 0.0))

    def forget(self, transport: Transport, connection: Connection) -> None:
        """It is no more."""
        self._wheel.take_out(transport, connection.place)

    def overdue(self) -> list[tuple[Transport, Connection]]:
        """Those whose time may be over, which nobody looks at any more. Called once a second."""
        overdue: list[tuple[Transport, Connection]] = []
        now = trio.current_time()
        for transport in self._wheel.turn(now):
            connection = self._connections[transport]
            if connection.patience(self._clock.time_at(now)) <= 0:
                overdue.append((transport, connection))
            else:
                self.look_later(transport)
        return overdue
