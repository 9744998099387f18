"""What happens in an app, as facts for others than its clients: a backend that is told by hooks,
and whoever follows as it happens.

Owns: the kinds, what is told of each, and how one is written as JSON. Must not know who hears of
it, or when something happens: that is part of the operation that does it. No fact holds a text that
a user has sent, nor anything by which a session is found.

Part of the engine's contract. Times are Unix milliseconds, as in all that clients are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import attrs
import msgspec

__all__ = [
    "ABSENT",
    "CALL",
    "HOOKED",
    "JOIN",
    "KINDS",
    "LEAVE",
    "LOGIN",
    "LOGOUT",
    "MESSAGE",
    "NOTHING",
    "Absent",
    "AnyHappening",
    "Backlog",
    "Call",
    "Follow",
    "Happening",
    "Join",
    "Leave",
    "Login",
    "Logout",
    "Message",
    "Why",
    "decode",
    "encode",
    "of_facts",
]

LOGIN: Final = "login"
LOGOUT: Final = "logout"
JOIN: Final = "join"
LEAVE: Final = "leave"
CALL: Final = "call"
ABSENT: Final = "absent"
MESSAGE: Final = "message"
HOOKED: Final = (LOGIN, LOGOUT, JOIN, LEAVE, CALL, ABSENT)
"""The kinds that hooks can want."""
KINDS: Final = (*HOOKED, MESSAGE)


class Why:
    """Why something has ended."""

    LOGOUT: Final = "logout"
    """By its user."""
    KICKED: Final = "kicked"
    """Another login has taken the account."""
    LOST: Final = "lost"
    """Its connection was lost, and nobody has come back in time."""
    EXPIRED: Final = "expired"
    """Its token is good no more."""
    REVOKED: Final = "revoked"
    """Its token was taken back."""
    OPERATOR: Final = "operator"
    """By whoever runs the server."""
    BYE: Final = "bye"
    """A side of the call has ended it."""
    REFUSED: Final = "refused"
    """The call was refused by who was called."""
    UNANSWERED: Final = "unanswered"
    """Nobody has answered the call in time."""
    OFFLINE: Final = "offline"
    """Who was called did not come online in time."""
    GONE: Final = "gone"
    """A side of the call has logged out, or was logged out."""


class Happening(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something that has happened in an app. `number` is there where it is kept for hooks: it rises
    by one with each such happening of the app, and names it for good; 0 where it is kept for
    nobody.
    """

    app: str
    number: int = 0
    time: int = 0

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return str(self.__struct_config__.tag)

    @property
    def accounts(self) -> tuple[str, ...]:
        """Whom it concerns."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """The channel that it is about; empty where it is about none."""
        return ""


class _OfAccount(Happening, frozen=True, kw_only=True):
    account: str

    @property
    def accounts(self) -> tuple[str, ...]:
        """The account."""
        return (self.account,)


class Login(_OfAccount, frozen=True, kw_only=True, tag=LOGIN):
    """An account has come online, from a client of this `device`."""

    device: str = ""


class Logout(_OfAccount, frozen=True, kw_only=True, tag=LOGOUT):
    """An account is offline, for one of the reasons of `Why`."""

    why: str


class _Move(_OfAccount, frozen=True, kw_only=True):
    channel: str
    members: int

    @property
    def about(self) -> str:
        """The channel."""
        return self.channel


class Join(_Move, frozen=True, kw_only=True, tag=JOIN):
    """An account has joined a channel, which has `members` now."""


class Leave(_Move, frozen=True, kw_only=True, tag=LEAVE):
    """An account has left a channel, by whatever way, which has `members` now."""


class Call(Happening, frozen=True, kw_only=True, tag=CALL):
    """A call has begun, or is in another `state` now: `inviting`, `ringing`, `accepted`, `ended`.
    `call` is its id; `why` says why it has ended, and is empty before.
    """

    call: str
    caller: str
    callee: str
    channel: str
    state: str
    why: str = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Both sides."""
        return (self.caller, self.callee)

    @property
    def about(self) -> str:
        """The channel that the call is about."""
        return self.channel


class Absent(_OfAccount, frozen=True, kw_only=True, tag=ABSENT):
    """A message of `sender` waits for an account that has no connection: it is offline, or it was
    lost. `size` is how many bytes the message has.
    """

    sender: str
    size: int

    @property
    def accounts(self) -> tuple[str, ...]:
        """Whom it is for, and whose it is."""
        return (self.account, self.sender)


class Message(Happening, frozen=True, kw_only=True, tag=MESSAGE):
    """A message of `sender`: to an `account`, or to a `channel`; the other is empty. `size` is how
    many bytes it has.
    """

    sender: str
    account: str = ""
    channel: str = ""
    size: int

    @property
    def accounts(self) -> tuple[str, ...]:
        """Whose it is, and whom it is for."""
        return (self.sender, self.account) if self.account else (self.sender,)

    @property
    def about(self) -> str:
        """The channel that it goes to."""
        return self.channel


AnyHappening: TypeAlias = "Login | Logout | Join | Leave | Call | Absent | Message"

encode: Final = msgspec.json.Encoder().encode
"""A happening as JSON."""
_ANY: Final[Any] = Login | Logout | Join | Leave | Call | Absent | Message
_decoder: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_ANY)


def of_facts(facts: Mapping[str, Any]) -> AnyHappening:
    """The happening of which these are the facts, by their names. Raises `ValueError`."""
    happening: AnyHappening = msgspec.convert(facts, _ANY)
    return happening


def decode(text: str | bytes) -> AnyHappening:
    """The happening that `encode` has made this of. Raises `ValueError`."""
    happening: AnyHappening = _decoder.decode(text)
    return happening


# --- who wants to hear ---


@attrs.frozen
class Follow:
    """What a node wants to hear of an app as it happens: these `kinds`, and, of messages, only
    those from or to these accounts, and those to these channels.
    """

    kinds: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    def wants(self, happening: Happening) -> bool:
        """Is it one of these?"""
        if happening.kind not in self.kinds:
            return False
        if not isinstance(happening, Message):
            return True
        return happening.channel in self.channels or any(
            account in self.accounts for account in happening.accounts
        )


NOTHING: Final = Follow()


@attrs.frozen(kw_only=True)
class Backlog:
    """What is kept of an app for hooks: how many happenings, since when (Unix milliseconds; 0 where
    there are none), and how many were `dropped` so far because there were too many.
    """

    kept: int = 0
    oldest: int = 0
    dropped: int = 0
