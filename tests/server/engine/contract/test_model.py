"""Presence, membership and announcements against a plain model: whatever people and nodes do, what
two observers hear, applied one after the other, is who is online and who is where; each
announcement comes once.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signal_sdk.server.engine.base import (
    LIFE_SECONDS,
    AccountKey,
    Asked,
    ChannelKey,
    FencedError,
    Joined,
    Known,
    WatchedFact,
)
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.happened import Happening
from signal_sdk.wire.events import ChannelContent
from tests.server.engine.contract.harness import (
    HALL,
    MOVES,
    ONLINE,
    ROOM,
    brief,
    line_digest,
    login_facts,
)
from tests.server.engine.hand import HandClock

PEOPLE: Final = ("ann", "bob", "eve")
CHANNELS: Final = {"room": ROOM, "hall": HALL}
NODES: Final = 3
FRAIL: Final = 2
"""The node that falls silent."""
LEASE_SECONDS: Final = 120.0
people = st.sampled_from(PEOPLE)
nodes = st.integers(0, NODES - 1)


class Observer:
    """What a node knows by what it has heard alone."""

    def __init__(self) -> None:
        self.online: set[str] = set()
        self.rosters: dict[str, list[str]] = {name: [] for name in CHANNELS}
        self.moves: dict[str, set[str]] = {name: set() for name in CHANNELS}
        self.latest: dict[ChannelKey, int] = {}
        self.kicks: list[tuple[str, int]] = []
        self.losses: list[tuple[str, int]] = []
        self.removals: list[tuple[str, int]] = []
        self.fencings = 0

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        assert msgid == self.latest.get(key, 0) + 1
        self.latest[key] = msgid
        what, *rest, who = brief(content)
        if key in (ROOM, HALL):
            self._move(self.rosters[key.channel], what, who)
        elif rest and key == MOVES:
            self._move(self.moves[rest[0]], what, who)
        elif rest:
            self._move(self.online, {"online": "join", "offline": "leave"}[what], who)

    @staticmethod
    def _move(there: Any, what: str, who: str) -> None:
        if what == "join":
            assert who not in there, f"{who} comes twice"
            there.add(who) if isinstance(there, set) else there.append(who)
        else:
            assert what == "leave"
            # Raises where nobody of that name is there.
            there.remove(who)

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        self.kicks.append((key.account, generation))

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        self.losses.append((key.account, generation))

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        raise AssertionError("nobody writes")

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        raise AssertionError("there are no tokens")

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        raise AssertionError("nobody waits for a lock")

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        self.removals.append((key.account, generation))

    def deliver_fencing(self) -> None:
        self.fencings += 1

    def deliver_watched(self, key: AccountKey, fact: WatchedFact) -> None:
        raise AssertionError("nobody watches")

    def deliver_happening(self, happening: Happening) -> None:
        raise AssertionError("nobody follows")

    def deliver_kept(self) -> None:
        raise AssertionError("nothing is kept")

    def gather(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def give_way(self, *, at_once: bool = False) -> None:
        """Nothing is read."""

    def flush(self) -> None:
        """Nothing is written."""

    def together(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


@attrs.define
class Login:
    """Somebody who is online, as the model has it."""

    generation: int
    node: int
    is_many: bool = False
    channels: tuple[str, ...] = ()
    lost_at: float | None = None
    removed: tuple[str, ...] = ()
    is_fenced: bool = False
    """Was its node taken for dead since?"""


class PresenceMachine(RuleBasedStateMachine):
    """People come, go, move and are lost; a node falls silent, and comes back."""

    @initialize()
    def begin(self) -> None:
        self.clock = HandClock()
        first = EmbeddedEngine()
        self.engines = [first, first.neighbour(), first.neighbour()]
        self.observers = [Observer() for _ in range(NODES)]
        for engine, observer in zip(self.engines, self.observers, strict=True):
            engine.attach(observer, self.clock.clocks)
            self.clock.start(engine)
        self.logins: dict[str, Login] = {}
        self.earlier: dict[str, int] = {}
        self.kicks: list[list[tuple[str, int]]] = [[] for _ in range(NODES)]
        self.losses: list[list[tuple[str, int]]] = [[] for _ in range(NODES)]
        self.removals: list[list[tuple[str, int]]] = [[] for _ in range(NODES)]
        self.heard_at = 0.0
        self.is_silent = False
        self.is_dead = False
        self.fencings = 0
        self.numbers = 0
        self.clock.run(self._watch)

    def _watch(self) -> None:
        """Two who are never away keep the special channels alive."""
        for number, key in enumerate((ONLINE, MOVES)):
            watcher = AccountKey("app", f"watcher{number}")
            made = self.engines[0].log_in(watcher, login_facts(watcher))
            assert made is not None
            self.engines[0].join(Asked(watcher, made.generation), key.channel, newest=1)
        for engine, observer in list(zip(self.engines, self.observers, strict=True))[:FRAIL]:
            for key in (ROOM, HALL, ONLINE, MOVES):
                engine.subscribe(key)
                observer.latest[key] = engine.roster(key, 0).msgid

    def asked(self, who: str) -> Asked:
        self.numbers += 1
        return Asked(key_of(who), self.logins[who].generation, self.numbers, 0, "first")

    def come(
        self,
        who: str,
        node: int,
        generation: int,
        channels: tuple[str, ...],
        *,
        is_many: bool,
        is_back: bool = False,
    ) -> None:
        """Somebody holds a new generation at this node, of a new session or, being back, of the
        same.
        """
        before = self.logins.get(who)
        if before is not None:
            self.earlier[who] = before.generation
            if before.lost_at is None:
                told = self.losses if is_back else self.kicks
                told[before.node].append((who, before.generation))
        self.logins[who] = Login(generation, node, is_many, channels)
        if before is not None and is_back:
            self.logins[who].removed = before.removed

    def wake(self, node: int) -> None:
        """A node that is dead lives anew when somebody comes to it, or asks there in vain."""
        if node == FRAIL and self.is_dead:
            self.is_dead, self.heard_at = False, self.clock.now
            self.fencings += 1

    # --- what people do ---

    @rule(who=people, node=nodes, keeps=st.booleans(), is_many=st.booleans())
    def log_in(self, who: str, node: int, keeps: bool, is_many: bool) -> None:
        key = key_of(who)
        self.wake(node)
        facts = login_facts(key, f"{node}", many_channels=is_many)
        made = self.clock.run(lambda: self.engines[node].log_in(key, facts, keeps=keeps))
        before = self.logins.get(who)
        assert made is not None
        assert made.generation > (before.generation if before else 0)
        keeps = keeps and before is not None and before.is_many == is_many
        channels = before.channels if before is not None and keeps else ()
        self.come(who, node, made.generation, channels, is_many=is_many)

    @rule(who=people, node=nodes, line=nodes)
    def resume(self, who: str, node: int, line: int) -> None:
        login = self.logins.get(who)
        truth = self.clock.run(lambda: self.engines[0].presence(key_of(who)))
        self.wake(node)
        digest = line_digest(key_of(who), f"{line}")
        found = self.clock.run(lambda: self.engines[node].resume(digest))
        if truth is None or truth.line_digest != digest:
            assert found is None
            return
        assert login is not None
        assert found is not None
        assert found[1].generation > login.generation
        generation, is_many = found[1].generation, login.is_many
        self.come(who, node, generation, login.channels, is_many=is_many, is_back=True)

    @rule(who=people)
    def lose_the_connection(self, who: str) -> None:
        login = self.logins.get(who)
        if login is not None:
            engine = self.engines[login.node]
            self.clock.run(lambda: engine.disconnect(key_of(who), login.generation))
            login.lost_at = self.clock.now if login.lost_at is None else login.lost_at

    @rule(who=people)
    def end(self, who: str) -> None:
        login = self.logins.pop(who, None)
        if login is not None:
            self.earlier[who] = login.generation
            engine = self.engines[login.node]
            assert self.clock.run(lambda: engine.end(key_of(who), login.generation))
            assert not self.clock.run(lambda: engine.end(key_of(who), login.generation))

    @rule(who=people, channel=st.sampled_from(sorted(CHANNELS)))
    def join(self, who: str, channel: str) -> None:
        login = self.logins.get(who)
        if login is None:
            return
        engine, asked = self.engines[login.node], self.asked(who)
        if login.is_fenced:
            self.wake(login.node)
            with pytest.raises(FencedError):
                self.clock.run(lambda: engine.join(asked, channel, newest=9))
            return
        joined = [self.clock.run(lambda: engine.join(asked, channel, newest=9)) for _ in range(2)]
        if channel not in login.channels:
            others, removed = (login.channels, login.removed) if login.is_many else ((), ())
            login.channels = (*others, channel)
            login.removed = tuple(it for it in removed if it != channel)
        assert isinstance(joined[0], Joined)
        assert joined[0] == joined[1]
        # The member hears what follows.
        assert joined[0].roster.msgid == self.observers[0].latest[CHANNELS[channel]]

    @rule(who=people, channel=st.sampled_from(sorted(CHANNELS)))
    def leave(self, who: str, channel: str) -> None:
        login = self.logins.get(who)
        if login is None:
            return
        engine, asked = self.engines[login.node], self.asked(who)
        if login.is_fenced:
            self.wake(login.node)
        if channel not in login.channels or login.is_fenced:
            assert self.clock.refused(lambda: engine.leave(asked, channel)) is not None
            return
        for outcome in (None, Known("first")):
            assert self.clock.run(lambda: engine.leave(asked, channel)) == outcome
        login.channels = tuple(it for it in login.channels if it != channel)

    @rule(who=people, node=nodes)
    def come_too_late(self, who: str, node: int) -> None:
        """What an earlier session of the account had under way changes nothing."""
        generation = self.earlier.get(who)
        if generation is not None:
            engine, asked = self.engines[node], Asked(key_of(who), generation, 10**6, 0, "late")
            self.wake(node)
            with pytest.raises(FencedError):
                self.clock.run(lambda: engine.join(asked, "room", newest=1))
            with pytest.raises(FencedError):
                self.clock.run(lambda: engine.leave(asked, "room"))
            self.clock.run(lambda: engine.disconnect(key_of(who), generation))
            assert not self.clock.run(lambda: engine.end(key_of(who), generation))

    # --- what an operator does ---

    @rule(who=people, node=nodes)
    def kick(self, who: str, node: int) -> None:
        login = self.logins.pop(who, None)
        if login is not None:
            self.earlier[who] = login.generation
            if login.lost_at is None:
                self.kicks[login.node].append((who, login.generation))
        engine = self.engines[node]
        assert self.clock.run(lambda: engine.kick(key_of(who))) is (login is not None)
        assert not self.clock.run(lambda: engine.kick(key_of(who)))

    @rule(who=people, node=nodes, channel=st.sampled_from(sorted(CHANNELS)))
    def remove(self, who: str, node: int, channel: str) -> None:
        login, engine = self.logins.get(who), self.engines[node]
        is_in = login is not None and channel in login.channels
        if login is not None and is_in:
            login.channels = tuple(it for it in login.channels if it != channel)
            before = tuple(it for it in login.removed if it != channel) if login.is_many else ()
            login.removed = (*before, channel)
            if login.lost_at is None:
                self.removals[login.node].append((who, login.generation))
        assert self.clock.run(lambda: engine.remove(key_of(who), channel)) is is_in
        assert not self.clock.run(lambda: engine.remove(key_of(who), channel))

    # --- what nodes do ---

    @precondition(lambda self: not self.is_silent)
    @rule()
    def fall_silent(self) -> None:
        self.is_silent = True

    @precondition(lambda self: self.is_silent)
    @rule()
    def speak(self) -> None:
        self.is_silent = False
        self.clock.in_trio(self._sweep)

    @rule(seconds=st.sampled_from([1, 4, 12, 60, 125]))
    def wait(self, seconds: int) -> None:
        async def wait() -> None:
            for _ in range(seconds):
                self.clock.advance(1)
                for who, login in list(self.logins.items()):
                    if (
                        login.lost_at is not None
                        and self.clock.now >= login.lost_at + LEASE_SECONDS
                    ):
                        self.earlier[who] = self.logins.pop(who).generation
                self._sweep()

        self.clock.in_loop(wait)

    def _sweep(self) -> None:
        for engine in self.engines[:FRAIL]:
            engine.sweep()
        if not self.is_dead and self.clock.now - self.heard_at > LIFE_SECONDS:
            self.is_dead = True
            for login in self.logins.values():
                if login.node == FRAIL:
                    login.is_fenced = True
                    login.lost_at = self.clock.now if login.lost_at is None else login.lost_at
        if not self.is_silent:
            self.wake(FRAIL)
            self.heard_at = self.clock.now
            self.engines[FRAIL].sweep()

    # --- what always holds ---

    @invariant()
    def whoever_is_online_is_where_the_model_says(self) -> None:
        found = {
            key.account: (it.generation, it.channels, it.removed, it.lease_ends)
            for key, it in self.clock.run(self.engines[1].online)
            if key.account in PEOPLE
        }
        assert found == {
            who: (
                it.generation,
                it.channels,
                it.removed,
                None if it.lost_at is None else it.lost_at + LEASE_SECONDS,
            )
            for who, it in self.logins.items()
        }

    @invariant()
    def what_observers_heard_is_the_truth(self) -> None:
        for name, key in CHANNELS.items():
            roster = self.clock.run(partial(self.engines[0].roster, key, 9))
            there = [account for account, _ in roster.newest]
            assert sorted(there) == sorted(
                who for who, it in self.logins.items() if name in it.channels
            )
            for observer in self.observers[:FRAIL]:
                assert observer.rosters[name] == there
                assert observer.moves[name] == set(there)
        for observer in self.observers[:FRAIL]:
            assert observer.online == set(self.logins)

    @invariant()
    def each_connection_that_was_taken_over_was_told_once(self) -> None:
        assert [it.kicks for it in self.observers] == self.kicks
        assert [it.losses for it in self.observers] == self.losses
        assert [it.removals for it in self.observers] == self.removals
        assert [it.fencings for it in self.observers] == [0, 0, self.fencings]

    @invariant()
    def what_is_due_is_what_the_model_waits_for(self) -> None:
        statistics = self.engines[0].statistics()
        leases = sum(it.lost_at is not None for it in self.logins.values())
        rosters = {name for it in self.logins.values() for name in it.channels}
        ends = statistics.channels - 2 - len(rosters)
        assert statistics.due == leases + ends
        assert statistics.online == len(self.logins) + 2
        measures = self.engines[0].measures(("app",))
        assert measures.apps["app"].online == statistics.online
        # Two observers are in a special channel each.
        members = sum(len(it.channels) for it in self.logins.values()) + 2
        assert measures.apps["app"].members == members


def key_of(who: str) -> AccountKey:
    return AccountKey("app", who)


PresenceMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_presence = PresenceMachine.TestCase
