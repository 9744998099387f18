"""One client's connection: from its first frame to its end.

Owns: reading frames, who is logged in on this link, and what its client is told without asking.
Must not know how a request is answered: requests.py does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ProtocolError, SignalError
from signal_sdk.server.engine.base import Event
from signal_sdk.server.requests import Requests, Services
from signal_sdk.server.session import Session
from signal_sdk.websocket.link import (
    GOING_AWAY,
    INVALID_DATA,
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    Link,
    LinkClosed,
    Message,
    encode_text,
)
from signal_sdk.wire import call2, events, frames, functions, lines, login

logger = logging.getLogger("signal_sdk.server")

FRAMES_PER_TURN: Final = 32
"""How many frames of one client are handled before others run."""
FAREWELL_SECONDS: Final = 2.0
"""How long a connection's own end may take once its node is being stopped."""


def _frame(message: Message) -> frames.Frame:
    if message.binary:
        raise ProtocolError("a binary frame, which only the server may send")
    return frames.decode_frame(message.data)


def _at_once(work: Coroutine[Any, Any, None]) -> None:
    """Have done, now, what does not wait."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("an engine that is immediate has waited")


class Connection:
    """A client on its link. It satisfies the hub's `Holder` once it is logged in."""

    __slots__ = (
        "_entered",
        "_is_entering",
        "_is_first_frame",
        "_is_welcome",
        "_link",
        "_reads_ids",
        "_requests",
        "_services",
        "_session",
        "ends_at",
        "generation",
    )

    def __init__(self, link: Link, services: Services, ends_at: float) -> None:
        self._link = link
        self._services = services
        self._session: Session | None = None
        self.ends_at = ends_at
        """When, by trio's clock, the client's time for logging in is over, and then its token's."""
        self._requests = Requests(services, link)
        self._is_entering = False
        self._entered: trio.Event | None = None
        self._is_welcome = False
        self._is_first_frame = False
        self._reads_ids = False
        self.generation = 0

    @property
    def heard_at(self) -> float:
        """When the client was last heard of."""
        return self._link.heard_at

    def rest(self, rouse: Callable[[], None]) -> bool:
        """Serve the client without a task for as long as nothing has to wait; `rouse` is called
        once, when `run` is needed. False where that is so from the start. Raises `LinkError`.
        """
        if not self._services.engine.is_immediate:
            return False
        self._link.watch(self._take)
        return self._link.rest(rouse)

    def wake(self) -> None:
        """Rouse whoever serves the client, if it rests."""
        self._link.wake()

    async def run(self) -> None:
        """Serve the client until it goes, or is sent away."""
        if self._services.engine.is_immediate:
            self._link.watch(self._take)
        try:
            # Roused by the node's end, there is nothing left to be read with.
            await trio.lowlevel.checkpoint_if_cancelled()
            while True:
                await self._serve_some()
        except LinkClosed as exc:
            logger.debug("%s: %s", self._link.peer, exc)
        finally:
            with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self._detach()
        await self._link.aclose()

    async def _serve_some(self) -> None:
        """Handle what one read brings. Raises `LinkClosed` at the end."""
        messages = await self._link.receive()
        for number, message in enumerate(messages, 1):
            if self._is_entering:
                self._entered = trio.Event()
                await self._entered.wait()
            if not self._link.is_listening:
                # What a client says behind the end that it was given is nobody's word.
                return
            try:
                await self._handle(_frame(message))
            except ProtocolError as exc:
                self._refuse_frame(exc)
            if number % FRAMES_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    def _take(self, message: Message) -> bool:
        """Handle a message where it is read, if it needs no waiting: only a logout does, and what
        is said before a login is durable.
        """
        if self._is_entering:
            return False
        try:
            request = None if message.binary else call2.decode_plain_request(message.data)
            if request is None:
                frame = _frame(message)
                if frame.event != call2.CALL:
                    _at_once(self._handle(frame))
                    return True
                request = call2.decode_request(frame)
            if request.function == functions.UserLogout.function:
                return False
            self._begin(call2.CALL)
            _at_once(self._requests.answer(self._session, request))
        except ProtocolError as exc:
            self._refuse_frame(exc)
        return True

    def _begin(self, event: str) -> None:
        """Note a frame; the first one of a session decides what its client hears."""
        if self._is_first_frame:
            self._is_first_frame = False
            if event != login.SET_FLAG and self._session is not None:
                self._requests.listen(self._session)

    async def _handle(self, frame: frames.Frame) -> None:
        self._begin(frame.event)
        match frame.event:
            case call2.CALL:
                await self._call(call2.decode_request(frame))
            case login.PING:
                self._requests.send(frames.encode_frame(login.PONG, frame.decode(int)))
            case login.LOGIN:
                await self._log_in(frame.decode(login.Login))
            case login.LINE_LOGIN:
                await self._log_in(frame.decode(login.LineLogin))
            case login.SET_FLAG:
                self._link.outbox.reads_binary = bool(frame.decode(login.SetFlag).binary)
                # Only the web SDK 1.4 says this, which reads v3 lines: by their ids it knows what
                # it has had before a reconnection, and would hand over again.
                self._reads_ids = True
                if self._session is not None:
                    self._session.reads_ids = True
            case _:
                # The original clients pass over events that they do not know, and so do we.
                logger.debug("%s: unknown event %.40r", self._link.peer, frame.event)

    def _refuse_frame(self, exc: ProtocolError) -> None:
        """Refuse what cannot be read: under its own id where that could be found, else with the
        connection.
        """
        if (
            isinstance(exc, frames.FrameError)
            and exc.event == call2.CALL
            and exc.callid is not None
        ):
            self._requests.send(
                call2.encode_failure(exc.callid, SignalError(ECode.GENERAL_E_WRONG_PARAM, str(exc)))
            )
        elif (
            isinstance(exc, frames.FrameError)
            and exc.event == login.LOGIN
            and self._session is None
        ):
            self._refuse_login(LoginError(ECode.LOGIN_E_INVALID_USER, str(exc)))
        else:
            logger.info("%s: %s", self._link.peer, exc)
            self._close(str(exc), code=INVALID_DATA)

    # --- logging in ---

    async def _log_in(self, request: login.Login | login.LineLogin) -> None:
        services = self._services
        if self._session is not None:
            error = LoginError(
                ECode.LOGIN_E_ALREADY_LOGIN,
                f"{self._session.account!r} is logged in on this connection",
            )
            self._requests.send(login.encode_failure(error))
            return
        # A login that was cut off half-way would be nobody's to end; a refused one closes the link.
        self.ends_at = math.inf
        try:
            self._check_admission()
            if services.engine.is_immediate:
                session = await self._find_session(request)
            else:
                # Not even the node's end may cut it off between what is done and what is known
                # here.
                with trio.CancelScope(shield=True):
                    session = await self._find_session(request)
        except LoginError as exc:
            self._refuse_login(exc)
            return
        session.reads_ids = self._reads_ids
        self.generation = session.generation
        if not services.hub.add(session.key, self):
            # Another login was quicker than ours was finished.
            self.kick()
            return
        if services.engine.is_immediate:
            self._is_entering = True
            services.engine.when_durable(
                lambda refusal: _at_once(self._let_in(session, request, refusal))
            )
        else:
            await self._let_in(session, request, await self._requests.durable())

    async def _let_in(
        self,
        session: Session,
        request: login.Login | login.LineLogin,
        refusal: SignalError | None,
    ) -> None:
        """The login is durable, or cannot be made so: the client hears of it."""
        self._is_entering = False
        if self._entered is not None:
            self._entered.set()
            self._entered = None
        if self._session is not session:
            # Its connection was lost meanwhile.
            return
        services = self._services
        if refusal is not None:
            self._refuse_login(LoginError(ECode.LOGIN_E_NET, refusal.reason))
            return
        if isinstance(request, login.Login):
            # The web SDK 1.4, which begins with set_flag, has forgotten its channel after a login
            # and throws where a channel's event reaches it: it hears the channel once it joins
            # again. Earlier clients hear it from their first frame on.
            self._is_first_frame = True
            self._welcome(session)
        else:
            await self._resume(session, request)
        logger.info("%s: %r of app %r logged in", self._link.peer, session.account, session.app)
        if not await services.presences.is_current(session):
            # As above, on another node.
            self.kick()
            return
        if session.token_expires is not None:
            left = session.token_expires - services.clock()
            self.ends_at = trio.current_time() + left

    async def _find_session(self, request: login.Login | login.LineLogin) -> Session:
        presences = self._services.presences
        if isinstance(request, login.Login):
            self._session = await presences.log_in(request)
        else:
            self._session = await presences.resume(request)
        return self._session

    def _check_admission(self) -> None:
        if self._services.is_draining():
            raise LoginError(ECode.LOGIN_E_NET, "the server is going away")
        try:
            self._services.engine.check_writable()
        except SignalError as exc:
            raise LoginError(ECode.LOGIN_E_NET, exc.reason) from None

    async def _resume(self, session: Session, request: login.LineLogin) -> None:
        """Let the client go on: tell it what it has missed of its channel, or that it cannot be
        told.
        """
        if session.channel is None:
            self._welcome(session)
            return
        key = session.channel_key(session.channel)
        is_there = request.channel in (None, session.channel)
        gate = self._requests.listen_behind_gate(session) if is_there else None
        roster = await self._services.engine.roster(key, 0)
        if gate is None:
            # It is in the midst of moving: the request that moves it comes again, and is answered
            # with how things stand.
            self._welcome(session, msgid=roster.msgid)
            return
        missed = await self._services.engine.history(key, request.msgid, self._services.clock())
        frames_missed = self._encode(key.channel, missed)
        self._welcome(session, msgid=roster.msgid, gap=frames_missed is None)
        for data in frames_missed or ():
            self._link.send_encoded(data)
        self._requests.open(session, gate)

    def _encode(self, channel: str, missed: Sequence[Event] | None) -> Sequence[bytes] | None:
        """The events' frames, as text, since they would be compressed for this member alone; None
        where they are not held, or would overrun the outbox.
        """
        if missed is None:
            return None
        encoded = [
            encode_text(
                events.encode_channel_event(channel, event.msgid, event.content, event.time_ms)
            )
            for event in missed
        ]
        limit = self._services.limits.outbox_bytes // 2
        return None if limit and sum(map(len, encoded)) > limit else encoded

    def _welcome(self, session: Session, *, msgid: int = 0, gap: bool = False) -> None:
        success = login.LoginSucceeded(
            uid=session.uid, line=session.line, channel=session.channel, msgid=msgid, gap=gap
        )
        self._requests.send(login.encode_success(success))
        self._is_welcome = True

    def _refuse_login(self, exc: LoginError) -> None:
        logger.info("%s: login refused: %s", self._link.peer, exc)
        self._requests.send(login.encode_failure(exc))
        self._link.close(NORMAL_CLOSURE)

    # --- requests ---

    async def _call(self, request: call2.Request) -> None:
        if request.function == functions.UserLogout.function:
            await self._requests.log_out(self._session, request, self._end_session)
        else:
            await self._requests.answer(self._session, request)

    # --- what the hub calls ---

    def push_entry(self, version: int, line: str) -> None:
        """Hand the client a new inbox entry, or tell it to poll."""
        if not self._is_welcome:
            # Nothing reaches a client before the answer to its login, behind which it polls.
            return
        session = self._session
        if session is not None and session.wants_push:
            text = events.encode_push(
                version, line if session.wants_ids else lines.without_id(line)
            )
        else:
            text = events.encode_announcement(version)
        self._requests.send(text)

    def kick(self) -> None:
        """The account logged in elsewhere."""
        code = ECode.LOGOUT_E_KICKED
        self._requests.send(
            frames.encode_frame(login.KICK, login.Closing(ecode=int(code), reason=code.meaning))
        )
        self._link.close(POLICY_VIOLATION, "kicked")
        self._forget()

    # --- the end ---

    def go_away(self, delay: float = 0.0) -> None:
        """The node is being stopped: say farewell behind all acknowledgements. A client of ours is
        told to come back in `delay` seconds.
        """

        def close(_: SignalError | None) -> None:
            session = self._session
            if session is not None and session.device == login.WEB_DEVICE:
                # It takes a farewell for a logout, and comes back by itself after a mere close.
                self._link.close(GOING_AWAY, "the server is going away")
                self._forget()
            else:
                self._close("the server is going away", code=GOING_AWAY, delay=delay)

        self._services.engine.when_durable(close)

    def _close(
        self,
        reason: str,
        *,
        code: int,
        ecode: ECode = ECode.LOGOUT_E_NET,
        delay: float = 0.0,
    ) -> None:
        closing = login.Closing(ecode=int(ecode), reason=reason, delay=delay)
        self._requests.send(frames.encode_frame(login.CLOSE, closing))
        # A close frame's reason holds 123 bytes.
        self._link.close(code, reason.encode()[:120].decode(errors="ignore"))
        self._forget()

    def end_overdue(self, now: float, silent_since: float) -> None:
        """Close where the time for logging in, or the token's, is over, or nothing was heard since
        then. Who is still logging in may be silent.
        """
        if self.ends_at <= now:
            if self._session is None:
                self._close("nothing was said in time", code=POLICY_VIOLATION)
            else:
                self.ends_at = math.inf
                self._services.timers.after(0, self._expire)
        elif self._session is not None and self.heard_at <= silent_since:
            limit = self._services.limits.silence_seconds
            self._close(f"nothing was heard for {limit} s", code=POLICY_VIOLATION)

    async def _expire(self) -> None:
        """The token's time is over: so is the session's."""
        self._close(
            "the token has expired", code=POLICY_VIOLATION, ecode=ECode.LOGOUT_E_TOKENEXPIRED
        )
        await self._end_session()

    async def _end_session(self) -> None:
        """End presence now, not when its lease is over."""
        session = self._session
        if session is not None:
            self._forget()
            self._session = None
            await self._services.presences.log_out(session)

    def _forget(self) -> None:
        """Hear of nothing any more, so that nothing is sent behind a farewell."""
        if self._session is not None:
            self._services.hub.remove(self._session.key, self)
            self._requests.unlisten(self._session)

    async def _detach(self) -> None:
        """The link is gone: the account's lease begins, unless a newer login holds it."""
        session = self._session
        if session is not None:
            self._forget()
            self._session = None
            await self._services.presences.disconnected(session)
