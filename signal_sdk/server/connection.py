"""One client's connection: from its first frame to its end.

Owns: reading frames, who is logged in on this link, and what its client is told. Must not know what
a function does: functions.py's table does, and the rules behind it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ProtocolError, SignalError
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.functions import Handler
from signal_sdk.server.hub import Hub
from signal_sdk.server.presence import Presences
from signal_sdk.server.session import Session
from signal_sdk.server.timers import Timer, Timers
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
from signal_sdk.websocket.outbox import Outbox
from signal_sdk.wire import call2, events, frames, functions, login
from signal_sdk.wire.lines import MessageLine

logger = logging.getLogger("signal_sdk.server")

FRAMES_PER_TURN: Final = 32
"""How many frames of one client are handled before others run."""
FAREWELL_SECONDS: Final = 2.0
"""How long a connection's own end may take once its node is being stopped."""


@attrs.frozen(kw_only=True)
class Services:
    """What every connection of a node works with."""

    hub: Hub
    presences: Presences
    handlers: Mapping[type[functions.Arguments], Handler]
    timers: Timers
    limits: LimitsConfig
    clock: Clock


def _frame(message: Message) -> frames.Frame:
    if message.binary:
        raise ProtocolError("a binary frame, which only the server may send")
    return frames.decode_frame(message.data)


