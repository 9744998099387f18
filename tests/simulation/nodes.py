"""A world that three nodes on one state serve, each of which dies, stands still, and is cut off
from that state, while clients spread over them.

Owns: the nodes' lives and faults. Must not know the clients, nor the faults of their links.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, cast

import attrs
import trio

from signal_sdk.net.transport import OnReadable, Transport
from signal_sdk.server.engine.base import LIFE_SECONDS, Engine
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.testing import LocalServer, local_server
from signal_sdk.testing.memory import MemoryTransport, memory_transport_pair
from tests.server.far_engine import SILENCE_SECONDS, FarEngine
from tests.simulation.actor import Ghost
from tests.simulation.observer import Observer
from tests.simulation.world import CONFIG, World

NODES: Final = 3
MEAN_PEACE_SECONDS: Final = 8.0
"""Between two faults of one node."""
BOUNDS: Final = Bounds(history_events=64, history_seconds=30)
"""So small that both matter."""


class Hold:
    """What a process does not read while it stands still."""

    def __init__(self) -> None:
        self.is_still = False
        self._waiting: list[Callable[[], None]] = []

    def call(self, call: Callable[[], None]) -> None:
        """Call it, now or when the process goes on."""
        if self.is_still:
            self._waiting.append(call)
        else:
            call()

    def go_on(self) -> None:
        """The process goes on, and finds all that has come."""
        self.is_still = False
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


class HeldTransport:
    """A connection of a node that may stand still."""

    def __init__(self, transport: MemoryTransport, hold: Hold) -> None:
        self._transport = transport
        self._hold = hold
        self.peer = transport.peer
        self.host = transport.host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def watch(self, reactor: Any, on_readable: OnReadable) -> bool:
        """As a transport's."""
        return self._transport.watch(HeldReactor(reactor, self._hold), on_readable)


class HeldReactor:
    """Calls soon, or when its process goes on."""

    def __init__(self, reactor: Any, hold: Hold) -> None:
        self._reactor = reactor
        self._hold = hold

    def call_soon(self, on_readable: OnReadable) -> None:
        """As a reactor's."""
        self._hold.call(lambda: self._reactor.call_soon(on_readable))


@attrs.define(eq=False)
class Life:
    """One life of a node. It is what the network connects clients with."""

    server: LocalServer
    far: FarEngine
    hold: Hold = attrs.field(factory=Hold)
    is_well: bool = True

    def connect(self) -> MemoryTransport:
        """As a `LocalServer`'s."""
        acceptor = self.server.node.acceptor
        if not acceptor.is_running:
            raise RuntimeError("the node has ended")
        client, ours = memory_transport_pair()
        acceptor.accept(cast("Transport", HeldTransport(ours, self.hold)), "127.0.0.1")
        return client


