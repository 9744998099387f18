"""What several tests of `net/` begin with."""

from __future__ import annotations

import pytest

from signal_sdk.testing.memory import memory_transport_pair
from tests.net.pairs import Pairs, socket_pair


@pytest.fixture(params=["socket", "memory"])
def pairs(request: pytest.FixtureRequest) -> Pairs:
    return socket_pair if request.param == "socket" else memory_transport_pair
