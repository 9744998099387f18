"""What pure functions have answered lately, so that what is asked again soon is not done again.

Owns: every memory of that kind, and that all of them are forgotten at once. Must not know what is
remembered, nor when it is forgotten.

Whoever names very many things once would have the last of them kept among all else that there was
then, each of which keeps the megabyte that it is in from being given back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar, cast

__all__ = ["forget", "remembered"]

P = ParamSpec("P")
T = TypeVar("T")

_forgets: Final[list[Callable[[], None]]] = []


def remembered(most: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function of a module, whose answer depends on its arguments alone, remember `most`
    answers: those that were asked for last.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        memory = functools.lru_cache(most)(function)
        _forgets.append(memory.cache_clear)
        return cast("Callable[P, T]", memory)

    return decorate


def forget() -> None:
    """Forget all answers, of all functions."""
    for forget_one in _forgets:
        forget_one()
