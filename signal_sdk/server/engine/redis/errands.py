"""Errands: what is to be asked of Redis about very many, some at a time.

Owns: what is to be done, and how much is under way. Must not know what is asked.

To ask about all of them at once would keep whoever else is at this node waiting, and be more than
may be asked and not answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from signal_sdk.server.engine.pending import Pending

__all__ = ["run_some"]

T = TypeVar("T")

AT_ONCE: Final = 64
"""How many errands are under way at once: some 3 ms of this node's time."""


def run_some(run: Callable[[T], Pending[Any] | None], of: Iterable[T]) -> Pending[None]:
    """Have `run` begun for all of these, in their order. What it returns, which may fail, is done
    when the errand is; None where there is nothing to be done any more. Done once all are.
    """
    errands = _Errands(run, iter(of))
    errands.go_on()
    return errands.done


class _Errands(Generic[T]):
    __slots__ = ("_is_beginning", "_left", "_run", "_under_way", "done")

    def __init__(self, run: Callable[[T], Pending[Any] | None], left: Iterator[T]) -> None:
        self._run = run
        self._left = left
        self._under_way = 0
        self._is_beginning = False
        self.done: Pending[None] = Pending()

    def go_on(self) -> None:
        # One that is done at once does not begin the next by itself: there may be very many.
        if self._is_beginning:
            return
        self._is_beginning = True
        while self._under_way < AT_ONCE:
            try:
                one = next(self._left)
            except StopIteration:
                if not self._under_way:
                    self.done.resolve(None)
                break
            errand = self._run(one)
            if errand is not None:
                self._under_way += 1
                errand.when_done(self._end_one)
        self._is_beginning = False

    def _end_one(self) -> None:
        self._under_way -= 1
        self.go_on()
