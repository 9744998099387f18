"""Admission: who is let in, and what is answered to who is not.

Owns: the order of what may be in the way (the server's state, its memory, the room that there is,
how many come from one address), and that each refusal is counted once. Must not know which
connections there are, nor what is said on one behind its opening request.
"""

from __future__ import annotations

import contextlib
from typing import Final

from signal_sdk.errors import LinkError, SignalError
from signal_sdk.net.tls import TlsTransport
from signal_sdk.net.transport import Transport
from signal_sdk.server.forwarded import Forwarded
from signal_sdk.server.http import HEALTH_PATH, READY_PATH, Routes, too_many, unavailable
from signal_sdk.server.memory import SHORT_OF_MEMORY
from signal_sdk.server.openings import Opening
from signal_sdk.server.refusals import Limit
from signal_sdk.server.services import Services
from signal_sdk.server.visitors import TURNED_AWAY
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest, answer_at_once

__all__ = ["NO_ROOM", "Admission"]

REFUSED_AT_ONCE: Final = 64
"""How many connections more than there may be are still asked what they want, so that a full server
tells who looks after it that it serves.
"""
NO_ROOM: Final = "no room for another connection"


class Admission:
    """A node's. Who was let in is counted until he is said to `leave` (visitors.py)."""

    def __init__(self, services: Services, routes: Routes, forwarded: Forwarded) -> None:
        self._services = services
        self._routes = routes
        self._forwarded = forwarded

    def why_not_ready(self) -> str:
        """Why nobody should come here now; empty where anybody may."""
        if self._services.is_draining():
            return "the server is going away"
        try:
            self._services.engine.check_writable()
        except SignalError as exc:
            return exc.reason
        return SHORT_OF_MEMORY if self._services.memory.is_short else ""

    def turns_away(self, transport: Transport, openings: int) -> bool:
        """Count who comes, or refuse him before he has said anything, where he costs least;
        `openings` is of how many the request is not whole.
        """
        visitors = self._services.visitors
        limit: Limit | None
        if not visitors.has_room(-REFUSED_AT_ONCE):
            limit, answer = "max_connections", unavailable(NO_ROOM)
        elif self._services.memory.is_short and openings >= REFUSED_AT_ONCE:
            limit, answer = "memory_percent", unavailable(SHORT_OF_MEMORY)
        elif limit := visitors.come(transport.host):
            answer = too_many(TURNED_AWAY[limit])
        else:
            return False
        self._services.refusals.count(limit)
        if not isinstance(transport, TlsTransport):
            # What was sent is thrown away where something lies unread at the end.
            with contextlib.suppress(LinkError):
                transport.receive_nowait()
                answer_at_once(transport, answer)
        transport.close()
        return True

    def hangs_up_on(self, host: str) -> bool:
        """Count a native client, or refuse it, which has no word for that."""
        visitors = self._services.visitors
        limit: Limit | None
        if why := self.why_not_ready():
            limit = "memory_percent" if why == SHORT_OF_MEMORY else None
        elif not visitors.has_room(1):
            limit = "max_connections"
        elif (limit := visitors.come(host)) is None:
            return False
        if limit is not None:
            self._services.refusals.count(limit)
        return True

    def answer(
        self, transport: Transport, local_host: str, opening: Opening | None, request: HttpRequest
    ) -> HttpAnswer | None:
        """The answer to a request, with which `transport` opens; None where it begins a link."""
        why_not = self._forward(transport, opening, request.forwarded_for)
        # A server that is full serves: whoever restarts the sick must not think it one.
        if request.path != HEALTH_PATH and (why := self.why_not_ready()):
            if why == SHORT_OF_MEMORY and request.path != READY_PATH:
                self._count(opening, "memory_percent")
            why_not = unavailable(why)
        elif request.path not in (HEALTH_PATH, READY_PATH) and self._services.visitors.is_over:
            self._count(opening, "max_connections")
            why_not = unavailable(NO_ROOM)
        return self._routes.answer(request, local_host, why_not)

    def _count(self, opening: Opening | None, limit: Limit) -> None:
        """A request is refused, which may be looked at more than once for that."""
        if opening is not None and not opening.is_refused:
            opening.is_refused = True
            self._services.refusals.count(limit)

    def _forward(
        self, transport: Transport, opening: Opening | None, forwarded_for: str
    ) -> HttpAnswer | None:
        """A proxy has said for whom it asks: the connection is that client's from here on, or there
        is a reason why not.
        """
        client = self._forwarded.client_of(transport.host, forwarded_for)
        if client == transport.host:
            return None
        visitors = self._services.visitors
        if limit := visitors.come(client):
            self._count(opening, limit)
            return too_many(TURNED_AWAY[limit])
        visitors.leave(transport.host)
        transport.pass_for(client)
        return None
