"""`call2` and `call2-ret`: the text of a request and of its reply.

Owns: protocol.md, section 2's two frames, for both roles, and how a refusal carries its code. Must
not know the functions one by one: functions.py's table does; but for the one that is nearly all
that is asked, a message to an account, which is decoded and checked in one go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import attrs
import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError, SignalError
from signal_sdk.wire import events, frames, lines, names
from signal_sdk.wire.arguments import Arguments
from signal_sdk.wire.functions import FUNCTIONS, UserSendMessage
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong
from signal_sdk.wire.results import DONE, Result

CALL: Final = "call2"
REPLY: Final = "call2-ret"
_MESSAGE: Final = UserSendMessage.function
INVOKE_PREFIX: Final = "io.agora.signal."
"""What `invoke` writes before a function's name."""

CallId = int | str
R = TypeVar("R", bound=Result)

_encode = msgspec.json.Encoder().encode
_request = msgspec.json.Decoder(tuple[str, CallId, msgspec.Raw])
_plain_request = msgspec.json.Decoder(tuple[str, tuple[str, CallId, dict[str, Any]]])
_PLAIN_HEAD: Final = b'["call2",'
_MESSAGE_HEAD: Final = f'["{CALL}",["{_MESSAGE}",'.encode()
_reply = msgspec.json.Decoder(tuple[CallId, str, str])
_args = msgspec.json.Decoder(dict[str, Any])


class Request(msgspec.Struct, frozen=True, gc=False):
    """A `call2` as it arrived. Where its arguments could not be decoded with the rest, they are
    still JSON, so that a wrong one can be refused under its `callid`.
    """

    function: str
    callid: CallId
    args: msgspec.Raw | dict[str, Any]

    def __repr__(self) -> str:
        # Not the arguments, which hold the line.
        return f"Request({self.function!r}, {self.callid!r})"


def decode_request(frame: frames.Frame) -> Request:
    """The request in a `call2` frame. Raises `ProtocolError` where there is no id to refuse it
    under.
    """
    return Request(*frame.decode_by(_request))


def decode_plain_request(text: bytes) -> Request | None:
    """The request in a frame's text, decoded in one go, as nearly all can be. None for whatever
    else it is: `decode_request` finds out.
    """
    if not text.startswith(_PLAIN_HEAD):
        return None
    try:
        _, request = _plain_request.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return Request(*request)


