"""Worlds of locks notice an engine that is wrong: what is never found was never looked for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from signal_sdk.server.engine.lock_operations import LOCK, LockOperations
from signal_sdk.server.engine.state import State
from tests.simulation.locks import Try, check_locks
from tests.simulation.report import report

WORLDS = 12
"""In so many each of these is found."""


def given_to_all(patch: pytest.MonkeyPatch) -> str:
    """Whoever asks gets the lock."""

    def lock(
        self: Any, channel: Any, name: str, account: Any, id_: str, seconds: float, wait: float
    ) -> Any:
        ask = self._locks.find(channel, name, account, id_)
        if ask is None:
            ask = self._locks.add(channel, name, account, id_, seconds, self._wall() + wait)
        if not ask.fence:
            self._grant(ask)
        return self._standing(ask)

    patch.setattr(LockOperations, "_lock", lock)
    return "two had it at once"


def ended_early(patch: pytest.MonkeyPatch) -> str:
    """A lease ends when a fifth of it is over: before it is renewed."""

    def watch(self: Any, ask: Any) -> None:
        seconds = ask.ends - self._wall()
        self._dues.set((LOCK, ask), seconds / 5 if ask.fence else seconds)

    patch.setattr(LockOperations, "_watch_ask", watch)
    return "no one lock has answered so"


def numbered_down(patch: pytest.MonkeyPatch) -> str:
    """Each number is smaller than the one before."""
    numbers = count(10**6, -1)
    patch.setattr(State, "next_revision", lambda *_: next(numbers))
    return "no one lock has answered so"


def numbered_alike(patch: pytest.MonkeyPatch) -> str:
    """All have the same number."""
    patch.setattr(State, "next_revision", lambda *_: 5)
    return "a number was given twice"


def never_let_go(patch: pytest.MonkeyPatch) -> str:
    """Who gives a lock up has it for all that."""
    patch.setattr(LockOperations, "unlock", lambda *_: True)
    return "no one lock has answered so"


@pytest.mark.parametrize(
    "fault", [given_to_all, ended_early, numbered_down, numbered_alike, never_let_go]
)
@pytest.mark.parametrize("kind", ["locks", "locks-nodes"])
def test_a_wrong_engine_is_found(
    fault: Callable[[pytest.MonkeyPatch], str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = fault(monkeypatch)
    assert any(what in it for seed in range(WORLDS) for it in report(seed, kind).problems)


class Records:
    """An actor that is what it has written down."""

    def __init__(self, *tries: Try) -> None:
        self.tries = tries


def held(account: str, since: float, until: float, fence: int, **more: Any) -> Try:
    return Try(
        account=account,
        name="door",
        lease=5,
        asked_at=since - 0.1,
        acquired_at=since,
        fence=fence,
        held_until=until,
        sure_until=until + 3,
        given_at=until,
        heard_at=until + 0.1,
        was_held=True,
        **more,
    )


def test_what_clients_write_down_is_judged() -> None:
    ann, bob = held("ann", 1, 4, 5), held("bob", 4.2, 6, 6)
    assert list(check_locks([Records(ann), Records(bob)])) == []
    early = held("bob", 3.5, 6, 6)
    assert [it.split(":")[1] for it in check_locks([Records(ann), Records(early)])] == [
        " two had it at once",
        " no one lock has answered so",
    ]
    # Who has asked to leave the channel has given all up by that.
    leaving = held("ann", 1, 4, 5, left_at=3.0)
    leaving.was_held, leaving.heard_at = None, float("inf")
    assert list(check_locks([Records(leaving), Records(early)])) == []
