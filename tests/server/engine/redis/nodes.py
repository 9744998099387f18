"""Nodes on a real Redis, by the real clock: what the tests of connections to it have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.clock import clocks
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    ChannelKey,
    Delivery,
    Post,
    Presence,
)
from signal_sdk.server.engine.happened import Happening
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis.engine import RedisEngine
from signal_sdk.server.engine.redis.pipeline import Pipeline
from signal_sdk.wire.events import ChannelMessage
from tests.server.engine.contract.harness import Heard as EveryThing
from tests.server.engine.contract.harness import login_facts

ANN, BOB, EVE = (AccountKey("app", name) for name in ("ann", "bob", "eve"))
ROOM = ChannelKey("app", "room")
LOOK_SECONDS = 0.01
WAIT_SECONDS = 20


@attrs.define(eq=False)
class Heard(EveryThing):
    """All that a node was handed, of events and entries only which."""

    wall: Callable[[], float] = trio.current_time

    def deliver_event(self, key: ChannelKey, msgid: int, content: Any, time_ms: int) -> None:
        self.all.append(("event", msgid))

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        self.all.append(("entry", key.account, version))

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        # The time is Redis' own.
        self.all.append(("removal", key.account, generation, channel, msgid))

    def deliver_happening(self, happening: Happening) -> None:
        self.all.append((happening.kind, *happening.accounts))

    def deliver_kept(self) -> None:
        self.all.append(("kept",))


class OpenRedisEngine(RedisEngine):
    """An engine that shows its connections, and may be told otherwise than Redis would."""

    @property
    def pipelines(self) -> list[Pipeline]:
        """One to each server."""
        return list(self._servers)

    @property
    def digest(self) -> str:
        """Of the functions that it calls."""
        return self._names.digest

    def deliver_to(self, delivery: Delivery) -> None:
        """Hand everything to this from here on."""
        self._delivery = delivery

    def forget(self, key: AccountKey, generation: int) -> None:
        """Do not know any more that this node has the account's connection."""
        self._forget(key, generation)

    def be_reborn(self) -> None:
        """Begin anew, as if others had taken this node for dead."""
        self._be_reborn()


class Node:
    """A node, by the real clock."""

    def __init__(self, engine: OpenRedisEngine) -> None:
        self.engine = engine
        self.heard = Heard()

    async def log_in(self, key: AccountKey, **more: Any) -> Presence:
        made: Presence | None = await waited(self.engine.log_in(key, login_facts(key), **more))
        assert made is not None
        return made

    async def join(self, key: AccountKey, presence: Presence) -> None:
        await waited(self.engine.join(Asked(key, presence.generation), "room", newest=1))

    async def say(self, key: AccountKey, presence: Presence, text: str, callid: int) -> Any:
        message = ChannelMessage(channel="room", account=key.account, uid=1, msg=text)
        asked = Asked(key, presence.generation, callid, 0, "said")
        return await waited(self.engine.publish(asked, message, members_only=False))

    def lose(self) -> None:
        """Its connections are lost."""
        for pipeline in self.engine.pipelines:
            pipeline.drop()

    @property
    def is_up(self) -> bool:
        return all(pipeline.is_up for pipeline in self.engine.pipelines)


@asynccontextmanager
async def nodes(count: int, *urls: str, **settings: Any) -> AsyncIterator[list[Node]]:
    """So many nodes on one Redis."""
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        made = [Node(OpenRedisEngine(urls, **settings)) for _ in range(count)]
        for node in made:
            node.engine.attach(node.heard, clocks(trio.current_time, reactor))
            await nursery.start(node.engine.run)
        yield made
        nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(int(WAIT_SECONDS / LOOK_SECONDS)):
        if is_so():
            return
        await trio.sleep(LOOK_SECONDS)
    raise AssertionError("it does not come")


def post(key: AccountKey, text: str) -> Any:
    return Post(key=key, sender="eve", line=text, expires=trio.current_time() + 100)
