"""A session that is logged in on a link: what its client is told without asking, and its end there.

Owns: what the hub has for this session, and what its login, of which the client may not have heard
yet, has to do with that. Must not know how frames are read, nor how a request is answered.
"""

from __future__ import annotations

import logging

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.server.counts import device_of
from signal_sdk.server.engine.base import Presence
from signal_sdk.server.engine.pending import settled, waited
from signal_sdk.server.hearing import Hearing, removal
from signal_sdk.server.hub import Look
from signal_sdk.server.logging_in import LoggingIn
from signal_sdk.server.refusals import REVOKED
from signal_sdk.server.requests import Requests
from signal_sdk.server.services import Services
from signal_sdk.server.session import Session
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.wire import lines, typed
from signal_sdk.wire.properties import SEPARATOR
from signal_sdk.wire.typed import End, Farewell

__all__ = ["LoggedIn"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.connections")


class LoggedIn:
    """The hub's `Holder` of the account: `session`, which is None once it is over, on its link."""

    __slots__ = (
        "_hearing",
        "_link",
        "_login",
        "_requests",
        "_services",
        "began_at",
        "generation",
        "session",
    )

    def __init__(
        self,
        session: Session,
        link: ClientLink,
        services: Services,
        hearing: Hearing,
        requests: Requests,
        began_at: float,
    ) -> None:
        self.session: Session | None = session
        self.generation: int = session.generation
        self.began_at: float = began_at
        self._link = link
        self._services = services
        self._hearing = hearing
        self._requests = requests
        self._login: LoggingIn | None = None
        """Its login, until that is answered: nothing else reaches a client before that."""

    @property
    def kind(self) -> tuple[str, str]:
        """As the hub counts it. Only while the session is not over."""
        device = self.session.device if self.session is not None else ""
        return self._link.kind, device_of(device)

    @property
    def line_digest(self) -> bytes:
        """Of the session's line; empty where it is over."""
        return self.session.line_digest if self.session is not None else b""

    def look(self) -> Look | None:
        """How it is; None where the session is over."""
        session = self.session
        if session is None:
            return None
        return Look(
            key=session.key,
            channels=self._hearing.channels,
            peer=self._link.peer,
            kind=self._link.kind,
            device=session.device,
            ver=session.ver,
            began_at=self.began_at,
            unsent_bytes=self._link.unsent_bytes,
        )

    # --- its beginning ---

    async def begin(self, ours: LoggingIn, session: Session, presence: Presence) -> None:
        """Hear of the account from here on, and answer its login once that is durable."""
        services, self._login = self._services, ours
        if not services.hub.add(session.key, self):
            # Another login was quicker than ours was finished.
            self._give_way(ours)
            return
        refusal = await self._requests.durable()
        if self.session is None:
            # As above.
            return
        if refusal is not None:
            ours.refuse(LoginError(ECode.LOGIN_E_NET, refusal.reason))
            return
        await ours.answer(session, presence)
        self._login = None
        current = await services.presences.current(session)
        if current is None:
            # As above, on another node.
            self._give_way(ours)
        elif (channel := self._hearing.channel) is not None and channel in current.removed:
            # It was taken out of it before anybody could tell its client so.
            roster = await settled(services.engine.roster(session.channel_key(channel), 0))
            self.remove(channel, roster.msgid, int(services.clock() * 1000))

    def _give_way(self, ours: LoggingIn) -> None:
        """Another connection holds the account. Who has come back may hold it himself there: he
        finds out.
        """
        if ours.is_resume:
            self.abort()
        else:
            self.kick()

    async def subscribe(self, sub: typed.ChannelSub) -> None:
        """A client that has come back says what it has of its channel: it hears the rest, or, where
        that cannot be told any more, begins afresh.
        """
        session = self.session
        if session is None or self._hearing.channel is not None:
            # It has all that there is.
            return
        if await self._hearing.take_up(session, sub.channel, sub.msgid, self._services.clock):
            return
        # To such a client its session is over then: it logs in afresh.
        self._end(Farewell(end=End.OUT_OF_SYNC))
        await self.log_out()

    # --- what the hub calls ---

    def push_entry(self, version: int, line: str) -> None:
        """Hand the client a new inbox entry, or tell it to poll."""
        if self._login is not None:
            # It polls behind the answer to its login.
            return
        is_told = SEPARATOR not in line or (self.session and self.session.takes_bytes)
        if not is_told and lines.is_binary(line):
            # An earlier session of the account took what this one may not read.
            return
        self._link.send(typed.Entry(version, line))

    def push_grant(self, channel: str, lock: str, ask: str) -> None:
        """Tell the client that it has a lock. One that has come back asks again by itself."""
        if self._login is None:
            self._link.send(typed.LockGranted(channel, lock, ask))

    def kick(self) -> None:
        """The account logged in elsewhere. A client that has not heard of its own login yet hears
        so in the answer to that.
        """
        if self._login is None:
            self._end(Farewell(end=End.KICKED))
        else:
            self._refuse(self._login, LoginError(ECode.LOGIN_E_TOKEN_KICKED))

    def expire(self) -> None:
        """The token is good no more, and the session is over."""
        session = self.session
        if self._login is None:
            self._end(Farewell(end=End.EXPIRED))
        else:
            self._refuse(self._login, LoginError(ECode.LOGIN_E_TOKENWRONG, REVOKED))
        if session is not None:
            self.session = None
            session.let_go()

    def _refuse(self, ours: LoggingIn, error: LoginError) -> None:
        """Answer the login with what has come in its way."""
        self._services.tallies.logins[ours.is_resume, error.ecode] += 1
        self._link.send(typed.Refused(error=error, is_resume=ours.is_resume))
        self._end(Farewell(end=End.DONE))

    def remove(self, channel: str, msgid: int, time_ms: int) -> None:
        """An operator has taken the session out of a channel. A client that does not hear it has
        no need to know; one that is not logged in yet is told behind that.
        """
        session = self.session
        if session is not None and self._login is None:
            data = removal(self._link, session, channel, msgid, time_ms)
            self._hearing.part(session, channel, data)

    def abort(self) -> None:
        """Close at once, without a word."""
        self._link.abort()

    # --- its end ---

    def _end(self, farewell: Farewell) -> None:
        self._link.end(farewell)
        self.forget()

    def forget(self) -> None:
        """Hear of nothing any more, so that nothing is sent behind a farewell."""
        if self.session is not None:
            self._services.hub.remove(self.session.key, self)
            self._requests.forget()
            self._hearing.end(self.session)

    async def log_out(self) -> None:
        """End presence now, not when its lease is over."""
        session = self.session
        if session is not None:
            self.forget()
            self.session = None
            await settled(self._services.presences.log_out(session))

    async def lose(self) -> None:
        """The link is gone: the account's lease begins, unless a newer login holds it."""
        session = self.session
        if session is not None:
            self.forget()
            self.session = None
            try:
                await waited(self._services.presences.disconnected(session))
            except SignalError as exc:
                # Once the engine is there again, it finds that the session is not here.
                logger.debug("%s: %s", self._link.peer, exc.reason)
