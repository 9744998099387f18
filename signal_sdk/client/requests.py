"""A session's requests: each gets a call id, goes out in the order of the calls, and ends exactly
once, over however many connections.

Owns: what waits for the login or for an answer, and until when, what is sent again after a lost
connection, and how a failure gets its documented code. Must not know the connection (it is
handed a function that sends), or what a request is for.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import trio

from signal_sdk.client import given
from signal_sdk.client.log import Log
from signal_sdk.client.operation import Operation
from signal_sdk.client.request import (
    GENERAL,
    MESSAGE_CODES,
    Asked,
    CallRequest,
    Codes,
    Invocation,
    MessageRequest,
    Request,
    TimeOutError,
    UnansweredError,
    Unheard,
)
from signal_sdk.client.spanned import Spanned
from signal_sdk.client.trace import SessionTrace
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ConflictError, ParameterError, ProtocolError, SignalError
from signal_sdk.raised import text_of, type_name
from signal_sdk.wire import call2, frames, names, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong

R = TypeVar("R", bound=results.Result)
T = TypeVar("T")

REPLY_SECONDS: Final = 10.0
"""How long a request waits for its answer."""
LOGIN_WAIT_SECONDS: Final = 30.0
"""How long one waits for the session's first login, before that."""
MAX_REQUESTS: Final = 10_000
"""How many requests of one session may be under way: far above what its rate lets through in
`REPLY_SECONDS`."""


OTHER_THREAD: Final = (
    "the session of {!r} is used in the thread that trio runs in: from another one,"
    " `trio.from_thread.run_sync(METHOD, …)` leads there"
)
NO_BYTES: Final = "the server takes no messages that are bytes: send it text"


def _not_logged_in(why: str) -> SignalError:
    return SignalError(ECode.GENERAL_E_NOT_LOGIN, f"not logged in: {why}")


