"""One login, or coming back, on a connection: from its request to its answer.

Owns: the order of what is checked, and what its client is told of it. Must not know how its
connection is served, nor whether somebody else logs in meanwhile.
"""

from __future__ import annotations

import logging

from msgspec import UNSET, UnsetType

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError
from signal_sdk.server.engine.base import Presence
from signal_sdk.server.engine.pending import settled
from signal_sdk.server.hearing import Hearing
from signal_sdk.server.refusals import public_refusal
from signal_sdk.server.services import Services
from signal_sdk.server.session import Session
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.wire import login, typed
from signal_sdk.wire.login import PROPERTIES_VERSION

__all__ = ["LoggingIn", "refuse_login", "refuse_second"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.logins")

GUESSES = frozenset({ECode.LOGIN_E_TOKENWRONG, ECode.LOGIN_E_FAILED})
"""How a token, an app id or a session's line is refused that may have been guessed."""


class LoggingIn:
    """What `request` asks for on `link`. The session that it finds is its connection's."""

    __slots__ = (
        "_hearing",
        "_line",
        "_link",
        "_services",
        "is_resume",
        "request",
    )

    def __init__(
        self,
        request: login.Login | login.LineLogin,
        link: ClientLink,
        services: Services,
        hearing: Hearing,
    ) -> None:
        self.request: login.Login | login.LineLogin = request
        self.is_resume: bool = isinstance(request, login.LineLogin)
        self._line = ""
        self._link = link
        self._services = services
        self._hearing = hearing

    def check(self) -> None:
        """Count it, and raise `LoginError` where nothing more need be looked at."""
        self._services.check_admission(is_resume=self.is_resume)
        self._services.visitors.check_login(self._link.host, is_resume=self.is_resume)

    async def find_session(self) -> tuple[Session, Presence]:
        """Log in; the session, and how it is. Raises `LoginError`."""
        presences = self._services.presences
        if isinstance(self.request, login.Login):
            session, presence, self._line = await presences.log_in(self.request)
        else:
            self._line = self.request.line
            session, presence = await presences.resume(self.request)
        return session, presence

    async def answer(self, session: Session, presence: Presence) -> None:
        """Tell the client that it is in: one that comes back, what it has missed of its channel
        besides, or that it cannot be told. One with many channels asks for what it has missed of
        each.
        """
        if session.many_channels:
            self._welcome_in_many(session, presence)
        elif isinstance(self.request, login.LineLogin):
            await self._resume(session, self.request, presence)
        else:
            # A web SDK has forgotten its channel after a login, and throws where a channel's event
            # reaches it: it is still a member, and hears the channel once it joins again.
            self._welcome(session, presence.channel)
        self._services.tallies.logins[self.is_resume, ECode.SUCCESS] += 1
        logger.info("%s: %r of app %r logged in", self._link.peer, session.account, session.app)

    async def _resume(self, session: Session, request: login.LineLogin, presence: Presence) -> None:
        channel = presence.channel
        if channel is None:
            self._welcome(session, None, removed=request.channel in presence.removed)
            return
        key = session.channel_key(channel)
        if request.channel not in (None, channel):
            # It is in the midst of moving: the request that moves it comes again, and is answered
            # with how things stand.
            roster = await settled(self._services.engine.roster(key, 0))
            self._welcome(session, channel, msgid=roster.msgid)
            return
        gate = await self._hearing.listen(session, channel)
        roster = await settled(self._services.engine.roster(key, 0))
        missed = await self._hearing.catch_up(session, channel, gate, request.msgid, roster.msgid)
        self._welcome(session, channel, msgid=roster.msgid, gap=missed is None)
        self._hearing.open(session, gate, missed or ())

    def _welcome(
        self,
        session: Session,
        channel: str | None,
        *,
        msgid: int = 0,
        gap: bool = False,
        removed: bool = False,
    ) -> None:
        success = login.LoginSucceeded(
            uid=session.uid,
            line=self._line,
            channel=channel,
            msgid=msgid,
            gap=gap,
            removed=removed,
            takes_bytes=_takes_bytes(session),
        )
        self._send(session, success)

    def _welcome_in_many(self, session: Session, presence: Presence) -> None:
        success = login.LoginSucceeded(
            uid=session.uid,
            line=self._line,
            channels=presence.channels,
            removed_from=presence.removed,
            takes_bytes=_takes_bytes(session),
        )
        self._send(session, success)

    def _send(self, session: Session, success: login.LoginSucceeded) -> None:
        self._link.send(
            typed.LoggedIn(
                success=success, is_resumed=self.is_resume, device=session.device, ver=session.ver
            )
        )

    def refuse(self, error: LoginError) -> None:
        """Refuse it, and close the link."""
        refuse_login(self._link, self._services, error, self.request)


def _takes_bytes(session: Session) -> bool | UnsetType:
    """Is it told that it may send messages that are bytes?"""
    return True if session.ver >= PROPERTIES_VERSION else UNSET


def refuse_login(
    link: ClientLink,
    services: Services,
    error: LoginError,
    request: login.Login | login.LineLogin | None = None,
) -> None:
    """Refuse a login, which may be none that could be read, and close its link."""
    who = ""
    if isinstance(request, login.Login):
        who = f" of {request.account!r:.80} in app {request.vid!r:.80}"
    logger.info("%s: login%s refused: %s", link.peer, who, error)
    services.refusals.told(error)
    if error.ecode in GUESSES:
        services.visitors.count_wrong(link.host)
    is_resume = isinstance(request, login.LineLogin)
    services.tallies.logins[is_resume, error.ecode] += 1
    link.send(typed.Refused(error=public_refusal(error, request), is_resume=is_resume))
    link.end(typed.Farewell(end=typed.End.DONE))


def refuse_second(link: ClientLink, services: Services, session: Session, request: object) -> None:
    """Refuse a login on a connection that is logged in, where the session goes on."""
    error = LoginError(
        ECode.LOGIN_E_ALREADY_LOGIN, f"{session.account!r} is logged in on this connection"
    )
    is_resume = isinstance(request, login.LineLogin)
    services.tallies.logins[is_resume, error.ecode] += 1
    link.send(typed.Refused(error=error, is_resume=is_resume))
