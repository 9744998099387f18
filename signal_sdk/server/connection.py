"""One client's connection: from its first frame to its end.

Owns: reading frames, at which pace and in which order, and who is logged in on this link. Must not
know how a request is answered: requests.py does; how a login is: logging_in.py does; what its
client is told without asking: logged_in.py does; nor which wire its client is on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.net.closed import LinkClosed, MessageTooLong, ReadsTooSlowly
from signal_sdk.server.counts import UNREADABLE
from signal_sdk.server.engine.pending import Pending, drive, ended, left, settled
from signal_sdk.server.hearing import Hearing
from signal_sdk.server.logged_in import LoggedIn
from signal_sdk.server.logging_in import LoggingIn, refuse_login, refuse_second
from signal_sdk.server.rates import Pace
from signal_sdk.server.refusals import Limit
from signal_sdk.server.requests import Requests
from signal_sdk.server.services import Services
from signal_sdk.server.wheel import NEVER
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.wire import call2, functions, login, typed
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
"""For how long a client is not read that waits for its own change, as very many do."""
MAX_PAUSE_SECONDS: Final = 5.0
"""And at most, before it is heard that it is still there."""
DELIVERIES_PER_FRAME: Final = 200
"""A frame that goes to more counts as several, so that nobody keeps the server busy with one large
channel: 500 frames are 100,000 deliveries, which take 40 ms.
"""
FRAMES_PART: Final = 64
"""This part of what may come in a second is counted at once: to count each frame is a fiftieth of
what a message takes.
"""
FAREWELL_SECONDS: Final = 2.0
"""How long a connection's own end may take once its node is being stopped."""
ENDS: Final[Mapping[type[LinkClosed], Limit]] = {
    ReadsTooSlowly: "outbox_bytes",
    MessageTooLong: "max_frame_bytes",
}
"""Over which limit a link has ended. Before a login its bounds are fixed ones."""


