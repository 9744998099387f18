"""Worlds of registers notice an engine that is wrong, as those of locks do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from signal_sdk.server.engine import attribute_operations
from signal_sdk.server.engine.state import State
from tests.simulation.registers import Change, check_register
from tests.simulation.report import report

WORLDS = 12
"""In so many each of these is found."""


def unconditional(patch: pytest.MonkeyPatch) -> str:
    """A change is made however things are."""
    patch.setattr(attribute_operations, "_conflict", lambda *_: None)
    return "no one register has answered so"


def numbered_down(patch: pytest.MonkeyPatch) -> str:
    """Each revision is smaller than the one before."""
    numbers = count(10**6, -1)
    patch.setattr(State, "next_revision", lambda *_: next(numbers))
    return "where it was"


@pytest.mark.parametrize("fault", [unconditional, numbered_down])
@pytest.mark.parametrize("kind", ["registers", "registers-nodes"])
def test_a_wrong_engine_is_found(
    fault: Callable[[pytest.MonkeyPatch], str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = fault(monkeypatch)
    assert any(what in it for seed in range(WORLDS) for it in report(seed, kind).problems)


class Records:
    """An actor that is what it has written down."""

    def __init__(self, *changes: Change) -> None:
        self.changes = changes


def made(text: str, began: float, seen: tuple[int, str], revision: int) -> Change:
    return Change(began=began, ended=began + 1, text=text, seen=seen, revision=revision)


def problems(*changes: Change) -> list[str]:
    return [it.split(":")[0] for it in check_register([Records(*changes)])]


def test_what_clients_write_down_is_judged() -> None:
    one = made("a", 0, (0, ""), 5)
    assert problems(one, made("b", 2, (5, "a"), 6)) == []
    # Both saw nothing, and one of them has to have lost.
    assert problems(one, made("b", 2, (0, ""), 6)) == ["no one register has answered so"]
    lost = Change(began=2, ended=3, text="b", found=(5, "a"))
    assert problems(one, lost) == []
    wrong: Any = Change(began=2, ended=3, text="b", found=(4, "a"))
    assert problems(one, wrong) == [
        "(4, 'a') was found, which was made as 5",
        "no one register has answered so",
    ]
    refused = Change(began=2, ended=3, text="b", seen=(5, "a"), found=(5, "a"))
    assert problems(one, refused) == ["b was refused where it was as it was to be"]
    late = made("b", 2, (5, "a"), 4)
    assert problems(one, late) == [
        "b was made as 4 where it was 5",
        "a was made before b, as 5",
    ]


def test_what_was_not_answered_may_have_been_done_or_not() -> None:
    one, unknown = made("a", 0, (0, ""), 5), Change(began=2, seen=(5, "a"), text="b")
    look = Change(began=9, ended=10, found=(5, "a"))
    assert problems(one, unknown, look) == []
    # It was, since somebody saw it, and is not undone.
    seen = Change(began=7, ended=8, found=(6, "b"))
    assert problems(one, unknown, seen) == []
    assert problems(one, unknown, seen, look) == ["no one register has answered so"]
    early = Change(began=0, ended=1, found=(6, "b"))
    assert problems(one, unknown, early) == ["no one register has answered so"]
