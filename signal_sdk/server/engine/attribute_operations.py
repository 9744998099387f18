"""The embedded engine's attributes, of channels and of users: how they change.

Owns: these operations, the revision of each change, and what channels and watchers are told of it.
Must not know who is a member, or how a change is written.

Whoever changes an attribute, and by whichever operation, has it done by `_change`: all that is
asked for at once is under one revision, and is done or refused together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine import told
from signal_sdk.server.engine.base import (
    Asked,
    AttributeChange,
    AttributesChanged,
    Changed,
    ChannelKey,
    Known,
)
from signal_sdk.server.engine.bounds import check_attributes, check_bytes, size_of
from signal_sdk.server.engine.channel_operations import ATTRIBUTES
from signal_sdk.server.engine.owners import Mark, Owner
from signal_sdk.server.engine.tables import Account, Channel
from signal_sdk.server.engine.values import encode_json
from signal_sdk.server.engine.watch_operations import NOTHING, WatchOperations
from signal_sdk.server.refusals import too_often
from signal_sdk.wire import built_in, names
from signal_sdk.wire.names import JsonValue

ABSENT: Final = Mark(0)
TABLES: Final[Mapping[type[Owner], str]] = {
    Account: "user_attributes",
    Channel: "channel_attributes",
}


class AttributeOperations(WatchOperations):
    """Attributes, as the contract has them."""

    # --- of channels ---

    def set_channel_attr(
        self, asked: Asked, channel: str, name: str, value: JsonValue, *, members_only: bool
    ) -> Known | None:
        account = self._asker(asked)
        if known := self._known(account, asked):
            return known
        key = ChannelKey(asked.key.app, channel)
        if members_only:
            self._check_member(key, asked.key.account)
        self._set_channel_attr(key, account, name, value)
        self._keep(account, asked)
        return None

    def _set_channel_attr(
        self, key: ChannelKey, by: Account | None, name: str, value: JsonValue
    ) -> None:
        """As `set_channel_attr`, by the server itself where `by` is None."""
        change = AttributeChange(set={name: value})
        self._change_channel(self._changing(key), key, by, change)

    def del_channel_attr(
        self, asked: Asked, channel: str, name: str, *, members_only: bool
    ) -> Known | None:
        account = self._asker(asked)
        if known := self._known(account, asked):
            return known
        key = ChannelKey(asked.key.app, channel)
        if members_only:
            self._check_member(key, asked.key.account)
        if not self._del_channel_attr(key, account, name):
            raise SignalError(
                ECode.GENERAL_E_FAILED, f"the channel {channel!r} has no attribute {name!r}"
            )
        self._keep(account, asked)
        return None

    def _del_channel_attr(self, key: ChannelKey, by: Account | None, name: str) -> bool:
        """As `del_channel_attr`, by the server itself where `by` is None; False where it is not
        set.
        """
        found = self._changing(key)
        if found is None or name not in found.attributes:
            return False
        self._change_channel(found, key, by, AttributeChange(delete=(name,)))
        return True

    def clear_channel_attrs(
        self, asked: Asked, channel: str, *, members_only: bool
    ) -> Known | None:
        account = self._asker(asked)
        if known := self._known(account, asked):
            return known
        key = ChannelKey(asked.key.app, channel)
        if members_only:
            self._check_member(key, asked.key.account)
        found = self._changing(key)
        if found is not None:
            self._change(found, AttributeChange(delete=tuple(found.attributes)))
            self._commits.channel(found)
            self._publish(found, told.changed(channel, asked.key.account, account.uid, "clear"))
            for name in (built_in.CHANNEL_TTL, *told.COUNTS):
                self._watch_channel(found, name)
        self._keep(account, asked)
        return None

    def _check_member(self, key: ChannelKey, account: str) -> None:
        channel = self._channels.get(key)
        if channel is None or account not in channel.members:
            raise SignalError(
                ECode.GENERAL_E_FAILED,
                f"{account!r} is not in the channel {key.channel!r}: only its members, "
                "and the app's channel managers, clear its attributes and set its limits",
            )

    def _changing(self, key: ChannelKey, count: int = 1) -> Channel | None:
        """The channel of which so many attributes are to be changed. Raises `SignalError` over its
        rate; of more than that allows at all, it allows so many after a second without any.
        """
        channel = self._channels.get(key)
        own = told.number_of(channel.attributes, built_in.SETATTR_LIMIT, 0) if channel else 0
        limit = own or self._state.bounds.channel_attributes_per_second
        now = trio.current_time()
        rate = self._state.changes.of(key, now)
        if not rate.allows(limit, now, count):
            raise too_often(
                ECode.GENERAL_E_FAILED,
                f"more than {limit} attribute changes in a second in one channel",
                rate.seconds_left(limit, now, count),
                limit="channel_attributes_per_second",
            )
        if channel is not None:
            self._end_attributes(channel)
        return channel

    def _change_channel(
        self, found: Channel | None, key: ChannelKey, by: Account | None, change: AttributeChange
    ) -> int:
        """Change attributes of a channel, which is made where there is none. Its revision. Raises
        `QuotaError`.
        """
        self._check(found, change, f"the channel {key.channel!r}", key.app)
        if found is None and not change.set:
            return self._state.next_revision(key.app)
        if found is None:
            found = self._state.make_channel(key, by, self._wall())
            self._watch_end(found)
        gone = [name for name in change.delete if name in found.attributes]
        revision = self._change(found, change)
        self._commits.channel(found)
        for name in gone:
            self._publish(found, told.changed(key.channel, *_name_of(by), "del", name))
        for name, value in change.set.items():
            self._publish(found, told.changed(key.channel, *_name_of(by), "update", name, value))
        for name in (*gone, *change.set):
            self._watch_channel(found, name)
        return revision

    # --- of users ---

    def set_user_attr(self, asked: Asked, name: str, value: JsonValue) -> Known | None:
        account = self._asker(asked)
        if known := self._known(account, asked):
            return known
        self._change_user(account, AttributeChange(set={name: value}))
        self._keep(account, asked)
        return None

    def _change_user(self, account: Account, change: AttributeChange) -> int:
        """Change attributes of an account. Their revision. Raises `QuotaError`."""
        self._check(account, change, repr(account.key.account), account.key.app)
        gone = [name for name in change.delete if name in account.attributes]
        revision = self._change(account, change)
        self._commits.account(account)
        if account.key in self._watching:
            marks, values = account.snapshot(change.set).values, change.set
            fact = AttributesChanged(
                revision=revision, set={name: marks[name] for name in values}, deleted=tuple(gone)
            )
            self._tell_watchers(account.key, fact)
        return revision

    # --- of either ---

    def change_attributes(
        self, asked: Asked, channel: str | None, change: AttributeChange, *, members_only: bool
    ) -> Changed | Known:
        account = self._asker(asked)
        if known := self._known(account, asked):
            return known
        owner: Owner | None = account
        key = ChannelKey(asked.key.app, channel or "")
        if channel is None:
            self._end_attributes(account)
        else:
            if members_only:
                self._check_member(key, asked.key.account)
            owner = self._changing(key, len(change.set) + len(change.delete))
        changed = _conflict(owner, change)
        if changed is None and channel is None:
            changed = Changed(self._change_user(account, change))
        elif changed is None:
            found = owner if isinstance(owner, Channel) else None
            changed = Changed(self._change_channel(found, key, account, change))
        self._keep(account, asked, reply=asked.revised(changed.revision))
        return changed

    def last_revision(self, app: str) -> int:
        usage = self._state.usages.get(app)
        return usage.revision if usage is not None else 0

    def _check(self, owner: Owner | None, change: AttributeChange, whose: str, app: str) -> None:
        """Raise `QuotaError` where the change would lead over a bound."""
        if change.set:
            has: Mapping[str, JsonValue] = owner.attributes if owner is not None else {}
            bounds, usage = self._state.bounds, self._state.usage(app)
            check_attributes(has, change.set, change.delete, bounds.attributes, whose)
            check_bytes(bounds, usage, has, change.set, change.delete)

    def _change(self, owner: Owner, change: AttributeChange) -> int:
        """Have the attributes as the change wants them, which is allowed. Their revision."""
        revision = owner.revision = self._state.next_revision(owner.app)
        expires = None if change.ttl is None else self._wall() + change.ttl
        for name in change.delete:
            self._drop_attribute(owner, name)
        table = TABLES[type(owner)]
        for name, value in change.set.items():
            if name in owner.attributes:
                owner.usage.bytes -= size_of(encode_json(owner.attributes[name]))
            owner.put(name, value, Mark(revision, expires))
            row = owner.attribute_row(name)
            owner.usage.bytes += size_of(row[-1])
            self._commits.put(table, (owner.id, name), row)
        self._watch_ends(owner)
        return revision

    def _drop_attribute(self, owner: Owner, name: str) -> None:
        """The attribute is gone, if it was there."""
        if name in owner.attributes:
            owner.usage.bytes -= size_of(encode_json(owner.drop(name)))
            self._commits.drop(TABLES[type(owner)], (owner.id, name))

    # --- their ends ---

    def _watch_ends(self, owner: Owner) -> None:
        """When does the first of its attributes end?"""
        end = owner.next_end
        if end is None:
            self._dues.cancel((ATTRIBUTES, owner))
        else:
            self._dues.set((ATTRIBUTES, owner), end - self._wall())

    def _end_attributes(self, owner: Owner) -> None:
        """Delete the attributes whose time is over, as the server itself does."""
        ended = owner.ended(self._wall())
        if not ended:
            return
        change = AttributeChange(delete=ended)
        if isinstance(owner, Channel):
            self._change_channel(owner, owner.key, None, change)
        elif isinstance(owner, Account):
            self._change_user(owner, change)

    def _attributes_due(self, owner: Owner) -> None:
        """Some of its attributes may have ended."""
        self._end_attributes(owner)
        self._watch_ends(owner)
        if isinstance(owner, Account):
            self._inboxes.let_go(owner)


def _conflict(owner: Owner | None, change: AttributeChange) -> Changed | None:
    """What the change finds where that is not as it wants it to be."""
    marks = owner.marks if owner is not None else {}
    revision = owner.revision if owner is not None else 0
    # Nothing has the revision 0: that of what is not there.
    if change.revision in (None, revision) and all(
        marks.get(name, ABSENT).revision == wanted for name, wanted in change.conditions.items()
    ):
        return None
    present = owner.snapshot(change.named) if owner is not None else NOTHING
    return Changed(0, present)


def _name_of(by: Account | None) -> tuple[str, int]:
    """As whom a change is told."""
    return (by.key.account, by.uid) if by is not None else (names.SYSTEM_ACCOUNT, 0)
