"""Logging in: the payloads of `login`, `line_login`, `set_flag` and `login_ret`, and how its errors
map to codes.

Owns: protocol.md, section 2's handshake of a session. Must not know what makes a login succeed.
"""

from __future__ import annotations

from typing import Final

import attrs
from msgspec import UNSET, UnsetType

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, ProtocolError
from signal_sdk.wire import frames
from signal_sdk.wire.names import JsonValue

LOGIN: Final = "login"
LINE_LOGIN: Final = "line_login"
SET_FLAG: Final = "set_flag"
LOGIN_RET: Final = "login_ret"
PING: Final = "ping"
PONG: Final = "pong"
CLOSE: Final = "close"
KICK: Final = "kick"

WEB_DEVICE: Final = "websdk"
NATIVE_DEVICE: Final = "javasdk"

PUSH_VERSION: Final = 1_02_00_00_000
"""Clients of this `ver` or a later one get their inbox pushed as v3 lines; `ver` counts as the
original SDKs count (1.2.0.0).
"""
PROPERTIES_VERSION: Final = PUSH_VERSION + 1
"""And of these, or later, the properties of a message behind its id."""
BYTES_VERSION: Final = PUSH_VERSION + 2
"""What a server counts a client as that says `takes_bytes`."""

PING_INTERVAL_SECONDS: Final = 10
SILENCE_SECONDS: Final = 20
"""How long a connection of our SDK may bring nothing, two missed pongs, before it is taken for
dead; the original clients wait for a fourth.
"""


@attrs.frozen(kw_only=True)
class Login:
    """`login`: who logs in, and with what. The token never shows in a `repr`.

    `instance` and `again` are ours: a client that logs in anew by itself gives the same `instance`
    each time, and says that it comes `again`, which must not take the account from another login.
    So is `many_channels`: its session may be in more than one; and `takes_bytes`: it reads messages
    that are bytes. Each is left out where it is not so.
    """

    vid: str
    account: JsonValue
    token: str = attrs.field(default="", repr=False)
    uid: int = 0
    device: str = WEB_DEVICE
    ip: str = ""
    ver: int = 0
    instance: str = attrs.field(default="", repr=False)
    again: bool = False
    many_channels: bool | UnsetType = UNSET
    takes_bytes: bool | UnsetType = UNSET

    @property
    def level(self) -> int:
        """What is kept of `ver`: which of what is ours the client reads."""
        if self.takes_bytes is True:
            return BYTES_VERSION
        return max(0, min(self.ver, PROPERTIES_VERSION))

    @property
    def keeps_presence(self) -> bool:
        """Does the client expect to be where it was? Only the web SDK does."""
        return self.device == WEB_DEVICE


@attrs.frozen(kw_only=True)
class LineLogin:
    """`line_login`: take the session of this `line` up again; `msgid` is the last event that was
    seen of `channel`, which the client takes itself to be in: with None, whichever the server says,
    and with "" none, unless a `typed.ChannelSub` says so.
    """

    line: str = attrs.field(repr=False)
    msgid: int = 0
    channel: str | None = None


@attrs.frozen(kw_only=True)
class SetFlag:
    """`set_flag`: with `binary`, the server may send compressed binary frames, and `multi`."""

    binary: int = 0


@attrs.frozen(kw_only=True)
class LoginSucceeded:
    """The text of a `login_ret` that let the client in.

    Those from `channel` on are ours: the channel that the session is in, the id of that channel's
    last event, whether some that the client has not seen are no longer held, and whether an
    operator has taken the session out of the channel that the client names. Of a session with many
    channels, `channels` are those that it is in, and `removed_from` those that an operator has
    taken it out of; for any other, there are no such fields. The server `takes_bytes` from clients
    of ours; others are not told so.
    """

    uid: int
    line: str = attrs.field(repr=False)
    result: str = "ok"
    config_msg_set: int = 0
    config_inst_msg_with_msgid: int = 0
    channel: str | None = None
    msgid: int = 0
    gap: bool = False
    removed: bool = False
    channels: tuple[str, ...] | UnsetType = UNSET
    removed_from: tuple[str, ...] | UnsetType = UNSET
    takes_bytes: bool | UnsetType = UNSET


@attrs.frozen(kw_only=True)
class _LoginFailed:
    """The text of a `login_ret` that refused. `ecode` is ours."""

    result: str = "failed"
    reason: str = ""
    ecode: int = 0


@attrs.frozen(kw_only=True)
class Closing:
    """The payload of `close` and `kick` (ours: the original clients do not read it). `delay` is how
    many seconds the client had better wait before it connects again.
    """

    ecode: int
    reason: str = ""
    delay: float = 0.0


REFUSALS: Final = {
    ECode.LOGIN_E_TOKEN_KICKED: "kick",
    ECode.LOGIN_E_TOKENEXPIRED: "TokenErrorExpired",
    ECode.LOGIN_E_TOKENWRONG: "TokenErrorWrong",
    ECode.LOGIN_E_INVALID_USER: "wrong account",
}
"""What the original clients look for at the beginning of a refusal."""


def encode_success(success: LoginSucceeded) -> bytes:
    """The frame of a login that succeeded."""
    return frames.encode_frame(LOGIN_RET, ["", frames.encode_json(success).decode()])


def encode_failure(error: LoginError) -> bytes:
    """The frame of a login that was refused."""
    word = REFUSALS.get(error.ecode)
    if error.ecode is ECode.LOGIN_E_INVALID_USER:
        word = f"{word}: {error.reason}"
    failure = _LoginFailed(reason=error.reason, ecode=int(error.ecode))
    return frames.encode_frame(
        LOGIN_RET, [word or error.reason, frames.encode_json(failure).decode()]
    )


def ecode_of(word: str) -> ECode:
    """The code that the original clients take a refusal for."""
    if word == "kick":
        return ECode.LOGIN_E_TOKEN_KICKED
    if word == "TokenErrorExpired":
        return ECode.LOGIN_E_TOKENEXPIRED
    if word.startswith("TokenError"):
        return ECode.LOGIN_E_TOKENWRONG
    if word.startswith("wrong account"):
        return ECode.LOGIN_E_INVALID_USER
    return ECode.LOGIN_E_NET


def decode_login_ret(frame: frames.Frame) -> LoginSucceeded:
    """The success in a `login_ret` frame. Raises `LoginError` for a refusal, `ProtocolError` for
    nonsense.
    """
    err, text = frame.decode(tuple[str, str])
    failure = frames.decode_json(text, _LoginFailed, LOGIN_RET)
    if not err and failure.result == "ok":
        return frames.decode_json(text, LoginSucceeded, LOGIN_RET)
    word = err or failure.reason
    try:
        ecode = ECode(failure.ecode) if failure.ecode else ecode_of(word)
    except ValueError:
        ecode = ecode_of(word)
    raise LoginError(ecode, failure.reason or word)


def decode_closing(frame: frames.Frame, default: ECode) -> Closing:
    """What a `close` or `kick` says; another server's payload says nothing, and stands for
    `default`.
    """
    try:
        closing = frame.decode(Closing)
        ECode(closing.ecode)
    except (ProtocolError, ValueError):
        return Closing(ecode=int(default), reason=default.meaning)
    return closing
