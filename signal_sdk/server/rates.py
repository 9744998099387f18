"""Rates: how often something may happen in a second.

Owns: the sliding window, the windows of many, and a pace. Must not know what is counted, nor the
clock. What nobody counts any more is forgotten in constant time: nothing here is ever looked
through.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from itertools import repeat
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)

WINDOW_SECONDS: Final = 1.0
TIMES_KEPT: Final = 64
"""Times that are over are let go of when there are so many more, or where they would count: the
eldest of them have gone cold, and to look at one for each that is counted costs more than the rest.
"""
MAX_PACES: Final = 10_000
"""How many paces of many are remembered."""
AGED: Final = 1000
"""How many of them are forgotten at once, or rates let go of: a millisecond's work."""
LET_GO: Final = 2
"""How many rates of which nobody asks any more are let go of for each new one: those of one second
in the next."""


_NEVER: Final[deque[float]] = deque(maxlen=0)
"""What all share for which nothing was counted yet, which are most: a deque takes 600 bytes."""


class Rate:
    """At most `limit` times in any second, exactly: the times of the last `limit` are kept. The
    limit may differ from call to call.
    """

    __slots__ = ("__weakref__", "_times")

    def __init__(self) -> None:
        self._times = _NEVER

    def allows(self, limit: int, now: float, count: int = 1) -> bool:
        """Count one more, or `count`, at `now`, unless that were more than `limit` (0: no limit) in
        a second. Of a `count` over the limit, as many are counted as that is.
        """
        times = self._times
        have = len(times)
        if count == 1 and have < limit and have % TIMES_KEPT:
            # So are most.
            times.append(now)
            return True
        if not limit:
            return True
        count = min(count, limit)
        if have + count > limit or not have % TIMES_KEPT:
            while times and now - times[0] >= WINDOW_SECONDS:
                times.popleft()
            if len(times) + count > limit:
                return False
        if times is _NEVER:
            times = self._times = deque()
        times.extend(repeat(now, count))
        return True

    def seconds_left(self, limit: int, now: float, count: int = 1) -> float:
        """How long it will be until one more is allowed, or `count`; 0 where it is now."""
        recent = [time for time in self._times if now - time < WINDOW_SECONDS]
        count = min(count, limit)
        if not limit or len(recent) + count <= limit:
            return 0.0
        return recent[count - limit - 1] + WINDOW_SECONDS - now


class Rates(Generic[K]):
    """The rates of many, each by its key: one that was not asked for in a second or two, and that
    nobody holds, is forgotten.
    """

    def __init__(self) -> None:
        self._young: dict[K, Rate] = {}
        self._old: dict[K, Rate] = {}
        self._turned_at = -math.inf
        self._gone: deque[dict[K, Rate]] = deque()
        """What is forgotten, and not let go of yet: of very many at once, that would take long."""
        self._held: WeakValueDictionary[K, Rate] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many rates are remembered that nobody may hold."""
        return len(self._young.keys() | self._old.keys())

    def of(self, key: K, now: float) -> Rate:
        """The rate of `key`."""
        if now - self._turned_at >= WINDOW_SECONDS:
            self._turn(now)
        rate = self._young.get(key)
        if rate is None:
            rate = self._young[key] = self._old.get(key) or self._held.get(key) or Rate()
            self._let_go(LET_GO)
        return rate

    def hold(self, key: K, now: float) -> Rate:
        """The rate of `key`, which `of` finds for as long as the caller has it, however seldom that
        is asked. Whoever lets go of it calls `of` once more, and it lasts another second.
        """
        rate = self._held[key] = self.of(key, now)
        return rate

    def age(self, now: float) -> None:
        """Forget what was not asked for of late, also where nobody asks for anything any more."""
        if now - self._turned_at >= WINDOW_SECONDS:
            self._turn(now)
        self._let_go(AGED)

    def _turn(self, now: float) -> None:
        is_late = now - self._turned_at >= 2 * WINDOW_SECONDS
        gone = (self._old, self._young) if is_late else (self._old,)
        self._gone += [rates for rates in gone if rates]
        self._old = {} if is_late else self._young
        self._young = {}
        self._turned_at = now

    def _let_go(self, count: int) -> None:
        gone = self._gone
        for _ in range(count):
            if not gone:
                return
            if gone[0]:
                gone[0].popitem()
            else:
                gone.popleft()


class Pace:
    """At most `limit` a second in the long run, and so many at once after a quiet second. It keeps
    one number; what costs more than one may be counted as more, also when it is done already.
    """

    __slots__ = ("_paid_until",)

    def __init__(self) -> None:
        self._paid_until = -math.inf

    def seconds_left(self, limit: int, now: float, window_seconds: float = WINDOW_SECONDS) -> float:
        """How long it will be until one more is allowed at `limit` (0: no limit) in a second, or in
        another window; where it is now, that is 0, and it is counted.
        """
        if not limit:
            return 0.0
        paid_until = self._paid_until
        if paid_until < now:  # noqa: PLR1730  a call of `max` costs more
            paid_until = now
        paid_until += window_seconds / limit
        late = paid_until - now - window_seconds
        if late > 1e-9:
            return late
        self._paid_until = paid_until
        return 0.0

    def is_idle(self, now: float) -> bool:
        """Is all that was counted used up?"""
        return self._paid_until <= now

    def charge(self, count: float, limit: int, now: float) -> None:
        """Count `count` more, which may be more than is allowed: then the next have to wait."""
        if limit:
            self._paid_until = max(self._paid_until, now) + count / limit


class Paces(Generic[K]):
    """The paces of many, each by its key, of which those are forgotten that were not asked for
    longest.
    """

    def __init__(self) -> None:
        self._paces: OrderedDict[K, Pace] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._paces)

    def of(self, key: K) -> Pace:
        """The pace of `key`."""
        pace = self._paces.pop(key, None) or Pace()
        self._paces[key] = pace
        if len(self._paces) > MAX_PACES:
            self._paces.popitem(last=False)
        return pace

    def age(self, now: float) -> None:
        """Forget some of which all that was counted is used up, as a new one begins: small as they
        are, after a flood they keep much of the memory around them from being given back.
        """
        for _ in range(min(AGED, len(self._paces))):
            if not next(iter(self._paces.values())).is_idle(now):
                break
            self._paces.popitem(last=False)
