"""Is a history linearizable? Is there an order in which its calls could have been done one at a
time, each at some moment between its invocation and its answer, so that each was answered rightly?

Owns: the search (Wing and Gong's, with Lowe's memory of what was tried), and the models that say
what is right: a register that can be compared and set, and a lock with leases. Must not know who
has made a history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeAlias

import attrs

__all__ = [
    "Acquire",
    "Cas",
    "Done",
    "Gone",
    "Over",
    "Read",
    "Refused",
    "Release",
    "Write",
    "is_linearizable",
    "lock",
    "register",
]

Step: TypeAlias = Callable[[Any, Any], Hashable | None]
"""A model: the state behind a call in this state, None where it cannot have been answered so."""


@attrs.frozen
class Done:
    """A call: `what` was asked and answered, between the two times. `ends` is infinity where no
    answer came: it may have been done at any time, or not at all.
    """

    began: float
    ends: float
    what: Any


def is_linearizable(history: Sequence[Done], step: Step, first: Hashable) -> bool:
    """Is there such an order, from the state `first` on?"""
    calls = sorted(history, key=lambda call: call.began)
    needed = sum(1 << number for number, it in enumerate(calls) if it.ends < math.inf)
    todo: list[tuple[int, Hashable]] = [(0, first)]
    tried = set(todo)
    while todo:
        done, state = todo.pop()
        if done & needed == needed:
            return True
        # Whatever has begun behind the end of one that is not done yet is not the next.
        latest = min(it.ends for number, it in enumerate(calls) if not done >> number & 1)
        nexts: list[tuple[int, Hashable]] = []
        for number, call in enumerate(calls):
            if call.began > latest:
                break
            if done >> number & 1:
                continue
            after = step(state, call.what)
            if after is None:
                continue
            if isinstance(call.what, Read | Refused | Gone):
                # It only looks: where it may be next, there is no use in its coming later.
                nexts = [(done | 1 << number, after)]
                break
            nexts.append((done | 1 << number, after))
        for found in nexts:
            if found not in tried:
                tried.add(found)
                todo.append(found)
    return False


# --- a register ---


@attrs.frozen
class Read:
    """The value was read."""

    value: Any


@attrs.frozen
class Write:
    """The value was written."""

    value: Any


@attrs.frozen
class Cas:
    """The value was to be written where it was the `old` one. `is_done` is None where nobody knows
    whether it was.
    """

    old: Any
    new: Any
    is_done: bool | None


def register(state: Any, call: Any) -> Hashable | None:
    """A register whose state is a tuple of its value, since that may be None."""
    (value,) = state
    match call:
        case Read(read):
            return state if read == value else None
        case Write(new):
            return (new,)
        case Cas(old, new, is_done):
            is_right = old == value if is_done is None or is_done else old != value
            return ((new,) if is_done is not False else state) if is_right else None
    raise TypeError(call)


# --- a lock ---


FREE: Final = (0, 0)
"""The state of a lock that nobody has had: who has it, and the largest number that was given."""


@attrs.frozen
class Acquire:
    """The ask of this number got the lock, under the number `fence`; 0 where nobody knows."""

    ask: int
    fence: int = 0


@attrs.frozen
class Refused:
    """It was not got, since one of these asks had it."""

    holders: frozenset[int]


@attrs.frozen
class Release:
    """An ask gave the lock up, and had it until then or not; None where nobody knows."""

    ask: int
    was_held: bool | None = None


@attrs.frozen
class Over:
    """The server has ended an ask's lease, if it has: not before the time of its beginning."""

    ask: int


@attrs.frozen
class Gone:
    """An ask was told that it has the lock no more."""

    ask: int


def lock(state: Any, call: Any) -> Hashable | None:
    """A lock that one ask at a time has, under a number that rises."""
    holder, latest = state
    match call:
        case Acquire(ask, fence):
            is_right = not holder and (not fence or fence > latest)
            return (ask, fence or latest) if is_right else None
        case Refused(holders):
            return state if holder in holders else None
        case Release(ask, was_held):
            if was_held is False:
                return state if holder != ask else None
            return (0, latest) if holder == ask else None
        case Over(ask):
            return (0, latest) if holder == ask else None
        case Gone(ask):
            return state if holder != ask else None
    raise TypeError(call)
