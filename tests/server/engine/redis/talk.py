"""Nodes of a Redis whose sessions write to each other and speak in a channel, over whatever befalls
the link to Redis, and what must have come of it in the end.

Owns: who talks, how a request that was not answered comes again, and the promises. Must not know
what befalls them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any, Final

import attrs
import trio

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, Asked, ChannelKey, Post
from signal_sdk.server.engine.pending import Pending, waited
from signal_sdk.wire.events import ChannelMessage
from tests.server.engine.redis.nodes import ROOM, Heard, Node, until

PAUSE_SECONDS: Final = 0.005
BEAT_SECONDS: Final = 0.2
PEER: Final = AccountKey("app", "peer")
EXPIRES: Final = 10**10


class Listener(Heard):
    """A node's `Delivery`, with the channel's messages."""

    def __init__(self) -> None:
        super().__init__()
        self.msgids: list[int] = []
        self.messages: list[str] = []

    def deliver_event(self, key: ChannelKey, msgid: int, content: Any, time_ms: int) -> None:
        self.msgids.append(msgid)
        if isinstance(content, ChannelMessage):
            self.messages.append(str(content.msg))

    @property
    def missing(self) -> int:
        """How many events it knows to be missing."""
        return sum(after - before - 1 for before, after in pairwise(self.msgids))


@attrs.define(eq=False)
class Talk:
    """All that was said, `posted` to an inbox and `said` in the channel; `refused` counts how often
    that had to be asked again.
    """

    nodes: list[Node]
    listeners: list[Listener]
    is_over: trio.Event = attrs.field(factory=trio.Event)
    posted: list[str] = attrs.field(factory=list)
    said: list[str] = attrs.field(factory=list)
    refused: int = 0

    async def speak(self, number: int, node: Node) -> None:
        key = AccountKey("app", f"user{number}")
        presence = await node.log_in(key)
        await node.join(key, presence)
        for callid in range(1, 10**6):
            if self.is_over.is_set():
                return
            text = f"{key.account}#{callid}"
            asked = Asked(key, presence.generation, callid, max(callid - 20, 0), "done")
            if callid % 2:
                message = ChannelMessage(channel=ROOM.channel, account=key.account, uid=1, msg=text)
                ask = partial(node.engine.publish, asked, message, members_only=True)
            else:
                post = Post(key=PEER, sender=key.account, line=text, expires=EXPIRES)
                ask = partial(node.engine.post, asked, post)
            await self._until_done(node, ask)
            (self.said if callid % 2 else self.posted).append(text)
            await trio.sleep(PAUSE_SECONDS)

    async def _until_done(self, node: Node, ask: Callable[[], Any]) -> None:
        """Ask under one number until it is acknowledged, as a client does that comes back."""
        while True:
            try:
                await waited(ask())
                durable: Pending[SignalError | None] = Pending()
                node.engine.when_durable(durable.resolve)
                if await waited(durable) is None:
                    return
            except SignalError as exc:
                if exc.ecode is not ECode.GENERAL_E_FAILED:
                    raise
            self.refused += 1
            await trio.sleep(PAUSE_SECONDS)

    async def beat(self, node: Node) -> None:
        while True:
            await waited(node.engine.sweep())
            await trio.sleep(BEAT_SECONDS)

    async def goes_on(self) -> None:
        """Until some more was said."""
        count = len(self.said)
        await until(lambda: len(self.said) > count + 20)

    async def check(self, *, may_miss: bool = False) -> None:
        """What was acknowledged is there, once; what is missing of the channel is known to be."""
        entries: list[str] = []
        version = 0
        while True:
            page = await waited(self.nodes[0].engine.read_inbox(PEER, version, 100))
            if not page.entries:
                break
            entries += [entry.line for entry in page.entries]
            version = page.entries[-1].version
        assert Counter(entries) == Counter(self.posted)
        for listener in self.listeners:
            await until(partial(is_whole, listener, self.said, may_miss=may_miss))
            assert listener.msgids == sorted(set(listener.msgids))
            assert [it for it in listener.all if it[0] in ("kick", "fencing")] == []


def is_whole(listener: Listener, said: list[str], *, may_miss: bool) -> bool:
    """Has it heard all that was said, but for what it knows to be missing?"""
    heard = Counter(listener.messages)
    assert max(heard.values(), default=1) == 1
    lost = set(said) - set(heard)
    return len(lost) <= (listener.missing if may_miss else 0)


@asynccontextmanager
async def talking(nodes: list[Node]) -> AsyncIterator[Talk]:
    """They talk while the block runs; what came of it is checked by its end."""
    listeners = []
    for node in nodes:
        listener = Listener()
        node.heard = listener
        node.engine.deliver_to(listener)
        listeners.append(listener)
    talk = Talk(nodes, listeners)
    async with trio.open_nursery() as beats:
        for node in nodes:
            beats.start_soon(talk.beat, node)
        for node in nodes:
            await waited(node.engine.subscribe(ROOM))
        async with trio.open_nursery() as nursery:
            for number, node in enumerate([*nodes, *nodes]):
                nursery.start_soon(talk.speak, number, node)
            await until(lambda: len(talk.said) > 10)
            yield talk
            talk.is_over.set()
        beats.cancel_scope.cancel()
