"""Which channel a connection hears, from when on, and what it has missed of it.

Owns: the ear that listens at the hub for this connection. Must not know why a session moves, nor
what its client is told besides.
"""

from __future__ import annotations

from collections.abc import Sequence

from signal_sdk.server.clock import Clock
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import Engine
from signal_sdk.server.hub import Gate, Hub
from signal_sdk.server.session import Session
from signal_sdk.server.wires.base import ClientLink, Ear

__all__ = ["Hearing"]


class Hearing:
    """What one connection hears of the channel that its session is in."""

    __slots__ = ("_clock", "_ear", "_engine", "_hub", "_limits", "_link")

    def __init__(
        self, link: ClientLink, hub: Hub, engine: Engine, limits: LimitsConfig, clock: Clock
    ) -> None:
        self._link = link
        self._hub = hub
        self._engine = engine
        self._limits = limits
        self._clock = clock
        self._ear: Ear = link.outbox

    def listen(self, session: Session) -> None:
        """Hear of the channel that the session is in, if it is in one."""
        self._listen(session, self._link.outbox)

    def listen_behind_gate(self, session: Session) -> Gate:
        """As `listen`, but keep what is heard until `open`."""
        gate = Gate(self._link.outbox, self._limits.outbox_bytes)
        self._listen(session, gate)
        return gate

    def _listen(self, session: Session, ear: Ear) -> None:
        # A kick may have come while the engine was at it.
        if session.channel is not None and self._link.is_open:
            self._ear = ear
            key = session.channel_key(session.channel)
            self._hub.listen(key, session.account, ear)

    def is_heard(self, session: Session) -> bool:
        """Is the session's channel heard, be it behind a gate?"""
        if session.channel is None:
            return False
        key = session.channel_key(session.channel)
        return self._hub.is_listening(key, session.account, self._ear)

    def unlisten(self, session: Session) -> bool:
        """Hear of the session's channel no more; was it heard?"""
        if session.channel is None:
            return False
        key = session.channel_key(session.channel)
        return self._hub.unlisten(key, session.account, self._ear)

    def open(self, session: Session, gate: Gate, missed: Sequence[bytes] = ()) -> None:
        """The client knows where it is: what it has `missed` and what `gate` has kept goes out, and
        from now on all at once. Of the latter, nothing where the connection has moved on.
        """
        for data in missed:
            self._link.send_encoded(data)
        if self._ear is gate and session.channel is not None:
            self._ear = gate.ear
            key = session.channel_key(session.channel)
            self._hub.open(key, session.account, gate)
            if gate.has_lost:
                # As a client that reads too slowly: it is better served by a new connection.
                self._link.abort()

    async def joined_at(self, session: Session, channel: str) -> int:
        """The last event of `channel` before the session joined it, 0 where nobody knows."""
        return await self._engine.joined_at(session.channel_key(channel), session.account)

    async def missed(self, session: Session, channel: str, after: int) -> Sequence[bytes] | None:
        """The events of the session's `channel` behind the msgid `after`, encoded; None where they
        are not held any more, or would overrun the outbox.
        """
        events = await self._engine.history(session.channel_key(channel), after, self._clock())
        if events is None:
            return None
        # Without compression, which would be for this member alone.
        encode = self._link.outbox.wire.plain.encode_event
        encoded = [encode(channel, event.msgid, event.content, event.time_ms) for event in events]
        limit = self._limits.outbox_bytes // 2
        return None if limit and sum(map(len, encoded)) > limit else encoded
