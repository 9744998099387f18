"""Worlds whose clients get, renew and give up locks: what each of them asked and was answered, and
when, is held against one lock that one has at a time.

Owns: these deeds and their records, as histories of one lock. Must not know how a history is
judged: linearizability.py does; nor what serves, and how that fails.

A client knows until when it holds a lock at least, and the server may end that at any time behind
it: so for each holding there is an end that may have come, not before that time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

import attrs
import trio

from signal_sdk import Channel, SignalError
from signal_sdk.client.locks import LockAsk
from tests.simulation.actor import CHANNELS, Actor, Ghost
from tests.simulation.linearizability import (
    FREE,
    Acquire,
    Done,
    Gone,
    Over,
    Refused,
    Release,
    is_linearizable,
    lock,
)
from tests.simulation.nodes import ManyNodes
from tests.simulation.one_server import OneServer
from tests.simulation.world import World

LOCKS: Final = ("door", "gate")
ENDED: Final = "the server has ended its lease"
NEVER: Final = float("inf")


@attrs.define(kw_only=True, eq=False)
class Try:
    """One asking for a lock, and what became of it."""

    account: str
    name: str
    lease: float
    asked_at: float
    acquired_at: float = NEVER
    fence: int = 0
    held_until: float = NEVER
    """Until when the client held it; it did at least until `sure_until`."""
    sure_until: float = NEVER
    left_at: float = NEVER
    """When it asked to leave the channel, which ends it, too."""
    refused_at: float = NEVER
    refused_for: str = ""
    given_at: float = NEVER
    heard_at: float = NEVER
    """When it was given up, and when the server's answer came."""
    was_held: bool | None = None
    gone_at: float = NEVER
    """When it was told that it has it no more."""

    def calls(self, number: int, others: Sequence[tuple[int, Try]]) -> Iterator[Done]:
        """The calls of this ask, which has that number."""
        if self.refused_for:
            holders = frozenset(it for it, other in others if other.account == self.refused_for)
            yield Done(self.asked_at, self.refused_at, Refused(holders))
            return
        yield Done(self.asked_at, self.acquired_at, Acquire(number, self.fence))
        sure = self.asked_at if self.sure_until == NEVER else self.sure_until
        yield Done(min(sure, self.left_at), NEVER, Over(number))
        if self.given_at < NEVER:
            yield Done(self.given_at, self.heard_at, Release(number, self.was_held))
        if self.gone_at < NEVER:
            yield Done(self.acquired_at, self.gone_at, Gone(number))


