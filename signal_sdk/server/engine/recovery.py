"""Recovery: how the embedded engine's state comes back from its journal.

Owns: what each row makes of the state, and what becomes of one that cannot be used or belongs to
nothing. Must not know an operation, or how the journal finds that a row is not what was written.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from signal_sdk.server.engine.base import AccountKey, ChannelKey, Entry
from signal_sdk.server.engine.bounds import size_of
from signal_sdk.server.engine.facts import joining, leaving
from signal_sdk.server.engine.files import exposed
from signal_sdk.server.engine.journal import HOMELESS, UNREADABLE, Journal
from signal_sdk.server.engine.schema import FACTS, HAPPENINGS, LOCKS, MAKERS, Row
from signal_sdk.server.engine.state import REVISION, State, given
from signal_sdk.server.engine.tables import RESERVED, Account, Channel, Reply, call_from_row

__all__ = ["load", "resume", "told"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.engine")


def resume(state: State, journal: Journal) -> None:
    """Go on where the journal was left; what of it cannot be used is set aside, and told in one
    line of the log, as is a directory that others may look at. Raises `StorageError`.
    """
    for line in exposed(journal.path):
        logger.warning("%s", line)
    journal.reserve(RESERVED)
    load(state, journal)
    bad = journal.settle()
    _reserve_again(state, journal)
    if bad:
        logger.warning(
            "%s: %d rows could not be used, and were set aside (%s): is the disk failing?",
            journal.path,
            len(bad),
            told(Counter(it.table for it in bad)),
        )


def _reserve_again(state: State, journal: Journal) -> None:
    """Reserve revisions anew in every app that has given some, as `Journal.reserve` does what
    accounts and channels have.
    """
    rows: dict[Any, Row | None] = {}
    for app, usage in state.usages.items():
        if usage.reserved or usage.revision:
            usage.reserved = max(usage.reserved, usage.revision) + RESERVED
            name = given(REVISION, app)
            rows[(name,)] = (name, float(usage.reserved))
    if rows:
        journal.write({FACTS: rows})


def load(state: State, journal: Journal) -> None:
    """Read all that a journal has. A row that cannot be used is refused, and so is what belongs
    to it. Raises `StorageError`.
    """
    state.take_facts(dict(journal.rows(FACTS)))
    _load_channels(state, journal, _load_accounts(state, journal))
    _take(journal, HAPPENINGS, state.happenings.take_row)
    state.happenings.resumed()


def _load_accounts(state: State, journal: Journal) -> Mapping[int, Account]:
    """The accounts, and what each has, by their ids."""
    accounts: dict[int, Account] = {}

    def take_account(row: Row) -> None:
        usage = state.usage(row[1])
        account = Account.from_row(row, usage)
        usage.revision = max(usage.revision, account.revision)
        key = account.key
        accounts[account.id] = state.accounts[key] = account
        usage.uids.add(account.uid)
        if account.presence is not None:
            usage.online += 1
            state.lines[account.presence.line_digest] = key

    def take_user_attribute(row: Row) -> None:
        owner, *attribute = row
        accounts[owner].take(tuple(attribute))

    def take_entry(row: Row) -> None:
        number, owner, version, expires, line = row
        entry = Entry(version=version, sender="", expires=expires, line=line, number=number)
        inbox, size = accounts[owner].inbox, size_of(line)
        if inbox.entries and inbox.entries[-1].version == version:
            # It was appended again, and the floor, which said so, could not be read.
            inbox.entries[-1] = entry
            return
        inbox.append(entry, size)
        accounts[owner].usage.bytes += size
        accounts[owner].usage.entries += 1

    def take_reply(row: Row) -> None:
        number, owner, callid, text = row
        accounts[owner].replies[callid] = Reply(text, number)
        state.last_reply = number

    _take(journal, "accounts", take_account)
    _take(journal, "user_attributes", take_user_attribute)
    _take(journal, "entries", take_entry, "account, version")
    _take(journal, "replies", take_reply)
    state.last_account = max(accounts, default=0)
    return accounts


def _load_channels(state: State, journal: Journal, accounts: Mapping[int, Account]) -> None:
    """The channels, who is in them, and the calls."""
    channels: dict[int, Channel] = {}

    def take_channel(row: Row) -> None:
        channel = Channel.from_row(row, state.usage(row[1]))
        channels[channel.id] = state.channels[channel.key] = channel
        channel.usage.revision = max(channel.usage.revision, channel.revision)
        channel.usage.channels += 1

    def take_member(row: Row) -> None:
        number, member, _ = row
        account, channel = accounts[member], channels[number]
        channel.members[account.key.account] = account.uid
        channel.usage.members += 1
        presence = account.presence
        if presence is not None and presence.many_channels:
            account.presence = joining(presence, channel.key.channel)

    def take_maker(row: Row) -> None:
        number, owner = row
        channel, maker = channels[number], accounts[owner]
        channel.maker = maker
        maker.made += 1

    def take_channel_attribute(row: Row) -> None:
        number, *attribute = row
        channels[number].take(tuple(attribute))

    def take_call(row: Row) -> None:
        key, call = call_from_row(row)
        sides = [state.accounts[AccountKey(key.app, side)] for side in (key.one, key.other)]
        state.calls[key] = call
        state.live[call.state] += 1
        for side in sides:
            side.calls[key] = None

    _take(journal, "channels", take_channel)
    _take(journal, "members", take_member, "position")
    _take(journal, MAKERS, take_maker)
    _take(journal, "channel_attributes", take_channel_attribute)
    _take(journal, "calls", take_call)
    _take(journal, LOCKS, partial(state.locks.take_row, channels, accounts), "number")
    state.last_channel = max(channels, default=0)
    _agree(state)


def _agree(state: State) -> None:
    """A presence says which channels it is in: where a row was set aside, the members may say
    otherwise, and are wrong.
    """
    for key, account in state.accounts.items():
        presence = account.presence
        if presence is None:
            continue
        for name in presence.channels:
            channel = state.channels.get(ChannelKey(key.app, name))
            if channel is None or key.account not in channel.members:
                presence = leaving(presence, name)
        if presence is not account.presence:
            account.presence = presence
            state.commits.account(account)
    for channel in state.channels.values():
        for name in list(channel.members):
            presence = state.accounts[AccountKey(channel.key.app, name)].presence
            if presence is None or channel.key.channel not in presence.channels:
                del channel.members[name]
                channel.usage.members -= 1


def _take(journal: Journal, table: str, take: Callable[[Row], None], order: str = "") -> None:
    """Have each row of a table taken, or refused where that cannot be."""
    for row in journal.rows(table, order):
        try:
            take(row)
        except LookupError:
            journal.refuse(table, row, HOMELESS)
        except (ArithmeticError, TypeError, ValueError, msgspec.MsgspecError):
            # As written, and yet wrong: it was before rows had checksums.
            journal.refuse(table, row, UNREADABLE)


def told(counts: Mapping[str, int]) -> str:
    """How many rows of which tables, in words."""
    return ", ".join(f"{count} of {table}" for table, count in counts.items())
