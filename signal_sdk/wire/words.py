"""Words: what a native client says and hears, as text whose words are parted by one space.

Owns: the server's side of native_protocol.md, section 2's tables; words_heard.py has the client's.
Must not know how a text travels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, assert_never

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ParameterError, ProtocolError
from signal_sdk.wire import call2, frames, lines, login, names, typed
from signal_sdk.wire.attribute_functions import WATCHED
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.results import GetMessagesResult

LOGIN: Final = "login"
LINE_LOGIN: Final = "line_login"
LINE_LOGIN2: Final = "line_login2"
CHANNEL_SUB: Final = "channel_sub"
CALL: Final = "call"
LINE_PING: Final = "line_ping:"
LOGIN_RES: Final = "login_res"
LINE_LOGIN_RES: Final = "line_login_res"
LINE_PONG: Final = "line_pong:"
CALL_RET: Final = "call_ret"
NOTIFY: Final = "notify"

UNTOLD: Final = ""
"""The channel of a `LineLogin` whose client says by `channel_sub` which it is in."""
MAX_NUMBER: Final = 2**63 - 1
"""The largest ping and call id."""
MAX_WORD_CHARS: Final = 40
"""How much of an unknown word is repeated."""

FAREWELLS: Final[Mapping[typed.End, bytes]] = {
    typed.End.KICKED: b"notify kick",
    typed.End.EXPIRED: b"notify TokenErrorExpired",
    typed.End.OUT_OF_SYNC: b"notify outofsync",
}
"""What a client is told at the end. Of the other ends it knows no word: its connection is closed.
"""


def whole_number(what: str, word: str | bytes, most: int = MAX_NUMBER) -> int:
    """A word that is a whole number from 0 to `most`. Raises `ProtocolError`, which does not quote
    the word.
    """
    if word.isascii() and word.isdigit() and len(word) <= 19 and (number := int(word)) <= most:
        return number
    raise ProtocolError(f"{what} is not a whole number from 0 to {most}")


# --- from the client ------------------------------------------------------------------------------


@hides("token")
class _Login(msgspec.Struct, frozen=True, kw_only=True):
    """What `login` carries. `device` is empty: no other client is taken for a web page."""

    vid: str
    account: JsonValue
    token: str = ""
    uid: int | str = 0
    device: str = ""
    ip: str = ""
    ver: int = 0


class _ChannelSub(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of `channel_sub`."""

    cname: JsonValue
    msgid: int


_args = msgspec.json.Decoder(dict[str, Any])


def decode_client(text: bytes, *, is_in: bool = True) -> typed.ClientFrame:
    """What a client says. Never raises: what cannot be read is `Malformed`, whose reason quotes
    neither a token nor a line. Of a client that `is_in` not, logged in, a call's arguments are not
    looked at: it will be refused.
    """
    try:
        return _decode(text.decode(), is_in=is_in)
    except UnicodeDecodeError:
        reason = "not UTF-8 text"
    except ParameterError as exc:
        reason = exc.reason
    except ProtocolError as exc:
        reason = str(exc)
    words = text.split(b" ", 3)
    if words[0] == CALL.encode():
        return typed.Malformed(reason=reason, callid=_callid(words))
    return typed.Malformed(reason=reason, is_login=words[0] == LOGIN.encode())


def _callid(words: list[bytes]) -> int | None:
    try:
        return whole_number("id", words[2])
    except (IndexError, ProtocolError):
        return None


def _decode(text: str, *, is_in: bool) -> typed.ClientFrame:
    first, _, rest = text.partition(" ")
    if first == CALL:
        return _decode_call(rest, is_in=is_in)
    if not first:
        raise ProtocolError("a text without a first word")
    if first.startswith(LINE_PING):
        return typed.Ping(whole_number("a ping", text[len(LINE_PING) :]))
    decoder = _DECODERS.get(first)
    return decoder(rest) if decoder else typed.Unknown(first[:MAX_WORD_CHARS])


def _decode_call(rest: str, *, is_in: bool) -> call2.Request:
    match rest.split(" ", 3):
        # The third was 0 whenever one was seen; what it says is not known.
        case [str(function), str(callid), str(third), str(args)] if function and third:
            number = whole_number("a call's id", callid)
            found = frames.decode_by(_args, args, CALL) if is_in else {}
            return call2.Request(function, number, found)
    raise ProtocolError("a call without all of its words")


