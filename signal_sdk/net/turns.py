"""Turns: who of those that have something to be read is read next.

Owns: who waits, and what each has used lately of the time in which all are read, where they share
that. Must not know what they are, nor the clock.

Who has used least comes first, so that whoever asks seldom waits for nobody who asks all the time,
however many those are. What anybody has used is forgotten in a second or two.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

__all__ = ["ANY", "SELDOM_STEPS", "Line", "Turns"]

K = TypeVar("K", bound=Hashable)

REMEMBERED_SECONDS: Final = 1.0
STEP_SECONDS: Final = 0.0005
"""Those who have used as much, but for so much, are read in the order in which they came."""
STEPS: Final = 20
"""Whoever has used more than so many steps, 10 ms, is not made to wait for more than that: these
take turns.
"""
ANY: Final = STEPS + 1
"""Whatever anybody has used."""
SELDOM_STEPS: Final = 3
"""Who has used no more steps than so many lately asks seldom."""
ELDEST_EVERY: Final = 8
"""Of so many whose turn it is, one is who has waited longest of those who ask seldom: where
newcomers come all the time, as after an outage, whoever has used a little more than they, or had a
stall laid to him, would wait until that is forgotten.
"""
MOST_AT_ONCE_SECONDS: Final = STEPS * STEP_SECONDS / 4
"""What one turn counts at most. All may have stood still in it, for the garbage collector or
another process: that is not to be laid to one who asks seldom. Who always takes so long is soon
among the last.
"""


class Turns(Generic[K]):
    """Those who wait, each once, and what each has used in this second and the one before. Nothing
    is counted while there is time for all.
    """

    def __init__(self) -> None:
        self._lines: list[deque[tuple[int, K]]] = [deque() for _ in range(STEPS + 2)]
        """Those who wait, by how many steps they have used: nobody whose turn it is has to be
        looked for. Before all others, those of whom nothing was counted.
        """
        self._first = 0
        """All lines before this one are empty."""
        self.step: int = 0
        """How many steps whom `pop` has returned last had used lately, begun ones counted: 0 where
        nothing had been counted.
        """
        self._waiting: dict[K, int] = {}
        self._number = 0
        self._young: dict[K, float] = {}
        self._old: dict[K, float] = {}
        self._turned_at = -math.inf
        self._counts_until = -math.inf
        self._pops = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def number(self) -> int:
        """How often somebody began to wait."""
        return self._number

    @property
    def eldest(self) -> float:
        """Of who has waited longest, the number; infinity where nobody waits."""
        return next(iter(self._waiting.values()), math.inf)

    def is_calm(self, now: float) -> bool:
        """Does nobody wait, nor had to lately? Then all is forgotten."""
        if self._waiting or now < self._counts_until:
            return False
        if self._young or self._old:
            self._young, self._old = {}, {}
        return True

    def count(self, now: float) -> None:
        """There was not time for all: what is used counts, for a while."""
        self._counts_until = now + 2 * REMEMBERED_SECONDS

    def add(self, key: K) -> None:
        """`key` waits, unless it does already."""
        if key not in self._waiting:
            self._number = number = self._number + 1
            self._waiting[key] = number
            self._line_up(key, number)

    def _line_up(self, key: K, number: int) -> None:
        young, old = self._young.get(key), self._old.get(key)
        step = 0
        if young is not None or old is not None:
            used = int(((young or 0.0) + (old or 0.0)) / STEP_SECONDS)
            step = used + 1 if used < STEPS else STEPS + 1
        self._lines[step].append((number, key))
        if step < self._first:  # noqa: PLR1730  a call of `min` costs more
            self._first = step

    def pop(self, most: int = ANY) -> K | None:
        """Whose turn it is; None where nobody waits who has used so many steps at most."""
        waiting = self._waiting
        if not waiting:
            return None
        self._pops += 1
        step = self._first
        if self._pops % ELDEST_EVERY == 0:
            step = self._step_of_eldest(min(most, SELDOM_STEPS))
        while step <= most:
            line = self._lines[step]
            while line:
                number, key = line.popleft()
                if waiting.get(key) == number:
                    del waiting[key]
                    self.step = step
                    return key
            if step == self._first:
                self._first += 1
            step += 1
        return None

    def _step_of_eldest(self, most: int) -> int:
        """How many steps who has waited longest has used, of those who have used so many at most;
        the first line where there are none.
        """
        steps = filter(self._has, range(self._first, most + 1))
        return min(steps, key=lambda step: self._lines[step][0], default=self._first)

    def waits(self, most: int) -> bool:
        """Does somebody wait who has used so many steps at most?"""
        if not self._waiting:
            return False
        while self._first <= most:
            if self._has(self._first):
                return True
            self._first += 1
        return False

    def _has(self, step: int) -> bool:
        """Does somebody wait in this line? Then he is the first of it."""
        line, waiting = self._lines[step], self._waiting
        while line:
            number, key = line[0]
            if waiting.get(key) == number:
                return True
            # That is gone.
            line.popleft()
        return False

    def charge(self, key: K, seconds: float, now: float) -> None:
        """Count what `key` has used."""
        if now - self._turned_at >= REMEMBERED_SECONDS:
            self._turn(now)
        if seconds > MOST_AT_ONCE_SECONDS:  # noqa: PLR1730  as above
            seconds = MOST_AT_ONCE_SECONDS
        self._young[key] = self._young.get(key, 0.0) + seconds

    def forget(self, key: K) -> None:
        """Who that was is gone, and the next of that name is somebody else."""
        self._waiting.pop(key, None)
        self._young.pop(key, None)
        self._old.pop(key, None)

    def _turn(self, now: float) -> None:
        is_late = now - self._turned_at >= 2 * REMEMBERED_SECONDS
        self._old = {} if is_late else self._young
        self._young = {}
        self._turned_at = now
        # Who has waited since is better off: nobody waits for ever.
        for line in self._lines:
            line.clear()
        for key, number in self._waiting.items():
            self._line_up(key, number)


class Line(Generic[K]):
    """Those who wait, each once, in the order in which they came: all are one owner's, and nobody
    has to be kept from taking more than a share. What anybody has used is not counted, which costs
    a program of many sessions a sixth of a message. As `Turns` for whoever asks.
    """

    step: Final = ANY
    """Nobody asks seldom."""

    def __init__(self) -> None:
        self._line: deque[tuple[int, K]] = deque()
        self._waiting: dict[K, int] = {}
        self.number: int = 0
        """How often somebody began to wait."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def eldest(self) -> float:
        """As `Turns.eldest`."""
        return next(iter(self._waiting.values()), math.inf)

    def is_calm(self, now: float) -> bool:  # noqa: ARG002  nothing is remembered
        """Does nobody wait?"""
        return not self._waiting

    def add(self, key: K) -> None:
        """`key` waits, unless it does already."""
        if key not in self._waiting:
            self.number = number = self.number + 1
            self._waiting[key] = number
            self._line.append((number, key))

    def pop(self, most: int = ANY) -> K | None:  # noqa: ARG002  nothing is counted
        """Who is next; None where nobody waits."""
        while self._line:
            number, key = self._line.popleft()
            if self._waiting.get(key) == number:
                del self._waiting[key]
                return key
        return None

    def waits(self, most: int) -> bool:  # noqa: ARG002  nothing is counted
        """Does somebody wait?"""
        return bool(self._waiting)

    def forget(self, key: K) -> None:
        """Who that was is gone."""
        self._waiting.pop(key, None)

    def count(self, now: float) -> None:
        """Nothing is counted."""

    def charge(self, key: K, seconds: float, now: float) -> None:
        """Nothing is."""
