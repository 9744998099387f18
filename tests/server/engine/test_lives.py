"""The embedded engine's nodes: a dead one rings no more, and lives anew when it sweeps again."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from signal_sdk.server.engine.base import LIFE_SECONDS, Asked
from signal_sdk.server.engine.embedded import EmbeddedEngine
from tests.server.engine.contract.harness import ANN, Heard, login_facts
from tests.server.engine.hand import HandClock


@pytest.fixture(autouse=True)
def _a_silent_node_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    caplog.clear()


class Pair:
    """Two nodes on one state, each by a clock of its own."""

    def __init__(self) -> None:
        first = EmbeddedEngine()
        self.engines = [first, first.neighbour()]
        self.clocks = [HandClock(), HandClock(500)]
        self.heard = [Heard(lambda: self.clocks[1].now) for _ in self.engines]
        for engine, clock, heard in zip(self.engines, self.clocks, self.heard, strict=True):
            engine.attach(heard, clock.clocks)
            clock.start(engine)

    def log_in(self, node: int) -> Asked:
        made = self.clocks[node].run(lambda: self.engines[node].log_in(ANN, login_facts(ANN)))
        assert made is not None
        return Asked(ANN, made.generation)

    def bury_the_first(self) -> None:
        """The first node is silent for so long that the second takes it for dead."""
        for clock in self.clocks:
            clock.now += LIFE_SECONDS + 1
        self.clocks[1].in_trio(self.engines[1].sweep)

    def set_alarms(self) -> list[int]:
        """How many alarms of each node are set."""
        return [sum(it.time < math.inf for it in clock.alarms) for clock in self.clocks]


def test_a_dead_node_s_alarms_are_not_set_until_it_lives_anew() -> None:
    pair = Pair()
    asked = pair.log_in(1)
    pair.engines[1].disconnect(ANN, asked.generation)
    assert pair.set_alarms() == [1, 1]
    pair.bury_the_first()
    assert pair.set_alarms() == [0, 1]
    # It goes on as if nothing had been, more than once.
    for _ in range(3):
        pair.clocks[0].in_trio(pair.engines[0].sweep)
        assert pair.set_alarms() == [1, 1]
        pair.bury_the_first()
        assert pair.set_alarms() == [0, 1]
    assert [it for it in pair.heard[0].all if it[0] == "fencing"] == [("fencing",)] * 3


def test_the_clock_that_has_gone_furthest_tells_what_is_due() -> None:
    """That of a node that has died stands still, before anybody knows so."""
    pair, alive = Pair(), 1
    clock, engine = pair.clocks[alive], pair.engines[alive]
    clock.advance(5)
    asked = pair.log_in(alive)
    engine.disconnect(ANN, asked.generation)
    clock.advance(119)
    assert clock.run(lambda: engine.presence(ANN)) is not None
    clock.advance(2)
    assert clock.run(lambda: engine.presence(ANN)) is None
