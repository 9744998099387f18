"""All accounts, channels and calls of the embedded engine.

Owns: the indexes, the numbers that name records, and the newest time that was seen. Must not know
an operation, nor how a state comes back from a journal: recovery.py does.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

import attrs

from signal_sdk.server.engine.base import (
    AccountKey,
    Alarm,
    Call,
    CallKey,
    ChannelKey,
    Delivery,
    Holdings,
    Place,
)
from signal_sdk.server.engine.bounds import Bounds, Usage, check
from signal_sdk.server.engine.dues import Dues
from signal_sdk.server.engine.happenings import Happenings
from signal_sdk.server.engine.locks import Ask, Locks
from signal_sdk.server.engine.memory import shrink
from signal_sdk.server.engine.noting import Commits
from signal_sdk.server.engine.owners import Owner
from signal_sdk.server.engine.schema import FACTS, MAKERS
from signal_sdk.server.engine.tables import FEW, RESERVED, Account, Channel
from signal_sdk.server.rates import Paces, Rates

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
    last_account: int = 0
    last_channel: int = 0
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
    _forgotten_revision: int = 0
    """The largest that was given in an app that is forgotten: a new one begins behind it."""
    _noted_time: float = 0.0
    _given: set[str] = attrs.field(factory=set)
    """Under which names the journal has what was given."""

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
            self.last_account += 1
            account = Account(
                id=self.last_account,
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
        self.last_channel += 1
        channel = Channel(
            id=self.last_channel, key=key, usage=usage, maker=maker, idle_since=idle_since
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

    def take_facts(self, known: Mapping[str, float]) -> None:
        """What of an app's use, and of the time, the journal has, by its names."""
        self.newest_time = self._noted_time = known.get(NEWEST_TIME, 0.0)
        self._forgotten_revision = int(known.get(REVISION, 0))
        for name, number in known.items():
            kind, _, app = name.partition(" ")
            if kind in GIVEN and app:
                setattr(usage := self.usage(app), kind, int(number))
                usage.reserved = usage.revision
                self._given.add(name)
            self.happenings.take_number(name, number)

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


def given(kind: str, app: str) -> str:
    """Under which name the journal has what was given to accounts of the app that are forgotten."""
    return f"{kind} {app}"