class Connection:
    """A client on its link. It satisfies the hub's `Holder` once it is logged in."""

    def __init__(self, link: Link, services: Services) -> None:
        self._link = link
        self._services = services
        self._session: Session | None = None
        self._heard = trio.current_time()
        self._timers: dict[str, Timer] = {}
        self._patience = trio.CancelScope()
        self.outbox: Outbox = link.outbox
        self._is_first_frame = False
        self._reads_ids = False
        self.generation = 0

    async def run(self, handshake_ends: float) -> None:
        """Serve the client until it goes, or is sent away. It has until `handshake_ends` (trio's
        clock) to log in.
        """
        try:
            self._patience.deadline = handshake_ends
            with self._patience:
                await self._serve()
            if self._patience.cancelled_caught:
                self._close("nothing was said in time", code=POLICY_VIOLATION)
        except LinkClosed as exc:
            logger.debug("%s: %s", self._link.peer, exc)
        finally:
            for timer in self._timers.values():
                timer.cancel()
            with trio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self._detach()
        await self._link.aclose()

    async def _serve(self) -> None:
        while True:
            messages = await self._link.receive()
            self._heard = trio.current_time()
            for number, message in enumerate(messages, 1):
                if not self._link.is_open:
                    # What a client says behind its end is nobody's word.
                    return
                try:
                    await self._handle(_frame(message))
                except ProtocolError as exc:
                    self._refuse_frame(exc)
                if number % FRAMES_PER_TURN == 0:
                    await trio.lowlevel.checkpoint()

    async def _handle(self, frame: frames.Frame) -> None:
        if self._is_first_frame:
            self._is_first_frame = False
            if frame.event != login.SET_FLAG:
                self._listen()
        match frame.event:
            case call2.CALL:
                await self._call(call2.decode_request(frame))
            case login.PING:
                self._link.send_encoded(
                    encode_text(frames.encode_frame(login.PONG, frame.decode(int)))
                )
            case login.LOGIN:
                await self._log_in(frame.decode(login.Login))
            case login.LINE_LOGIN:
                await self._log_in(frame.decode(login.LineLogin))
            case login.SET_FLAG:
                # A permission, which we have no use for: an event is encoded once for all, whatever
                # they permit. But only the web SDK 1.4 gives it, which reads v3 lines: by their ids
                # it knows what it has had before a reconnection, and would hand over again.
                frame.decode(login.SetFlag)
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
            self._send(
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
            self._send(login.encode_failure(error))
            return
        # A login that was cut off half-way would be nobody's to end; a refused one closes the link.
        self._patience.deadline = math.inf
        try:
            if isinstance(request, login.Login):
                session = await services.presences.log_in(request)
            else:
                session = await services.presences.resume(request)
        except LoginError as exc:
            self._refuse_login(exc)
            return
        session.reads_ids = self._reads_ids
        self._session = session
        self.generation = session.generation
        if not services.hub.add(session.key, self):
            # Another login was quicker than ours was finished.
            self.kick()
            return
        gap = False
        if isinstance(request, login.LineLogin):
            self._listen()
            gap = await services.presences.has_missed(session, request.msgid)
        else:
            # The web SDK 1.4, which begins with set_flag, has forgotten its channel after a login
            # and throws where a channel's event reaches it: it hears the channel once it joins
            # again. Earlier clients hear it from their first frame on.
            self._is_first_frame = True
        self._send(
            login.encode_success(login.LoginSucceeded(uid=session.uid, line=session.line, gap=gap))
        )
        logger.info("%s: %r of app %r logged in", self._link.peer, session.account, session.app)
        if not await services.presences.is_current(session):
            # As above, on another node.
            self.kick()
            return
        self._watch_silence()
        if session.token_expires is not None:
            self._timers["token"] = services.timers.after(
                session.token_expires - services.clock(), self._expire
            )

    def _listen(self) -> None:
        """Hear of the channel that the session is in, if it is in one."""
        session = self._session
        # A kick may have come while the engine was at it.
        if session is not None and session.channel is not None and self._link.is_open:
            key = session.channel_key(session.channel)
            self._services.hub.listen(key, session.account, self.outbox)

    def _refuse_login(self, exc: LoginError) -> None:
        logger.info("%s: login refused: %s", self._link.peer, exc)
        self._send(login.encode_failure(exc))
        self._link.close(NORMAL_CLOSURE)

    # --- requests ---

    async def _call(self, request: call2.Request) -> None:
        try:
            result = await self._result(request)
        except SignalError as exc:
            logger.debug("%s: %.40r refused: %s", self._link.peer, request.function, exc)
            self._send(call2.encode_failure(request.callid, exc))
        except Exception:
            logger.exception("%s: %.40r failed", self._link.peer, request.function)
            self._send(
                call2.encode_failure(
                    request.callid, SignalError(ECode.GENERAL_E_UNKNOWN, "internal error")
                )
            )
        else:
            self._send(call2.encode_success(request.callid, result))
            if request.function == functions.UserLogout.function:
                self._link.close(NORMAL_CLOSURE)

    async def _result(self, request: call2.Request) -> functions.Result:
        session = self._session
        if session is None:
            raise SignalError(ECode.GENERAL_E_NOT_LOGIN, "call2 before login")
        line, _, args = call2.decode_args(request)
        if line != session.line:
            raise SignalError(ECode.GENERAL_E_NOT_LOGIN, "the line is not this connection's own")
        if isinstance(args, functions.UserLogout):
            await self._end_session()
            return functions.Result()
        if isinstance(args, functions.ChannelJoin | functions.ChannelLeave):
            return await self._move(session, args)
        return await self._services.handlers[type(args)](session, args)

    async def _move(
        self, session: Session, args: functions.ChannelJoin | functions.ChannelLeave
    ) -> functions.Result:
        """Join or leave a channel, and hear of the one that the session is in then.

        The one that it leaves falls silent first: who leaves does not hear of it, and the web SDK,
        which has forgotten that channel by now, would count its events' ids as the new one's.
        """
        hub = self._services.hub
        channel = session.channel
        stays = (args.channel == channel) is isinstance(args, functions.ChannelJoin)
        hears = False
        if channel is not None and not stays:
            hears = hub.unlisten(session.channel_key(channel), session.account, self.outbox)
        try:
            result = await self._services.handlers[type(args)](session, args)
            hears = isinstance(args, functions.ChannelJoin)
            return result
        finally:
            # What was refused changes nothing, not even for a client that does not hear its channel
            # yet.
            if hears:
                self._listen()

    # --- what the hub calls ---

    def push_entry(self, version: int, line: MessageLine) -> None:
        """Hand the client a new inbox entry, or tell it to poll."""
        session = self._session
        if session is not None and session.wants_push:
            self._send(events.encode_push(version, line.encode(with_id=session.wants_ids)))
        else:
            self._send(events.encode_announcement(version))

    def kick(self) -> None:
        """The account logged in elsewhere."""
        code = ECode.LOGOUT_E_KICKED
        self._send(
            frames.encode_frame(login.KICK, login.Closing(ecode=int(code), reason=code.meaning))
        )
        self._link.close(POLICY_VIOLATION, "kicked")
        self._forget()

    # --- the end ---

    def go_away(self) -> None:
        """The node is being stopped."""
        self._close("the server is going away", code=GOING_AWAY)

    def _close(self, reason: str, *, code: int, ecode: ECode = ECode.LOGOUT_E_NET) -> None:
        self._send(frames.encode_frame(login.CLOSE, login.Closing(ecode=int(ecode), reason=reason)))
        # A close frame's reason holds 123 bytes.
        self._link.close(code, reason.encode()[:120].decode(errors="ignore"))
        self._forget()

    def _send(self, text: bytes) -> None:
        self._link.send_encoded(encode_text(text))

    def _watch_silence(self) -> None:
        limit = self._services.limits.silence_seconds

        async def check() -> None:
            if trio.current_time() - self._heard >= limit:
                self._close(f"nothing was heard for {limit} s", code=POLICY_VIOLATION)
            else:
                self._watch_silence()

        self._timers["silence"] = self._services.timers.after(
            self._heard + limit - trio.current_time(), check
        )

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
            self._services.hub.remove(self._session.key, self, self._session.channel)

    async def _detach(self) -> None:
        """The link is gone: the account's lease begins, unless a newer login holds it."""
        session = self._session
        if session is not None:
            self._forget()
            self._session = None
            await self._services.presences.disconnected(session)
