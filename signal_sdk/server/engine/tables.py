"""What the embedded engine keeps: an account and its inbox, a channel and its short history.

Owns: the shape of the state, the numbers that must never be given twice, and each record's row in
the journal; what they have of attributes is owners.py's. Must not know an operation, or how rows
are written.

A msgid is handed out before its batch is committed, and so is a version while nothing can be
written, so that a killed process may have given numbers that its file does not know. Therefore a
row says up to where numbers are *reserved*, and a new process begins there; one that ends in good
order reserves no more than it has given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

import attrs

from signal_sdk.server.engine.base import (
    AccountKey,
    Call,
    CallKey,
    ChannelKey,
    Entry,
    Event,
    Presence,
    Roster,
)
from signal_sdk.server.engine.bounds import Usage
from signal_sdk.server.engine.owners import Owner, Row
from signal_sdk.server.engine.values import decode_json, encode_json
from signal_sdk.wire.hidden import hides

RESERVED: Final = 2000
"""How many numbers are reserved at a time."""
FEW: Final = RESERVED // 2
"""With fewer of them left, the next are reserved."""

REMOVED: Final = "\x01"
"""Stands in a row before each channel that a presence was removed from, where else the one stands
that it is in: no channel's name holds it, and so an earlier release finds it in none.
"""
MANY: Final = "\x02"
"""Stands before all that, where a session may be in many channels: it is in those whose members it
is.
"""


# --- accounts ---


_NOTHING: Final[deque[Entry]] = deque(maxlen=0)
"""What all empty inboxes share, which are most: a deque takes 600 bytes."""
_NOBODY: Final[dict[str, int]] = {}


@attrs.define(kw_only=True, eq=False)
class Inbox:
    """An account's entries in order, how many bytes they have, and how many are whose. `is_swept`
    says that the sweep will come by, `is_leaving` that its account is to be forgotten;
    `last_number` is the largest that an entry had in the journal that has gone.
    """

    last_version: int = 0
    entries: deque[Entry] = _NOTHING
    is_swept: bool = False
    is_leaving: bool = False
    size: int = 0
    senders: dict[str, int] = _NOBODY
    last_number: int = 0

    def append(self, entry: Entry, size: int) -> None:
        """Put an entry, whose line has so many bytes, behind the others."""
        if self.entries is _NOTHING:
            self.entries, self.senders = deque(), {}
        self.entries.append(entry)
        self.size += size
        if sender := entry.sender:
            senders = self.senders
            senders[sender] = senders.get(sender, 0) + 1

    def removed(self, entries: Iterable[Entry]) -> int:
        """These have been taken out; how many bytes they had."""
        size, last_number, senders = 0, self.last_number, self.senders
        for entry in entries:
            line, sender = entry.line, entry.sender
            # `size_of`, but for a call for each.
            size += len(line) if line.isascii() else len(line.encode())
            last_number = max(last_number, entry.number)
            if sender and not (left := senders[sender] - 1):
                del senders[sender]
            elif sender:
                senders[sender] = left
        self.size -= size
        self.last_number = last_number
        if not self.entries:
            self.entries, self.senders = _NOTHING, _NOBODY
        return size


@hides("text")
class Reply(NamedTuple):
    """A reply that is kept for a request that comes again, and the number of its row (None where it
    has none).
    """

    text: str
    number: int | None


@hides("attributes")
@attrs.define(kw_only=True, eq=False)
class Account(Owner):
    """An account that was named. `replies` are in the order of their numbers; `joined_at` is the
    last msgid of its channel when it joined that, and in no row: it is of use only as long as the
    channel's history is held, which is in no row either; `made` is how many channels there are that
    it has made.
    """

    key: AccountKey
    uid: int
    made: int = 0
    generation: int = 0
    reserved: int = RESERVED
    joined_at: int = 0
    presence: Presence | None = None
    inbox: Inbox = attrs.field(factory=Inbox)
    calls: dict[CallKey, None] = attrs.field(factory=dict)
    replies: dict[int, Reply] = attrs.field(factory=dict)

    @property
    def app(self) -> str:
        """As `Owner` has it."""
        return self.key.app

    @property
    def is_nobody(self) -> bool:
        """Is nothing left of it but that it was named once?"""
        return not (
            self.presence is not None
            or self.inbox.entries
            or self.attributes
            or self.calls
            or self.made
        )

    def row(self) -> Row:
        """The account in the journal."""
        presence = self.presence
        facts: Row = (None,) * 9
        if presence is not None:
            facts = (
                presence.line_digest,
                presence.device,
                presence.ver,
                presence.token_expires,
                presence.instance,
                channel_cell(presence),
                presence.lease_ends,
                presence.token_issued,
                presence.rights,
            )
        return (
            self.id,
            self.key.app,
            self.key.account,
            self.uid,
            self.generation,
            self.reserved,
            *facts,
            self.revision,
        )

    @classmethod
    def from_row(cls, row: Row, usage: Usage) -> Account:
        """The account that `row` made the row of."""
        number, app, name, uid, generation, reserved, digest, *facts, revision = row
        account = cls(
            id=number,
            key=AccountKey(app, name),
            uid=uid,
            usage=usage,
            generation=generation,
            reserved=reserved,
            revision=revision,
        )
        account.inbox.last_version = reserved - RESERVED
        if digest is not None:
            device, ver, token_expires, instance, cell, lease_ends, issued, rights = facts
            where, *removed = (cell or "").split(REMOVED)
            account.presence = Presence(
                uid=uid,
                generation=generation,
                line_digest=digest,
                device=device,
                ver=ver,
                token_expires=token_expires,
                instance=instance,
                channels=(where,) if where not in ("", MANY) else (),
                lease_ends=lease_ends,
                token_issued=issued,
                rights=rights or "",
                removed=tuple(removed),
                many_channels=where == MANY,
            )
        return account


def channel_cell(presence: Presence) -> str | None:
    """What a row says of a presence's channels."""
    where = MANY if presence.many_channels else presence.channel or ""
    return "".join([where, *(REMOVED + it for it in presence.removed)]) or None


