"""Words, from the client's side: what a native client makes of what it hears, and what it says.

Owns: the client's side of native_protocol.md, section 2's tables, as strict as the original client
is; words.py has the server's. Must not know how a text travels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final, TypeAlias, assert_never

import attrs
import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError
from signal_sdk.wire import frames, names, typed, words
from signal_sdk.wire.call2 import Request
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.login import LineLogin, Login
from signal_sdk.wire.names import JsonValue

ENDINGS: Final = frozenset({"kick", "wrong_line", "TokenErrorExpired", "outofsync"})
"""The notices after which the session is over."""

# --- what is heard --------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class LoginResult:
    """`login_res`: the session's `uid`, `line` and those other keys that begin with `config_`, or
    the `reason` why there is none. The line never shows in a `repr`.
    """

    ok: bool
    uid: int = 0
    line: str = attrs.field(default="", repr=False)
    reason: str = ""
    config: dict[str, JsonValue] = attrs.field(factory=dict)


class LineLoginResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`line_login_res`: the session goes on, or `reason` says why not."""

    ok: bool
    reason: str = ""


class LinePong(msgspec.Struct, frozen=True, gc=False):
    """`line_pong`: the answer to the ping of this number."""

    number: int


@hides("text")
class CallResult(msgspec.Struct, frozen=True, gc=False):
    """`call_ret`: the answer to a call. `text` is a JSON object."""

    callid: int
    text: str


class MessageWaiting(msgspec.Struct, frozen=True, gc=False):
    """`notify msg`: the inbox has an entry of this version."""

    version: int


@hides("line")
class MessagePushed(msgspec.Struct, frozen=True, gc=False):
    """`notify recvmsg`: an inbox entry itself. `line` is a message line of either version."""

    version: int
    line: str


@hides("line")
class ChannelNotified(msgspec.Struct, frozen=True, gc=False):
    """`notify channel2`: an event of the channel that the session is in, as a message line."""

    msgid: int
    line: str


class Ended(msgspec.Struct, frozen=True, gc=False):
    """`notify` with one of `ENDINGS`: the session is over."""

    reason: str


NativeFrame: TypeAlias = (
    LoginResult
    | LineLoginResult
    | LinePong
    | CallResult
    | MessageWaiting
    | MessagePushed
    | ChannelNotified
    | Ended
)

_Version = Annotated[int, msgspec.Meta(ge=0, le=words.MAX_NUMBER)]
_pushed = msgspec.json.Decoder(tuple[_Version, str])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


@hides("line")
class _Success(msgspec.Struct, frozen=True):
    result: str
    line: str
    uid: int


class _Refusal(msgspec.Struct, frozen=True):
    reason: str


def decode_server(text: bytes) -> NativeFrame:
    """What a server says. Raises `ProtocolError`, which does not quote a line, for whatever the
    original client does not read.
    """
    try:
        said = text.decode()
    except UnicodeDecodeError:
        raise ProtocolError("not UTF-8 text") from None
    if said.startswith(words.LINE_PONG):
        return LinePong(words.whole_number("a pong", said[len(words.LINE_PONG) :]))
    first, _, rest = said.partition(" ")
    decoder = _DECODERS.get(first)
    if decoder is None:
        raise ProtocolError(f"a text of the unknown kind {first[: words.MAX_WORD_CHARS]!r}")
    return decoder(rest)


def _decode_login_res(rest: str) -> LoginResult:
    kind, _, rest = rest.partition(" ")
    if kind == "failed":
        refusal = frames.decode_json(rest, _Refusal, words.LOGIN_RES)
        return LoginResult(ok=False, reason=refusal.reason)
    uid, _, text = rest.partition(" ")
    if kind != "ok" or not text:
        raise ProtocolError(f"a {words.LOGIN_RES} that has not its words")
    number = words.whole_number("a uid", uid)
    success = frames.decode_json(text, _Success, words.LOGIN_RES)
    if success.result != "ok" or success.uid != number:
        raise ProtocolError(f"a {words.LOGIN_RES} that says two things")
    extras = frames.decode_json(text, dict[str, JsonValue], words.LOGIN_RES)
    config = {key: value for key, value in extras.items() if key.startswith("config_")}
    return LoginResult(ok=True, uid=number, line=success.line, config=config)


