"""One client's connection: from its first frame to its end.

Owns: reading frames, who is logged in on this link, and what its client is told without asking.
Must not know how a request is answered: requests.py does; how a login is: logging_in.py does; nor
which wire its client is on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.net.link import LinkClosed, MessageTooLong, ReadsTooSlowly
from signal_sdk.server.counts import UNREADABLE, device_of
from signal_sdk.server.engine.pending import Pending, drive, ended, left, settled, waited
from signal_sdk.server.hearing import Hearing, removal
from signal_sdk.server.hub import Look
from signal_sdk.server.logging_in import LoggingIn, refuse_login, refuse_second
from signal_sdk.server.rates import Pace
from signal_sdk.server.refusals import REVOKED, Limit
from signal_sdk.server.requests import Requests
from signal_sdk.server.services import Services
from signal_sdk.server.session import Session
from signal_sdk.server.wheel import NEVER
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.wire import call2, functions, lines, login, typed
from signal_sdk.wire.properties import SEPARATOR
from signal_sdk.wire.typed import End, Farewell

logger: logging.Logger = logging.getLogger("signal_sdk.server.connections")

FRAMES_PER_TURN: Final = 8
"""How many frames of one client are handled before others run, where a task handles them."""
LOOK_SECONDS: Final = 1.0
"""How often a client is looked at that is not logged in: what it has to do by when changes."""
PAUSE_SECONDS: Final = 0.02
"""For how long a client that is too fast is not read, at least: to look again for each of its
frames would cost more than most of them do."""
BEHIND_SECONDS: Final = 0.005
"""For how long a client is not read that waits for its own change to be durable, as very many
do."""
MAX_PAUSE_SECONDS: Final = 5.0
"""And at most, before it is heard that it is still there."""
DELIVERIES_PER_FRAME: Final = 200
"""A frame that goes to more counts as several, so that nobody keeps the server busy with one large
channel: 500 frames are 100,000 deliveries, which take 40 ms.
"""
FAREWELL_SECONDS: Final = 2.0
"""How long a connection's own end may take once its node is being stopped."""
ENDS: Final[Mapping[type[LinkClosed], Limit]] = {
    ReadsTooSlowly: "outbox_bytes",
    MessageTooLong: "max_frame_bytes",
}
"""Over which limit a link has ended. Before a login its bounds are fixed ones."""


