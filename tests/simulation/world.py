"""One simulated world: what serves, a faulty network, and clients that do what a seed has them do,
all on trio's virtual clock.

Owns: the schedule of links' faults, and that one seed always makes the same world. Must not know
what is promised: model.py does; nor what serves, and how that fails: one_server.py and nodes.py do.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import random
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final, TypeVar

import attrs
import trio
from trio._core import _run as trio_run

from signal_sdk.server import config as configs
from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.engine.base import ChannelKey
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.pending import waited
from signal_sdk.testing import Faults, FaultyNetwork
from tests.simulation import model
from tests.simulation.actor import APP, CHANNELS, Actor, Ghost
from tests.simulation.clock import SimulatedClock

T = TypeVar("T")

BUSY_SECONDS: Final = 50.0
"""How long the clients are busy and things go wrong."""
CALM_SECONDS: Final = 36.0
"""How long nothing goes wrong after that: longer than any back-off, silence and ghost's lease."""
SHORT_SECONDS: Final = 10.0
MEAN_PAUSE_SECONDS: Final = 6.0
"""Between two deeds of one client, while it is busy."""
CLIENTS: Final = (3, 3, 3, 3, 4, 5, 8)
"""How many a world has; small ones are quick, and break as well."""
CONFIG: Final = attrs.evolve(configs.dev(), limits=LimitsConfig(memory_percent=0))
"""That of all servers: how much memory this process has makes no difference."""


@attrs.define(kw_only=True, eq=False)
class World(ABC):
    """What a seed has made. `problems` is what broke a promise."""

    busy_seconds: ClassVar[float] = BUSY_SECONDS
    calm_seconds: ClassVar[float] = CALM_SECONDS
    short_seconds: ClassVar[float] = SHORT_SECONDS
    mean_pause: ClassVar[float] = MEAN_PAUSE_SECONDS
    clients: ClassVar[Sequence[int]] = CLIENTS

    seed: int
    directory: Path
    draw: random.Random
    network: FaultyNetwork
    actors: list[Actor] = attrs.field(factory=list)
    ghosts: Sequence[Ghost] = ()
    events: Counter[str] = attrs.field(factory=Counter)
    """How often what has befallen it."""
    problems: list[str] = attrs.field(factory=list)

    @abstractmethod
    async def live(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """What serves the clients, until cancelled; all is well with it when `busy_seconds` are
        over. Starts once they can be served.
        """

    @abstractmethod
    def state(self) -> EmbeddedEngine:
        """What the clients' ideas are compared with in the end."""

    def make_actor(self, name: str, names: Sequence[str]) -> Actor:
        """The client of this name, beside all others."""
        client = self.network.client(name)
        return Actor(name, names, client, self.seed, mean_pause=self.mean_pause)

    def make_ghosts(self) -> Sequence[Ghost]:
        """Who vanishes."""
        return [Ghost("ghost", self.network.client("ghost"))]

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
        """Compare who is online and where: who has vanished is nowhere."""
        engine = self.state()
        online = {key.account: it for key, it in await waited(engine.online())}
        self.problems += model.check_online(online, self.actors, self.ghosts)
        for channel in CHANNELS:
            roster = await waited(engine.roster(ChannelKey(APP, channel), 1000))
            server = [account for account, _ in roster.newest]
            self.problems += model.check_roster(channel, server, self.actors)

    def check_records(self) -> None:
        """Hold what the clients wrote down against every promise."""
        for check in (
            model.check_messages,
            model.check_channels,
            model.check_calls,
            model.check_sessions,
        ):
            self.problems += check(self.actors)


async def _simulate(kind: type[World], seed: int, directory: Path) -> World:
    async with trio.open_nursery() as nursery, FaultyNetwork(None, seed=seed) as network:
        draw = random.Random(f"world {seed}")
        world = kind(seed=seed, directory=directory, draw=draw, network=network)
        await nursery.start(world.live)
        names = [f"u{number}" for number in range(draw.choice(kind.clients))]
        world.actors = [world.make_actor(name, names) for name in names]
        async with trio.open_nursery() as clients:
            for actor in world.actors:
                clients.start_soon(actor.run)
            world.ghosts = world.make_ghosts()
            for ghost in world.ghosts:
                clients.start_soon(ghost.run)
            await trio.sleep(0.5)
            network.faults = world.faults()
            network.cut_all()
            for actor in world.actors:
                actor.is_busy = True
            await trio.sleep(kind.busy_seconds)
            for actor in world.actors:
                actor.is_busy = False
            network.heal()
            await trio.sleep(kind.calm_seconds)
            for actor in world.actors:
                actor.come_back()
            await trio.sleep(kind.short_seconds)
            await world.check_rosters()
            for actor in world.actors:
                actor.leave()
            await trio.sleep(kind.short_seconds)
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
            *actor.more,
        )
        for actor in world.actors
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def simulate(
    kind: type[World], seed: int, judge: Callable[[World], T], directory: str | None = None
) -> T:
    """What `judge` makes of the world of a seed, lived to its end, of which nothing stays."""
    clock = SimulatedClock()
    with (
        _deterministic(seed),
        clock.ends_sleeps(),
        tempfile.TemporaryDirectory(prefix="world-", dir=directory) as name,
    ):
        # In here: a world that outlived it would be frozen with all else, and never collected.
        return judge(trio.run(_simulate, kind, seed, Path(name), clock=clock))


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
