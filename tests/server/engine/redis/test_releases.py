"""Nodes of two releases on one Redis: each has its own functions, and the data is one."""

from __future__ import annotations

import pytest

from signal_sdk.server.engine.base import Asked, Presence
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import core as core_module
from signal_sdk.server.engine.redis import library as library_module
from signal_sdk.server.engine.redis.library import Library
from tests.redis.servers import RedisServer
from tests.server.engine.redis.nodes import ANN, BOB, ROOM, Node, nodes, post, until


class Later(Library):
    """Functions that are the same, and another release's, as their text has changed."""

    def __init__(self, *, is_cluster: bool) -> None:
        super().__init__(is_cluster=is_cluster)
        other = self.digest[::-1]
        self.text = self.text.replace(self.digest, other)
        self.digest = other


async def test_a_node_of_another_release_serves_beside_the_others(
    shared_redis: RedisServer, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, prefix = shared_redis.unix_url, f"{redis_prefix}:"
    async with nodes(1, url, prefix=prefix) as (here,):
        ann = await here.log_in(ANN)
        for module in (core_module, library_module):
            monkeypatch.setattr(module, "library", Later)
        async with nodes(1, url, prefix=prefix) as (there,):
            assert there.engine.digest != here.engine.digest
            await talk(here, there, ann)


async def talk(here: Node, there: Node, ann: Presence) -> None:
    bob = await there.log_in(BOB)
    await here.join(ANN, ann)
    await waited(there.engine.subscribe(ROOM))
    await there.join(BOB, bob)
    await here.say(ANN, ann, "to all", 1)
    await until(lambda: ("event", 3) in there.heard.all)
    asked = Asked(ANN, ann.generation, 2, 0, "sent")
    await waited(here.engine.post(asked, post(BOB, "to bob")))
    await until(lambda: ("entry", "bob", 1) in there.heard.all)
    # Whoever comes to the other loses the session at the one.
    again = await there.log_in(ANN)
    assert again.generation == ann.generation + 1
    await until(lambda: ("kick", "ann", ann.generation) in here.heard.all)


async def test_a_node_of_an_earlier_release_is_not_told_what_it_cannot_read(
    shared_redis: RedisServer, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take it for something else: to that node, the connection of who was taken out of a
    channel is lost.
    """
    url, prefix = shared_redis.unix_url, f"{redis_prefix}:"
    monkeypatch.setattr(core_module, "new_node", lambda: "m0123456789abcdef")
    async with nodes(1, url, prefix=prefix) as (earlier,):
        monkeypatch.undo()
        ann, bob = await earlier.log_in(ANN), await earlier.log_in(BOB)
        for key, presence in ((ANN, ann), (BOB, bob)):
            await earlier.join(key, presence)
        async with nodes(1, url, prefix=prefix) as (here,):
            assert await waited(here.engine.remove(ANN, "room"))
            await until(lambda: bool(earlier.heard.all))
            assert earlier.heard.all == [("loss", "ann", ann.generation)]
            # Several entries at once it knows.
            for text in "xy":
                asked = Asked(BOB, bob.generation)
                await waited(earlier.engine.post(asked, post(BOB, text)))
            await until(lambda: ("entry", "bob", 2) in earlier.heard.all)
