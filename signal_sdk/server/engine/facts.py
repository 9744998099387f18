"""The facts that the engine and the rules hand each other.

Owns: the keys, and what is known of a presence, an inbox, a channel and a call; what is known of
attributes is in attribute_facts.py, of locks in locking.py. Must not know an operation. Times are
wall-clock Unix seconds, since they outlive a process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import attrs
import msgspec
from msgspec.structs import replace

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire.events import ChannelContent, ChannelMessage
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.login import BYTES_VERSION
from signal_sdk.wire.names import JsonValue

T = TypeVar("T")


class NoBytesError(SignalError):
    """A binary message is for somebody who would not read it."""

    def __init__(self, reason: str) -> None:
        super().__init__(ECode.GENERAL_E_WRONG_PARAM, f"{reason}: send it text")


def takes_no_bytes(account: str) -> NoBytesError:
    """It is for an account."""
    return NoBytesError(f"{account!r} is not online with a client that takes bytes")


def some_take_no_bytes(channel: str) -> NoBytesError:
    """It is for a channel."""
    return NoBytesError(f"not everybody in the channel {channel!r} has a client that takes bytes")


class AccountKey(NamedTuple):
    """An account of an app."""

    app: str
    account: str


class ChannelKey(NamedTuple):
    """A channel of an app."""

    app: str
    channel: str


class CallKey(NamedTuple):
    """The call between two accounts about a channel, whoever of them called; `one` sorts before
    `other`.
    """

    app: str
    channel: str
    one: str
    other: str


@hides("reply")
class Asked(msgspec.Struct, frozen=True, gc=False):
    """Who asks for a change, and under which number: the session of this account that has this
    generation.

    With a `callid`, `reply` is kept in the same step as the change: the same request that comes
    again is answered with that and changes nothing. All replies up to `ack` are forgotten. Where
    the reply ends in a revision, which only the change gives, `reply` is all before that, and
    `revised` the whole.
    """

    key: AccountKey
    generation: int
    callid: int | None = None
    ack: int = 0
    reply: str = ""

    def revised(self, revision: int) -> str:
        """The reply that ends in this revision."""
        return f"{self.reply}{revision}}}"


@hides("reply")
class Known(msgspec.Struct, frozen=True, gc=False):
    """The request had come before, and was answered with this."""

    reply: str


@attrs.frozen(kw_only=True)
class Statistics:
    """How much an engine has: of accounts that are known, of those that are `online`, of channels
    and live calls; `due` is how much is due at a time, `listening` how many channels are delivered
    to some node, `rated` how many channels' rates are remembered.
    """

    accounts: int
    online: int
    channels: int
    calls: int
    due: int
    listening: int
    rated: int


@attrs.frozen
class Part(Generic[T]):
    """Part of a list, and the `cursor` that names the next one; empty where there is none."""

    items: Sequence[T]
    cursor: str = ""


@attrs.frozen
class Revoked:
    """The list of revoked tokens that nodes share: `mark` is another one after each change, and
    `texts` are its entries, as whoever writes and reads them spells them.
    """

    mark: str
    texts: Sequence[bytes]


# --- presence ---


LATE_SECONDS: Final = (1.0, 60.0)
"""By how much a login that reaches the state behind a later one has to be late to be none any more:
less may be two clocks' difference, more one that was set back."""


@hides("line_digest", "instance")
@attrs.frozen(kw_only=True)
class LoginFacts:
    """What a login says of itself and its token: as in `Presence`. `began` is when it came to its
    node, by the engine's `arrival_time`.
    """

    line_digest: bytes
    device: str
    ver: int
    instance: str
    token_expires: int | None = None
    token_issued: int | None = None
    rights: str = ""
    began: float = 0.0
    many_channels: bool = False