def _decode_line_login_res(rest: str) -> LineLoginResult:
    if rest == "ok ":
        return LineLoginResult(ok=True)
    if rest == "ok" or not rest or " " in rest:
        raise ProtocolError(f"a {words.LINE_LOGIN_RES} that has not its words")
    return LineLoginResult(ok=False, reason=rest)


def _decode_call_ret(rest: str) -> CallResult:
    match rest.split(" ", 3):
        case ["0", str(callid), "0", str(text)]:
            frames.decode_by(_object, text, words.CALL_RET)
            return CallResult(words.whole_number("a call's id", callid), text)
    raise ProtocolError(f"a {words.CALL_RET} that has not its five words")


def _decode_notify(rest: str) -> NativeFrame:
    match rest.split(" ", 1):
        case [str(reason)] if reason in ENDINGS:
            return Ended(reason)
        case ["msg", str(version)]:
            return MessageWaiting(words.whole_number("a version", version))
        case ["recvmsg", str(text)]:
            return MessagePushed(*frames.decode_by(_pushed, text, "recvmsg"))
        case ["channel2", str(event)]:
            msgid, blank, line = event.partition(" ")
            if blank:
                return ChannelNotified(words.whole_number("a msgid", msgid), line)
    raise ProtocolError("a notify of an unknown kind, or without all of its words")


_DECODERS: Final[Mapping[str, Callable[[str], NativeFrame]]] = {
    words.LOGIN_RES: _decode_login_res,
    words.LINE_LOGIN_RES: _decode_line_login_res,
    words.CALL_RET: _decode_call_ret,
    words.NOTIFY: _decode_notify,
}

# --- what is said ---------------------------------------------------------------------------------


Said: TypeAlias = Login | LineLogin | typed.ChannelSub | typed.Ping | Request


def encode_client(frame: Said, *, vid: str = "") -> bytes:
    """The text in which a client says `frame`; `vid` is its app, which `channel_sub` names.

    Raises `ParameterError` (1004) for a request whose id or arguments are not a native client's,
    for what is to be one word and is not, and for what JSON cannot hold.
    """
    match frame:
        case Request():
            return _encode_call(frame)
        case typed.Ping():
            return f"{words.LINE_PING}{frame.number}".encode()
        case Login():
            # Keys in alphabetical order, here and below, as in the original.
            said = {
                "account": frame.account,
                "device": frame.device,
                "ip": frame.ip,
                "token": frame.token,
                "uid": frame.uid,
                "ver": frame.ver,
                "vid": frame.vid,
            }
            return b"login %b" % frames.encode_json(said, words.LOGIN)
        case LineLogin():
            return b"line_login2 %b 2 %d" % (_word("line", frame.line), frame.msgid)
        case typed.ChannelSub():
            channel = frame.channel
            sub = {"cid": channel, "cname": channel, "msgid": frame.msgid, "vid": vid}
            return b"channel_sub %b" % frames.encode_json(sub, words.CHANNEL_SUB)
    assert_never(frame)


def _encode_call(request: Request) -> bytes:
    if not isinstance(request.args, dict) or not isinstance(request.callid, int):
        raise ParameterError(
            ECode.GENERAL_E_WRONG_PARAM, "a call's id is not a number, or its arguments no dict"
        )
    function = _word("function", request.function)
    return b"call %b %d 0 %b" % (function, request.callid, frames.encode_json(request.args))


def _word(what: str, text: str) -> bytes:
    """`text` as one word of several."""
    if not text or " " in text or not names.is_encodable(text):
        raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, f"{what} is not one word")
    return text.encode()