def _decode_login(rest: str) -> login.Login:
    said = frames.decode_json(rest, _Login, LOGIN)
    return login.Login(
        vid=said.vid,
        account=said.account,
        token=said.token,
        uid=said.uid if isinstance(said.uid, int) else _number_in(said.uid),
        device=said.device,
        ip=said.ip,
        ver=said.ver,
    )


def _number_in(text: str) -> int:
    try:
        return whole_number("uid", text)
    except ProtocolError:
        return 0


def _decode_line_login2(rest: str) -> login.LineLogin:
    match rest.split(" "):
        # As with a call's third word: it was always 2.
        case [str(line), str(second), str(msgid)] if line and second:
            number = whole_number(f"{LINE_LOGIN2}'s last word", msgid, names.MAX_INTEGER)
            return login.LineLogin(line=line, msgid=number, channel=UNTOLD)
    raise ProtocolError(f"a {LINE_LOGIN2} that has not its four words")


def _decode_line_login(rest: str) -> login.LineLogin:
    if not rest or " " in rest:
        raise ProtocolError(f"a {LINE_LOGIN} that has not its two words")
    return login.LineLogin(line=rest, channel=UNTOLD)


def _decode_channel_sub(rest: str) -> typed.ChannelSub:
    said = frames.decode_json(rest, _ChannelSub, CHANNEL_SUB)
    return typed.ChannelSub(
        channel=names.check_channel(said.cname), msgid=names.check_integer("msgid", said.msgid, 0)
    )


_DECODERS: Final[Mapping[str, Callable[[str], typed.ClientFrame]]] = {
    LOGIN: _decode_login,
    LINE_LOGIN2: _decode_line_login2,
    LINE_LOGIN: _decode_line_login,
    CHANNEL_SUB: _decode_channel_sub,
}

# --- from the server ------------------------------------------------------------------------------


def encode_server(frame: typed.Plain) -> bytes:
    """The text that tells a client `frame`."""
    match frame:
        case typed.Reply():
            return _encode_return(frame.callid, _result_text(frame.result))
        case typed.Failure():
            return _encode_return(frame.callid, call2.encode_failure_text(frame.error))
        case typed.Entry() | typed.Watched():
            return _encode_news(frame)
        case typed.Pong():
            return f"{LINE_PONG}{frame.number}".encode()
        case typed.LoggedIn():
            return _encode_success(frame)
        case typed.Refused():
            return _encode_refusal(frame)
    assert_never(frame)


def _encode_news(frame: typed.Entry | typed.Watched) -> bytes:
    if isinstance(frame, typed.Watched):
        return f"{NOTIFY} {WATCHED} {frame.text}".encode()
    line = lines.without_id(frame.line)
    return b"notify recvmsg %b" % frames.encode_json([frame.version, line])


def encode_announcement(version: int) -> bytes:
    """The text that tells a client to poll: its inbox has an entry of this version."""
    return f"{NOTIFY} msg {version}".encode()


def encode_channel_event(msgid: int, line: str) -> bytes:
    """The text that tells a client an event of the channel that it is in."""
    return f"{NOTIFY} channel2 {msgid} {line}".encode()


def _encode_return(callid: call2.CallId, text: str) -> bytes:
    return f"{CALL_RET} 0 {callid} 0 {text}".encode()


def _result_text(result: str | GetMessagesResult) -> str:
    if isinstance(result, str):
        return result
    return call2.encode_result(result.without_ids())


def _encode_success(frame: typed.LoggedIn) -> bytes:
    if frame.is_resumed:
        return b"line_login_res ok "  # three words, of which the last is empty
    return b"login_res ok %d %b" % (frame.success.uid, frames.encode_json(frame.success))


def _encode_refusal(frame: typed.Refused) -> bytes:
    if frame.is_resume:
        return b"line_login_res kick"
    # Three words, whoever parts them: JSON can say a blank without one.
    reason = frames.encode_json({"reason": _reason(frame.error)}).replace(b" ", rb"\u0020")
    return b"login_res failed %b" % reason


def _reason(error: LoginError) -> str:
    """The reason of a refusal, which a client takes for another code where it is a certain word."""
    if error.ecode in _REFUSALS:
        return login.REFUSALS[error.ecode]
    if login.ecode_of(error.reason) in _REFUSALS:
        return f"failed: {error.reason}"
    return error.reason


_REFUSALS: Final = frozenset(
    {ECode.LOGIN_E_TOKENEXPIRED, ECode.LOGIN_E_TOKENWRONG, ECode.LOGIN_E_TOKEN_KICKED}
)
"""The codes that a client knows by a word. For a wrong account it has none."""
