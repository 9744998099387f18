"""What the contract's tests stand on: a state, the nodes that share it, and who asks there.

Owns: how each engine of `BACKENDS` is made, a node's life, and the clocks. A test sees an engine by
its contract alone, and no test here knows which engine it has.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.clock import clocks
from signal_sdk.server.engine.base import (
    AccountKey,
    Asked,
    ChannelKey,
    Engine,
    Event,
    Joined,
    Known,
    Locked,
    LockLook,
    LoginFacts,
    Post,
    Presence,
    Statistics,
    WatchedFact,
)
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.happened import Happening
from signal_sdk.server.engine.pending import waited
from signal_sdk.testing.server import EPOCH
from signal_sdk.wire import events, lines, names
from signal_sdk.wire.events import ChannelContent
from signal_sdk.wire.names import JsonValue
from tests.redis.clusters import RedisCluster
from tests.redis.servers import RedisServer
from tests.server.engine.contract.redis_backend import Awaited, StillEngine, check_counted, spin
from tests.server.helpers import check_totals, journal_engine, kept_by, killed, slow_engine

SETTLED_SECONDS: Final = 0.05
"""All that happens by itself has happened by then: it is committed, delivered, done."""
NEWEST: Final = 200
SELDOM_SECONDS: Final = 5.0
"""Between two rounds of a node in hours in which nothing happens: half of what it may be silent."""

ANN: Final = AccountKey("app", "ann")
BOB: Final = AccountKey("app", "bob")
ROOM: Final = ChannelKey("app", "room")
HALL: Final = ChannelKey("app", "hall")
ONLINE: Final = ChannelKey("app", names.USER_ONLINE_CHANNEL)
MOVES: Final = ChannelKey("app", names.CHANNEL_EVENT_CHANNEL)

BOUNDS: Final = Bounds(history_events=4, history_seconds=60.0)


# --- which engines ---


class Backend(ABC):
    """A kind of engine, and a state of its own in it."""

    outlives = False
    """Is the state there after all of its nodes are gone?"""
    has_clock = False
    """Has it a clock of its own, which no node sets?"""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @abstractmethod
    def make(self, bounds: Bounds) -> Engine:
        """The engine of one more node on the state."""

    @abstractmethod
    def all_gone(self, *, are_killed: bool = False) -> None:
        """No node is left; where they `are_killed`, they go after this, and nothing that they do
        then counts.
        """

    @abstractmethod
    async def check(self) -> None:
        """All nodes have stopped: is what they have left all that they knew?"""

    def begin(self, request: pytest.FixtureRequest) -> None:  # noqa: B027  few need any
        """Once, before the first node: take of the test's fixtures what is needed."""

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """The clock stands still while the block waits for what is no task of this process."""
        yield

    async def settle(self, engine: Any) -> None:
        """Have the engine of a node heard all that was published so far."""
        await trio.lowlevel.checkpoint()

    async def count(self, engine: Any) -> None:
        """Have its `statistics` tell what there is now."""
        await trio.lowlevel.checkpoint()


