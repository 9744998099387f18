"""A connection's requests: decoded, answered once, and acknowledged when what they changed is
durable.

Owns: the replies that are kept for requests that come again, and the moment of an acknowledgement.
Must not know what a function does: functions.py's table does, and the rules behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeGuard

import attrs
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.server import rights
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import Asked, Engine, Known
from signal_sdk.server.functions import Change, Handlers, Question
from signal_sdk.server.hearing import Hearing
from signal_sdk.server.hub import Gate, Hub
from signal_sdk.server.inbox import Polled
from signal_sdk.server.memory import SHORT_OF_MEMORY, MemoryWatch
from signal_sdk.server.presence import Presences
from signal_sdk.server.rates import Pace
from signal_sdk.server.refusals import Limit, Refusals, as_login_error, login_too_often, too_often
from signal_sdk.server.session import Session
from signal_sdk.server.visitors import RETRY_SECONDS, Visitors
from signal_sdk.server.wires.base import ClientLink
from signal_sdk.wire import call2, functions, results, typed
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.rights import ALL

logger: logging.Logger = logging.getLogger("signal_sdk.server")

SENDING: Final = frozenset(
    {
        functions.UserSendMessage,
        functions.ChannelSendMessage,
        functions.PushSendMessage,
        functions.VoipInvite,
        functions.VoipInviteMsg,
        functions.PstnInvite,
        functions.PstnDtmf,
    }
)
"""What counts as a message, which the rules count: `user_messages_per_second`."""
QUESTION_CHARS: Final = 16_384
"""An answer counts as one more question for each so many characters: whoever asks for the names of
100,000 members asks for a while."""
MOVING: Final = (functions.ChannelJoin, functions.ChannelLeave)
"""What changes the channel that is heard."""
MAX_CALLID: Final = 2**63 - 1
"""The largest call id whose reply is kept for a request that comes again: what a row can hold."""


PACED: Final[Mapping[Limit, str]] = {
    "questions_per_second": "questions",
    "changes_per_second": "joins, leaves, changes of attributes and steps of calls",
}
"""What a session may ask for so many of in a second."""
WRONG_LINE: Final = "wrong line"
"""Why a request is refused whose `line` is not its connection's own: what a native client knows it
by.
"""
DONE: Final = call2.encode_result(results.DONE)
OVERTAKEN: Final = call2.encode_result(results.JoinResult(list=(), attrs={}, num=0))
"""What a join is answered that comes again where a later request has led elsewhere: how things were
then is of no use any more, and may be large."""
REPLIES: Final[Mapping[type[Arguments], str]] = {
    functions.UserSetAttr: call2.encode_result(results.SetAttrResult()),
    functions.ChannelJoin: OVERTAKEN,
}
"""What is kept of the answers that are not `DONE`."""


@attrs.frozen(kw_only=True)
class Services:
    """What every connection of a node works with."""

    engine: Engine
    hub: Hub
    presences: Presences
    handlers: Handlers
    limits: LimitsConfig
    clock: Clock
    visitors: Visitors
    memory: MemoryWatch
    refusals: Refusals
    is_draining: Callable[[], bool]

    def check_admission(self, *, is_resume: bool) -> None:
        """Raise `LoginError` (201) where nobody is let in for the moment, or, where memory is
        short, only who comes back to a session.
        """
        if self.is_draining():
            raise LoginError(ECode.LOGIN_E_NET, "the server is going away")
        try:
            self.engine.check_writable()
        except SignalError as exc:
            raise as_login_error(exc) from None
        if self.memory.is_short and not is_resume:
            raise login_too_often(SHORT_OF_MEMORY, RETRY_SECONDS, limit="memory_percent")


class Requests:
    """The requests of one connection."""

    __slots__ = ("_hearing", "_link", "_services", "unwritten")

    def __init__(self, services: Services, link: ClientLink, hearing: Hearing) -> None:
        self._services = services
        self._link = link
        self._hearing = hearing
        self.unwritten: int = 0
        """How many have changed something that is not durable yet."""

    async def answer(self, session: Session | None, request: call2.Request) -> None:
        """Answer a request, now or when it is durable."""
        callid = request.callid
        try:
            await self._answer(session, request)
        except SignalError as exc:
            logger.debug("%s: %.40r refused: %s", self._link.peer, request.function, exc)
            self._services.refusals.told(exc)
            self._link.send(typed.Failure(callid, exc))
        except Exception:
            logger.exception("%s: %.40r failed", self._link.peer, request.function)
            error = SignalError(ECode.GENERAL_E_UNKNOWN, "internal error")
            self._link.send(typed.Failure(callid, error))

    def decode(
        self, session: Session | None, request: call2.Request
    ) -> tuple[Session, int | None, Arguments]:
        """A request's session, its `ack` and its arguments. Raises `SignalError`."""
        if session is None:
            raise SignalError(ECode.GENERAL_E_NOT_LOGIN, "not logged in")
        line, ack, args = call2.decode_args(request)
        if not session.is_its_line(line):
            raise SignalError(ECode.GENERAL_E_NOT_LOGIN, WRONG_LINE)
        if session.rights is not ALL:
            rights.check(session.rights, args)
        return session, ack, args

    async def _answer(self, session: Session | None, request: call2.Request) -> None:
        session, ack, args = self.decode(session, request)
        question = self._services.handlers.questions.get(type(args))
        if question is not None:
            await self._answer_question(session, request.callid, args, question)
            return
        engine = self._services.engine
        engine.check_writable()
        asked = Asked(
            session.key,
            session.generation,
            request.callid if ack is not None and _is_countable(request.callid) else None,
            ack or 0,
            REPLIES.get(type(args), DONE),
        )
        gate = None
        result: results.Result | Known | None
        try:
            if type(args) not in SENDING:
                most = self._services.limits.changes_per_second
                self._check_pace(session.changes, most, "changes_per_second")
            change = self._services.handlers.changes[type(args)]
            if isinstance(args, MOVING):
                result, gate = await self._move(session, args, asked, change)
            else:
                result = await change(session, args, asked)
        except SignalError:
            # What was done before is not refused now.
            result = await engine.recall(asked) if asked.callid is not None else None
            if result is None:
                raise
        if result is None:
            text = asked.reply
        elif isinstance(result, Known):
            text = result.reply
        else:
            text = call2.encode_result(result)
        if isinstance(args, functions.ChannelSendMessage):
            # What becomes of it has been handed to everybody, and is in no journal.
            self._reply(request.callid, text)
        else:
            self.unwritten += 1
            engine.when_durable(partial(self._acknowledge, session, gate, request.callid, text))

    async def _answer_question(
        self, session: Session, callid: call2.CallId, args: Arguments, question: Question
    ) -> None:
        most = self._services.limits.questions_per_second
        self._check_pace(session.questions, most, "questions_per_second")
        result = await question(session, args)
        if isinstance(result, Polled):
            # What it clears must not come again: its client remembers it only until then. But where
            # nothing can be written, what waits can be read all the same.
            page = typed.Reply(callid, result.page, result.next_version)
            self._services.engine.when_durable(lambda _: self._link.send(page))
            return
        text = call2.encode_result(result)
        self._reply(callid, text)
        if len(text) > QUESTION_CHARS:
            self._charge(session, len(text) / QUESTION_CHARS)

    def _check_pace(self, pace: Pace, most: int, limit: Limit) -> None:
        seconds = pace.seconds_left(most, trio.current_time())
        if seconds:
            raise too_often(
                ECode.GENERAL_E_FAILED,
                f"more than {most} {PACED[limit]} in a second from one user",
                seconds,
                limit=limit,
            )

    def _charge(self, session: Session, count: float) -> None:
        limit = self._services.limits.questions_per_second
        session.questions.charge(count, limit, trio.current_time())

    def _acknowledge(
        self,
        session: Session,
        gate: Gate | None,
        callid: call2.CallId,
        text: str,
        error: SignalError | None,
    ) -> None:
        self.unwritten -= 1
        self._reply(callid, text, error)
        if gate is not None:
            self._hearing.open(session, gate)

    def _reply(self, callid: call2.CallId, text: str, error: SignalError | None = None) -> None:
        self._link.send(
            typed.Reply(callid, text) if error is None else typed.Failure(callid, error)
        )

    async def log_out(
        self, session: Session | None, request: call2.Request, end: Callable[[], Awaitable[None]]
    ) -> None:
        """Answer `user_logout`: have the session ended by `end`, and close the link behind the
        answer.
        """
        try:
            session, _, args = self.decode(session, request)
        except SignalError as exc:
            self._link.send(typed.Failure(request.callid, exc))
            return
        if isinstance(args, functions.UserLogout) and args.ver_clear:
            await self._clear(session, args.ver_clear)
        await end()

        def close(error: SignalError | None) -> None:
            self._reply(request.callid, call2.encode_result(results.DONE), error)
            self._link.end(typed.Farewell(end=typed.End.DONE))

        self._services.engine.when_durable(close)

    async def _clear(self, session: Session, ver_clear: int) -> None:
        """Everything up to this version is handled, as a poll says."""
        services = self._services
        await services.engine.read_inbox(session.key, ver_clear, 0)

    async def durable(self) -> SignalError | None:
        """Wait until all that was done so far is durable; why it cannot be made so."""
        outcome: list[SignalError | None] = []
        is_known: trio.Event | None = None

        def then(error: SignalError | None) -> None:
            outcome.append(error)
            if is_known is not None:
                is_known.set()

        self._services.engine.when_durable(then)
        if not outcome:
            is_known = trio.Event()
            await is_known.wait()
        return outcome[0]

    # --- the channel ---

    async def _move(
        self,
        session: Session,
        args: functions.ChannelJoin | functions.ChannelLeave,
        asked: Asked,
        change: Change,
    ) -> tuple[results.Result | Known | None, Gate | None]:
        """Join or leave a channel, and hear of the one that the session is in then, behind a gate
        until its client knows.
        """
        hearing = self._hearing
        is_join = isinstance(args, functions.ChannelJoin)
        if not is_join and args.channel != hearing.channel:
            return await change(session, args, asked), None
        old, new = hearing.hold(session), None
        try:
            if is_join:
                new = await hearing.approach(session, args.channel, old)
            result = await change(session, args, asked)
        except BaseException:
            hearing.stay(session, old, new)
            raise
        if new is not None and isinstance(result, results.JoinResult):
            return result, hearing.arrive(session, old, new, result.msgid)
        if is_join or isinstance(result, Known):
            hearing.stay(session, old, new)
        else:
            hearing.unlisten(session)
        return result, None


def _is_countable(callid: call2.CallId) -> TypeGuard[int]:
    return isinstance(callid, int) and 0 <= callid <= MAX_CALLID
