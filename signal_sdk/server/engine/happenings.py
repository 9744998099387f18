"""The happenings of the embedded engine: who wants to hear of which, and those that are kept for
hooks until a backend has them.

Owns: the numbers that happenings have, their rows, how many are kept, and which node takes them.
Must not know why something happens, or who sends it where.

A kept happening is noted with the change that it tells of, and so in its batch: there is neither
without the other, whatever comes between. It is handed out once it is durable, so that no number
that a backend has seen is ever given again.

At most so many of an app are kept; of more, the oldest go and are counted: a backend that comes
back hears how things came to be as they are, and sees by the numbers that something is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final

import attrs
import msgspec
from msgspec.structs import replace

from signal_sdk.errors import SignalError
from signal_sdk.server.engine import happened
from signal_sdk.server.engine.delivery import Delivery
from signal_sdk.server.engine.happened import Backlog, Follow, Happening
from signal_sdk.server.engine.noting import Commits
from signal_sdk.server.engine.schema import FACTS, HAPPENINGS, Row

NUMBER: Final = "happening"
"""What the fact begins with that says which number an app's last happening had."""


def number_of(app: str) -> str:
    """The fact's name."""
    return f"{NUMBER} {app}"


@attrs.define(eq=False)
class _Kept:
    """What is kept of an app: each with the number of its row. `last` is the last number that was
    given, `durable` the last one that is durable.
    """

    waiting: deque[tuple[int, Happening]] = attrs.field(factory=deque)
    last: int = 0
    durable: int = 0
    dropped: int = 0
    is_awaited: bool = False
    taker: str = ""
    """Which node takes them, until `taken_until`."""
    taken_until: float = 0.0


