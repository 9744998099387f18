"""One request: its frame, how its answer is read, and how its failure is told.

Owns: what the kinds of request have in common and what sets them apart. Must not know the other
requests of the session, or a connection.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs
import msgspec

from signal_sdk.client.operation import Operation, Promise
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire import call2, frames, functions, results
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import is_binary

R = TypeVar("R", bound=results.Result)
T = TypeVar("T")


@attrs.frozen
class Codes:
    """The codes of a kind of request where the server says no more than that it failed, or nothing
    at all.
    """

    other: ECode = ECode.GENERAL_E_FAILED
    timeout: ECode = ECode.GENERAL_E_FAILED


GENERAL: Final = Codes()
MESSAGE_CODES: Final = Codes(other=ECode.SENDMESSAGE_E_OTHER, timeout=ECode.SENDMESSAGE_E_TIMEOUT)
NUM_CODES: Final = Codes(other=ECode.QUERYUSERNUM_E_OTHER, timeout=ECode.QUERYUSERNUM_E_TIMEOUT)


class UnansweredError(SignalError):
    """No answer came, or none that can be understood: the server may have done what was asked."""


class TimeOutError(UnansweredError):
    """No answer came in time."""


Unheard = Callable[[Operation[Any], str, SignalError], None]
"""Is told of a failure that no callback hears of: the operation, its name, the error."""


class Asked(msgspec.Struct, Generic[T], kw_only=True, eq=False):
    """Something that was asked for, and how its failure is told."""

    what: str
    unheard: Unheard
    failed: Callable[[SignalError], None] | None
    moot: Callable[[], bool] | None = None
    undo: Callable[[SignalError], None] | None = None
    promise: Promise[T] = msgspec.field(default_factory=Promise)

    def fail(self, error: SignalError) -> None:
        """It has failed, unless that is moot."""
        if self.moot is not None and self.moot():
            self.promise.succeed(None)  # type: ignore[arg-type]  # what is moot gives nothing
            return
        if self.undo is not None:
            self.undo(error)
        self.promise.fail(error)
        if self.failed is not None:
            self.failed(error)
        else:
            self.unheard(self.promise, self.what, error)


class Request(Asked[T], kw_only=True, eq=False):
    """A request under way."""

    codes: Codes = GENERAL
    lapse: Callable[[], SignalError | None] | None = None
    deadline: float = math.inf

    @property
    def says_bytes(self) -> bool:
        """Is it a message that is bytes?"""
        return False

    @abstractmethod
    def encode(self, callid: call2.CallId, line: str, ack: int) -> bytes:
        """Its frame. Raises `ParameterError`."""

    @abstractmethod
    def finish(self, reply: call2.Reply) -> None:
        """Read the answer, and tell whoever is to hear of it. Raises `SignalError` where it is a
        refusal, `ProtocolError` where it is nonsense.
        """


class CallRequest(Request[T], Generic[R, T], kw_only=True, eq=False):
    """A request for a function of the server, with arguments of its own class."""

    args: Arguments
    type_: type[R]
    convert: Callable[[R], T]
    done: Callable[[R], None] | None

    @property
    def says_bytes(self) -> bool:
        """Is it a message that is bytes?"""
        match self.args:
            case functions.UserSendMessage() | functions.ChannelSendMessage():
                return is_binary(self.args.properties)
        return False

    def encode(self, callid: call2.CallId, line: str, ack: int) -> bytes:
        """Its frame, of typed arguments."""
        return call2.encode_request(callid, line, self.args, ack)

    def finish(self, reply: call2.Reply) -> None:
        """Read a typed result, tell `done`, and give what `convert` makes of it."""
        result = reply.result(self.type_)
        if self.done is not None:
            self.done(result)
        self.promise.succeed(self.convert(result))


@hides("content")
class MessageRequest(Request[None], kw_only=True, eq=False):
    """A message to an account, of which all is known to be right."""

    peer: str
    flag: str
    content: str
    message_id: str
    sent: Callable[[SignalError | None], None] | None

    def encode(self, callid: call2.CallId, line: str, ack: int) -> bytes:
        """Its frame."""
        return call2.encode_message(
            callid, line, ack, self.peer, self.flag, self.content, self.message_id
        )

    def finish(self, reply: call2.Reply) -> None:
        """The server has it."""
        reply.result(results.Result)
        if self.sent is not None:
            self.sent(None)
        self.promise.succeed(None)


class Invocation(Request[dict[str, JsonValue]], kw_only=True, eq=False):
    """A request for a function that the user has named."""

    args: Mapping[str, JsonValue]
    done: Callable[[str], None] | None

    def encode(self, callid: call2.CallId, line: str, ack: int) -> bytes:
        """Its frame, of arguments as the user has given them. Raises `ParameterError`."""
        return call2.encode_invoke(callid, line, self.what, self.args, ack)

    def finish(self, reply: call2.Reply) -> None:
        """Read whatever object the answer is; `done` hears its text."""
        reply.result(results.Result)
        result = frames.decode_json(reply.text, dict[str, JsonValue], self.what)
        if self.done is not None:
            self.done(reply.text)
        self.promise.succeed(result)
