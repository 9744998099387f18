"""Typed frames: what a client and the server say to each other, whatever carries it.

Owns: the seam between a link and whoever serves it. `json_frames.py` and `words.py` are the two
spellings. Must not know either.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

from signal_sdk.errors import LoginError, SignalError
from signal_sdk.wire.call2 import CallId, MessageRequest, Request
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.login import LineLogin, Login, LoginSucceeded, SetFlag
from signal_sdk.wire.results import GetMessagesResult

# --- from the client ------------------------------------------------------------------------------


class Ping(msgspec.Struct, frozen=True, gc=False):
    """Are you there? The answer is a `Pong` of the same number."""

    number: int


class ChannelSub(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """After a resume, the native clients': `msgid` is the last event that was seen of `channel`, 0
    where there was none since its join.
    """

    channel: str
    msgid: int


class Malformed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What cannot be read, and why. Where that much could be made out, `callid` is the request that
    it was meant to be, or `is_login` says that it was meant for a login.
    """

    reason: str
    callid: CallId | None = None
    is_login: bool = False


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Well-formed, of an `event` that nobody knows: the original clients pass over such."""

    event: str


ClientFrame: TypeAlias = (
    MessageRequest | Request | Ping | Login | LineLogin | ChannelSub | SetFlag | Malformed | Unknown
)

# --- from the server ------------------------------------------------------------------------------


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A login, or with `is_resumed` a `line_login`, has succeeded. `device` and `ver` are what the
    session's login said: its link may speak to it accordingly.
    """

    success: LoginSucceeded
    is_resumed: bool = False
    device: str = ""
    ver: int = 0


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A login, or with `is_resume` a `line_login`, was refused."""

    error: LoginError
    is_resume: bool = False


@hides("result")
class Reply(msgspec.Struct, frozen=True, gc=False):
    """A request has succeeded: its result, as the JSON text that all clients read, or an inbox's
    page, whose lines each link spells as its client reads them. `next_version` is that of the entry
    behind the page, 0 where none is left; its link sees to it that the client comes for that.
    """

    callid: CallId
    result: str | GetMessagesResult
    next_version: int = 0


class Failure(msgspec.Struct, frozen=True):
    """A request has failed."""

    callid: CallId
    error: SignalError


@hides("line")
class Entry(msgspec.Struct, frozen=True, gc=False):
    """The inbox has a new entry. `line` is a v3 message line."""

    version: int
    line: str


class LockGranted(msgspec.Struct, frozen=True, gc=False):
    """The client, which waits for a lock, has it, or had it a moment ago: it asks again, which says
    so for sure.
    """

    channel: str
    lock: str
    ask: str


@hides("text")
class Watched(msgspec.Struct, frozen=True, gc=False):
    """Something has become of an account that is watched (attribute_functions.py)."""

    text: str


class Pong(msgspec.Struct, frozen=True, gc=False):
    """Here I am."""

    number: int


class End(enum.Enum):
    """Why the server ends a connection."""

    DONE = "done"
    """It has been said already: a logout was answered, a login refused."""
    KICKED = "the account logged in elsewhere"
    EXPIRED = "the token has expired"
    GOING_AWAY = "the server is going away"
    BAD_DATA = "what the client said cannot be read"
    OVERDUE = "the client took too long"
    OUT_OF_SYNC = "what the client has missed is not held any more"


class Farewell(msgspec.Struct, frozen=True, kw_only=True):
    """The last that a client is told. `reason` says more than `end` does; `delay` is how many
    seconds a client of ours had better wait before it comes back.
    """

    end: End
    reason: str = ""
    delay: float = 0.0


Plain: TypeAlias = LoggedIn | Refused | Reply | Failure | Entry | Watched | Pong
"""What clients of every kind have a word for."""
ServerFrame: TypeAlias = Plain | LockGranted