class Connection:
    """A client on its link. It satisfies the hub's `Holder` once it is logged in."""

    __slots__ = (
        "_hearing",
        "_is_over",
        "_is_welcome",
        "_link",
        "_login",
        "_pace",
        "_requests",
        "_services",
        "_session",
        "_waits_for",
        "began_at",
        "ends_at",
        "generation",
        "place",
        "silence_seconds",
    )

    def __init__(
        self, link: ClientLink, services: Services, ends_at: float, began_at: float
    ) -> None:
        self.began_at: float = began_at
        self._link = link
        self._services = services
        self._session: Session | None = None
        self.ends_at: float = ends_at
        """When the client's time for logging in is over, by the reactor's patient clock."""
        self.silence_seconds: float = services.limits.silence_seconds or math.inf
        """How long the client may say nothing once it is logged in."""
        self._hearing = Hearing(
            link, services.hub, services.engine, services.limits, services.refusals
        )
        self._requests = Requests(services, link, self._hearing)
        self._pace: Pace | None = None
        self._login: LoggingIn | None = None
        self._is_welcome = False
        self._is_over = False
        self._waits_for: Pending[None] | None = None
        """What the next frame has to wait for."""
        self.generation: int = 0
        self.place: int = NEVER
        """Where its acceptor has it in its wheel."""

    def patience(self, now: float) -> float:
        """For how many seconds more nothing has to be heard of the client, while the patient clock
        shows `now`. Of one that is not logged in nobody knows for more than a second.
        """
        left = self._link.alive_at + self.silence_seconds - now
        return left if self._session is not None else min(left, self.ends_at - now, LOOK_SECONDS)

    def rest(self, rouse: Callable[[], None]) -> bool:
        """Serve the client without a task for as long as nothing has to wait; `rouse` is called
        once, when `run` is needed. False where that is so from the start. Raises `LinkError`.
        """
        self._link.watch(self._take)
        return self._link.rest(rouse)

    @property
    def is_stranger(self) -> bool:
        """Has nobody logged in on it?"""
        return self._session is None

    @property
    def kind(self) -> tuple[str, str]:
        """As the hub counts it. Only while somebody is logged in."""
        device = self._session.device if self._session is not None else ""
        return self._link.kind, device_of(device)

    @property
    def line_digest(self) -> bytes:
        """Of its session's line; empty where nobody is logged in."""
        return self._session.line_digest if self._session is not None else b""

    def look(self) -> Look | None:
        """How it is; None where nobody is logged in on it."""
        session = self._session
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

    def abort(self) -> None:
        """Close at once, without a word."""
        self._link.abort()

    def let_go(self) -> None:
        """It is closed: hold nothing any more."""
        self._link.let_go()

    def wake(self) -> None:
        """Rouse whoever serves the client, if it rests."""
        self._link.wake()

    async def run(self) -> None:
        """Serve the client until it goes, or is sent away."""
        self._link.watch(self._take)
        try:
            # Roused by the node's end, there is nothing left to be read with.
            await trio.lowlevel.checkpoint_if_cancelled()
            while True:
                await self._serve_some()
        except LinkClosed as exc:
            logger.debug("%s: %s", self._link.peer, exc)
            limit = ENDS.get(type(exc))
            if limit is not None and not self.is_stranger:
                self._services.refusals.count(limit)
        finally:
            with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self._detach()
        await self._link.aclose()

    async def _serve_some(self) -> None:
        """Handle what `_take` has left, and what comes where nobody else can read. Raises
        `LinkClosed` at the end.
        """
        services = self._services
        frames = await self._link.receive()
        for number, frame in enumerate(frames, 1):
            if self._waits_for is not None:
                await ended(self._waits_for)
            while seconds := self._seconds_left(
                services.limits.frames_per_second, trio.current_time()
            ):
                services.refusals.count("frames_per_second")
                await trio.sleep(seconds)
            if not self._link.is_listening:
                # What a client says behind the end that it was given is nobody's word.
                return
            self._handle_one(frame)
            if number % FRAMES_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    def _take(self, frame: typed.ClientFrame) -> bool:
        """Handle a frame where it is read, unless there is something that it has to wait for."""
        services = self._services
        if self._waits_for is not None:
            self._link.hold()
            return False
        if self._requests.unwritten and services.engine.is_behind:
            self._link.pause(BEHIND_SECONDS)
            return False
        limit = services.limits.frames_per_second
        if limit and (seconds := self._seconds_left(limit, self._link.taken_at)):
            services.refusals.count("frames_per_second")
            self._link.pause(min(max(seconds, PAUSE_SECONDS), MAX_PAUSE_SECONDS))
            return False
        if type(frame) is call2.MessageRequest:
            # Nearly all that comes.
            waits_for = self._requests.answer(self._session, frame)
            if waits_for is not None:
                self._wait_for(waits_for)
        elif type(frame) is typed.Ping:
            self._link.send(typed.Pong(frame.number))
        else:
            self._handle_one(frame)
        return True

    def _handle_one(self, frame: typed.ClientFrame) -> None:
        hub = self._services.hub
        before = hub.deliveries
        waits_for = self._handle(frame)
        if waits_for is not None:
            self._wait_for(waits_for)
        elif (made := hub.deliveries - before) > DELIVERIES_PER_FRAME:
            self._charge(made)

    def _wait_for(self, waits_for: Pending[None]) -> None:
        self._waits_for = waits_for
        waits_for.when_done(self._go_on)

    def _go_on(self) -> None:
        """What the next frame had to wait for is done."""
        waited_for, self._waits_for = self._waits_for, None
        try:
            if waited_for is not None:
                waited_for.result()
        except Exception:
            logger.exception("%s: what was begun failed", self._link.peer)
            self._link.abort()
        self._link.go_on()

    def _charge(self, made: int) -> None:
        """Count a frame that went to so many as more."""
        if self._pace is not None:
            limit = self._services.limits.frames_per_second
            self._pace.charge(made / DELIVERIES_PER_FRAME, limit, trio.current_time())

    def _seconds_left(self, limit: int, now: float) -> float:
        """How long it will be until one more frame is read; where it is now, it counts."""
        if self._pace is None:
            self._pace = Pace()
        return self._pace.seconds_left(limit, now)

    def _handle(self, frame: typed.ClientFrame) -> Pending[None] | None:
        """Begin what a frame asks for. Returns what the next one has to wait for, if for
        anything.
        """
        match frame:
            case call2.MessageRequest():
                return self._requests.answer(self._session, frame)
            case call2.Request():
                if frame.function == functions.UserLogout.function:
                    work = self._requests.log_out(self._session, frame, self._end_session)
                    return self._begin(work)
                return self._requests.answer(self._session, frame)
            case typed.Ping(number):
                self._link.send(typed.Pong(number))
            case login.Login() | login.LineLogin():
                return self._begin(self._log_in(frame))
            case typed.ChannelSub():
                return self._begin(self._subscribe(frame))
            case typed.Malformed():
                self._refuse(frame)
            case typed.Unknown(event):
                # The original clients pass over events that they do not know, and so do we.
                logger.debug("%s: unknown event %r", self._link.peer, event)
        return None

    def _begin(self, work: Coroutine[Any, Any, None]) -> Pending[None] | None:
        """Begin what takes several steps. Returns what the next frame has to wait for, if for
        anything.
        """
        return left(drive(self._do_or_break(work)))

    async def _do_or_break(self, work: Coroutine[Any, Any, None]) -> None:
        """Where the engine is away, there is nothing to be told: a client comes back."""
        try:
            await work
        except SignalError as exc:
            logger.info("%s: %s", self._link.peer, exc.reason)
            self._link.abort()

    def _refuse(self, frame: typed.Malformed) -> None:
        """Refuse what cannot be read: under its own id where that could be found, else with the
        connection.
        """
        if frame.callid is not None:
            error = SignalError(ECode.GENERAL_E_WRONG_PARAM, frame.reason)
            self._services.tallies.refuse(UNREADABLE, error)
            self._link.send(typed.Failure(frame.callid, error))
        elif frame.is_login and self._session is None:
            error = LoginError(ECode.LOGIN_E_INVALID_USER, frame.reason)
            refuse_login(self._link, self._services, error)
        else:
            logger.info("%s: %s", self._link.peer, frame.reason)
            self._end(Farewell(end=End.BAD_DATA, reason=frame.reason))

    # --- logging in ---

    async def _log_in(self, request: login.Login | login.LineLogin) -> None:
        services = self._services
        if self._session is not None:
            refuse_second(self._link, self._services, self._session, request)
            return
        self._login = LoggingIn(request, self._link, services, self._hearing)
        # A login that was cut off half-way would be nobody's to end; a refused one closes the link.
        self.ends_at = math.inf
        try:
            self._login.check()
            session, presence = await self._login.find_session()
        except LoginError as exc:
            self._login.refuse(exc)
            return
        if self._is_over:
            # Its connection was lost meanwhile.
            await settled(services.presences.disconnected(session))
            return
        self._session = session
        self.generation = session.generation
        self.silence_seconds = session.patience(services.limits.silence_seconds or math.inf)
        if not services.hub.add(session.key, self):
            # Another login was quicker than ours was finished.
            self._give_way(self._login)
            return
        refusal = await self._requests.durable()
        if self._session is not session:
            # As above.
            return
        if refusal is not None:
            self._login.refuse(LoginError(ECode.LOGIN_E_NET, refusal.reason))
            return
        await self._login.answer(session, presence)
        self._is_welcome = True
        ours, self._login = self._login, None
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

    async def _subscribe(self, sub: typed.ChannelSub) -> None:
        """A client that has come back says what it has of its channel: it hears the rest, or, where
        that cannot be told any more, begins afresh.
        """
        session = self._session
        if session is None or self._hearing.channel is not None:
            # It has all that there is.
            return
        if await self._hearing.take_up(session, sub.channel, sub.msgid, self._services.clock):
            return
        # To such a client its session is over then: it logs in afresh.
        self._end(Farewell(end=End.OUT_OF_SYNC))
        await self._end_session()

    # --- what the hub calls ---

    def push_entry(self, version: int, line: str) -> None:
        """Hand the client a new inbox entry, or tell it to poll."""
        if not self._is_welcome:
            # Nothing reaches a client before the answer to its login, behind which it polls.
            return
        is_told = SEPARATOR not in line or (self._session and self._session.takes_bytes)
        if not is_told and lines.is_binary(line):
            # An earlier session of the account took what this one may not read.
            return
        self._link.send(typed.Entry(version, line))

    def push_grant(self, channel: str, lock: str, ask: str) -> None:
        """Tell the client that it has a lock. One that has come back asks again by itself."""
        if self._is_welcome:
            self._link.send(typed.LockGranted(channel, lock, ask))

    def kick(self) -> None:
        """The account logged in elsewhere. A client that has not heard of its own login yet hears
        so in the answer to that.
        """
        if self._is_welcome:
            self._end(Farewell(end=End.KICKED))
            return
        self._refuse_welcome(LoginError(ECode.LOGIN_E_TOKEN_KICKED))

    def _refuse_welcome(self, error: LoginError) -> None:
        is_resume = self._login is not None and self._login.is_resume
        self._services.tallies.logins[is_resume, error.ecode] += 1
        self._link.send(typed.Refused(error=error, is_resume=is_resume))
        self._end(Farewell(end=End.DONE))

    def remove(self, channel: str, msgid: int, time_ms: int) -> None:
        """An operator has taken the session out of a channel. A client that does not hear it has
        no need to know; one that is not logged in yet is told behind that.
        """
        session = self._session
        if session is not None and self._is_welcome:
            data = removal(self._link, session, channel, msgid, time_ms)
            self._hearing.part(session, channel, data)

    # --- the end ---

    def go_away(self, delay: float = 0.0) -> None:
        """The node is being stopped: say farewell behind all acknowledgements. A client of ours is
        told to come back in `delay` seconds.
        """
        farewell = Farewell(end=End.GOING_AWAY, delay=delay)
        self._services.engine.when_durable(lambda _: self._end(farewell))

    def _end(self, farewell: Farewell) -> None:
        self._link.end(farewell)
        self._forget()

    def end_overdue(self, now: float) -> None:
        """Close where the time for logging in is over, or nothing was heard for too long; `now` is
        the patient clock's. Who is still logging in may be silent.
        """
        if self._session is None:
            if self.ends_at <= now:
                self._end_over("handshake_seconds", "nothing was said in time")
        elif self.patience(now) <= 0:
            reason = f"nothing was heard for {self.silence_seconds:g} s"
            self._end_over("silence_seconds", reason)

    def _end_over(self, limit: Limit, reason: str) -> None:
        if self._link.is_open:
            # It is overdue for as long as it takes to close, too.
            self._services.refusals.count(limit)
        self._end(Farewell(end=End.OVERDUE, reason=reason))

    def expire(self) -> None:
        """The token is good no more, and the session is over."""
        session = self._session
        if self._is_welcome:
            self._end(Farewell(end=End.EXPIRED))
        else:
            self._refuse_welcome(LoginError(ECode.LOGIN_E_TOKENWRONG, REVOKED))
        if session is not None:
            self._session = None
            session.let_go()

    async def _end_session(self) -> None:
        """End presence now, not when its lease is over."""
        session = self._session
        if session is not None:
            self._forget()
            self._session = None
            await settled(self._services.presences.log_out(session))

    def _forget(self) -> None:
        """Hear of nothing any more, so that nothing is sent behind a farewell."""
        if self._session is not None:
            self._services.hub.remove(self._session.key, self)
            self._requests.forget()
            self._hearing.end(self._session)

    async def _detach(self) -> None:
        """The link is gone: the account's lease begins, unless a newer login holds it."""
        session = self._session
        self._is_over = True
        if session is not None:
            self._forget()
            self._session = None
            try:
                await waited(self._services.presences.disconnected(session))
            except SignalError as exc:
                # Once the engine is there again, it finds that the session is not here.
                logger.debug("%s: %s", self._link.peer, exc.reason)
