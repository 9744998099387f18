"""What a server answers to whoever runs it.

Owns: these forms. Must not know how they come. Times are Unix seconds. No `repr` shows a token, nor
what users say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue

__all__ = [
    "Attributes",
    "Call",
    "Channel",
    "Connection",
    "Event",
    "Inbox",
    "KeyHolder",
    "Member",
    "Node",
    "Online",
    "Outcome",
    "Outcomes",
    "Page",
    "Presence",
    "Refusal",
    "Statistics",
    "Token",
    "Waiting",
]

T = TypeVar("T")


@attrs.frozen
class Page(Generic[T]):
    """Part of a list: its `items`, and the `cursor` behind which the next page begins, empty where
    there is no more. A page may be short, or empty, and yet not the last.
    """

    items: Sequence[T]
    cursor: str = ""


@attrs.frozen(kw_only=True)
class KeyHolder:
    """Whose a key is: its name, its app (`*` for all), and its rights; `apps` are those of its apps
    that are configured.
    """

    name: str
    app: str
    rights: Sequence[str]
    apps: Sequence[str]


@attrs.frozen(kw_only=True)
class Statistics:
    """How much a node's engine has: of accounts that are known, of those that are `online`, of
    channels and live calls; `due` is how much is due at a time, `listening` how many channels are
    delivered to some node, `rated` how many channels' rates are remembered.
    """

    accounts: int
    online: int
    channels: int
    calls: int
    due: int
    listening: int
    rated: int


@attrs.frozen(kw_only=True)
class Node:
    """The node that answers: the `version` of its program, `since` when it runs, how many are
    logged in on it, and why nobody new is let in (empty where they are).
    """

    version: str
    since: float
    sessions: int
    why_not_ready: str
    engine: Statistics


@attrs.frozen(kw_only=True)
class Refusal:
    """Why something was refused: the code that a client would hear, in words, and after how many
    seconds it may be tried again, where that is of use.
    """

    ecode: int
    ecode_name: str
    reason: str
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of a message to `account`: why it was refused, if it was."""

    account: str
    refusal: Refusal | None = None


@attrs.frozen
class Outcomes:
    """What became of a message to each, in their order."""

    outcomes: Sequence[Outcome]


@attrs.frozen(kw_only=True)
class Presence:
    """How an account is: what there is of its session where it is `online`. Of one that has lost
    its connection, `lease_ends` is when it goes offline. `since` is when its connection was made,
    where that is of the node that answers. `channel` is the last that it has joined of its
    `channels`, which are several where its session has asked for many.
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
    """One of those who are online, with its channels, as in `Presence`. `is_connected` is false
    while the account has lost its connection, and may come back.
    """

    account: str
    uid: int
    device: str
    channel: str | None
    is_connected: bool
    channels: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Inbox:
    """How many `entries` wait for an account, and how many `bytes` they have."""

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


@hides("attributes")
@attrs.frozen
class Attributes:
    """All attributes, by their names."""

    attributes: Mapping[str, JsonValue]


@attrs.frozen(kw_only=True)
class Member:
    """A member of a channel."""

    account: str
    uid: int


@attrs.frozen(kw_only=True)
class Channel:
    """A channel: how many `members` it has, how many `joins` there have been, the id of its last
    event, and since when nobody is there, if nobody is.
    """

    channel: str
    members: int
    joins: int
    last_msgid: int
    idle_since: float | None = None


@attrs.frozen(kw_only=True)
class Call:
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
class Connection:
    """A connection of the node that answers: the address at its other end, the `wire` that its
    client speaks (`web`, `java` or `native`), when it was made, and how many bytes wait to be sent.
    `channels` are those that it hears, and `channel` the last that it has begun to hear.
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


@hides("data")
@attrs.frozen(kw_only=True)
class Event:
    """Something that has happened: its `kind`, and what is told of it. `id` names it for good where
    it is one that hooks are told, too. `lost` says how many were dropped for this reader, which was
    too slow, and `missed` that some may have happened while its stream was away.
    """

    kind: str
    data: Mapping[str, Any]
    id: str = ""
