"""What a node counts that nothing else counts, as plain ints that whoever measures reads later.

Owns: a histogram of ints, and the counts of logins, requests and refusals. Must not know who reads
them, or how a number is called elsewhere. Whoever counts adds to an attribute, and calls nobody.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.wire import functions, login
from signal_sdk.wire.arguments import Arguments

__all__ = ["Histogram", "Tallies", "device_of"]

UNREADABLE = ""
"""The function of what is refused whose function is not known any more, or was never readable."""
UNKNOWN = "unknown"
"""How all functions are called that there are not: what a client says is no name for a count."""


class Histogram:
    """How often something was how large: at most `bounds[0]`, `bounds[1]` and so on, or more."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds: tuple[float, ...] = tuple(bounds)
        self.counts: list[int] = [0] * (len(self.bounds) + 1)
        """How often it was within each bound and over the one before, the last without one."""
        self.sum: float = 0.0

    def add(self, value: float) -> None:
        """It was `value` once more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How often anything was."""
        return sum(self.counts)


class Tallies:
    """A node's counts since it was made.

    `messages` are those requests to send to an account that are decoded where they are read, nearly
    all that is asked; `requests` are all others, by their arguments. `polled` are the entries of
    pages that were asked for. `logins` are by whether it was one that comes back, and by their
    code; `refused` by function and code; `opened` are handshakes that were done, by their wire.
    """

    def __init__(self) -> None:
        self.messages: int = 0
        self.polled: int = 0
        self.requests: Counter[type[Arguments]] = Counter()
        self.logins: Counter[tuple[bool, ECode]] = Counter()
        self.refused: Counter[tuple[str, ECode]] = Counter()
        self.opened: Counter[str] = Counter()

    def refuse(self, function: str, error: SignalError) -> None:
        """A request for `function`, whatever a client has called it, was answered by `error`."""
        name = function if function in FUNCTIONS else UNKNOWN
        self.refused[name, error.ecode] += 1


FUNCTIONS = frozenset(
    {UNREADABLE}
    | {
        it.function
        for it in vars(functions).values()
        if isinstance(it, type) and issubclass(it, Arguments) and hasattr(it, "function")
    }
)
"""All functions that there are."""
DEVICES = frozenset({login.WEB_DEVICE, login.NATIVE_DEVICE})


def device_of(said: str) -> str:
    """What a client's device is counted as: what it said of itself where that is well known."""
    if not said:
        return "none"
    return said if said in DEVICES else "other"
