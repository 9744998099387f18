"""A connection's requests: decoded, answered once, and acknowledged when what they changed is
durable.

Owns: the order of a request's steps, and the moment of an acknowledgement. Must not know what a
function does: functions.py's table does, and the rules behind it; nor what of a reply is kept
(replies.py), or how often who may ask (pacing.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server import pacing, rights
from signal_sdk.server.counts import UNREADABLE
from signal_sdk.server.engine.base import Answer, Asked, Known, Pending, UnknownError
from signal_sdk.server.engine.pending import after, drive, left, settled
from signal_sdk.server.functions import Question
from signal_sdk.server.hearing import Hearing
from signal_sdk.server.inbox import Polled
from signal_sdk.server.moves import hear_again, hear_of_move
from signal_sdk.server.replies import DONE, REPLIES, is_countable, text_of
from signal_sdk.server.services import Services
from signal_sdk.server.session import Session
from signal_sdk.server.watches import Watches
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.wire import call2, functions, results, typed
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.attribute_functions import UserUnwatch, UserWatch
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.rights import ALL

T = TypeVar("T")
AnyRequest: TypeAlias = "call2.Request | call2.MessageRequest"

logger: logging.Logger = logging.getLogger("signal_sdk.server.requests")

MOVING: Final = (functions.ChannelJoin, functions.ChannelLeave)
"""What changes the channel that is heard."""
WATCHING: Final = (UserWatch, UserUnwatch)
"""What changes which accounts are watched, which is the connection's own."""
MOST_UNDER_WAY: Final = 64
"""How many requests of one connection an engine has at once, where their results are pending."""
WRONG_LINE: Final = "wrong line"
"""Why a request is refused whose `line` is not its connection's own: what a native client knows it
by.
"""


@hides("text")
class _Acknowledgement(msgspec.Struct, gc=False):
    """Of a request, once what that has changed is durable; `then` is called behind it. A `partial`
    is four objects, which the garbage collector looks at.
    """

    requests: Requests
    callid: call2.CallId
    text: str
    then: Callable[[], None] | None

    def __call__(self, error: SignalError | None) -> None:
        self.requests.acknowledge(self.callid, self.text, self.then, error)


