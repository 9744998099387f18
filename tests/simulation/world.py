"""One simulated world: a server that is killed and comes back on its journal, a faulty network, and
clients that do what a seed has them do, all on trio's virtual clock.

Owns: the server's lives, the schedule of faults, and that one seed always makes the same world.
Must not know what is promised: model.py does.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import trio
from trio._core import _run as trio_run
from trio.testing import MockClock

from signal_sdk.errors import StorageError
from signal_sdk.server import config as configs
from signal_sdk.server.engine.base import AccountKey, ChannelKey
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.schema import Batch
from signal_sdk.testing import Faults, FaultyNetwork, local_server
from tests.simulation import model
from tests.simulation.actor import APP, CHANNELS, Actor, Ghost

BUSY_SECONDS: Final = 50.0
"""How long the clients are busy and things go wrong."""
CALM_SECONDS: Final = 36.0
"""How long nothing goes wrong after that: longer than any back-off, silence and ghost's lease."""
SHORT_SECONDS: Final = 10.0
CLIENTS: Final = (3, 3, 3, 3, 4, 5, 8)
"""How many a world has; small ones are quick, and break as well."""
MEAN_LIFE_SECONDS: Final = 20.0


class MortalJournal(Journal):
    """A journal whose process can be killed: nothing is written any more."""

    is_dead = False

    def write(self, batch: Batch) -> None:
        if self.is_dead:
            raise StorageError("the process was killed")
        super().write(batch)


@attrs.define(kw_only=True, eq=False)
class World:
    """What a seed has made. `problems` is what broke a promise."""

    seed: int
    directory: Path
    draw: random.Random
    network: FaultyNetwork
    engine: EmbeddedEngine | None = None
    actors: list[Actor] = attrs.field(factory=list)
    kills: int = 0
    stops: int = 0
    problems: list[str] = attrs.field(factory=list)

    async def live(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """One life of the server after the other; the last one lasts."""
        ends = trio.current_time() + BUSY_SECONDS
        while True:
            # Everybody has logged in by then, which is the one thing that is not tried again.
            lasts = 1.0 + self.draw.expovariate(1 / MEAN_LIFE_SECONDS)
            if trio.current_time() + lasts > ends:
                lasts = float("inf")
            await self._live_once(lasts, task_status)
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(self.draw.uniform(0.05, 4.0))

    async def _live_once(self, seconds: float, task_status: trio.TaskStatus[None]) -> None:
        journal = MortalJournal.open(self.directory)
        self.engine = EmbeddedEngine(
            # So short that both matter.
            bounds=Bounds(history_events=64, history_seconds=30),
            journal=journal,
            write_in_thread=self._write,
        )
        async with local_server(configs.dev(), listens=False, engine=self.engine) as server:
            self.network.server = server
            task_status.started()
            await trio.sleep(seconds)
            if self.draw.random() < 0.3:
                self.stops += 1
                server.node.stop(self.draw.choice([0.0, 2.0]))
                await trio.sleep(self.draw.uniform(0.5, 4.0))
            else:
                self.kills += 1
            journal.is_dead = True
            self.network.server = None

    async def _write(self, write: Callable[[Batch], None], batch: Batch) -> None:
        """As the thread does, which often takes a moment: a kill comes before or after."""
        before, after = self.draw.choice([(0.0, 0.0), (0.01, 0.0), (0.0, 0.005)])
        if before:
            await trio.sleep(before)
        write(batch)
        if after:
            await trio.sleep(after)

    def faults(self) -> Faults:
        """What goes wrong in this world."""
        draw = self.draw
        return Faults(
            mean_delay_seconds=draw.choice([0.0, 0.01, 0.2]),
            repeat_rate=draw.choice([0.0, 0.05, 0.2]),
            mean_cut_seconds=draw.choice([0.0, 15.0, 40.0]),
            mean_half_open_seconds=draw.choice([0.0, 0.0, 40.0]),
            refuse_rate=draw.choice([0.0, 0.3]),
        )

    async def check_rosters(self) -> None:
        """Compare who is where, and that the one who vanished is nowhere."""
        assert self.engine is not None
        for channel in CHANNELS:
            roster = await waited(self.engine.roster(ChannelKey(APP, channel), 1000))
            server = [account for account, _ in roster.newest]
            self.problems += model.check_roster(channel, server, self.actors)
        if await waited(self.engine.presence(AccountKey(APP, Ghost.name))) is not None:
            self.problems.append("the one who vanished is online still")

    def check_records(self) -> None:
        """Hold what the clients wrote down against every promise."""
        for check in (
            model.check_messages,
            model.check_channels,
            model.check_calls,
            model.check_sessions,
        ):
            self.problems += check(self.actors)


async def _simulate(seed: int, directory: Path) -> World:
    async with trio.open_nursery() as nursery, FaultyNetwork(None, seed=seed) as network:
        draw = random.Random(f"world {seed}")
        world = World(seed=seed, directory=directory, draw=draw, network=network)
        await nursery.start(world.live)
        names = [f"u{number}" for number in range(draw.choice(CLIENTS))]
        world.actors = [Actor(name, names, network.client(name), seed) for name in names]
        ghost = Ghost(network.client(Ghost.name))
        async with trio.open_nursery() as clients:
            for actor in world.actors:
                clients.start_soon(actor.run)
            clients.start_soon(ghost.run)
            await trio.sleep(0.5)
            network.faults = world.faults()
            network.cut_all()
            for actor in world.actors:
                actor.is_busy = True
            await trio.sleep(BUSY_SECONDS)
            for actor in world.actors:
                actor.is_busy = False
            network.heal()
            await trio.sleep(CALM_SECONDS)
            for actor in world.actors:
                actor.come_back()
            await trio.sleep(SHORT_SECONDS)
            await world.check_rosters()
            for actor in world.actors:
                actor.leave()
            await trio.sleep(SHORT_SECONDS)
            clients.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    world.check_records()
    return world


def fingerprint(world: World) -> str:
    """All that the clients wrote down, in short: the same for the same seed."""
    told = [
        (
            actor.heard,
            [attrs.astuple(sent) for sent in actor.sent],
            [(stay.joined_at, stay.left_at, stay.heard, stay.roster) for stay in actor.stays],
            [side.ends for side in actor.sides],
            actor.gaps,
            actor.failures,
        )
        for actor in world.actors
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def simulate(seed: int, directory: str | None = None) -> World:
    """The world of a seed, lived to its end."""
    with (
        _deterministic(seed),
        tempfile.TemporaryDirectory(prefix="world-", dir=directory) as name,
    ):
        return trio.run(_simulate, seed, Path(name), clock=MockClock(autojump_threshold=0))


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Have the order in which trio runs tasks and the jitter of back-offs be of the seed, too, and
    leave the process as it was: other tests run in it.
    """
    logger = logging.getLogger("signal_sdk")
    level, scheduling = logger.level, trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    logger.setLevel(logging.CRITICAL)
    vars(trio_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    trio_run._r.seed(seed)
    random.seed(seed)
    gc.disable()
    # So that only what the world has made is looked through behind it.
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        gc.enable()
        trio_run._r.seed()
        random.seed()
        vars(trio_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = scheduling
        logger.setLevel(level)
