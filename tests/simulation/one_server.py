"""A world that one server serves, which is killed and comes back on its journal.

Owns: that server's lives. Must not know the clients, nor the network's faults.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.bounds import Bounds
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import Batch
from signal_sdk.testing import local_server
from tests.simulation.world import CONFIG, World

MEAN_LIFE_SECONDS: Final = 20.0


class MortalJournal(Journal):
    """A journal whose process can be killed: nothing is written any more."""

    is_dead = False

    def write(self, batch: Batch) -> None:
        if self.is_dead:
            raise StorageError("the process was killed")
        super().write(batch)


@functools.cache
def empty_journal() -> bytes:
    """The file of a server that has ended and never served: to make one takes as long as it takes a
    small world to write to it, and all begin with the same.
    """
    with tempfile.TemporaryDirectory() as directory:
        Journal.open(directory).close()
        return (Path(directory) / FILE_NAME).read_bytes()


@attrs.define(kw_only=True, eq=False)
class OneServer(World):
    """That world."""

    engine: EmbeddedEngine | None = None

    def state(self) -> EmbeddedEngine:
        assert self.engine is not None
        return self.engine

    async def live(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """One life of the server after the other; the last one lasts."""
        ends = trio.current_time() + self.busy_seconds
        (self.directory / FILE_NAME).write_bytes(empty_journal())
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
        async with local_server(CONFIG, listens=False, engine=self.engine) as server:
            self.network.server = server
            task_status.started()
            await trio.sleep(seconds)
            if self.draw.random() < 0.3:
                self.events["stops"] += 1
                server.node.stop(self.draw.choice([0.0, 2.0]))
                await trio.sleep(self.draw.uniform(0.5, 4.0))
            else:
                self.events["kills"] += 1
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
