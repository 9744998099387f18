"""What is remembered of requests that came with a key: so much, and no more."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from signal_sdk.server.admin import idempotency as module
from signal_sdk.server.admin.idempotency import Idempotency
from signal_sdk.server.admin.problems import ProblemError


def do(kept: Idempotency, key: str, *, holder: str = "one", body: bytes = b"done") -> bytes | None:
    """Answer a request with `body`, unless it came before; what it was answered with then."""
    with kept.once(holder, "/place", key, b"said") as answered:
        before = answered.body
        if before is None:
            answered.body = body
        return before


async def test_so_many_are_remembered_and_the_oldest_goes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    kept = Idempotency()
    for key in "abcd":
        assert do(kept, key) is None
    assert len(kept) == 3
    assert do(kept, "d") == b"done"
    assert do(kept, "a") is None


async def test_so_many_bytes_are_remembered(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 100)
    kept = Idempotency()
    for key in "abcd":
        do(kept, key, body=bytes(60))
    assert len(kept) <= 3
    assert do(kept, "d") == bytes(60)
    assert do(kept, "a") is None


async def test_each_holder_has_keys_of_its_own(autojump_clock: MockClock) -> None:
    kept = Idempotency()
    assert do(kept, "a") is None
    assert do(kept, "a", holder="two") is None
    assert len(kept) == 2


async def test_what_was_not_done_is_not_remembered(autojump_clock: MockClock) -> None:
    kept = Idempotency()
    with pytest.raises(ValueError, match=r"^no$"), kept.once("one", "/place", "a", b"said"):
        raise ValueError("no")
    assert len(kept) == 0
    assert do(kept, "a") is None


async def test_what_is_under_way_is_not_forgotten_for_others(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 1)
    kept = Idempotency()
    with kept.once("one", "/place", "slow", b"said") as slow:
        for key in "abc":
            do(kept, key)
        with pytest.raises(ProblemError):
            do(kept, "slow")
        slow.body = b"late"
    assert do(kept, "slow") == b"late"
