"""How long a client may say nothing, each kind of client by what it bears itself."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from signal_sdk.server.config import Config, LimitsConfig
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.session import Session
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire.login import NATIVE_DEVICE, PUSH_VERSION
from tests.server.helpers import OURS, dev_config
from tests.wire_client import wire_client

DEFAULT = LimitsConfig().silence_seconds


@pytest.fixture
def config() -> Config:
    return dev_config(silence_seconds=DEFAULT)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({}, 40),
        ({"device": NATIVE_DEVICE, "ver": 1_01_00_02_000}, 40),
        (OURS, 20),
    ],
    ids=["web", "java", "ours"],
)
async def test_a_silent_client_is_sent_away_after(
    server: LocalServer, said: dict[str, Any], seconds: int
) -> None:
    async with wire_client(server.connect()) as ann:
        await ann.login("ann", **said)
        await trio.sleep(seconds - 1)
        ann.send("ping", 1)
        await ann.expect("pong")
        began = trio.current_time()
        closing = await ann.expect("close")
        assert closing["reason"] == f"nothing was heard for {seconds} s"
        # It is looked at once a second.
        assert seconds - 0.1 <= trio.current_time() - began <= seconds + 1


@pytest.mark.parametrize(
    ("limit", "ours"), [(1, 1), (20, 20), (30, 20), (40, 20), (100, 50), (10**9, 10**9 / 2)]
)
def test_ours_may_be_silent_for_half_as_long_but_not_less_than_20_s(
    limit: float, ours: float
) -> None:
    key = AccountKey("app", "ann")
    for ver, seconds in ((PUSH_VERSION, ours), (PUSH_VERSION - 1, limit)):
        session = Session(key=key, uid=1, generation=1, line_digest=b"x", ver=ver)
        assert session.patience(limit) == seconds