class Happenings:
    """Who wants to hear of what, and what is kept."""

    def __init__(self, commits: Commits, deliveries: Mapping[str, Delivery]) -> None:
        self.wanted: set[str] = set()
        """The kinds that anybody wants to hear of: of no other, anything is made."""
        self._commits = commits
        self._deliveries = deliveries
        self._kinds: frozenset[str] = frozenset()
        self._most = 0
        self._apps: dict[str, _Kept] = {}
        self._follows: dict[str, list[tuple[Delivery, Follow]]] = {}
        self._last_row = 0

    # --- who wants what ---

    def keep(self, kinds: Collection[str], most: int) -> None:
        """Keep these kinds, of each app at most so many. With none, what was kept goes."""
        self._kinds, self._most = frozenset(kinds), most
        for kept in self._apps.values():
            self._cut(kept)
        self._look()

    def follow(self, delivery: Delivery, app: str, follow: Follow) -> None:
        """Tell `delivery` of this from here on."""
        left = [it for it in self._follows.get(app, ()) if it[0] is not delivery]
        if follow.kinds:
            left.append((delivery, follow))
        if left:
            self._follows[app] = left
        else:
            self._follows.pop(app, None)
        self._look()

    def forget(self, delivery: Delivery) -> None:
        """Its node is gone."""
        for app in list(self._follows):
            self.follow(delivery, app, happened.NOTHING)

    def _look(self) -> None:
        # The same set all the time: it is looked at where something happens.
        self.wanted.clear()
        self.wanted |= self._kinds
        for follows in self._follows.values():
            for _, follow in follows:
                self.wanted |= follow.kinds

    # --- what happens ---

    def tell(self, happening: Happening, now: float) -> None:
        """It has happened: within the operation that has done it."""
        kept = None
        if happening.kind in self._kinds:
            kept = self._apps.get(happening.app)
            if kept is None:
                kept = self._apps[happening.app] = _Kept()
            kept.last += 1
        number = kept.last if kept is not None else 0
        happening = replace(happening, number=number, time=int(now * 1000))
        if kept is not None:
            self._keep(kept, happening)
        for delivery, follow in self._follows.get(happening.app, ()):
            if follow.wants(happening):
                delivery.deliver_happening(happening)

    def _keep(self, kept: _Kept, happening: Happening) -> None:
        self._last_row = row = self._last_row + 1
        app, number = happening.app, happening.number
        kept.waiting.append((row, happening))
        self._commits.put(
            HAPPENINGS, (row,), (row, app, number, happened.encode(happening).decode())
        )
        name = number_of(app)
        self._commits.put(FACTS, (name,), (name, float(number)))
        self._cut(kept)
        self._await(kept)

    def _cut(self, kept: _Kept) -> None:
        """Of more than are kept, the oldest go."""
        most = self._most if self._kinds else 0
        while len(kept.waiting) > most:
            row, _ = kept.waiting.popleft()
            self._commits.drop(HAPPENINGS, (row,))
            kept.dropped += 1

    def _await(self, kept: _Kept) -> None:
        """Know when all that is kept so far is durable."""
        if not kept.is_awaited:
            kept.is_awaited = True
            self._commits.when_durable(partial(self._is_durable, kept, kept.last))

    def _is_durable(self, kept: _Kept, upto: int, error: SignalError | None) -> None:
        kept.is_awaited = False
        if error is not None:
            # It is asked again when somebody wants to take some.
            return
        kept.durable = max(kept.durable, upto)
        for delivery in list(self._deliveries.values()):
            delivery.deliver_kept()
        if kept.last > kept.durable:
            self._await(kept)

    # --- who takes them ---

    def backlogs(self) -> Mapping[str, Backlog]:
        """What is kept of each app."""
        return {
            app: Backlog(
                kept=len(kept.waiting),
                oldest=kept.waiting[0][1].time if kept.waiting else 0,
                dropped=kept.dropped,
            )
            for app, kept in self._apps.items()
        }

    def take(
        self, app: str, most: int, node: str, now: float, seconds: float
    ) -> Sequence[Happening] | None:
        """The oldest of the app that are durable; None where another node takes them."""
        kept = self._apps.get(app)
        if kept is None:
            return ()
        if kept.taker != node and kept.taken_until > now:
            return None
        if kept.last > kept.durable:
            self._await(kept)
        some = [it for _, it in islice(kept.waiting, most)]
        found = [it for it in some if it.number <= kept.durable]
        kept.taker, kept.taken_until = node, now + seconds if found else 0.0
        return found

    def done(self, app: str, upto: int, node: str) -> bool:
        """Whoever wanted these has them, up to that number; False where `node` takes them no
        more.
        """
        kept = self._apps.get(app)
        if kept is None or kept.taker != node:
            return False
        while kept.waiting and kept.waiting[0][1].number <= upto:
            row, _ = kept.waiting.popleft()
            self._commits.drop(HAPPENINGS, (row,))
        return True

    # --- the journal ---

    def take_number(self, name: str, number: float) -> None:
        """The fact of this name says which number the last one had."""
        kind, _, app = name.partition(" ")
        if kind == NUMBER and app:
            self._apps.setdefault(app, _Kept()).last = int(number)

    def take_row(self, row: Row) -> None:
        """A row of the journal. Raises `ValueError` where it is none of ours."""
        number_of_row, app, number, text = row
        happening = happened.decode(text)
        if (happening.app, happening.number) != (app, number):
            raise msgspec.ValidationError("it is another's")
        kept = self._apps.setdefault(app, _Kept())
        kept.waiting.append((number_of_row, happening))
        kept.last = max(kept.last, number)
        self._last_row = number_of_row

    def carried(self) -> Iterator[tuple[str, int, Sequence[Happening]]]:
        """All that is kept, by apps, and the last number of each."""
        for app, kept in self._apps.items():
            yield app, kept.last, [it for _, it in kept.waiting]

    def resumed(self) -> None:
        """All that the journal has was taken, and is durable."""
        for kept in self._apps.values():
            kept.durable = kept.last