class LockActor(Actor):
    """A client that has to do with locks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tries: list[Try] = []
        self._channel: Channel | None = None
        self._held: dict[LockAsk, Try] = {}

    def _do_something(self) -> None:
        deeds = [(8, self._lock), (1, self._leave), (1, self._come_or_go)]
        weights = [weight for weight, _ in deeds]
        self._draw.choices([deed for _, deed in deeds], weights)[0]()

    def _leave(self) -> None:
        self._note_leaving()
        if self._channel is not None:
            self._watch(self._channel.channel_leave())

    def leave(self) -> None:
        self._note_leaving()
        super().leave()

    def _note_leaving(self) -> None:
        for it in self.tries:
            it.left_at = min(it.left_at, trio.current_time())

    def _lock(self) -> None:
        if self.session is None:
            self.come_back()
            return
        if self._channel is None or not self._member_is_staying:
            self._channel = self.session.channel_join(CHANNELS[0])
            self._watch(_joined(self._channel))
        assert self._nursery is not None
        self._nursery.start_soon(self._try)

    @property
    def _member_is_staying(self) -> bool:
        channel = self._channel
        return channel is not None and channel.session is self.session and channel.is_joined

    async def _try(self) -> None:
        draw, channel = self._draw, self._channel
        assert channel is not None
        name, lease = draw.choice(LOCKS), draw.choice([1.5, 4.0, 15.0])
        wait, work = draw.choice([0.0, 3.0, 20.0]), draw.choice([0.0, 1.0, 5.0])
        it = Try(account=self.name, name=name, lease=lease, asked_at=trio.current_time())
        self.tries.append(it)
        lost = trio.Event()

        def on_lost(_: SignalError) -> None:
            lost.set()

        ask: LockAsk = channel.lock(name, lease=lease, wait=wait).begin(on_lost=on_lost)
        try:
            it.fence = await ask.acquired
        except SignalError as exc:
            self._is_refused(it, exc)
            return
        it.acquired_at = trio.current_time()
        with trio.move_on_after(work):
            await lost.wait()
        it.held_until, it.sure_until = trio.current_time(), ask._ends_at
        if ask.loss is not None:
            if ask.loss.reason.endswith(ENDED):
                it.gone_at = it.held_until
            # It is given back all the same.
            it.given_at = it.held_until
            return
        it.given_at = trio.current_time()
        try:
            it.was_held = await ask.give_up()
        except SignalError:
            return
        it.heard_at = trio.current_time()

    def _is_refused(self, it: Try, error: SignalError) -> None:
        self.failures.append(str(error))
        _, is_held, holder = error.reason.partition(" is held by ")
        if is_held:
            it.refused_at, it.refused_for = trio.current_time(), holder.strip("'")
        else:
            # It may have been had, and was given back.
            it.given_at = trio.current_time()

    @property
    def more(self) -> list[str]:
        """All that it did, in short."""
        return [repr(attrs.astuple(it)) for it in self.tries]

    @more.setter
    def more(self, _: list[str]) -> None:
        """It is what `tries` are."""


async def _joined(channel: Any) -> None:
    await channel


def check_locks(actors: Sequence[Any]) -> Iterator[str]:
    """Each lock was one client's at a time, by the clients' own count, under numbers that rise, and
    all that was answered could have been by one lock.
    """
    tries = [it for actor in actors for it in actor.tries]
    fences = [it.fence for it in tries if it.fence]
    if len(fences) != len(set(fences)):
        yield f"a number was given twice: {sorted(fences)}"
    for name in LOCKS:
        own = [it for it in tries if it.name == name]
        yield from _overlaps(name, [it for it in own if it.fence])
        numbered = list(enumerate(own, 1))
        history = [call for number, it in numbered for call in it.calls(number, numbered)]
        if not is_linearizable(history, lock, FREE):
            yield f"{name}: no one lock has answered so: {own}"


def _overlaps(name: str, held: Sequence[Try]) -> Iterator[str]:
    """In the order of their numbers each held it when the one before did no more, but for one who
    has asked to leave the channel.
    """
    for before, after in itertools.pairwise(sorted(held, key=lambda it: it.fence)):
        if min(before.held_until, before.left_at) > after.acquired_at:
            yield f"{name}: two had it at once: {before}, {after}"


@attrs.define(kw_only=True, eq=False)
class LockWorld(World):
    """A world of such clients; nobody vanishes in it."""

    busy_seconds: ClassVar[float] = 12.0
    calm_seconds: ClassVar[float] = 0.1
    short_seconds: ClassVar[float] = 1.0
    mean_pause: ClassVar[float] = 1.2
    clients: ClassVar[Sequence[int]] = (2, 3, 3)

    def make_actor(self, name: str, names: Sequence[str]) -> Actor:
        client = self.network.client(name)
        return LockActor(name, names, client, self.seed, mean_pause=self.mean_pause)

    def make_ghosts(self) -> Sequence[Ghost]:
        return ()

    async def check_rosters(self) -> None:
        """The other worlds do."""
        await trio.lowlevel.checkpoint()

    def check_records(self) -> None:
        self.problems += check_locks(self.actors)


@attrs.define(kw_only=True, eq=False)
class LocksOnOneServer(LockWorld, OneServer):
    """At one server that is killed."""


@attrs.define(kw_only=True, eq=False)
class LocksOnManyNodes(LockWorld, ManyNodes):
    """At three nodes."""

    busy_seconds: ClassVar[float] = 9.0
