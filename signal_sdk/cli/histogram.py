"""How long things took: counted in classes, so that millions of them take no more room than one.

Owns: the classes, each at most 4.5 % wide, and what they say of a share of all. Must not know what
was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

__all__ = ["Histogram"]

PER_OCTAVE: Final = 16
OCTAVES: Final = 27
"""From 1 µs up to 134 s; what takes longer counts as that."""
LEAST_SECONDS: Final = 1e-6
BARS: Final = (1, 2, 5)
"""Where bars end, in each power of ten."""


class Histogram:
    """A distribution of times, in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (PER_OCTAVE * OCTAVES + 1)
        self.count: int = 0
        self.largest: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        place = math.ceil(PER_OCTAVE * math.log2(max(seconds, LEAST_SECONDS) / LEAST_SECONDS))
        self._counts[min(place, PER_OCTAVE * OCTAVES)] += 1
        self.count += 1
        self.largest = max(self.largest, seconds)

    def at(self, percent: float) -> float:
        """In how many seconds so many percent of all were done; 0 where there are none."""
        wanted = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for place, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min(_end_of(place), self.largest)
        return self.largest

    def summary(self) -> dict[str, float]:
        """What is told of it, in milliseconds."""
        told = {f"p{percent}": round(self.at(percent) * 1000, 3) for percent in (50, 90, 99)}
        return {"count": self.count, **told, "max": round(self.largest * 1000, 3)}

    def bars(self) -> Iterator[tuple[float, int]]:
        """Up to how many seconds, and how many took longer than the bar before, and so long at
        most; from the first that is not empty to the last.
        """
        ends = [step * 10.0**power for power in range(-6, 3) for step in BARS]
        counts = dict.fromkeys(ends, 0)
        for place, count in enumerate(self._counts):
            if count:
                middle = _end_of(place) * 2 ** (-0.5 / PER_OCTAVE)
                counts[next((end for end in ends if middle <= end), ends[-1])] += count
        filled = [end for end, count in counts.items() if count]
        for end, count in counts.items():
            if filled and filled[0] <= end <= filled[-1]:
                yield end, count


def _end_of(place: int) -> float:
    return float(LEAST_SECONDS * 2 ** (place / PER_OCTAVE))
