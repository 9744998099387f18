"""What became of one world, for whoever simulates many.

Owns: the words. Must not know how a world comes about.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Final

import attrs

from tests.simulation.locks import LockActor, LocksOnManyNodes, LocksOnOneServer
from tests.simulation.nodes import ManyNodes
from tests.simulation.one_server import OneServer
from tests.simulation.registers import RegistersOnManyNodes, RegistersOnOneServer
from tests.simulation.world import World, fingerprint, simulate

WORLDS: Final[Mapping[str, type[World]]] = {
    "server": OneServer,
    "nodes": ManyNodes,
    "locks": LocksOnOneServer,
    "locks-nodes": LocksOnManyNodes,
    "registers": RegistersOnOneServer,
    "registers-nodes": RegistersOnManyNodes,
}


@attrs.frozen(kw_only=True)
class Report:
    """What became of one world."""

    seed: int
    problems: list[str]
    facts: str
    fingerprint: str


def report(seed: int, kind: str = "server") -> Report:
    """Simulate a world."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112  a directory in memory of its own
    return simulate(WORLDS[kind], seed, partial(_report, seed), memory)


def _report(seed: int, world: World) -> Report:
    sent = [it for actor in world.actors for it in actor.sent]
    heard = sum(len(actor.heard) for actor in world.actors)
    heard += sum(len(stay.heard) for actor in world.actors for stay in actor.stays)
    befallen = ", ".join(f"{count} {what}" for what, count in sorted(world.events.items()))
    facts = (
        f"{len(world.actors)} clients, {befallen}, {len(sent)} sent,"
        f" {sum(it.is_acked for it in sent)} acknowledged, {heard} heard,"
        f" {sum(len(actor.sides) for actor in world.actors)} sides of calls,"
        f" {sum(len(actor.gaps) for actor in world.actors)} gaps"
    )
    tries = [it for actor in world.actors if isinstance(actor, LockActor) for it in actor.tries]
    if tries:
        facts += f", {len(tries)} locks asked for, {sum(it.fence > 0 for it in tries)} had"
    return Report(seed=seed, problems=world.problems, facts=facts, fingerprint=fingerprint(world))