@hides("content", "line")
class Message(Arguments, msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The arguments of a `user_sendmsg`, as `functions.UserSendMessage` has them, with its `line`
    and `ack`; but one with properties is decoded step by step.
    """

    function = _MESSAGE
    properties = None

    peer: str
    flag: str
    kind: Literal["instant"] = msgspec.field(name="t")
    content: str
    message_id: str = msgspec.field(default="", name="messageID")
    line: str = ""
    ack: int | None = None


class MessageRequest(msgspec.Struct, array_like=True, gc=False):
    """A `user_sendmsg` all of whose values are as they ought to be."""

    function: str
    callid: CallId
    args: Message

    def __repr__(self) -> str:
        # As a `Request`.
        return f"MessageRequest({self.callid!r})"


_message = msgspec.json.Decoder(tuple[Literal["call2"], MessageRequest])


def decode_message(text: bytes) -> MessageRequest | None:
    """The message to an account that a frame's text asks to be sent, decoded and checked in one go,
    as nearly all can be. None for whatever else it is, and where anything is wrong with it:
    `decode_plain_request` and `decode_args` find out.
    """
    if not text.startswith(_MESSAGE_HEAD):
        return None
    try:
        _, request = _message.decode(text)
        args = request.args
        names.check_account_text(args.peer)
        lines.parse_flag(args.flag)
    except (msgspec.MsgspecError, SignalError, ProtocolError, ValueError, RecursionError):
        return None
    number = args.message_id
    if (
        len(args.content) > names.MAX_MESSAGE_CHARS
        or len(number) > names.MAX_NAME_CHARS
        or not number.isascii()
        or not number.isprintable()
        or " " in number
    ):
        return None
    return request


def decode_args(request: Request) -> tuple[str, int | None, Arguments]:
    """A request's `line`, its `ack` where it has one, and its arguments. Raises `ParameterError`
    (1004, 1005).

    `ack` is ours: replies up to that call id have arrived, and later requests may be sent again
    after a `line_login`, to be applied once.
    """
    args = request.args
    if isinstance(args, msgspec.Raw):
        try:
            args = _args.decode(bytes(args))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            raise ParameterError(
                ECode.GENERAL_E_WRONG_PARAM, "the arguments are not an object of JSON values"
            ) from None
    line = args.get("line", "")
    if not isinstance(line, str):
        line = ""
    ack = args.get("ack")
    if not isinstance(ack, int):
        ack = None
    function = FUNCTIONS.get(request.function)
    if function is None:
        raise wrong("function", request.function, "is not known to the server")
    return line, ack, function.from_wire(args)


def encode_request(callid: CallId, line: str, args: Arguments, ack: int | None = None) -> bytes:
    """The frame of a request; `ack` as in `decode_args`."""
    common: dict[str, JsonValue] = {"line": line} if ack is None else {"line": line, "ack": ack}
    return frames.encode_frame(CALL, [args.function, callid, {**common, **args.to_wire()}])


def encode_message(
    callid: CallId, line: str, ack: int, peer: str, flag: str, content: str, message_id: str
) -> bytes:
    """As `encode_request` does it of `functions.UserSendMessage`, where all is text that JSON can
    hold: in one go.
    """
    args = {
        "line": line,
        "ack": ack,
        "peer": peer,
        "flag": flag,
        "t": events.INSTANT,
        "content": content,
        "messageID": message_id,
    }
    return _encode((CALL, (_MESSAGE, callid, args)))


def encode_invoke(
    callid: CallId,
    line: str,
    function: str,
    args: Mapping[str, JsonValue],
    ack: int | None = None,
) -> bytes:
    """The frame of a request whose function and arguments are the user's own; `ack` as in
    `decode_args`.
    """
    common: dict[str, JsonValue] = {"line": line} if ack is None else {"line": line, "ack": ack}
    return frames.encode_frame(CALL, [function, callid, {**args, **common}])


def encode_success(callid: CallId, text: str) -> bytes:
    """The frame of a success; `text` is the result's JSON."""
    if text is _DONE_TEXT:
        return _DONE_FRAME % _encode(callid)
    return frames.encode_frame(REPLY, [callid, "", text])


_DONE_TEXT: Final = frames.encode_json(DONE).decode()
_DONE_FRAME: Final = frames.encode_frame(REPLY, ["%b", "", _DONE_TEXT]).replace(b'"%b"', b"%b")


def encode_result(result: Result) -> str:
    """A result as the text of a success."""
    return _DONE_TEXT if result is DONE else frames.encode_json(result).decode()


@attrs.frozen(kw_only=True)
class _FailureData:
    result: str


@attrs.frozen(kw_only=True)
class _Failure:
    """The text of a refused call. `ecode` is ours; `data.result` is what the web SDK reads."""

    result: str = "failed"
    reason: str = ""
    ecode: int = ECode.GENERAL_E_FAILED.value
    data: _FailureData = _FailureData(result="")


def encode_failure(callid: CallId, error: SignalError) -> bytes:
    """The frame of a refusal."""
    return frames.encode_frame(REPLY, [callid, error.reason, encode_failure_text(error)])


def encode_failure_text(error: SignalError) -> str:
    """A refusal as the text of its frame."""
    failure = _Failure(
        reason=error.reason, ecode=int(error.ecode), data=_FailureData(result=error.reason)
    )
    return frames.encode_json(failure).decode()


@hides("text")
class Reply(msgspec.Struct, frozen=True, gc=False):
    """A `call2-ret` as it arrived: `err` is empty on success, `text` is JSON."""

    callid: CallId
    err: str
    text: str

    def result(self, type_: type[R]) -> R:
        """The result of a success. Raises `SignalError` with the server's code for a refusal,
        `ProtocolError` for nonsense.
        """
        if type_ is Result and self.text == _DONE_TEXT and not self.err:
            return DONE  # type: ignore[return-value]  # it is a Result
        status = frames.decode_json(self.text, _Failure, REPLY) if self.err else None
        if status is None:
            head = frames.decode_json(self.text, Result, REPLY)
            if head.result == "ok":
                if isinstance(head, type_):
                    return head
                return frames.decode_json(self.text, type_, REPLY)
            status = frames.decode_json(self.text, _Failure, REPLY)
        try:
            ecode = ECode(status.ecode or ECode.GENERAL_E_FAILED)
        except ValueError:
            ecode = ECode.GENERAL_E_FAILED
        raise SignalError(ecode, self.err or status.reason or status.data.result)


def decode_reply(frame: frames.Frame) -> Reply:
    """The reply in a `call2-ret` frame. Raises `ProtocolError`."""
    callid, err, text = frame.decode_by(_reply)
    return Reply(callid=callid, err=err, text=text)