class Presence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An account that is online, and the channels that it is in, in the order in which it joined
    them. `generation` rises with every login and resume: it fences what an older connection still
    does.

    `node` holds its connection; `lease_ends` is there while none does; `line_digest` finds the
    session on a resume; `device`, `ver` and `instance` are the facts of its login, `token_expires`,
    `token_issued` and `rights` those of its token. Where an operator has taken it out of a channel,
    that is among those that it was `removed` from, until it joins one. `began` is when its login
    did, which a restart forgets. Only with `many_channels` may it be in more than one.
    """

    uid: int
    generation: int
    line_digest: bytes
    device: str
    ver: int
    token_expires: int | None
    node: str = ""
    instance: str = ""
    channels: tuple[str, ...] = ()
    lease_ends: float | None = None
    token_issued: int | None = None
    rights: str = ""
    began: float = 0.0
    removed: tuple[str, ...] = ()
    many_channels: bool = False

    @property
    def channel(self) -> str | None:
        """The channel that it has joined last, of those that it is in."""
        return self.channels[-1] if self.channels else None

    @property
    def takes_bytes(self) -> bool:
        """Does its client read messages that are bytes?"""
        return self.ver >= BYTES_VERSION

    def __repr__(self) -> str:
        # Not what finds a session, or tells whose it is.
        return f"Presence(uid={self.uid}, generation={self.generation}, channels={self.channels})"


MAX_REMOVED: Final = 1000
"""From how many channels at most a session was removed, as far as that is remembered: the latest.
"""


def without(channels: tuple[str, ...], channel: str) -> tuple[str, ...]:
    """The others, in their order."""
    return tuple(it for it in channels if it != channel)


def joining(presence: Presence, channel: str) -> Presence:
    """The same session once it has joined `channel`, and left all others unless it may be in many
    channels.
    """
    if not presence.many_channels:
        return replace(presence, channels=(channel,), removed=())
    channels = (*presence.channels, channel)
    return replace(presence, channels=channels, removed=without(presence.removed, channel))


def leaving(presence: Presence, channel: str, *, is_removed: bool = False) -> Presence:
    """The same session once it has left `channel`, or was taken out of it."""
    removed = presence.removed
    if is_removed:
        before = without(removed, channel) if presence.many_channels else ()
        removed = (*before, channel)[-MAX_REMOVED:]
    return replace(presence, channels=without(presence.channels, channel), removed=removed)


# --- inboxes ---


@hides("line")
class Entry(msgspec.Struct, gc=False):
    """An inbox entry that has its version. `number` is its place in the journal, if it has one, and
    `owner` its account's number there; `sender` is not known any more after a restart.
    """

    version: int
    sender: str
    expires: float
    line: str
    number: int = 0
    owner: int = 0


@hides("line")
class Post(msgspec.Struct, frozen=True, gc=False):
    """An inbox entry to be: for whom, from whom, what, and until when. `line` is a message line's
    text. A call's event is from nobody, since nobody's share of the inbox is to stop it. What
    `is_binary` is only for an account that is online with a client that reads it.
    """

    key: AccountKey
    sender: str
    line: str
    expires: float
    is_binary: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an inbox: everything up to `ver_clear` is gone for good."""

    ver_clear: int
    entries: Sequence[Entry]


# --- channels ---


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in a channel: how many, how many joins there have been, and the newest members as
    (account, uid), oldest first.
    """

    num: int = 0
    total: int = 0
    newest: Sequence[tuple[str, int]] = ()
    msgid: int = 0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel stands: how many members it has, how many joins there have been, the id of its
    last event, and since when nobody is there, if nobody is.
    """

    name: str
    num: int
    total: int
    msgid: int
    idle_since: float | None = None


@hides("attributes")
class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """How the channel that was joined stands: the member hears what follows `roster.msgid`."""

    roster: Roster
    attributes: Mapping[str, JsonValue]


class Place(msgspec.Struct, frozen=True):
    """Where a node may be reached, as it says itself: the addresses for WebSocket clients and those
    for native ones, in the order in which they are to be named, and how many are connected there.
    """

    web: tuple[tuple[str, int], ...]
    native: tuple[tuple[str, int], ...]
    connections: int


class Event(msgspec.Struct, frozen=True, gc=False):
    """A channel's event as it was delivered."""

    msgid: int
    content: ChannelContent
    time_ms: int


@hides("message")
class Said(msgspec.Struct, frozen=True, gc=False):
    """A message of a channel as it was delivered."""

    msgid: int
    message: ChannelMessage
    time_ms: int


class Past(msgspec.Struct, frozen=True):
    """What is held of a channel's messages, oldest first; `is_whole` where none came before."""

    said: Sequence[Said]
    is_whole: bool

    @classmethod
    def newest(cls, held: Sequence[Event], most: int, *, is_whole: bool) -> Past:
        """The newest messages among these events, so many at most."""
        said = [
            Said(it.msgid, it.content, it.time_ms)
            for it in held
            if isinstance(it.content, ChannelMessage)
        ]
        return cls(said[max(0, len(said) - most) :], is_whole and len(said) <= most)


# --- calls ---


@hides("extra")
@attrs.frozen(kw_only=True)
class Call:
    """A live call. `state` is one of call_table.py's; `deadline` is when it runs out, if it does;
    `id` tells it from those that were and will be under its key.
    """

    id: str
    caller: str
    callee: str
    channel: str
    extra: JsonValue
    state: str
    timeout: float
    deadline: float | None

    def other(self, account: str) -> str:
        """The side that `account` is not."""
        return self.callee if account == self.caller else self.caller
