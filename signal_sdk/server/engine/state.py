"""All accounts, channels and calls of the embedded engine, and how they come back from a journal.

Owns: the indexes, the numbers that name records, and the newest time that was seen. Must not know
an operation.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import attrs
import msgspec

from signal_sdk.server.engine.base import (
    AccountKey,
    Alarm,
    Call,
    CallKey,
    ChannelKey,
    Delivery,
    Entry,
    Holdings,
    Place,
)
from signal_sdk.server.engine.bounds import Bounds, Usage, check, size_of
from signal_sdk.server.engine.commits import Commits
from signal_sdk.server.engine.dues import Dues
from signal_sdk.server.engine.facts import joining, leaving
from signal_sdk.server.engine.files import exposed
from signal_sdk.server.engine.happenings import Happenings
from signal_sdk.server.engine.journal import HOMELESS, UNREADABLE, Journal
from signal_sdk.server.engine.locks import Ask, Locks
from signal_sdk.server.engine.memory import shrink
from signal_sdk.server.engine.schema import FACTS, HAPPENINGS, LOCKS, MAKERS, Row
from signal_sdk.server.engine.tables import (
    FEW,
    RESERVED,
    Account,
    Channel,
    Owner,
    Reply,
    call_from_row,
)
from signal_sdk.server.rates import Paces, Rates

logger: logging.Logger = logging.getLogger("signal_sdk.server.engine")

Due: TypeAlias = "tuple[str, Account | Channel | Owner | CallKey | Ask]"
"""What is due: its kind, and of what."""

NEWEST_TIME: Final = "newest_time"
GENERATION: Final = "generation"
VERSION: Final = "version"
REVISION: Final = "revision"
GIVEN: Final = (GENERATION, VERSION, REVISION)
"""What of an app's use outlives the process: the numbers behind which accounts begin, where that
ends in good order, and up to which revisions are reserved."""
NOTED_SECONDS: Final = 60.0

MAX_APPS: Final = 10_000
"""How many apps are remembered of which nothing is kept."""
MUCH: Final = 10_000
"""How many accounts and channels that are gone are worth tidying up after."""


@attrs.define(eq=False)
class State:
    """The tables, and what the engines of several nodes of one process share.

    `expiries` is what is due of tokens, `dues` all else; `lines` finds the account of a session's
    digest; `deliveries` and `alarms` are those of each node; `lives` says when it was last heard
    of, `places` where it may be reached, and since when; `listening` is who has subscribed to a
    channel, `watching` who wants to hear of an account; `histories` are the channels that have one,
    for the sweep; `messages`, `changes` and `joins` are the channels' rates. `live` counts the
    calls by their states, `invited` those that
    have begun since the start, and `ended` those that have ended, by why.
    """

    commits: Commits
    bounds: Bounds = Bounds()
    dues: Dues[Due] = attrs.field(factory=Dues)
    expiries: Dues[Due] = attrs.field(factory=Dues)
    accounts: dict[AccountKey, Account] = attrs.field(factory=dict)
    lines: dict[bytes, AccountKey] = attrs.field(factory=dict)
    channels: dict[ChannelKey, Channel] = attrs.field(factory=dict)
    calls: dict[CallKey, Call] = attrs.field(factory=dict)
    live: Counter[str] = attrs.field(factory=Counter)
    invited: int = 0
    ended: Counter[str] = attrs.field(factory=Counter)
    last_reply: int = 0
    usages: dict[str, Usage] = attrs.field(factory=dict)
    newest_time: float = 0.0
    has_begun: bool = False
    deliveries: dict[str, Delivery] = attrs.field(factory=dict)
    alarms: dict[str, list[tuple[Dues[Due], Alarm]]] = attrs.field(factory=dict)
    lives: dict[str, float] = attrs.field(factory=dict)
    places: dict[str, tuple[float, Place]] = attrs.field(factory=dict)
    listening: dict[ChannelKey, tuple[Delivery, ...]] = attrs.field(factory=dict)
    watching: dict[AccountKey, tuple[Delivery, ...]] = attrs.field(factory=dict)
    messages: Rates[ChannelKey] = attrs.field(factory=Rates)
    changes: Rates[ChannelKey] = attrs.field(factory=Rates)
    joins: Paces[ChannelKey] = attrs.field(factory=Paces)
    histories: deque[ChannelKey] = attrs.field(factory=deque)
    happenings: Happenings = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda state: Happenings(state.commits, state.deliveries), takes_self=True
        ),
    )
    locks: Locks = attrs.field(
        init=False, default=attrs.Factory(lambda state: Locks(state.commits), takes_self=True)
    )
    _gone: int = 0
    _last_account: int = 0
    _forgotten_revision: int = 0
    """The largest that was given in an app that is forgotten: a new one begins behind it."""
    _noted_time: float = 0.0
    _given: set[str] = attrs.field(factory=set)
    """Under which names the journal has what was given."""
    _last_channel: int = 0

    def usage(self, app: str) -> Usage:
        """What the app uses."""
        usage = self.usages.get(app)
        if usage is None:
            first = self._forgotten_revision
            usage = self.usages[app] = Usage(revision=first, reserved=first)
            self._forget_apps()
        return usage

    def next_revision(self, app: str) -> int:
        """A number that was never given in the app, and is larger than all that were."""
        usage = self.usage(app)
        usage.revision += 1
        self._reserve(app, usage)
        return usage.revision

    def _reserve(self, app: str, usage: Usage) -> None:
        """There are revisions enough that are reserved, before the first of them is given."""
        if usage.reserved - usage.revision < FEW:
            usage.reserved = usage.revision + RESERVED
            self._note_given(REVISION, app, usage.reserved)

    def _note_given(self, kind: str, app: str, number: int) -> None:
        name = given(kind, app)
        self._given.add(name)
        self.commits.put(FACTS, (name,), (name, float(number)))

    def holdings(self, apps: Collection[str]) -> dict[str, Holdings]:
        """What there is of each of these apps, and of all others together, under ""."""
        sums = {app: [0] * 6 for app in ("", *apps)}
        for app, it in self.usages.items():
            held = sums.get(app) or sums[""]
            held[0] += it.accounts
            held[1] += it.online
            held[2] += it.channels
            held[3] += it.members
            held[4] += it.entries
            held[5] += it.bytes
        return {
            app: Holdings(
                accounts=held[0],
                online=held[1],
                channels=held[2],
                members=held[3],
                entries=held[4],
                bytes=held[5],
            )
            for app, held in sums.items()
        }

    def _forget_apps(self) -> None:
        """Of too many apps, which only a server in dev mode has, the eldest that has nothing is
        forgotten. One in use is passed over, and two are looked at for each that is new.
        """
        for _ in range(2):
            if len(self.usages) <= MAX_APPS:
                break
            app = next(iter(self.usages))
            usage = self.usages.pop(app)
            if usage.is_used:
                self.usages[app] = usage
            else:
                self._forget_revisions(app, usage.revision)

    def _forget_revisions(self, app: str, last: int) -> None:
        """Of all apps that are forgotten, one number is remembered."""
        name = given(REVISION, app)
        self._given.discard(name)
        self.commits.drop(FACTS, (name,))
        if last > self._forgotten_revision:
            self._forgotten_revision = last
            self.commits.put(FACTS, (REVISION,), (REVISION, float(last)))

    def account(self, key: AccountKey, *, was_known: bool = False) -> Account:
        """The account; made where nobody knows it. Raises `QuotaError`, unless it `was_known` to
        the same operation.
        """
        account = self.accounts.get(key)
        if account is None:
            usage = self.usage(key.app)
            if not was_known:
                what, most = "the accounts that the app has", self.bounds.app_accounts
                check(usage.accounts, most, what, limit="app_accounts")
            self._last_account += 1
            account = Account(
                id=self._last_account,
                key=key,
                uid=usage.take_uid(*key),
                usage=usage,
                generation=usage.generation,
                reserved=usage.version + RESERVED,
            )
            account.inbox.last_version = usage.version
            self._reserve(key.app, usage)
            self.accounts[key] = account
            self.commits.account(account)
        return account

    def saw(self, now: float) -> None:
        """It is `now`: the newest time, where it is later than any that was seen. Once a minute is
        often enough for what outlives the process.
        """
        self.newest_time = max(self.newest_time, now)
        if self.newest_time - self._noted_time >= NOTED_SECONDS:
            self._note_time()

    def forget_newer_time(self, now: float) -> None:
        """Whatever was seen that is later than `now` was a mistake."""
        if self.newest_time > now:
            self.newest_time = now
            self._note_time()

    def _note_time(self) -> None:
        self._noted_time = self.newest_time
        self.commits.put(FACTS, (NEWEST_TIME,), (NEWEST_TIME, self.newest_time))

    def forget(self, account: Account) -> None:
        """Forget an account of which nothing is left."""
        usage = account.usage
        usage.generation = max(usage.generation, account.generation)
        usage.version = max(usage.version, account.inbox.last_version)
        usage.uids.discard(account.uid)
        self._gone += 1
        del self.accounts[account.key]
        self.commits.drop("accounts", (account.id,))

    def tidy(self) -> bool:
        """Give back the room of what is gone, once that is much; was it?"""
        if self._gone < max(MUCH, len(self.accounts) + len(self.channels)):
            return False
        self._gone = 0
        shrink(self.accounts, self.channels, self.lines, self.calls)
        shrink(*(usage.uids for usage in self.usages.values()))
        return True

    def make_channel(
        self, key: ChannelKey, maker: Account | None, idle_since: float | None
    ) -> Channel:
        """A new channel. Raises `QuotaError`."""
        usage = self.usage(key.app)
        most = self.bounds.app_channels
        check(usage.channels, most, "the app's channels", limit="app_channels")
        if maker is not None:
            what = f"the channels that {maker.key.account!r} has made and that are there"
            check(maker.made, self.bounds.account_channels, what, limit="account_channels")
            maker.made += 1
        usage.channels += 1
        self._last_channel += 1
        channel = Channel(
            id=self._last_channel, key=key, usage=usage, maker=maker, idle_since=idle_since
        )
        self.channels[key] = channel
        self.commits.channel(channel)
        if maker is not None:
            self.commits.put(MAKERS, (channel.id,), (channel.id, maker.id))
        return channel

    def drop_channel(self, channel: Channel) -> Account | None:
        """There is no such channel any more; return its maker."""
        del self.channels[channel.key]
        self._gone += 1
        channel.usage.channels -= 1
        self.commits.drop("channels", (channel.id,))
        if channel.maker is not None:
            channel.maker.made -= 1
            self.commits.drop(MAKERS, (channel.id,))
        return channel.maker

    def reserve_no_more(self) -> None:
        """The process ends in good order: numbers go on behind those that were given."""
        for account in self.accounts.values():
            if account.reserved != account.inbox.last_version:
                account.reserved = account.inbox.last_version
                self.commits.account(account)
        for channel in self.channels.values():
            if channel.reserved != channel.msgid:
                channel.reserved = channel.msgid
                self.commits.channel(channel)
        numbers = {
            (kind, app): number
            for app, usage in self.usages.items()
            for kind in GIVEN
            if (number := getattr(usage, kind))
        }
        for name in self._given - {given(*of) for of in numbers}:
            self.commits.drop(FACTS, (name,))
        for (kind, app), number in numbers.items():
            self._note_given(kind, app, number)

    def resume(self, journal: Journal) -> None:
        """Go on where the journal was left; what of it cannot be used is set aside, and told in one
        line of the log, as is a directory that others may look at. Raises `StorageError`.
        """
        for line in exposed(journal.path):
            logger.warning("%s", line)
        journal.reserve(RESERVED)
        self.load(journal)
        bad = journal.settle()
        self._reserve_again(journal)
        if bad:
            logger.warning(
                "%s: %d rows could not be used, and were set aside (%s): is the disk failing?",
                journal.path,
                len(bad),
                told(Counter(it.table for it in bad)),
            )

    def _reserve_again(self, journal: Journal) -> None:
        """Reserve revisions anew in every app that has given some, as `Journal.reserve` does what
        accounts and channels have.
        """
        rows: dict[Any, Row | None] = {}
        for app, usage in self.usages.items():
            if usage.reserved or usage.revision:
                usage.reserved = max(usage.reserved, usage.revision) + RESERVED
                name = given(REVISION, app)
                rows[(name,)] = (name, float(usage.reserved))
        if rows:
            journal.write({FACTS: rows})

    def load(self, journal: Journal) -> None:
        """Read all that a journal has. A row that cannot be used is refused, and so is what belongs
        to it. Raises `StorageError`.
        """
        known: dict[str, float] = dict(journal.rows(FACTS))
        self.newest_time = self._noted_time = known.get(NEWEST_TIME, 0.0)
        self._forgotten_revision = int(known.get(REVISION, 0))
        for name, number in known.items():
            kind, _, app = name.partition(" ")
            if kind in GIVEN and app:
                setattr(usage := self.usage(app), kind, int(number))
                usage.reserved = usage.revision
                self._given.add(name)
            self.happenings.take_number(name, number)
        self._load_channels(journal, self._load_accounts(journal))
        _take(journal, HAPPENINGS, self.happenings.take_row)
        self.happenings.resumed()

    def _load_accounts(self, journal: Journal) -> Mapping[int, Account]:
        """The accounts, and what each has, by their ids."""
        accounts: dict[int, Account] = {}

        def take_account(row: Row) -> None:
            usage = self.usage(row[1])
            account = Account.from_row(row, usage)
            usage.revision = max(usage.revision, account.revision)
            key = account.key
            accounts[account.id] = self.accounts[key] = account
            usage.uids.add(account.uid)
            if account.presence is not None:
                usage.online += 1
                self.lines[account.presence.line_digest] = key

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
            self.last_reply = number

        _take(journal, "accounts", take_account)
        _take(journal, "user_attributes", take_user_attribute)
        _take(journal, "entries", take_entry, "account, version")
        _take(journal, "replies", take_reply)
        self._last_account = max(accounts, default=0)
        return accounts

    def _load_channels(self, journal: Journal, accounts: Mapping[int, Account]) -> None:
        """The channels, who is in them, and the calls."""
        channels: dict[int, Channel] = {}

        def take_channel(row: Row) -> None:
            channel = Channel.from_row(row, self.usage(row[1]))
            channels[channel.id] = self.channels[channel.key] = channel
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
            sides = [self.accounts[AccountKey(key.app, side)] for side in (key.one, key.other)]
            self.calls[key] = call
            self.live[call.state] += 1
            for side in sides:
                side.calls[key] = None

        _take(journal, "channels", take_channel)
        _take(journal, "members", take_member, "position")
        _take(journal, MAKERS, take_maker)
        _take(journal, "channel_attributes", take_channel_attribute)
        _take(journal, "calls", take_call)
        _take(journal, LOCKS, partial(self.locks.take_row, channels, accounts), "number")
        self._last_channel = max(channels, default=0)
        self._agree()

    def _agree(self) -> None:
        """A presence says which channels it is in: where a row was set aside, the members may say
        otherwise, and are wrong.
        """
        for key, account in self.accounts.items():
            presence = account.presence
            if presence is None:
                continue
            for name in presence.channels:
                channel = self.channels.get(ChannelKey(key.app, name))
                if channel is None or key.account not in channel.members:
                    presence = leaving(presence, name)
            if presence is not account.presence:
                account.presence = presence
                self.commits.account(account)
        for channel in self.channels.values():
            for name in list(channel.members):
                presence = self.accounts[AccountKey(channel.key.app, name)].presence
                if presence is None or channel.key.channel not in presence.channels:
                    del channel.members[name]
                    channel.usage.members -= 1


def given(kind: str, app: str) -> str:
    """Under which name the journal has what was given to accounts of the app that are forgotten."""
    return f"{kind} {app}"


def told(counts: Mapping[str, int]) -> str:
    """How many rows of which tables, in words."""
    return ", ".join(f"{count} of {table}" for table, count in counts.items())


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
