"""Which channels a connection hears, from when on, and what it has missed of them.

Owns: the ears that listen at the hub for this connection. Must not know why a session moves, nor
what its client is told besides.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import ChannelKey, Engine, Event
from signal_sdk.server.engine.pending import settled
from signal_sdk.server.hub import Gate, Hub
from signal_sdk.server.refusals import Refusals
from signal_sdk.server.session import Session
from signal_sdk.server.wires.base import ClientLink, Ear
from signal_sdk.wire.events import ChannelMessage, ChannelUserLeave
from signal_sdk.wire.properties import is_binary

__all__ = ["Hearing", "removal"]

NOTHING: Final = ("", b"")
LAST: Final = sys.maxsize
"""The id of what no gate drops: it comes behind all else."""


class Hearing:
    """What one connection hears, which is one channel or none; where its session may be in many,
    there is another one beside it for each of them (`of`), and it hears nothing itself.

    Whoever begins to hear a channel does so behind a gate, and joins or catches up only then:
    nothing is missed in between. What the gate has kept up to where the client knows how things
    stand is dropped, the rest goes out when the gate is opened.
    """

    __slots__ = (
        *("_ear", "_engine", "_hub", "_limits", "_link", "_others", "_refusals", "channel"),
        "parting",
    )

    def __init__(
        self,
        link: ClientLink,
        hub: Hub,
        engine: Engine,
        limits: LimitsConfig,
        refusals: Refusals,
    ) -> None:
        self._link = link
        self._hub = hub
        self._engine = engine
        self._limits = limits
        self._refusals = refusals
        self._ear: Ear = link.outbox
        self._others: dict[str, Hearing] | None = None
        self.channel: str | None = None
        """The channel that is heard, be it behind a gate."""
        self.parting: tuple[str, bytes] | None = None
        """While the session moves: out of which channel it was taken meanwhile, and what its client
        is to hear of that unless the move says otherwise; `NOTHING` where it was not.
        """

    def of(self, session: Session, channel: str) -> Hearing:
        """What is to hear `channel`, or does: this, unless the session may be in many."""
        if not session.many_channels:
            return self
        others = self._others or {}
        if channel not in others:
            # Those that hear nothing any more, nor are about to, are needed no more.
            others = {name: it for name, it in others.items() if it.channel or it.parting}
            others[channel] = Hearing(
                self._link, self._hub, self._engine, self._limits, self._refusals
            )
            self._others = others
        return others[channel]

    @property
    def channels(self) -> tuple[str, ...]:
        """All that the connection hears, be it behind a gate."""
        if self._others is not None:
            return tuple(name for name, it in self._others.items() if it.channel is not None)
        return () if self.channel is None else (self.channel,)

    def end(self, session: Session) -> None:
        """Hear nothing any more, not even what gates have kept, of no channel."""
        self.unlisten(session)
        for it in (self._others or {}).values():
            it.unlisten(session)

    def _gate(self, key: ChannelKey, ear: Ear) -> Gate:
        return Gate(self._hub, key, ear, self._limits.outbox_bytes)

    async def listen(self, session: Session, channel: str) -> Gate:
        """Hear `channel`, and nothing else, behind a gate."""
        old = self.hold(session)
        try:
            new = await self.approach(session, channel, old)
        except BaseException:
            self.stay(session, old, None)
            raise
        return self.arrive(session, old, new)

    def hold(self, session: Session) -> Gate | None:
        """Put a gate before what is heard, if something is: who leaves does not hear of it, and the
        web SDK, which has forgotten that channel by now, would count its events' ids as the next
        one's.
        """
        self.parting = NOTHING
        if self.channel is None:
            return None
        old = self._gate(session.channel_key(self.channel), self._ear)
        self._hub.listen(old.key, session.account, old)
        self._ear = old
        return old

    async def approach(self, session: Session, channel: str, old: Gate | None) -> Gate:
        """Hear of `channel` behind a gate, which is `old` where that is before it already."""
        key = session.channel_key(channel)
        if old is not None and old.key == key:
            return old
        new = self._gate(key, self._link.outbox)
        self._hub.listen(key, session.account, new)
        try:
            await settled(self._engine.subscribe(key))
        except BaseException:
            self._hub.unlisten(key, session.account, new)
            self._let_go(key)
            raise
        return new

    def arrive(self, session: Session, old: Gate | None, new: Gate, msgid: int = 0) -> Gate:
        """What is behind `new` is heard from here on, from the event on that follows `msgid`."""
        self.parting = None
        if old is not new:
            self.unlisten(session)
            self.channel, self._ear = new.key.channel, new
            new.after = msgid
        if not self._link.is_open:
            # A kick may have come while the engine was at it.
            self.unlisten(session)
        return new

    def stay(self, session: Session, old: Gate | None, new: Gate | None) -> None:
        """What was refused changes nothing, not even for a client that does not hear its channel
        yet.
        """
        if new is not None and new is not old:
            self._hub.unlisten(new.key, session.account, new)
            self._let_go(new.key)
        parting, self.parting = self.parting, None
        if parting is not None:
            self.part(session, *parting)
        if old is not None:
            self.open(session, old)

    def unlisten(self, session: Session) -> None:
        """Hear nothing any more, not even what gates have kept."""
        self.parting = None
        if self.channel is not None:
            self._hear_no_more(session, self.channel)
        self._ear = self._link.outbox

    def _hear_no_more(self, session: Session, channel: str) -> None:
        key = session.channel_key(channel)
        self.channel = None
        self._hub.unlisten(key, session.account, self._ear)
        self._let_go(key)

    def part(self, session: Session, channel: str, data: bytes) -> None:
        """The session was taken out of `channel`: where that is heard, `data`, which tells so, is
        the last of it, also behind a gate. While the session moves, that has to be known first.
        """
        if self._others is not None:
            if (other := self._others.get(channel)) is not None:
                other.part(session, channel, data)
        elif self.parting is not None:
            self.parting = channel, data
        elif self.channel == channel:
            self._hub.msgid = LAST
            self._ear.append(data)
            self._hear_no_more(session, channel)

    def _let_go(self, key: ChannelKey) -> None:
        if not self._hub.is_heard(key):
            self._engine.unsubscribe(key)

    def open(self, session: Session, gate: Gate, missed: Sequence[bytes] = ()) -> None:
        """The client knows where it is: what it has `missed` and what `gate` has kept goes out, and
        from now on all at once. Of the latter, nothing where the connection has moved on.
        """
        for data in missed:
            self._link.send_encoded(data)
        if not self._stands_before(gate):
            return
        gate.open()
        gate.on_past = partial(self._do_without, session, gate)
        if gate.is_past:
            self._do_without(session, gate)
        if gate.has_lost:
            # As a client that reads too slowly: it is better served by a new connection.
            self._refusals.count("outbox_bytes")
            self._link.abort()

    def _do_without(self, session: Session, gate: Gate) -> None:
        """Take the gate away, where there is no other before it."""
        if self._ear is not gate:
            return
        self._ear = gate.ear
        if self._hub.is_listening(gate.key, session.account, gate):
            self._hub.listen(gate.key, session.account, gate.ear)

    def _stands_before(self, gate: Gate) -> bool:
        """Is the gate before what is heard, or behind one that is?"""
        ear = self._ear
        while isinstance(ear, Gate):
            if ear is gate:
                return True
            ear = ear.ear
        return False

    async def joined_at(self, session: Session, channel: str) -> int:
        """The last event of `channel` before the session joined it, 0 where nobody knows."""
        found = self._engine.joined_at(session.channel_key(channel), session.account)
        return await settled(found)

    async def take_up(self, session: Session, channel: str, msgid: int, clock: Clock) -> bool:
        """The client has come back, and has heard of this channel up to `msgid`: it hears the rest.
        False where that cannot be told any more, or the session is in another channel by now.
        """
        # Before it is known where the session is: what becomes of that then is heard.
        gate = await self.listen(session, channel)
        presence = await settled(self._engine.presence(session.key))
        if presence is None or presence.channel is None:
            self.unlisten(session)
            if presence is not None and channel in presence.removed:
                time_ms = int(clock() * 1000)
                told = removal(self._link, session, channel, msgid + 1, time_ms)
                self._link.send_encoded(told)
            # Else it has left, which it may not know yet.
            return True
        if presence.channel != channel:
            return False
        after = msgid or await self.joined_at(session, channel)
        missed = await self.catch_up(session, channel, gate, after)
        if missed is None:
            return False
        self.open(session, gate, missed)
        return True

    async def catch_up(
        self, session: Session, channel: str, gate: Gate, after: int, msgid: int = 0
    ) -> Sequence[bytes] | None:
        """The events of `channel` behind the msgid `after`, encoded, behind which `gate` goes on;
        None where they are not held any more, or would overrun the outbox: it goes on behind
        `msgid` then.
        """
        gate.after = msgid
        events = await settled(self._engine.history(session.channel_key(channel), after))
        if events is None:
            return None
        # Without compression, which would be for this member alone.
        encode = self._link.outbox.wire.plain.encode_event
        encoded = [
            encode(channel, event.msgid, event.content, event.time_ms)
            for event in events
            if session.takes_bytes or not _says_bytes(event)
        ]
        limit = self._limits.outbox_bytes // 2
        if limit and sum(map(len, encoded)) > limit:
            return None
        gate.after = max(after, *(event.msgid for event in events)) if events else after
        return encoded


def _says_bytes(event: Event) -> bool:
    """Is it one that only some clients read? A member of then was one of those."""
    content = event.content
    return isinstance(content, ChannelMessage) and is_binary(content.properties)


def removal(link: ClientLink, session: Session, channel: str, msgid: int, time_ms: int) -> bytes:
    """The event by which a client hears that an operator has taken it out of its channel, encoded:
    its own leave, of which it does not hear otherwise.
    """
    left = ChannelUserLeave(
        channel=channel,
        account=session.account,
        uid=session.uid,
        ecode=int(ECode.LEAVECHANNEL_E_KICKED),
    )
    return link.outbox.wire.plain.encode_event(channel, msgid, left, time_ms)