class Memory(Backend):
    """The embedded engine, in memory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.latest: EmbeddedEngine | None = None

    def make(self, bounds: Bounds) -> Engine:
        if self.latest is None:
            self.latest = self._begin(bounds)
        else:
            self.latest = self.latest.neighbour()
        return self.latest

    def _begin(self, bounds: Bounds) -> EmbeddedEngine:
        return EmbeddedEngine(bounds=bounds)

    def all_gone(self, *, are_killed: bool = False) -> None:
        self.latest = None

    async def check(self) -> None:
        if self.latest is not None:
            check_totals(self.latest)
        await trio.lowlevel.checkpoint()


class OnJournal(Memory):
    """The embedded engine on its journal. What it leaves there is all that it knew."""

    outlives = True

    def _begin(self, bounds: Bounds) -> EmbeddedEngine:
        return journal_engine(self.directory, bounds=bounds)

    def all_gone(self, *, are_killed: bool = False) -> None:
        super().all_gone()
        if are_killed:
            self.directory = killed(self.directory, f"{self.directory.name}+")

    async def check(self) -> None:
        before = self.latest
        if before is not None:
            again = journal_engine(self.directory)
            assert kept_by(again) == kept_by(before)
            for engine in (before, again):
                check_totals(engine)
            await again.aclose()


class Slow(Memory):
    """An engine that takes its time, and delivers late."""

    seed = 0

    def make(self, bounds: Bounds) -> Engine:
        self.seed += 1
        return slow_engine(self.seed, super().make(bounds))


class OnRedis(Backend):
    """The engine on a Redis of one server, which goes by the clock of the test."""

    has_clock = True
    server = "shared_redis"

    def begin(self, request: pytest.FixtureRequest) -> None:
        redis: RedisServer = request.getfixturevalue(self.server)
        self.use([redis], [redis.unix_url], f"{request.getfixturevalue('redis_prefix')}:")

    def use(self, servers: Sequence[RedisServer], urls: Sequence[str], prefix: str) -> None:
        """The state is at these."""
        self.servers, self.urls, self.prefix = servers, urls, prefix

    def make(self, bounds: Bounds) -> Any:
        settings: Any = {"bounds": bounds, "prefix": self.prefix, "now": self.now}
        return StillEngine(self.urls, **settings)

    @staticmethod
    def now() -> float:
        return EPOCH + trio.current_time()

    def all_gone(self, *, are_killed: bool = False) -> None:
        """What they have left is in Redis."""

    async def check(self) -> None:
        """What is counted as it changes is what a look at all that there is finds."""
        await trio.lowlevel.checkpoint()
        check_counted(self.servers, self.prefix)

    @asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spin)
            yield
            nursery.cancel_scope.cancel()

    async def settle(self, engine: Any) -> None:
        await waited(engine.inner.ping())

    async def count(self, engine: Any) -> None:
        await waited(engine.inner.count())


class OnValkey(OnRedis):
    """As that, on a Valkey: as Redis 8.2, it tells a node what a function has published behind the
    function's answer, where Redis 7.0 does so before it.
    """

    server = "shared_valkey"


class OnCluster(OnRedis):
    """As that, on a Redis Cluster."""

    def begin(self, request: pytest.FixtureRequest) -> None:
        cluster: RedisCluster = request.getfixturevalue("shared_cluster")
        urls = [url.replace("redis:", "redis+cluster:") for url in cluster.urls[:1]]
        self.use(cluster.nodes, urls, f"{request.getfixturevalue('redis_prefix')}:")


BACKENDS: Final[dict[str, Callable[[Path], Backend]]] = {
    "memory": Memory,
    "journal": OnJournal,
    "slow": Slow,
    "redis": OnRedis,
    "valkey": OnValkey,
    "cluster": OnCluster,
}
"""Every engine. One that is listed here is held to the whole contract."""

LASTING: Final = [name for name, backend in BACKENDS.items() if getattr(backend, "outlives", False)]


# --- a node and who asks there ---


@attrs.define(eq=False)
class Heard:
    """A node's `Delivery`: all that it was handed, in order."""

    wall: Callable[[], float]
    all: list[tuple[Any, ...]] = attrs.field(factory=list)
    happened: list[Happening] = attrs.field(factory=list)
    kept: int = 0

    def deliver_entry(self, key: AccountKey, version: int, line: str) -> None:
        entry = lines.decode(line)
        content = entry.content if entry.type == "instant" else entry.type
        self.all.append(("entry", key.account, version, content))

    def deliver_event(
        self, key: ChannelKey, msgid: int, content: ChannelContent, time_ms: int
    ) -> None:
        assert abs(self.wall() - time_ms / 1000) < 1
        self.all.append(("event", key, msgid, content))

    def deliver_kick(self, key: AccountKey, generation: int) -> None:
        self.all.append(("kick", key.account, generation))

    def deliver_loss(self, key: AccountKey, generation: int) -> None:
        self.all.append(("loss", key.account, generation))

    def deliver_expiry(self, key: AccountKey, generation: int) -> None:
        self.all.append(("expiry", key.account, generation))

    def deliver_removal(
        self, key: AccountKey, generation: int, channel: str, msgid: int, time_ms: int
    ) -> None:
        assert abs(self.wall() - time_ms / 1000) < 1
        self.all.append(("removal", key.account, generation, channel, msgid))

    def deliver_grant(
        self, key: AccountKey, generation: int, channel: str, lock: str, ask: str
    ) -> None:
        self.all.append(("grant", key.account, generation, channel, lock, ask))

    def deliver_watched(self, key: AccountKey, fact: WatchedFact) -> None:
        self.all.append(("watched", key.account, fact))

    def deliver_fencing(self) -> None:
        self.all.append(("fencing",))

    def deliver_happening(self, happening: Happening) -> None:
        self.happened.append(happening)

    def deliver_kept(self) -> None:
        self.kept += 1

    def gather(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def give_way(self, *, at_once: bool = False) -> None:
        """Nothing is read."""

    def flush(self) -> None:
        """Nothing is written."""

    def together(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


def brief(content: ChannelContent) -> tuple[Any, ...]:
    """An event in a few words."""
    who = content.account
    if isinstance(content, events.ChannelAttrUpdate):
        what = {"clear": (), "del": (content.name,), "update": (content.name, content.value)}
        kind = "set" if content.change == "update" else content.change
        return (kind, who, *what[content.change])
    if isinstance(content, events.ChannelMessage):
        if who not in names.SPECIAL_CHANNELS:
            return ("msg", who, content.msg)
        special = events.decode_special_event(content.msg)
        return (special.event, special.channel, special.account)
    return ("join" if isinstance(content, events.ChannelUserJoin) else "leave", who)


@attrs.define(eq=False)
class Node:
    """A node: its engine, what it has heard, and the reactor that its alarms ring by."""

    house: House
    engine: Any
    heard: Heard
    reactor: Reactor = attrs.field(factory=Reactor)
    is_silent: bool = False
    pause: float = 1.0
    """Seconds between two rounds of what it does again and again."""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """As server/node.py has it."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.reactor.run)
                await nursery.start(self.engine.run)
                task_status.started()
                while True:
                    await trio.sleep(self.pause)
                    if not self.is_silent:
                        await self.engine.sweep()

    async def stop(self) -> None:
        """It ends in good order."""
        self.scope.cancel()
        self.house.nodes.remove(self)
        async with self.house.backend.standing_still():
            await self.engine.aclose()

    def die(self) -> None:
        """It ends without a word."""
        self.scope.cancel()
        self.house.nodes.remove(self)

    async def log_in(
        self,
        key: AccountKey = ANN,
        *,
        line: str = "",
        again: bool = False,
        keeps: bool = False,
        **facts: Any,
    ) -> User:
        """A new session, which there has to be."""
        made = await self.engine.log_in(
            key, login_facts(key, line, **facts), again=again, keeps=keeps
        )
        assert made is not None
        return User(self, key, made)

    async def resume(self, key: AccountKey = ANN, line: str = "") -> User:
        """A session that is taken up again."""
        found = await self.engine.resume(line_digest(key, line))
        assert found is not None
        assert found[0] == key
        return User(self, *found)

    async def statistics(self) -> Statistics:
        """How much there is now."""
        await self.house.hear()
        await self.house.backend.count(self.engine)
        found: Statistics = self.engine.statistics()
        return found

    async def take(self, kind: str = "") -> list[tuple[Any, ...]]:
        """All that this node was handed, or that of one kind; it is taken away."""
        await self.house.settle()
        taken = [it for it in self.heard.all if kind in ("", it[0])]
        self.heard.all = [it for it in self.heard.all if it not in taken]
        return taken

    async def told(self, key: ChannelKey = ROOM) -> list[tuple[Any, ...]]:
        """A channel's events, in a few words; they are taken away."""
        await self.house.settle()
        taken = [it for it in self.heard.all if it[:2] == ("event", key)]
        self.heard.all = [it for it in self.heard.all if it not in taken]
        return [brief(content) for *_, content in taken]

    async def entries(self) -> list[tuple[str, int, str]]:
        """The inbox entries that were delivered: whose, which version, and what."""
        return [(account, version, what) for _, account, version, what in await self.take("entry")]


@attrs.define(eq=False)
class User:
    """A session, as a node asks for it."""

    node: Node
    key: AccountKey
    presence: Presence

    @property
    def generation(self) -> int:
        return self.presence.generation

    def asked(self, callid: int | None = None, ack: int = 0, reply: str = "done") -> Asked:
        return Asked(self.key, self.generation, callid, ack, reply)

    async def join(
        self, channel: str = "room", asked: Asked | None = None, newest: int = NEWEST
    ) -> Joined:
        joined = await self.node.engine.join(asked or self.asked(), channel, newest=newest)
        assert isinstance(joined, Joined)
        return joined

    async def leave(self, channel: str = "room") -> None:
        assert await self.node.engine.leave(self.asked(), channel) is None

    async def say(
        self,
        text: str,
        channel: str = "room",
        asked: Asked | None = None,
        *,
        members_only: bool = False,
    ) -> Known | None:
        message = events.ChannelMessage(
            channel=channel, account=self.key.account, uid=self.presence.uid, msg=text
        )
        known: Known | None = await self.node.engine.publish(
            asked or self.asked(), message, members_only=members_only
        )
        return known

    async def set(
        self, name: str, value: JsonValue, channel: str = "room", *, members_only: bool = False
    ) -> None:
        """Set a channel's attribute."""
        known = await self.node.engine.set_channel_attr(
            self.asked(), channel, name, value, members_only=members_only
        )
        assert known is None

    async def set_own(self, name: str, value: JsonValue) -> None:
        """Set an attribute of the account."""
        assert await self.node.engine.set_user_attr(self.asked(), name, value) is None

    async def post(
        self, text: str, to: AccountKey = BOB, ttl: float = 100, asked: Asked | None = None
    ) -> Known | None:
        known: Known | None = await self.node.engine.post(
            asked or self.asked(), self.node.house.post(text, to, self.key.account, ttl)
        )
        return known

    async def call(
        self,
        callee: str = "bob",
        channel: str = "room",
        *,
        timeout: float = 20,
        is_online: bool = False,
        asked: Asked | None = None,
        call_id: str = "id",
    ) -> Known | None:
        known: Known | None = await self.node.engine.invite(
            asked or self.asked(),
            callee,
            channel,
            "extra",
            call_id=call_id,
            timeout=timeout,
            is_online=is_online,
        )
        return known

    async def step(
        self, kind: str, peer: str = "ann", channel: str = "room", asked: Asked | None = None
    ) -> Known | None:
        known: Known | None = await self.node.engine.step(
            asked or self.asked(), peer, channel, kind, ""
        )
        return known

    async def lock(
        self,
        name: str = "lock",
        ask: str = "1",
        *,
        seconds: float = 10,
        wait: float = 60,
        channel: str = "room",
        asked: Asked | None = None,
    ) -> Locked | Known:
        found: Locked | Known = await self.node.engine.lock(
            asked or self.asked(), channel, name, ask, seconds=seconds, wait=wait
        )
        return found

    async def has(self, name: str = "lock", ask: str = "1", **more: Any) -> int:
        """Get a lock that there is to be had: its number."""
        found = await self.lock(name, ask, **more)
        assert isinstance(found, Locked)
        assert found.fence
        return found.fence

    async def waits(self, name: str = "lock", ask: str = "1", **more: Any) -> int:
        """Wait for a lock that somebody has: the place."""
        found = await self.lock(name, ask, **more)
        assert isinstance(found, Locked)
        assert not found.fence
        return found.place

    async def renew(
        self, name: str = "lock", ask: str = "1", seconds: float = 10, channel: str = "room"
    ) -> int:
        """Have a lock for longer: its number; 0 where that is over."""
        found = await self.node.engine.renew_lock(self.asked(), channel, name, ask, seconds=seconds)
        assert isinstance(found, Locked)
        return found.fence

    async def unlock(
        self,
        name: str = "lock",
        ask: str = "1",
        channel: str = "room",
        asked: Asked | None = None,
    ) -> Known | bool:
        done: Known | bool = await self.node.engine.unlock(
            asked or self.asked(), channel, name, ask
        )
        return done

    async def look(self, name: str = "lock", channel: str = "room") -> LockLook:
        key = ChannelKey(self.key.app, channel)
        found: LockLook = await self.node.engine.look_at_lock(key, self.key.account, name)
        return found

    async def disconnect(self) -> None:
        await self.node.engine.disconnect(self.key, self.generation)

    async def end(self, *, expires: bool = False) -> bool:
        is_done: bool = await self.node.engine.end(self.key, self.generation, expires=expires)
        return is_done


def line_digest(key: AccountKey, line: str) -> bytes:
    return f"{key.app} {key.account} {line}".encode()


def login_facts(key: AccountKey, line: str = "", **facts: Any) -> LoginFacts:
    known: dict[str, Any] = {"device": "websdk", "ver": 1, "instance": "", **facts}
    return LoginFacts(line_digest=line_digest(key, line), **known)


# --- the state and its nodes ---


@attrs.define(eq=False)
class House:
    """A state, and the nodes on it. The first of them is `node`."""

    backend: Backend
    nursery: trio.Nursery
    bounds: Bounds = BOUNDS
    nodes: list[Node] = attrs.field(factory=list)
    ahead: float = 0.0
    """By how much the wall clock was set forward."""

    def wall(self) -> float:
        return EPOCH + trio.current_time() + self.ahead

    @property
    def node(self) -> Node:
        return self.nodes[0]

    @property
    def engine(self) -> Any:
        return self.node.engine

    async def add_node(self) -> Node:
        """One node more."""
        engine = self.backend.make(self.bounds)
        node = Node(self, Awaited(engine), Heard(self.wall))
        engine.attach(node.heard, clocks(self.wall, node.reactor))
        self.nodes.append(node)
        async with self.backend.standing_still():
            await self.nursery.start(node.run)
        return node

    async def reopen(self, how: str = "stopped") -> Node:
        """All nodes are `stopped` or `killed`, and a new one begins on what they have left."""
        await self.settle()
        if how == "killed":
            self.backend.all_gone(are_killed=True)
        for node in list(self.nodes):
            await node.stop()
        if how == "stopped":
            await self.backend.check()
            self.backend.all_gone()
        return await self.add_node()

    async def settle(self) -> None:
        """Let everything happen that happens now."""
        await self.hear()
        await trio.sleep(SETTLED_SECONDS)
        await self.hear()

    async def pass_hours(self, seconds: float) -> None:
        """As `trio.sleep(seconds)`, where seven thousand rounds of each node took seconds; the last
        few are as ever.
        """
        await self._pass(seconds - 2 * SELDOM_SECONDS, SELDOM_SECONDS)
        await self._pass(2 * SELDOM_SECONDS, 1.0)

    async def _pass(self, seconds: float, pause: float) -> None:
        for node in self.nodes:
            node.pause = pause
        await trio.sleep(seconds)

    async def hear(self) -> None:
        """Have all nodes heard what was published so far."""
        for node in self.nodes:
            await self.backend.settle(node.engine)

    async def statistics(self) -> Statistics:
        """How much there is now, as the first node tells it."""
        return await self.node.statistics()

    def post(self, text: str, to: AccountKey, sender: str, ttl: float = 100) -> Post:
        now = self.wall()
        line = lines.MessageLine(
            src=sender, dst=to.account, type="instant", content=text, time=int(now * 1000)
        )
        return Post(key=to, sender=sender, line=line.encode(), expires=now + ttl)

    async def inbox(self, key: AccountKey, ver_clear: int = 0, limit: int = 100) -> list[Any]:
        """What waits: (version, text)."""
        page = await self.engine.read_inbox(key, ver_clear, limit)
        return [(entry.version, lines.decode(entry.line).content) for entry in page.entries]

    async def members(self, key: ChannelKey = ROOM) -> list[str]:
        return [account for account, _ in (await self.engine.roster(key, NEWEST)).newest]

    async def history(self, key: ChannelKey, after: int) -> list[Event] | None:
        found = await self.engine.history(key, after)
        return None if found is None else list(found)


@asynccontextmanager
async def open_house(backend: Backend, bounds: Bounds = BOUNDS) -> AsyncIterator[House]:
    """A state of its own with one node; behind the block, what it has left is looked at."""
    async with trio.open_nursery() as nursery:
        house = House(backend, nursery, bounds)
        await house.add_node()
        yield house
        await house.settle()
        for node in list(house.nodes):
            await node.stop()
        await house.backend.check()
        nursery.cancel_scope.cancel()
