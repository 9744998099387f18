"""Which server an app is on.

Owns: the pipelines, one for each server that is used, where they connect to, and what becomes of
what was asked at the wrong one. Must not know what is asked.

One server is all there is, perhaps another one after a failover, unless it is a Cluster: there each
app is in one slot, and each slot at one server. What a server of a Cluster refuses because the slot
is elsewhere, or is on its way, was not done: it is asked again, in order, until it is done or too
late.
"""

from __future__ import annotations

import binascii
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

import trio

from signal_sdk.errors import StorageError
from signal_sdk.net.sleeper import Sleeper
from signal_sdk.server.engine.measures import Trips
from signal_sdk.server.engine.redis import library, resp
from signal_sdk.server.engine.redis.addresses import CLUSTER, SENTINEL, Address, Place
from signal_sdk.server.engine.redis.connection import Failure, ask_once
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline, away

__all__ = ["Servers", "slot_of"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.redis")

SLOTS: Final = 16384
RENEWING: Final = ("READONLY", "LOADING", "MASTERDOWN")
"""Refusals that say that another server may be the master now."""
ELSEWHERE: Final = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")
"""Refusals that say that the slot is elsewhere, or on its way there. A slot that is on its way has
some of an app's keys here and some there: nothing is done to either before all are in one place.
"""
AGAIN_SECONDS: Final = 0.05
MAX_TRIES: Final = 100


class Servers:
    """The servers of one Redis. `make` makes a pipeline; `on_message` is handed what was published,
    `on_up` is told of each server that is there, or there again. What one read brings is handed on
    within `together`.
    """

    def __init__(
        self,
        address: Address,
        prefix: str,
        *,
        make: type[Pipeline],
        on_message: Callable[[bytes, bytes], None],
        on_up: Callable[[Pipeline], None],
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.is_cluster: bool = address.kind == CLUSTER
        self._address = address
        self._prefix = prefix
        self._make = make
        self._on_message = on_message
        self._on_up = on_up
        self._together = together
        self._slots: dict[str | bytes, int] = {}
        self._owners: list[Pipeline] = []
        """Of each slot."""
        self._pipelines: dict[Place, Pipeline] = {}
        self._scopes: dict[Place, trio.CancelScope] = {}
        self._waiting: list[Ask[Any]] = []
        self._held: set[int] = set()
        """The slots of what waits to be asked again: what is asked later waits behind that."""
        self._sleeper = Sleeper()
        self.trips: Trips = Trips()
        """What was asked of all of them."""
        self._nobody = self._pipeline(self._find)
        """Has all slots of what is no Cluster, and those that nobody has."""
        self.used: Sequence[Pipeline] = () if self.is_cluster else (self._nobody,)
        """All of them."""

    def _pipeline(self, find: Callable[[], Awaitable[Place]]) -> Pipeline:
        return self._make(
            self._address,
            prepare=self._prepare,
            on_refused=self._refused,
            on_message=self._on_message,
            on_up=self._on_up,
            find=find,
            trips=self.trips,
            together=self._together,
        )

    # --- asking ---

    def slot(self, key: str | bytes) -> int:
        """The slot of a key, or of a hash tag."""
        if not self.is_cluster:
            return -1
        slot = self._slots.get(key)
        if slot is None:
            if len(self._slots) >= SLOTS:
                self._slots.clear()
            slot = self._slots[key] = slot_of(key)
        return slot

    def of(self, key: str | bytes) -> Pipeline:
        """The server that has this key, or this hash tag."""
        return self._owner(self.slot(key))

    def _owner(self, slot: int) -> Pipeline:
        return self._owners[slot] if slot >= 0 and self._owners else self._nobody

    def ask(self, ask: Ask[Any]) -> None:
        """Have the command done by the server that has its slot."""
        if ask.slot in self._held:
            self._waiting.append(ask)
        else:
            self._owner(ask.slot).ask(ask)

    def ask_raw(self, key: str | bytes, *words: str | bytes | int) -> Ask[Any]:
        """A command about this key, whose reply is the result."""
        ask: Ask[Any] = Ask(resp.command(*words), _itself, self.slot(key))
        self.ask(ask)
        return ask

    def __iter__(self) -> Iterator[Pipeline]:
        return iter(self.used)

    # --- life ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep connections, until cancelled. Raises `StorageError` where there cannot be any."""
        if not self.is_cluster:
            await self._nobody.run(True, task_status)
            return
        layout = await self._discover()
        # Those of an earlier run have ended with it.
        self._pipelines.clear()
        self._scopes.clear()
        self.used = ()
        async with trio.open_nursery() as nursery:
            await self._use(layout, nursery, is_needed=True)
            await self._check_data()
            task_status.started()
            await self._ask_again(nursery)

    async def _ask_again(self, nursery: trio.Nursery) -> None:
        """Ask what waits, time and again, after a look at who has which slot."""
        while True:
            if self._waiting or not all(it.is_up for it in self):
                await trio.sleep(AGAIN_SECONDS)
            else:
                await self._sleeper.sleep()
            try:
                await self._use(await self._discover(), nursery, is_needed=False)
            except StorageError as exc:
                logger.info("%s", exc)
            waiting, self._waiting = self._waiting, []
            self._held.clear()
            for ask in waiting:
                self.ask(ask)

    # --- below ---

    async def _find(self) -> Place:
        """Where to connect to now."""
        if self._address.kind != SENTINEL:
            await trio.lowlevel.checkpoint()
            return self._address.places[0]
        service = self._address.service
        data = resp.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        address = Address(has_tls=self._address.has_tls)
        for place in self._address.places:
            try:
                found = await ask_once(place, address, data)
            except StorageError as exc:
                logger.info("%s", exc)
                continue
            if found:
                return Place(found[0].decode(), int(found[1]))
        raise StorageError(
            f"of the Sentinels at {self._address} none knows a master called {service!r}"
        )

    async def _discover(self) -> list[tuple[int, int, Place]]:
        """Which slots are where."""
        data = resp.command("CLUSTER", "SLOTS")
        why: StorageError | None = None
        known = [place for place, it in self._pipelines.items() if it.is_up]
        for place in dict.fromkeys((*known, *self._address.places, *self._pipelines)):
            try:
                found = await ask_once(place, self._address, data)
            except StorageError as exc:
                why = exc
                continue
            if found:
                return [
                    (it[0], it[1], Place(it[2][0].decode() or place.host, it[2][1])) for it in found
                ]
        raise why or StorageError(f"{self._address} is no Cluster whose slots are given out")

    async def _use(
        self, layout: list[tuple[int, int, Place]], nursery: trio.Nursery, *, is_needed: bool
    ) -> None:
        """Have pipelines to all who have slots, and none else."""
        for place in dict.fromkeys(place for *_, place in layout):
            if place in self._pipelines:
                continue
            pipeline = self._pipelines[place] = self._pipeline(partial(_place, place))
            self.used = tuple(self._pipelines.values())
            scope = self._scopes[place] = trio.CancelScope()
            run = partial(self._run, pipeline, scope, is_needed)
            if is_needed:
                await nursery.start(run)
            else:
                nursery.start_soon(run)
        owners = [self._nobody] * SLOTS
        for first, last, place in layout:
            owners[first : last + 1] = [self._pipelines[place]] * (last + 1 - first)
        self._owners = owners
        for place in list(self._pipelines):
            if not any(place == it for *_, it in layout):
                del self._pipelines[place]
                self._scopes.pop(place).cancel()
        self.used = tuple(self._pipelines.values())

    @staticmethod
    async def _run(
        pipeline: Pipeline,
        scope: trio.CancelScope,
        is_needed: bool,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with scope:
            await pipeline.run(is_needed, task_status)

    async def _prepare(self, pipeline: Pipeline) -> None:
        await library.prepare(pipeline, self._prefix, is_cluster=self.is_cluster)

    async def _check_data(self) -> None:
        """Of a Cluster: what it has has to be ours. Raises `StorageError`."""
        await library.check_schema(self.of(f"{self._prefix}schema"), self._prefix)

    def _refused(self, pipeline: Pipeline, ask: Ask[Any], failure: Failure) -> bool:
        """Deal with what was refused? False where it fails by that."""
        if failure.code in RENEWING or "Function not found" in failure.text:
            # A new connection finds the master, and brings the functions.
            pipeline.drop()
        elif self.is_cluster and ask.slot >= 0 and failure.code in ELSEWHERE:
            ask.tries += 1
            if ask.tries > MAX_TRIES:
                ask.fail(away("Redis moves what this is about"))
            else:
                self._waiting.append(ask)
                self._held.add(ask.slot)
                self._sleeper.wake()
            return True
        return False


def slot_of(key: str | bytes) -> int:
    """The slot of a key of a Cluster that has no hash tag, or of a hash tag."""
    return binascii.crc_hqx(key if isinstance(key, bytes) else key.encode(), 0) % SLOTS


async def _place(place: Place) -> Place:
    await trio.lowlevel.checkpoint()
    return place


def _itself(reply: Any) -> Any:
    return reply