class Requests:
    """The requests of one connection."""

    __slots__ = ("_hearing", "_link", "_services", "_under_way", "_watches", "unwritten")

    def __init__(self, services: Services, link: ClientLink, hearing: Hearing) -> None:
        self._services = services
        self._link = link
        self._hearing = hearing
        self._under_way = 0
        self._watches: Watches | None = None
        self.unwritten: int = 0
        """How many have changed something that is not durable yet."""

    def answer(
        self, session: Session | None, request: AnyRequest, now: float
    ) -> Pending[None] | None:
        """Answer a request that was read at `now`, by trio's clock, at once or when it is done and
        durable. Returns what the connection's next frame has to wait for, if for anything.
        """
        try:
            if type(request) is call2.MessageRequest and session is not None:
                # Nearly all that is asked, decoded and checked where it was read.
                message = request.args
                if session.rights is ALL and session.is_its_line(message.line):
                    self._services.tallies.messages += 1
                    return self._change(session, request, message.ack, message, now)
            session, ack, args = self.decode(session, request)
            self._services.tallies.requests[type(args)] += 1
            if type(args) is functions.ChannelCatchUp:
                return left(drive(self._catch_up(session, request, args)))
            if isinstance(args, WATCHING):
                return self._ask(session, request, self._watch, args, now)
            question = self._services.handlers.questions.get(type(args))
            if question is not None:
                return self._ask(session, request, question, args, now)
            return self._change(session, request, ack, args, now)
        except Exception as exc:  # noqa: BLE001  it is told
            self._refuse(request, exc)
            return None

    def _refuse(self, request: AnyRequest, exc: Exception) -> None:
        if isinstance(exc, SignalError):
            logger.debug("%s: %.40r refused: %s", self._link.peer, request.function, exc)
            self._services.refusals.told(exc)
        else:
            logger.error("%s: %.40r failed", self._link.peer, request.function, exc_info=exc)
            exc = SignalError(ECode.GENERAL_E_UNKNOWN, "internal error")
        self._services.tallies.refuse(request.function, exc)
        self._link.send(typed.Failure(request.callid, exc))

    def decode(
        self, session: Session | None, request: AnyRequest
    ) -> tuple[Session, int | None, Arguments]:
        """A request's session, its `ack` and its arguments. Raises `SignalError`."""
        if session is None:
            raise SignalError(ECode.GENERAL_E_NOT_LOGIN, "not logged in")
        args: Arguments
        if isinstance(request, call2.MessageRequest):
            args = request.args
            line, ack = args.line, args.ack
        else:
            line, ack, args = call2.decode_args(request)
        if not session.is_its_line(line):
            raise SignalError(ECode.GENERAL_E_NOT_LOGIN, WRONG_LINE)
        if session.rights is not ALL:
            rights.check(session.rights, args)
        return session, ack, args

    def _ask(
        self, session: Session, request: AnyRequest, query: Question, args: Arguments, now: float
    ) -> Pending[None] | None:
        most = self._services.limits.questions_per_second
        pacing.check_pace(session.questions, most, now, "questions_per_second")
        found = query(session, args)
        if isinstance(found, Pending):
            return self._later(request, found, partial(self._tell, session, request.callid))
        self._tell(session, request.callid, found)
        return None

    def _watch(self, session: Session, args: Arguments) -> Answer[results.Result]:
        services = self._services
        if self._watches is None:
            self._watches = Watches(self._link, services.hub, services.engine, services.limits)
        return self._watches.ask(session, args)  # type: ignore[arg-type]  # it is of WATCHING

    def forget(self) -> None:
        """Nobody is logged in on the connection any more."""
        if self._watches is not None:
            self._watches.forget()

    def _change(
        self, session: Session, request: AnyRequest, ack: int | None, args: Arguments, now: float
    ) -> Pending[None] | None:
        services, callid, kind = self._services, request.callid, type(args)
        engine = services.engine
        if not engine.is_volatile:
            engine.check_writable()
        asked = Asked(
            session.key,
            session.generation,
            callid if ack is not None and is_countable(callid) else None,
            ack or 0,
            REPLIES.get(kind, DONE),
        )
        result: Answer[results.Result | Known | None]
        try:
            if kind in pacing.SENDING:
                most = services.limits.user_messages_per_second
                # In line, since each message comes here.
                if most and not (rate := session.sent or session.begin_sending()).allows(most, now):
                    raise pacing.sent_too_often(rate, most, now)
            else:
                most = services.limits.changes_per_second
                pacing.check_change(session, args, most, now)
                if isinstance(args, MOVING):
                    return self._move(session, request, args, asked)
            result = services.handlers.changes[kind](session, args, asked)
        except SignalError as exc:
            result = self._recall(asked, exc)
        # What becomes of a channel's message has been handed to everybody, and is in no journal.
        is_done = kind is functions.ChannelSendMessage or engine.is_volatile
        done = self._done if is_done else self._changed
        if isinstance(result, Pending):
            told = partial(done, session, callid, asked)
            return self._later(request, result, told, holds=kind in services.holding)
        done(session, callid, asked, result)
        return None

    def _later(
        self,
        request: AnyRequest,
        result: Pending[T],
        tell: Callable[[T], None],
        *,
        holds: bool = False,
    ) -> Pending[None] | None:
        """Tell a result when it is there, or why there is none. Of more than so many nothing is
        read meanwhile, nor of one that `holds` what its session says behind it.
        """
        self._under_way += 1
        is_held = holds or self._under_way >= MOST_UNDER_WAY
        told: Pending[None] | None = Pending() if is_held else None

        def when() -> None:
            self._under_way -= 1
            try:
                tell(result.result())
            except Exception as exc:  # noqa: BLE001  it is told
                self._refuse(request, exc)
            if told is not None:
                told.resolve(None)

        result.when_done(when)
        return None if result.is_done else told

    def _recall(self, asked: Asked, refusal: SignalError) -> Answer[Known | None]:
        """What was done before is not refused now."""
        if asked.callid is None:
            raise refusal

        def known_or_refused(known: Known | None) -> Known:
            if known is None:
                raise refusal
            return known

        return after(self._services.engine.recall(asked), known_or_refused)

    def _done(
        self,
        session: Session,
        callid: call2.CallId,
        asked: Asked,
        result: results.Result | Known | None,
    ) -> None:
        text = asked.reply if result is None else text_of(result)
        if len(text) > pacing.QUESTION_CHARS and not isinstance(result, results.JoinResult):
            # It tells how things are, as the answer to a question does.
            pacing.charge_answer(session, text, self._services.limits)
        self._link.send(typed.Reply(callid, text))

    def _changed(
        self,
        session: Session,
        callid: call2.CallId,
        asked: Asked,
        result: results.Result | Known | None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """A change is acknowledged when it is durable; `then` is called behind that."""
        self.unwritten += 1
        text = asked.reply if result is None else text_of(result)
        if len(text) > pacing.QUESTION_CHARS and not isinstance(result, results.JoinResult):
            # It tells how things are, as the answer to a question does.
            pacing.charge_answer(session, text, self._services.limits)
        self._services.engine.when_durable(
            _Acknowledgement(self, callid, text, then),
            is_urgent=self.unwritten == 1 and self._services.hub.serves_seldom,
        )

    def _tell(self, session: Session, callid: call2.CallId, result: results.Result) -> None:
        """Answer a question."""
        if isinstance(result, Polled):
            # What it clears must not come again: its client remembers it only until then. But where
            # nothing can be written, what waits can be read all the same.
            self._services.tallies.polled += len(result.page.msgs)
            page = typed.Reply(callid, result.page, result.next_version)
            self._services.engine.when_durable(lambda _: self._link.send(page))
            return
        text = call2.encode_result(result)
        self._reply(callid, text)
        if len(text) > pacing.QUESTION_CHARS:
            pacing.charge_answer(session, text, self._services.limits)

    def acknowledge(
        self,
        callid: call2.CallId,
        text: str,
        then: Callable[[], None] | None,
        error: SignalError | None,
    ) -> None:
        """What a request has changed is durable, or cannot be made so."""
        self.unwritten -= 1
        if error is None:
            self._link.send(typed.Reply(callid, text))
        else:
            self._services.tallies.refuse(UNREADABLE, error)
            self._link.send(typed.Failure(callid, error))
        if then is not None:
            then()

    def _reply(self, callid: call2.CallId, text: str, error: SignalError | None = None) -> None:
        self._link.send(
            typed.Reply(callid, text) if error is None else typed.Failure(callid, error)
        )

    async def log_out(
        self,
        session: Session | None,
        request: call2.Request,
        end: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """Answer `user_logout`: have the session ended by `end`, and close the link behind the
        answer; or refuse it, where the engine is away, and close as well.
        """
        try:
            session, _, args = self.decode(session, request)
        except SignalError as exc:
            self._services.tallies.refuse(request.function, exc)
            self._link.send(typed.Failure(request.callid, exc))
            return
        self._services.tallies.requests[type(args)] += 1
        ver_clear = args.ver_clear if isinstance(args, functions.UserLogout) else 0

        def close(error: SignalError | None) -> None:
            if error is not None:
                self._services.tallies.refuse(request.function, error)
            self._reply(request.callid, call2.encode_result(results.DONE), error)
            self._link.end(typed.Farewell(end=typed.End.DONE))

        try:
            if ver_clear:
                # Everything up to this version is handled, as a poll says.
                await settled(self._services.engine.read_inbox(session.key, ver_clear, 0))
            await end()
        except SignalError as exc:
            close(exc)
        else:
            self._services.engine.when_durable(close)

    def durable(self) -> Pending[SignalError | None]:
        """When all that was done so far is durable: None, or why it cannot be made so."""
        outcome: Pending[SignalError | None] = Pending()
        self._services.engine.when_durable(outcome.resolve)
        return outcome

    # --- the channel ---

    def _move(
        self,
        session: Session,
        request: AnyRequest,
        args: functions.ChannelJoin | functions.ChannelLeave,
        asked: Asked,
    ) -> Pending[None] | None:
        """Join or leave a channel. What is said behind it is about the channel that it leads to:
        the next frame waits.
        """
        return left(drive(self._do_move(session, request, args, asked)))

    async def _do_move(
        self,
        session: Session,
        request: AnyRequest,
        args: functions.ChannelJoin | functions.ChannelLeave,
        asked: Asked,
    ) -> None:
        try:
            open_gate = None
            try:
                result, open_gate = await hear_of_move(
                    self._services, self._hearing, session, args, asked
                )
            except UnknownError:
                # Its client would take itself to be where it may not be: it comes back, and asks
                # again.
                self._link.abort()
                return
            except SignalError as exc:
                result = await settled(self._recall(asked, exc))
            self._changed(session, request.callid, asked, result, open_gate)
        except Exception as exc:  # noqa: BLE001  it is told
            self._refuse(request, exc)

    async def _catch_up(
        self, session: Session, request: AnyRequest, args: functions.ChannelCatchUp
    ) -> None:
        """Answer `channel_catch_up`; what was missed goes out behind that."""
        try:
            result, open_gate = await hear_again(self._services, self._hearing, session, args)
            self._reply(request.callid, call2.encode_result(result))
            open_gate()
        except UnknownError:
            # As of a move.
            self._link.abort()
        except Exception as exc:  # noqa: BLE001  it is told
            self._refuse(request, exc)