class Connection:
    """A client on its link."""

    __slots__ = (
        "_hearing",
        "_is_over",
        "_link",
        "_pace",
        "_paid_frames",
        "_requests",
        "_services",
        "_waits_for",
        "began_at",
        "client",
        "ends_at",
        "place",
        "silence_seconds",
    )

    def __init__(
        self, link: ClientLink, services: Services, ends_at: float, began_at: float
    ) -> None:
        self.began_at: float = began_at
        self._link = link
        self._services = services
        self.client: LoggedIn | None = None
        """Who has logged in on it."""
        self.ends_at: float = ends_at
        """When the client's time for logging in is over, by the reactor's patient clock."""
        self.silence_seconds: float = services.limits.silence_seconds or math.inf
        """How long the client may say nothing once it is logged in."""
        self._hearing = Hearing(
            link, services.hub, services.engine, services.limits, services.refusals
        )
        self._requests = Requests(services, link, self._hearing)
        self._pace: Pace | None = None
        """How often a frame is read."""
        self._paid_frames = 0
        """How many more are counted already."""
        self._is_over = False
        self._waits_for: Pending[None] | None = None
        """What the next frame has to wait for."""
        self.place: int = NEVER
        """Where its acceptor has it in its wheel."""

    def patience(self, now: float) -> float:
        """For how many seconds more nothing has to be heard of the client, while the patient clock
        shows `now`. Of one that is not logged in nobody knows for more than a second.
        """
        left = self._link.alive_at + self.silence_seconds - now
        return min(left, self.ends_at - now, LOOK_SECONDS) if self.is_stranger else left

    def rest(self, rouse: Callable[[], None]) -> bool:
        """Serve the client without a task for as long as nothing has to wait; `rouse` is called
        once, when `run` is needed. False where that is so from the start. Raises `LinkError`.
        """
        self._link.watch(self._take)
        return self._link.rest(rouse)

    @property
    def is_stranger(self) -> bool:
        """Is nobody logged in on it?"""
        return self.client is None or self.client.session is None

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
            pace = self._pace = self._pace or Pace()
            while seconds := pace.seconds_left(
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
        engine = services.engine
        if self._requests.unwritten and engine.is_behind:
            self._link.pause(BEHIND_SECONDS)
            return False
        limit, now = services.limits.frames_per_second, self._link.taken_at
        if self._paid_frames:
            self._paid_frames -= 1
        elif limit and (seconds := self._seconds_left(limit, now)):
            services.refusals.count("frames_per_second")
            self._link.pause(min(max(seconds, PAUSE_SECONDS), MAX_PAUSE_SECONDS))
            return False
        if type(frame) is call2.MessageRequest:
            # Nearly all that comes.
            client = self.client
            session = client.session if client is not None else None
            waits_for = self._requests.answer(session, frame, now)
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
        """How long it will be until one more frame may be handled, of so many in a second; where
        that is now, it is counted, and some of those that follow with it.
        """
        # Most that connect say little.
        pace = self._pace = self._pace or Pace()
        seconds = pace.seconds_left(limit, now)
        if not seconds:
            self._paid_frames = limit // FRAMES_PART
            pace.charge(self._paid_frames, limit, now)
        return seconds

    def _handle(self, frame: typed.ClientFrame) -> Pending[None] | None:
        """Begin what a frame asks for. Returns what the next one has to wait for, if for
        anything.
        """
        client = self.client
        session = client.session if client is not None else None
        match frame:
            case call2.Request(function=functions.UserLogout.function):
                return self._begin(self._requests.log_out(session, frame, self._log_out))
            case call2.MessageRequest() | call2.Request():
                return self._requests.answer(session, frame, trio.current_time())
            case typed.Ping(number):
                self._link.send(typed.Pong(number))
            case login.Login() | login.LineLogin():
                return self._begin(self._log_in(frame))
            case typed.ChannelSub():
                if client is not None:
                    return self._begin(client.subscribe(frame))
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
        elif frame.is_login and self.is_stranger:
            error = LoginError(ECode.LOGIN_E_INVALID_USER, frame.reason)
            refuse_login(self._link, self._services, error)
        else:
            logger.info("%s: %s", self._link.peer, frame.reason)
            self._end(Farewell(end=End.BAD_DATA, reason=frame.reason))

    # --- logging in ---

    async def _log_in(self, request: login.Login | login.LineLogin) -> None:
        services = self._services
        if self.client is not None and self.client.session is not None:
            refuse_second(self._link, services, self.client.session, request)
            return
        ours = LoggingIn(request, self._link, services, self._hearing)
        # A login that was cut off half-way would be nobody's to end; a refused one closes the link.
        self.ends_at = math.inf
        try:
            ours.check()
            session, presence = await ours.find_session()
        except LoginError as exc:
            ours.refuse(exc)
            return
        if self._is_over:
            # Its connection was lost meanwhile.
            await settled(services.presences.disconnected(session))
            return
        self.silence_seconds = session.patience(services.limits.silence_seconds or math.inf)
        self.client = LoggedIn(
            session, self._link, services, self._hearing, self._requests, self.began_at
        )
        await self.client.begin(ours, session, presence)

    async def _log_out(self) -> None:
        if self.client is not None:
            await self.client.log_out()

    # --- the end ---

    def go_away(self, delay: float = 0.0) -> None:
        """The node is being stopped: say farewell behind all acknowledgements. A client of ours is
        told to come back in `delay` seconds.
        """
        farewell = Farewell(end=End.GOING_AWAY, delay=delay)
        self._services.engine.when_durable(lambda _: self._end(farewell))

    def _end(self, farewell: Farewell) -> None:
        self._link.end(farewell)
        if self.client is not None:
            self.client.forget()

    def end_overdue(self, now: float) -> None:
        """Close where the time for logging in is over, or nothing was heard for too long; `now` is
        the patient clock's. Who is still logging in may be silent.
        """
        if self.is_stranger:
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

    async def _detach(self) -> None:
        """The link is gone."""
        self._is_over = True
        if self.client is not None:
            await self.client.lose()
