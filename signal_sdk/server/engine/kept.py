"""What a journal keeps, as an operator looks at it and removes of it: by app, channel and account.

Owns: what is told of each, what may be removed while no server runs, and which rows go with it.
Must not know the command line, or how a row is written.

A channel that has members, and an account that is online or has a call, belong to clients that
will come back for them: these are left alone.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import attrs

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.engine.bounds import size_of
from signal_sdk.server.engine.files import FILE_NAME, unusable
from signal_sdk.server.engine.journal import Journal, looked_at
from signal_sdk.server.engine.noting import Commits
from signal_sdk.server.engine.recovery import load
from signal_sdk.server.engine.schema import DROPPED, ENTRIES, HANDLED, MAKERS, Batch
from signal_sdk.server.engine.state import State
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.engine.values import encode_json
from signal_sdk.wire import built_in
from signal_sdk.wire.names import JsonValue

__all__ = [
    "AppUse",
    "Keeper",
    "KeptAccount",
    "KeptChannel",
    "accounts_of",
    "changed",
    "channels_of",
    "counts",
    "loaded",
    "read",
    "uses",
]

Record = TypeVar("Record")

RECORD_BYTES: Final = 1000
"""What an account, a channel or an entry takes beside its texts, roughly: apps are put in the order
of what they take."""
REMOVED_AT_ONCE: Final = 1000
"""How many records one transaction removes."""


@attrs.frozen(kw_only=True)
class AppUse:
    """What there is of an app. `empty` counts channels without members by how many seconds they
    last, `makers` all channels by who has made them (empty: unknown); `bytes` is of messages and of
    attributes' values.
    """

    app: str
    accounts: int
    channels: int
    empty: Mapping[int, int]
    makers: Mapping[str, int]
    entries: int
    bytes: int

    @property
    def weight(self) -> int:
        """What it takes, in bytes, roughly."""
        return self.bytes + RECORD_BYTES * (self.accounts + self.channels + self.entries)


def uses(state: State) -> Sequence[AppUse]:
    """What there is of each app, the largest first."""
    channels: dict[str, list[Channel]] = {}
    for channel in state.channels.values():
        channels.setdefault(channel.key.app, []).append(channel)
    entries: Counter[str] = Counter()
    for account in state.accounts.values():
        entries[account.key.app] += len(account.inbox.entries)
    found = [
        AppUse(
            app=app,
            accounts=usage.accounts,
            channels=usage.channels,
            empty=Counter(_ttl(it) for it in channels.get(app, ()) if not it.members),
            makers=Counter(_maker(it) for it in channels.get(app, ())),
            entries=entries[app],
            bytes=usage.bytes,
        )
        for app, usage in state.usages.items()
        if usage.is_used
    ]
    return sorted(found, key=lambda it: (-it.weight, it.app))


def _ttl(channel: Channel) -> int:
    """How many seconds the channel lasts without members."""
    value = channel.attributes.get(built_in.CHANNEL_TTL, built_in.DEFAULT_CHANNEL_TTL_SECONDS)
    ttl = built_in.check_number(built_in.CHANNEL_TTL, value)
    return min(ttl, built_in.MAX_CHANNEL_TTL_SECONDS)


def _maker(channel: Channel) -> str:
    """The account that has made the channel; empty where that is not known."""
    return channel.maker.key.account if channel.maker is not None else ""


def _size(attributes: Mapping[str, JsonValue]) -> int:
    """How many bytes the values have."""
    return sum(size_of(encode_json(value)) for value in attributes.values())


def counts(state: State) -> Mapping[str, int]:
    """How much there is of each kind, without accounts of which nothing is left."""
    accounts = [it for it in state.accounts.values() if not it.is_nobody]
    channels = state.channels.values()
    attributes = sum(len(it.attributes) for it in accounts)
    attributes += sum(len(it.attributes) for it in channels)
    return {
        "apps": len({it.key.app for it in accounts} | {it.key.app for it in channels}),
        "accounts": len(accounts),
        "sessions": len([it for it in accounts if it.presence is not None]),
        "messages": sum(len(it.inbox.entries) for it in accounts),
        "answers": sum(len(it.replies) for it in accounts),
        "channels": len(channels),
        "members": sum(len(it.members) for it in channels),
        "attributes": attributes,
        "calls": len(state.calls),
        "locks": sum(1 for _ in state.locks),
    }


@attrs.frozen(kw_only=True)
class KeptChannel:
    """A channel. `bytes` is of its attributes' values; `empty_since` and `ends`, where it has no
    members, are in Unix seconds; `maker` is empty where that is not known.
    """

    app: str
    name: str
    members: int
    attributes: int
    bytes: int
    empty_since: float | None
    ends: float | None
    maker: str
    record: Channel = attrs.field(repr=False)

    @property
    def use(self) -> str:
        """Why it is left alone; empty where it may be removed."""
        return f"has members ({self.members})" if self.members else ""


@attrs.frozen(kw_only=True)
class KeptAccount:
    """An account. `channel` is the last of its `channels`, those that it is in; `bytes` is of its
    attributes' values and of what waits in its inbox; `made` is how many channels there are that it
    has made.
    """

    app: str
    name: str
    is_online: bool
    channel: str | None
    attributes: int
    entries: int
    bytes: int
    calls: int
    made: int
    channels: tuple[str, ...]
    record: Account = attrs.field(repr=False)

    @property
    def use(self) -> str:
        """Why it is left alone; empty where it may be removed."""
        if self.is_online:
            return "is online"
        return f"has calls ({self.calls})" if self.calls else ""


def channels_of(state: State) -> Sequence[KeptChannel]:
    """Every channel, in the order in which they were made."""
    return [_channel(it) for it in state.channels.values()]


def accounts_of(state: State) -> Sequence[KeptAccount]:
    """Every account, in the order in which they were named."""
    return [_account(it) for it in state.accounts.values()]


def _channel(channel: Channel) -> KeptChannel:
    since = channel.idle_since
    return KeptChannel(
        app=channel.key.app,
        name=channel.key.channel,
        members=len(channel.members),
        attributes=len(channel.attributes),
        bytes=_size(channel.attributes),
        empty_since=since,
        ends=None if since is None else since + _ttl(channel),
        maker=_maker(channel),
        record=channel,
    )


def _account(account: Account) -> KeptAccount:
    presence = account.presence
    return KeptAccount(
        app=account.key.app,
        name=account.key.account,
        is_online=presence is not None,
        channel=presence.channel if presence is not None else None,
        attributes=len(account.attributes),
        entries=len(account.inbox.entries),
        bytes=_size(account.attributes) + account.inbox.size,
        calls=len(account.calls),
        made=account.made,
        channels=presence.channels if presence is not None else (),
        record=account,
    )


def read(directory: str | Path) -> State:
    """All that is kept in `directory`, which is not changed. Raises `StorageError`."""
    with _found(directory) as path, looked_at(path) as journal, journal.up_to_date() as current:
        return loaded(current)


@contextlib.contextmanager
def changed(directory: str | Path) -> Iterator[Keeper]:
    """What is kept in `directory`, to be changed by nobody else meanwhile. Raises `StorageError`,
    also where a server uses it, and where there is damage that one has to set aside first.
    """
    with _found(directory) as path:
        journal = Journal.open(path.parent, erases=True)
        try:
            state = loaded(journal)
            if journal.bad_rows:
                raise StorageError(
                    f"{path}: {len(journal.bad_rows)} rows cannot be used: start the server once, "
                    "which sets them aside"
                )
            # As at a start: what is handled is not left to an account that is no more.
            journal.settle()
            yield Keeper(journal, state)
        finally:
            journal.close()


@contextlib.contextmanager
def _found(directory: str | Path) -> Iterator[Path]:
    path = Path(directory) / FILE_NAME
    try:
        if not path.exists():
            raise StorageError(f"{directory}: no server keeps its state there")
        yield path
    except OSError as exc:
        raise unusable(path, exc) from None


def loaded(journal: Journal) -> State:
    """All that a journal has; what of it cannot be used, the journal has noted."""
    state = State(Commits())
    load(state, journal)
    return state


class Keeper:
    """Removes of what `state` holds."""

    def __init__(self, journal: Journal, state: State) -> None:
        self._journal = journal
        self.state = state

    def remove_channels(self, channels: Iterable[KeptChannel]) -> None:
        """Remove channels that have no members, with their attributes. Raises `StorageError`."""
        for some in _chunks([it.record for it in channels]):
            self._remove(
                {
                    "channels": [(it.id,) for it in some],
                    MAKERS: [(it.id,) for it in some],
                    "channel_attributes": [(it.id, name) for it in some for name in it.attributes],
                }
            )

    def remove_accounts(self, accounts: Iterable[KeptAccount]) -> None:
        """Remove accounts that are offline and have no calls, with their attributes and inboxes;
        channels that they have made stay. Raises `StorageError`.
        """
        made: dict[AccountKey, list[int]] = {}
        for channel in self.state.channels.values():
            if channel.maker is not None:
                made.setdefault(channel.maker.key, []).append(channel.id)
        for some in _chunks([it.record for it in accounts]):
            gone = [(entry.number,) for it in some for entry in it.inbox.entries]
            self._remove(
                {
                    "accounts": [(it.id,) for it in some],
                    HANDLED: [(it.id,) for it in some],
                    "user_attributes": [(it.id, name) for it in some for name in it.attributes],
                    "replies": [(reply.number,) for it in some for reply in it.replies.values()],
                    MAKERS: [(number,) for it in some for number in made.get(it.key, ())],
                },
                {DROPPED: {key: key for key in gone}},
            )
        # Their messages are to be in the file no more.
        for _ in self._journal.rows(ENTRIES):
            pass
        self._journal.settle()

    def _remove(
        self, keys: Mapping[str, Iterable[tuple[object, ...]]], put: Batch | None = None
    ) -> None:
        batch: Batch = {table: dict.fromkeys(some) for table, some in keys.items()}
        self._journal.write({**batch, **(put or {})})


def _chunks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), REMOVED_AT_ONCE):
        yield records[start : start + REMOVED_AT_ONCE]
