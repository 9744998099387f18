"""What an operator is told: of a presence, an inbox, a channel, a call, a connection.

Owns: these forms. Must not know where any of it is kept. None of them holds a session's `line`, and
no `repr` shows a token. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire.hidden import hides

__all__ = [
    "MAX_PAGE",
    "CallFacts",
    "ChannelFacts",
    "ConnectionFacts",
    "InboxFacts",
    "Member",
    "NotThereError",
    "Online",
    "Outcome",
    "Page",
    "PresenceFacts",
    "Token",
    "Waiting",
]

MAX_PAGE: Final = 1000
"""How many one page has at most."""

T = TypeVar("T")


class NotThereError(SignalError):
    """What was to be acted on is not there: it never was, or it is over already. Nothing was done.
    Of several who ask for the same end at once, one succeeds and the others hear this.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(ECode.GENERAL_E_FAILED, reason)


@attrs.frozen
class Page(Generic[T]):
    """Part of a list: its `items`, and the `cursor` behind which the next page begins, empty where
    there is no more. A page may be short, or empty, and yet not the last: of very many, each looks
    at some. On Redis, one of channels or calls may have a few more than were asked for. Whoever is
    in the list for all the while is on one page at least.
    """

    items: Sequence[T]
    cursor: str = ""


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of a message to `account`: `refusal` says why it was not sent; it was where that
    is None.
    """

    account: str
    refusal: SignalError | None = None


@attrs.frozen(kw_only=True)
class PresenceFacts:
    """How an account is: what there is of its session where it is `online`. Of one that has lost
    its connection, `lease_ends` is when it goes offline. `since` is when its connection was made,
    where that is this node's. `channel` is the last that it has joined of its `channels`, which are
    several where its session has asked for many.
    """

    account: str
    online: bool
    uid: int = 0
    device: str = ""
    ver: int = 0
    channel: str | None = None
    lease_ends: float | None = None
    since: float | None = None
    channels: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Online:
    """One of those who are online, with its channels, as in `PresenceFacts`. `is_connected` is
    false while the account has lost its connection, and may come back.
    """

    account: str
    uid: int
    device: str
    channel: str | None
    is_connected: bool
    channels: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class InboxFacts:
    """How many `entries` wait for an account, those among them whose time is over and that nobody
    has noticed yet, and how many `bytes` they have.
    """

    entries: int
    bytes: int


@attrs.frozen(kw_only=True)
class Waiting:
    """An entry that waits, without what it says: its `version` in the inbox, who has sent it, its
    `kind` (`instant`, or a call's step), when it was sent and until when it waits, and its bytes.
    """

    version: int
    sender: str
    kind: str
    time: float
    expires: float
    bytes: int


@attrs.frozen(kw_only=True)
class Member:
    """A member of a channel."""

    account: str
    uid: int


@attrs.frozen(kw_only=True)
class ChannelFacts:
    """A channel: how many `members` it has, how many `joins` there have been, the id of its last
    event, and since when nobody is there, if nobody is.
    """

    channel: str
    members: int
    joins: int
    last_msgid: int
    idle_since: float | None = None


@attrs.frozen(kw_only=True)
class CallFacts:
    """A live call: `state` is `inviting`, `ringing` or `accepted`, and `deadline` when it ends if
    nobody answers.
    """

    id: str
    channel: str
    caller: str
    callee: str
    state: str
    deadline: float | None


@attrs.frozen(kw_only=True)
class ConnectionFacts:
    """A connection of this node that somebody has logged in on: the address at its other end,
    whether a proxy's header or the socket says so, the `wire` that its client speaks (`websocket`
    or `native`), when it was made, and how many bytes wait to be sent. `channels` are those that it
    hears, and `channel` the last that it has begun to hear.
    """

    account: str
    channel: str | None
    peer: str
    wire: str
    device: str
    ver: int
    since: float
    outbox_bytes: int
    channels: tuple[str, ...] = ()


@hides("text")
@attrs.frozen(kw_only=True)
class Token:
    """A token that was made, and until when it is good."""

    text: str
    expires: int
