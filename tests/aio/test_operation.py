"""An operation of the trio thread, without either loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import ContextVar, copy_context

from signal_sdk.aio.operation import LoopOperation
from signal_sdk.client.operation import Operation, done

kept: ContextVar[Kept] = ContextVar("kept")


class Kept:
    """What a program has in its context."""


class NoLoop:
    """A crossing that nobody needs, since nobody waits."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        raise AssertionError

    def check(self) -> object:
        raise AssertionError

    def put(self, do: Callable[[], object]) -> None:
        raise AssertionError(do)


def test_an_operation_that_is_kept_keeps_nothing_of_the_context_that_it_was_asked_in() -> None:
    found: list[object] = []

    def do(text: str, *, flag: Kept) -> Operation[str]:
        found.append(kept.get() is flag)
        return done(text)

    def ask() -> tuple[LoopOperation[str], weakref.ref[Kept]]:
        ours = Kept()
        kept.set(ours)
        return LoopOperation(NoLoop(), do, ("text",), {"flag": ours}), weakref.ref(ours)

    operation, ours = copy_context().run(ask)
    assert ours() is not None
    operation()
    assert (operation.outcome(), found, ours()) == ("text", [True], None)
