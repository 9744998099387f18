"""Attributes of the embedded engine, against a model of them: whatever is asked for, all of it or
nothing is done, where things are as it wants them.
"""

from __future__ import annotations

import random

import attrs
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.server.engine.base import Asked, Changed, Known
from signal_sdk.server.engine.bounds import QuotaError
from signal_sdk.server.engine.embedded import EmbeddedEngine
from tests.server.engine.attribute_model import MOST, Model, some_change
from tests.server.engine.contract.harness import ANN, BOUNDS, ROOM, Heard, login_facts
from tests.server.engine.hand import HandClock


@given(st.randoms(use_true_random=False), st.integers(1, 15))
def test_any_changes_are_as_a_model_has_them(chance: random.Random, count: int) -> None:
    clock, model = HandClock(now=1000.0), Model()
    engine = EmbeddedEngine(bounds=attrs.evolve(BOUNDS, attributes=MOST))
    engine.attach(Heard(lambda: clock.now), clock.clocks)
    clock.start(engine)

    def change(asked: Asked) -> None:
        owner = chance.choice([None, "room"])
        wanted = some_change(chance, model, owner)
        expected = model.change(owner, wanted, clock.now)
        found: Changed | Known | None
        try:
            found = engine.change_attributes(asked, owner, wanted, members_only=False)
        except QuotaError:
            found = None
        assert found == expected
        for it, owned in model.owners.items():
            there = engine.user_attributes(ANN) if it is None else engine.channel_attributes(ROOM)
            assert (there.revision, dict(there.values)) == (owned.revision, owned.values)
        assert engine.last_revision("app") == model.last

    async def live() -> None:
        presence = engine.log_in(ANN, login_facts(ANN))
        assert presence is not None
        for _ in range(count):
            if chance.random() < 0.3:
                clock.advance(10.0)
                model.pass_time(clock.now)
            change(Asked(ANN, presence.generation, None, 0, '{"revision":'))

    clock.in_loop(live)