@attrs.define(kw_only=True, eq=False)
class ManyNodes(World):
    """That world."""

    busy_seconds: ClassVar[float] = 32.0
    mean_pause: ClassVar[float] = 2.5
    clients: ClassVar[Sequence[int]] = (2, 3, 3, 3)

    first: EmbeddedEngine | None = None
    observer: Observer = attrs.field(factory=Observer)
    lives: list[Life | None] = attrs.field(factory=lambda: [None] * NODES)
    ends: float = 0.0

    def state(self) -> EmbeddedEngine:
        assert self.first is not None
        return self.first

    def make_ghosts(self) -> Sequence[Ghost]:
        draw = random.Random(f"world {self.seed}, ghost")
        # So early that what it leaves is over when all is compared.
        after = draw.uniform(1, 20)
        client = self.network.client("ghost")
        return [Ghost("ghost", client, after=after, is_machine=draw.random() < 0.5)]

    async def live(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.ends = trio.current_time() + self.busy_seconds
        self.first = EmbeddedEngine(bounds=BOUNDS)
        self.observer.watch(self.first.neighbour())
        self.network.server = self._choose
        async with trio.open_nursery() as nursery:
            for number in range(NODES):
                await nursery.start(self._live_again_and_again, number)
            task_status.started()

    def _choose(self) -> LocalServer | None:
        """Where a client's next connection leads to."""
        life = self.draw.choice(self.lives)
        return cast("LocalServer | None", life)

    async def _live_again_and_again(self, number: int, task_status: trio.TaskStatus[None]) -> None:
        draw = random.Random(f"world {self.seed}, node {number}")
        engine = self.state() if number == 0 else self.state().neighbour()
        while True:
            await self._live_once(number, draw, engine, task_status)
            task_status = trio.TASK_STATUS_IGNORED
            self.lives[number] = None
            left = self.ends - trio.current_time()
            await trio.sleep(min(draw.choice([0.1, 2.0, LIFE_SECONDS + 2]), max(left, 0.1)))
            engine = self.state().neighbour()

    async def _live_once(
        self,
        number: int,
        draw: random.Random,
        engine: EmbeddedEngine,
        task_status: trio.TaskStatus[None],
    ) -> None:
        mean = draw.choice([0.0, 0.0, 0.001, 0.02])
        far = FarEngine(engine, lambda: draw.expovariate(1.0) * mean if mean else 0.0)
        async with local_server(CONFIG, listens=False, engine=cast("Engine", far)) as server:
            life = self.lives[number] = Life(server, far)
            task_status.started()
            while True:
                # Everybody has logged in by then, which is the one thing that is not tried again.
                peace = 1.0 + draw.expovariate(1 / MEAN_PEACE_SECONDS)
                if trio.current_time() + peace > self.ends:
                    await trio.sleep_forever()
                await trio.sleep(peace)
                fault = draw.choice(["death", "stop", "pause", "pause", "cut", "cut", "cut"])
                if fault == "death":
                    self.events["deaths"] += 1
                    far.die()
                    return
                if fault == "stop":
                    # The last one that lives is the embedded engine's end.
                    if any(it.is_well for it in self.lives if it not in (None, life)):
                        life.is_well = False
                        self.events["stops"] += 1
                        await self._stop(draw, server)
                        return
                else:
                    life.is_well = False
                    await (self._pause if fault == "pause" else self._cut)(draw, life)
                    life.is_well = True

    async def _stop(self, draw: random.Random, server: LocalServer) -> None:
        server.node.stop(draw.choice([0.0, 2.0]))
        await trio.sleep(draw.uniform(0.5, 4.0))

    def _until_end(self, seconds: float) -> float:
        """So many seconds, but no more than there are until all is well."""
        return max(min(seconds, self.ends - trio.current_time()), 0.0)

    async def _pause(self, draw: random.Random, life: Life) -> None:
        """The process stands still."""
        seconds = draw.choice([1.0, 6.0, LIFE_SECONDS + 2, LIFE_SECONDS + 2, 30.0])
        self.events["long pauses" if seconds > LIFE_SECONDS else "pauses"] += 1
        life.hold.is_still = True
        life.far.hold()
        await trio.sleep(self._until_end(seconds * draw.uniform(0.9, 1.1)))
        ways = [life.hold.go_on, life.far.heal]
        draw.shuffle(ways)
        for go_on in ways:
            go_on()

    async def _cut(self, draw: random.Random, life: Life) -> None:
        """Nothing passes between the node and the state, or the connection breaks."""
        far = life.far
        seconds = self._until_end(draw.choice([0.2, 2.0, 8.0, LIFE_SECONDS + 4, 20.0]))
        self.events["long cuts" if seconds > LIFE_SECONDS else "cuts"] += 1
        up, down = draw.choice([(True, True), (True, False), (False, True), (False, False)])
        if up or down:
            far.hold(up=up, down=down)
            silent = min(seconds, SILENCE_SECONDS)
            await trio.sleep(silent)
            seconds -= silent
        if seconds or not (up or down):
            far.lose()
        await trio.sleep(seconds)
        far.heal()

    async def check_rosters(self) -> None:
        await super().check_rosters()
        self.problems += self.observer.problems
        held = sum(life.server.node.sessions for life in self.lives if life is not None)
        connected = sum(it.lease_ends is None for _, it in self.state().online())
        if held != connected:
            self.problems.append(f"the nodes have {held} connections, of {connected} accounts")
        self.problems += self.observer.compare(self.state())
