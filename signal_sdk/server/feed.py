"""The feed: what happens in an app, for those who follow it while it happens.

Owns: who reads what, what waits for each reader, and what this node follows of the engine for them.
Must not know why something happens, or how a reader tells it to anybody.

A reader that falls behind loses the oldest, and is told how many: nobody else waits for it, and
what is told again belongs to hooks. What happens on other nodes comes here by the engine; of what
happens while that is away from this node, nothing is heard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from signal_sdk.server.engine.base import Engine
from signal_sdk.server.engine.happened import KINDS, MESSAGE, Follow, Happening
from signal_sdk.server.engine.pending import waited

__all__ = ["WAITING", "Feed", "Happening", "Lost", "Reader"]

WAITING: Final = 1000
"""How many happenings wait for a reader at most, unless it says otherwise."""


@attrs.frozen
class Lost:
    """So many happenings were dropped here, since the reader was too slow."""

    count: int


@attrs.define(eq=False)
class Reader:
    """One reader, and what waits for it. Iterating waits for the next, without end."""

    app: str
    kinds: frozenset[str]
    account: str | None
    channel: str | None
    most: int
    lost: int = 0
    """How many it has lost that it was not told of yet."""
    _waiting: deque[Happening] = attrs.field(factory=deque)
    _wake: trio.Event = attrs.field(factory=trio.Event)

    def wants(self, happening: Happening) -> bool:
        """Is it one of those that the reader has asked for?"""
        return (
            happening.kind in self.kinds
            and (self.account is None or self.account in happening.accounts)
            and (self.channel is None or self.channel == happening.about)
        )

    def put(self, happening: Happening) -> bool:
        """It is to be read, and the oldest goes where there is no room; has one gone?"""
        is_full = len(self._waiting) >= self.most
        if is_full:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(happening)
        self._wake.set()
        return is_full

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Happening | Lost:
        while not self._waiting:
            self._wake = trio.Event()
            await self._wake.wait()
        await trio.lowlevel.checkpoint()
        if self.lost:
            lost, self.lost = self.lost, 0
            return Lost(lost)
        return self._waiting.popleft()


class Feed:
    """Who follows what on a node. `len` is how many readers there are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers: dict[str, list[Reader]] = {}
        self.lost: int = 0
        """How many happenings readers have lost, since the node was made."""
        self.told: int = 0
        """How many were put before readers."""

    def __len__(self) -> int:
        return sum(map(len, self._readers.values()))

    @asynccontextmanager
    async def follow(
        self,
        app: str,
        *,
        kinds: Collection[str] | None = None,
        account: str | None = None,
        channel: str | None = None,
        most: int = WAITING,
    ) -> AsyncIterator[Reader]:
        """Read what happens in `app` from here on: of these `kinds` (`KINDS`; all where it is
        None), what concerns `account`, and what is about `channel`, where these are given.

        Messages are told only to those who name an account or a channel. At most `most` (1 or more)
        wait for the reader. Iterating gives `Happening`s, and a `Lost` in place of those that were
        dropped. Raises `SignalError` where the engine is away, `ValueError` where a kind is none.
        """
        wanted = frozenset(KINDS if kinds is None else kinds)
        if unknown := wanted.difference(KINDS):
            named = ", ".join(sorted(unknown))
            raise ValueError(f"no such kind: {named}; there are {', '.join(KINDS)}")
        if most < 1:
            raise ValueError(f"most is {most}: it has to be 1 or more")
        if account is None and channel is None:
            wanted -= {MESSAGE}
        reader = Reader(app, wanted, account, channel, most)
        self._readers.setdefault(app, []).append(reader)
        try:
            await waited(self._engine.follow(app, self._followed(app)))
            yield reader
        finally:
            readers = self._readers[app]
            readers.remove(reader)
            if not readers:
                del self._readers[app]
            # Nobody waits for it: what comes still is nobody's.
            self._engine.follow(app, self._followed(app))

    def _followed(self, app: str) -> Follow:
        """What this node follows in the app, for all of its readers."""
        readers = self._readers.get(app, ())
        ears = [it for it in readers if MESSAGE in it.kinds]
        return Follow(
            kinds=frozenset[str]().union(*(it.kinds for it in readers)),
            accounts=frozenset(it.account for it in ears if it.account is not None),
            channels=frozenset(
                it.channel for it in ears if it.channel is not None and it.account is None
            ),
        )

    def take(self, happening: Happening) -> None:
        """The engine has delivered it."""
        for reader in self._readers.get(happening.app, ()):
            if reader.wants(happening):
                self.told += 1
                self.lost += reader.put(happening)