# --- channels ---


@hides("attributes")
@attrs.define(kw_only=True, eq=False)
class Channel(Owner):
    """A channel. `members` keeps the order of joining: account to uid; `history` is its latest
    events; `pushed` are the counts that its members were told last; `maker` is not known in a file
    of before there was a table of them.
    """

    key: ChannelKey
    maker: Account | None = None
    members: dict[str, int] = attrs.field(factory=dict)
    msgid: int = 0
    reserved: int = RESERVED
    total: int = 0
    idle_since: float | None = None
    history: deque[Event] = attrs.field(factory=deque)
    pushed: dict[str, int] = attrs.field(factory=dict)

    @property
    def app(self) -> str:
        """As `Owner` has it."""
        return self.key.app

    def newest(self, count: int) -> list[tuple[str, int]]:
        """The latest members, oldest first."""
        newest = list(islice(reversed(self.members.items()), count))
        newest.reverse()
        return newest

    def roster(self, newest: int) -> Roster:
        """Who is in it."""
        return Roster(
            num=len(self.members), total=self.total, newest=self.newest(newest), msgid=self.msgid
        )

    def forget(self, until: float) -> None:
        """Forget the events up to that time."""
        until_ms = until * 1000
        while self.history and self.history[0].time_ms <= until_ms:
            self.history.popleft()

    def after(self, msgid: int) -> Sequence[Event] | None:
        """The events after `msgid`; None where some are not held any more."""
        if msgid == self.msgid:
            return ()
        missed = [event for event in self.history if event.msgid > msgid]
        return missed if len(missed) == self.msgid - msgid else None

    def row(self) -> Row:
        """The channel in the journal."""
        return (
            self.id,
            self.key.app,
            self.key.channel,
            self.reserved,
            self.total,
            self.idle_since,
            self.revision,
        )

    @classmethod
    def from_row(cls, row: Row, usage: Usage) -> Channel:
        """The channel that `row` made the row of."""
        number, app, name, reserved, total, idle_since, revision = row
        return cls(
            id=number,
            key=ChannelKey(app, name),
            usage=usage,
            msgid=reserved - RESERVED,
            reserved=reserved,
            total=total,
            idle_since=idle_since,
            revision=revision,
        )


# --- calls ---


def call_row(key: CallKey, call: Call) -> Row:
    """A live call in the journal."""
    return (
        *key,
        call.id,
        call.caller,
        call.callee,
        encode_json(call.extra),
        call.state,
        call.timeout,
        call.deadline,
        0,
    )


def call_from_row(row: Row) -> tuple[CallKey, Call]:
    """The call that `call_row` made the row of."""
    app, channel, one, other, number, *facts = row
    caller, callee, extra, state, timeout, deadline, _ = facts
    call = Call(
        id=number,
        caller=caller,
        callee=callee,
        channel=channel,
        extra=decode_json(extra),
        state=state,
        timeout=timeout,
        deadline=deadline,
    )
    return CallKey(app, channel, one, other), call
