"""Typed frames as the JSON texts that WebSocket clients speak: the server's side.

Owns: which event is which typed frame. Must not know who says what when, nor how a text travels.
Whatever arrives comes out as a typed frame; `typed.Malformed` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ProtocolError
from signal_sdk.wire import attribute_functions, call2, events, frames, lines, login, typed

_PING_HEAD: Final = b'["ping",'
PLAIN_DIGITS: Final = 15
"""A ping of a longer number is read as any other frame."""
PING_BYTES: Final = len(_PING_HEAD) + PLAIN_DIGITS + len(b"]")
"""No ping that is written as nearly all are is longer."""

_decoders: Final[Mapping[str, Callable[[frames.Frame], typed.ClientFrame]]] = {
    call2.CALL: call2.decode_request,
    login.PING: lambda frame: typed.Ping(frame.decode(int)),
    login.LOGIN: lambda frame: frame.decode(login.Login),
    login.LINE_LOGIN: lambda frame: frame.decode(login.LineLogin),
    login.SET_FLAG: lambda frame: frame.decode(login.SetFlag),
}


def ping_number(text: bytes) -> bytes:
    """The number of a ping that is written as nearly all are; empty where it is not, or no ping."""
    if not text.startswith(_PING_HEAD) or not text.endswith(b"]"):
        return b""
    number = text[len(_PING_HEAD) : -1]
    is_plain = number.isdigit() and number[:1] != b"0" and len(number) <= PLAIN_DIGITS
    return number if is_plain else b""


def encode_pong(number: bytes) -> bytes:
    """The answer to a ping of this number."""
    return b'["pong",%b]' % number


def decode_client(text: bytes) -> typed.ClientFrame:
    """What a client says, but for what `call2.decode_message` decodes. Never raises."""
    if number := ping_number(text):
        return typed.Ping(int(number))
    request = call2.decode_plain_request(text)
    if request is not None:
        return request
    try:
        frame = frames.decode_frame(text)
        decode = _decoders.get(frame.event)
        return typed.Unknown(frame.event[:40]) if decode is None else decode(frame)
    except ProtocolError as exc:
        return _malformed(exc)


def _malformed(exc: ProtocolError) -> typed.Malformed:
    if not isinstance(exc, frames.FrameError):
        return typed.Malformed(reason=str(exc))
    return typed.Malformed(
        reason=str(exc),
        callid=exc.callid if exc.event == call2.CALL else None,
        is_login=exc.event == login.LOGIN,
    )


def encode_server(
    frame: typed.ServerFrame, *, has_ids: bool, is_pushed: bool, has_properties: bool = False
) -> bytes:
    """What the server says, to a client whose message lines have ids or not, with properties behind
    them or not, and that is handed its inbox entries or told to poll.
    """
    if type(frame) is typed.Entry:
        if not is_pushed:
            return events.encode_announcement(frame.version)
        line = frame.line
        if not has_properties:
            line = lines.without_properties(line) if has_ids else lines.without_id(line)
        return events.encode_push(frame.version, line)
    if type(frame) is typed.Reply:
        result = frame.result
        if not isinstance(result, str):
            if not has_properties:
                result = result.without_properties() if has_ids else result.without_ids()
            result = call2.encode_result(result)
        return call2.encode_success(frame.callid, result)
    return _encoders[type(frame)](frame)


# All but the two that are nearly all that is said.
_encoders: Final[Mapping[type[typed.ServerFrame], Callable[[Any], bytes]]] = {
    typed.Failure: lambda frame: call2.encode_failure(frame.callid, frame.error),
    typed.LockGranted: lambda frame: events.encode_grant(frame.channel, frame.lock, frame.ask),
    typed.Watched: lambda frame: attribute_functions.encode_watched(frame.text),
    typed.Pong: lambda frame: encode_pong(b"%d" % frame.number),
    typed.LoggedIn: lambda frame: login.encode_success(frame.success),
    typed.Refused: lambda frame: login.encode_failure(frame.error),
}


def encode_farewell(farewell: typed.Farewell) -> bytes | None:
    """The frame that says why the server ends a connection; None where that was said already."""
    end = farewell.end
    if end is typed.End.DONE:
        return None
    event = login.KICK if end is typed.End.KICKED else login.CLOSE
    return frames.encode_frame(event, _closing(farewell))


def encode_close(farewell: typed.Farewell) -> bytes:
    """As `encode_farewell`, to a client that knows `close` alone, which all clients do."""
    return frames.encode_frame(login.CLOSE, _closing(farewell))


def _closing(farewell: typed.Farewell) -> login.Closing:
    end = farewell.end
    ecode = _ecodes.get(end, ECode.LOGOUT_E_NET)
    return login.Closing(
        ecode=int(ecode),
        reason=ecode.meaning if end is typed.End.KICKED else farewell.reason or end.value,
        delay=farewell.delay,
    )


_ecodes: Final = {
    typed.End.KICKED: ECode.LOGOUT_E_KICKED,
    typed.End.EXPIRED: ECode.LOGOUT_E_TOKENEXPIRED,
}
