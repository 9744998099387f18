"""What happens to a session and in its channel, as facts: the client says what is so, and whoever
stands above it makes objects and callbacks of that.

Owns: the facts that are not the wire's own (wire/events.py), and what a sink is. Must not know who
is told, or how. A call's facts are in call_side.py, beside what they are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

import attrs
import msgspec

from signal_sdk.client.operation import Operation
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire import events
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.properties import Properties

__all__ = [
    "ChannelFact",
    "EventsMissed",
    "Gap",
    "JoinFailed",
    "Joined",
    "Left",
    "LoggedIn",
    "LoggedOut",
    "LoginFailed",
    "MessageReceived",
    "OperationFailed",
    "PassedOver",
    "Reconnected",
    "Reconnecting",
    "Rejoined",
    "Sink",
    "Turn",
    "UsersCounted",
]

F_contra = TypeVar("F_contra", contravariant=True)


class Sink(Protocol[F_contra]):
    """Who is told facts, in the order in which they came about: a bound method is one.

    It is told where the fact is read, so it may not wait, nor run a user's code: that has its own
    turn, in the dispatcher's queue. A fact with a `turn` is an inbox entry's: it is put into that
    queue with it, whether anybody hears of it or not.
    """

    def __call__(self, fact: F_contra, /) -> None:
        """The fact is so."""


class Turn(Protocol):
    """Who wants to know when a callback begins, and that it has returned (or raised)."""

    def begin(self) -> None:
        """The callback is about to run."""

    def end(self) -> None:
        """The callback has run."""


# --- the session


class LoggedIn(msgspec.Struct, frozen=True):
    """The login has succeeded."""

    uid: int


class LoginFailed(msgspec.Struct, frozen=True):
    """The login has failed, and the session is over."""

    ecode: ECode


class LoggedOut(msgspec.Struct, frozen=True):
    """The session is over."""

    ecode: ECode


class Reconnecting(msgspec.Struct, frozen=True):
    """The connection is lost, and another one about to be dialed, for the `attempt`th time."""

    attempt: int


class Reconnected(msgspec.Struct, frozen=True):
    """There is a connection again."""


class OperationFailed(msgspec.Struct, frozen=True):
    """An operation has failed that nobody is told of, unless somebody awaits it when that is told;
    `what` is its name, where it has one.
    """

    operation: Operation[object]
    what: str
    error: SignalError

    @property
    def reason(self) -> str:
        """What went wrong, in one line."""
        return f"{self.what}: {self.error.reason}" if self.what else self.error.reason


@hides("text", "data")
class MessageReceived(msgspec.Struct, frozen=True):
    """A point-to-point message is there; one that says bytes has `data`, and no text."""

    account: str
    text: str
    turn: Turn
    properties: Properties | None = None
    data: bytes | None = None


class PassedOver(msgspec.Struct, frozen=True):
    """An inbox entry is there of which nobody is to hear."""

    turn: Turn


# --- a channel; what happens in it is told in the wire's own words


@attrs.frozen
class Gap:
    """Events of a channel that were missed: their ids are above `after` and below `before`.

    Ids rise by 1 within a channel. Where the server has begun to count anew, `before` may be the
    smaller one.
    """

    after: int
    before: int


class EventsMissed(msgspec.Struct, frozen=True):
    """Events of a channel are missing. It is the session that is told."""

    channel: str
    gap: Gap

    @property
    def reason(self) -> str:
        """What is missing, in one line."""
        what = f"events after {self.gap.after} and before {self.gap.before} are missing"
        return f"channel {self.channel!r}: {what}"


@hides("attributes")
class Joined(msgspec.Struct, frozen=True):
    """The channel has been joined: who was in it, by account and uid, and its attributes."""

    members: list[tuple[str, int]]
    attributes: Mapping[str, JsonValue]


@hides("attributes")
class Rejoined(msgspec.Struct, frozen=True):
    """The channel has been joined again, which the server had forgotten: its attributes."""

    attributes: Mapping[str, JsonValue]


class JoinFailed(msgspec.Struct, frozen=True):
    """The channel could not be joined."""

    error: SignalError


class Left(msgspec.Struct, frozen=True):
    """The session is not in the channel any more."""

    ecode: ECode


class UsersCounted(msgspec.Struct, frozen=True):
    """The server was asked how many users are in a channel, whichever: what is wrong, or the
    number.
    """

    err: str
    num: int


ChannelFact = (
    UsersCounted
    | Joined
    | Rejoined
    | JoinFailed
    | Left
    | events.ChannelContent
    | events.SpecialEvent
)