class Requests:
    """The requests of one session.

    `is_full` says whether callbacks have fallen too far behind, `clock` what time it is: by
    default trio's. Until the first `open` requests wait for the login, for `LOGIN_WAIT_SECONDS`;
    between `suspend` and the next `open` for a connection, no longer than for an answer. After
    `seal` no new ones are taken; `close` fails those under way. They are made in one thread, until
    `has_ended` says that nothing is anybody's there any more.
    """

    def __init__(
        self,
        unheard: Unheard,
        is_full: Callable[[], bool],
        log: Log,
        label: str = "nobody",
        clock: Callable[[], float] = trio.current_time,
        has_ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self._thread = threading.get_ident()
        self._has_ended = has_ended
        self._unheard = unheard
        self._is_full = is_full
        self._log = log
        self._label = label
        self._clock = clock
        self._pending: dict[int, Request[Any]] = {}
        self._last_id = 0
        self._was_open = False
        self._send: Callable[[bytes], None] | None = None
        self._line = ""
        self._sealed: SignalError | None = None
        self.trace: SessionTrace | None = None
        """What is told of all that goes out and is answered."""
        self.spanned: Spanned | None = None
        """What makes spans of the messages among it."""
        self.can_send_bytes: bool = True
        """Does the server take messages that are bytes? An earlier one would make text of them."""

    def __len__(self) -> int:
        return len(self._pending)

    def check_thread(self) -> None:
        """Raise `RuntimeError` in any thread but that of all the rest: what is asked elsewhere
        would wake nobody, and hold up whatever comes behind it.
        """
        if threading.get_ident() != self._thread and not self._has_ended():
            raise RuntimeError(OTHER_THREAD.format(self._label))

    # --- the session's life ---

    def open(
        self,
        line: str,
        send: Callable[[bytes], None],
        before: Callable[[], None] | None = None,
    ) -> None:
        """The session is logged in, or has been taken up again: send what waits, and from now on at
        once. What was not answered is sent again, under the call ids that it has, in their order.

        `before` is called first: what it asks goes ahead of all that.
        """
        pending = list(self._pending.items())
        is_first, self._was_open = not self._was_open, True
        self._line, self._send = line, send
        if before is not None:
            before()
        for callid, request in pending:
            error = None
            if is_first:
                request.deadline = self._clock() + REPLY_SECONDS
            elif request.lapse is not None:
                error = request.lapse()
            if error is None:
                self._put_on_wire(callid, request)
            elif self._pending.pop(callid, None) is not None:
                request.fail(error)

    def suspend(self) -> None:
        """The connection is lost: what is asked from now on waits for another."""
        self._send = None

    @property
    def is_sealed(self) -> bool:
        """Are no new requests taken any more?"""
        return self._sealed is not None

    def seal(self, why: str) -> None:
        """Take no new requests: they fail with 1003. Those under way go on."""
        if self._sealed is None:
            self._sealed = _not_logged_in(why)

    def close(self, error: SignalError) -> None:
        """The session is over: what was sent fails with `error`, what was not with 1003."""
        self.seal(error.reason)
        self._send = None
        pending, self._pending = self._pending, {}
        for request in pending.values():
            request.fail(error if self._was_open else _not_logged_in(error.reason))

    # --- calls ---

    def call(
        self,
        make: Callable[[], Arguments],
        type_: type[R],
        convert: Callable[[R], T],
        *,
        done: Callable[[R], None] | None = None,
        failed: Callable[[SignalError], None] | None = None,
        codes: Codes = GENERAL,
        unless: SignalError | None = None,
        moot: Callable[[], bool] | None = None,
        undo: Callable[[SignalError], None] | None = None,
        lapse: Callable[[], SignalError | None] | None = None,
        always: bool = False,
    ) -> Operation[T]:
        """Call a function of the server with the arguments that `make` makes.

        The operation gives `convert` of the result. `done` and `failed` are told of the outcome
        first; where there is no `failed`, and nobody awaits, a failure is unheard. With `unless`,
        the call is refused with that error; so it is where `make` raises `ParameterError`. A
        failure that is `moot` is none; before any other is told, `undo` is called. `lapse` gives
        the reason why the request is not to be sent again after a lost connection. `always` is for
        the SDK's own requests, which go out however far callbacks have fallen behind. Raises
        `RuntimeError` in another thread, and else nothing.
        """
        if threading.get_ident() != self._thread:
            self.check_thread()
        if unless is not None:
            return self.refuse("", unless, failed, undo)
        try:
            args = _checked(make)
        except ParameterError as exc:
            return self.refuse("", exc, failed, undo)
        request = CallRequest(
            what=args.function,
            unheard=self._unheard,
            failed=failed,
            moot=moot,
            undo=undo,
            codes=codes,
            lapse=lapse,
            args=args,
            type_=type_,
            convert=convert,
            done=done,
        )
        if self.spanned is not None:
            request.args = self.spanned.sending(args, request.promise)
        self._submit(request, always=always)
        return request.promise

    def message(
        self,
        peer: str,
        flag: str,
        content: str,
        message_id: str,
        sent: Callable[[SignalError | None], None] | None,
    ) -> Operation[None]:
        """Send a message to an account, of which all is known to be right; `sent` is told of its
        outcome, by the error if there is one. Raises as `call` does.
        """
        if threading.get_ident() != self._thread:
            self.check_thread()
        request = MessageRequest(
            what="user_sendmsg",
            unheard=self._unheard,
            failed=sent,
            codes=MESSAGE_CODES,
            peer=peer,
            flag=flag,
            content=content,
            message_id=message_id,
            sent=sent,
        )
        self._submit(request)
        return request.promise

    def invoke(
        self,
        name: str,
        req: Mapping[str, JsonValue],
        *,
        done: Callable[[str], None] | None = None,
        failed: Callable[[SignalError], None] | None = None,
    ) -> Operation[dict[str, JsonValue]]:
        """Call the function `name` with the user's own arguments; the result as it came.

        `done` is told its text; `failed` as in `call`, and raises as that does.
        """
        self.check_thread()
        what = "invoke"
        try:
            function = given.text("function", name).removeprefix(call2.INVOKE_PREFIX)
            if not function or not names.is_encodable(function):
                raise wrong("function", name, "is not a function's name")
            what = function
            # A copy: the caller may change the mapping before it is sent.
            args = given.json_object("req", req)
            frames.encode_json(args)
        except ParameterError as exc:
            return self.refuse(what, exc, failed)
        request = Invocation(what=what, unheard=self._unheard, failed=failed, args=args, done=done)
        self._submit(request)
        return request.promise

    def refuse(
        self,
        what: str,
        error: SignalError,
        failed: Callable[[SignalError], None] | None = None,
        undo: Callable[[SignalError], None] | None = None,
    ) -> Operation[Any]:
        """An operation that has failed already, heard of as any other."""
        asked: Asked[Any] = Asked(what=what, unheard=self._unheard, failed=failed, undo=undo)
        asked.fail(error)
        return asked.promise

    def _submit(self, request: Request[Any], *, always: bool = False) -> None:
        if self._sealed is not None:
            request.fail(self._sealed)
        elif not always and len(self._pending) >= MAX_REQUESTS:
            reason = f"{MAX_REQUESTS} requests are under way already"
            request.fail(SignalError(request.codes.other, reason))
        elif not always and self._is_full():
            reason = "callbacks have fallen too far behind for another request"
            request.fail(SignalError(request.codes.other, reason))
        else:
            self._put_on_wire(self._accept(request), request)

    def _accept(self, request: Request[Any]) -> int:
        """Give the request its time, and its id."""
        callid = self._last_id = self._last_id + 1
        seconds = REPLY_SECONDS if self._was_open else LOGIN_WAIT_SECONDS
        request.deadline = self._clock() + seconds
        self._pending[callid] = request
        return callid

    def _put_on_wire(self, callid: int, request: Request[Any]) -> None:
        pending = self._pending
        if callid not in pending:
            return
        if not self.can_send_bytes and request.says_bytes:
            del pending[callid]
            request.fail(ParameterError(ECode.GENERAL_E_WRONG_PARAM, NO_BYTES))
            return
        # Up to which id nothing is waited for any more: they rise in the dictionary.
        ack = next(iter(pending)) - 1
        try:
            frame = request.encode(callid, self._line, ack)
        except ParameterError as exc:
            del pending[callid]
            request.fail(exc)
            return
        if len(frame) > names.MAX_FRAME_BYTES:
            # The server would close the connection over it.
            del pending[callid]
            reason = f"{request.what} takes {len(frame)} bytes, over {names.MAX_FRAME_BYTES}"
            request.fail(ParameterError(ECode.GENERAL_E_LARGE_PARAM, reason))
            return
        if self._send is None:
            return
        if self.trace is not None:
            self.trace.sent(callid, request)
        if self._log.is_heard:
            self._log.debug("%s: > %s #%d, %d bytes", self._label, request.what, callid, len(frame))
        self._send(frame)

    # --- answers ---

    def answer(self, reply: call2.Reply) -> None:
        """An answer has come. One to a request that has run out already is passed over."""
        callid = reply.callid
        if not isinstance(callid, int) or (request := self._pending.pop(callid, None)) is None:
            return
        try:
            request.finish(reply)
        except SignalError as exc:
            ecode = request.codes.other if exc.ecode is ECode.GENERAL_E_FAILED else exc.ecode
            # Of those that the server tells of by a result, more is known.
            error = exc if isinstance(exc, ConflictError) else SignalError(ecode, exc.reason)
        except ProtocolError as exc:
            reason = f"the answer to {request.what} is not understood: {exc}"
            error = UnansweredError(request.codes.other, reason)
        else:
            if self.trace is not None:
                self.trace.answered(callid, request.what, "ok")
            if self._log.is_heard:
                self._log.debug("%s: < %s #%s, ok", self._label, request.what, callid)
            return
        name = error.ecode.name
        if self.trace is not None:
            self.trace.answered(callid, request.what, name)
        self._log.debug("%s: < %s #%s, %s", self._label, request.what, callid, name)
        request.fail(error)

    @property
    def overdue_at(self) -> float:
        """When the one that waits longest has waited too long."""
        return next((request.deadline for request in self._pending.values()), math.inf)

    def expire(self, now: float) -> float:
        """Fail what has waited too long; when to look again."""
        # The oldest come first, and all wait for the same time.
        while self._pending:
            callid, request = next(iter(self._pending.items()))
            if request.deadline > now:
                return request.deadline
            del self._pending[callid]
            if self.trace is not None:
                self.trace.answered(callid, request.what, "no answer in time")
            reason = f"{request.what} was not answered in {REPLY_SECONDS:g} s"
            if not self._was_open:
                reason = f"{request.what} waited {LOGIN_WAIT_SECONDS:g} s for the login"
            request.fail(TimeOutError(request.codes.timeout, reason))
        return math.inf


def nothing(_: object) -> None:
    """What an operation gives whose result says no more than that it is done."""


def _checked(make: Callable[[], Arguments]) -> Arguments:
    """The arguments. Raises `ParameterError` also where a value raises anything itself."""
    try:
        return make()
    except ParameterError:
        raise
    except Exception as exc:  # noqa: BLE001  it may come from an object of anybody's
        reason = f"an argument cannot be used: {type_name(exc)}: {text_of(exc)}"
        raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, reason) from None
