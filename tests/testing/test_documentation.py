"""The programs in docs/testing.md do what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import signal_sdk.testing
from signal_sdk.testing import (
    ClientDialer,
    Faults,
    FaultyLink,
    FaultyNetwork,
    NativePeer,
    native_peer,
)

TEXT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
PYTEST_PAGE = Path(__file__).parents[2] / "docs" / "pytest.md"
TESTS = (
    "test_the_bot_answers",
    "test_the_bot_answers_over_a_slow_network",
    "test_an_old_app_hears_the_bot",
    "test_an_old_app_calls_the_bot",
)


def programs() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/testing.md", "exec"), names)  # noqa: S102  our own document
    return names


@pytest.mark.parametrize("name", TESTS)
def test_an_example_passes(name: str) -> None:
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(programs()[name], clock, clock=clock)


def test_every_example_is_run() -> None:
    assert {name for name in programs() if name.startswith("test_")} == set(TESTS)


def test_every_public_name_is_described() -> None:
    """On one of the two pages, but for those of what is only handed out."""
    text = TEXT + PYTEST_PAGE.read_text()
    described = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", text))))
    implicit = {
        *("ClientDialer", "FaultyLink", "MemoryTransport", "ServerSource"),
        "SyncPeerCall",
    }
    assert set(signal_sdk.testing.__all__) - described == implicit
    for cls in (FaultyNetwork, FaultyLink, ClientDialer, NativePeer):
        public = {name for name in vars(cls) if not name.startswith("_")}
        assert public - described - {"dial", "record", "run", "lane_ended", "line"} == set(), cls
    assert {field.name for field in attrs.fields(Faults)} <= described


async def test_a_native_peer_of_nothing_says_how_to_find_a_server() -> None:
    """In the words that the page has."""
    with pytest.raises(ValueError, match=r"server.*connect=connect_by_lookup\(") as caught:
        async with native_peer():
            pass
    assert "connect_by_lookup(APP, HOST, [8180, 8181])" in str(caught.value)
    assert "[8180, 8181]" in TEXT


def test_the_import_of_the_lookup_s_way_is_there() -> None:
    [line] = re.findall(r"`(from signal_sdk\.testing import connect_by_lookup, \w+)`", TEXT)
    exec(line, {})  # noqa: S102  our own document
