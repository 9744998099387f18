"""Worlds whose clients change an attribute of a channel where it is as they have seen it, and read
it: what each of them was answered, and when, is held against one register.

Owns: these deeds and their records. Must not know how a history is judged: linearizability.py does;
nor what serves, and how that fails.

No two write the same text, so that a text says which write it is of, and has one revision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs
import trio

from signal_sdk import ConflictError, SignalError
from tests.simulation.actor import CHANNELS, Actor, Ghost
from tests.simulation.linearizability import Cas, Done, Read, is_linearizable, register
from tests.simulation.nodes import ManyNodes
from tests.simulation.one_server import OneServer
from tests.simulation.world import World

NAME: Final = "x"
NEVER: Final = math.inf
UNSET: Final = (0, "")
"""The revision and the text of an attribute that nobody has set."""


@attrs.define(kw_only=True, eq=False)
class Change:
    """One change that was asked for, or with no `text` one look."""

    began: float
    seen: tuple[int, str] = UNSET
    """What it was to be like for the change to be made."""
    text: str = ""
    ended: float = NEVER
    revision: int = 0
    """That of the change, where it was made."""
    found: tuple[int, str] | None = None
    """How it was instead, or at the look."""

    def calls(self, revisions: Mapping[str, int]) -> Iterator[Done]:
        """What was asked and answered. Each text has its revision in `revisions`, where anybody
        knows it: of what nobody has seen, nobody can have changed anything either.
        """
        if self.found is not None:
            yield Done(self.began, self.ended, Read(self.found))
        elif revision := revisions.get(self.text, 0):
            yield Done(self.began, self.ended, Cas(self.seen, (revision, self.text), is_done=True))


class RegisterActor(Actor):
    """A client that reads an attribute and changes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.changes: list[Change] = []
        self._known = UNSET

    def _do_something(self) -> None:
        assert self._nursery is not None
        if self.session is None:
            self.come_back()
        elif self._draw.random() < 0.1:
            self.leave()
        else:
            for _ in range(self._draw.choice([1, 1, 2])):
                do = self._look if self._draw.random() < 0.3 else self._change
                self._nursery.start_soon(do, self.session)

    async def _look(self, session: Any) -> None:
        change = Change(began=trio.current_time())
        self.changes.append(change)
        try:
            read = await session.read_channel_attributes(CHANNELS[0])
        except SignalError as exc:
            self.failures.append(str(exc))
            return
        one = read.get(NAME)
        found = UNSET if one is None else (one.revision, one.value)
        self._found(change, found)

    async def _change(self, session: Any) -> None:
        seen, text = self._known, f"{self.name}#{len(self.changes)}"
        change = Change(began=trio.current_time(), seen=seen, text=text)
        self.changes.append(change)
        wanted: Any = {"if_revisions": {NAME: seen[0]}} if seen[0] else {"if_absent": [NAME]}
        try:
            revision = await session.change_channel_attributes(CHANNELS[0], {NAME: text}, **wanted)
        except ConflictError as exc:
            found = (exc.revisions[NAME], exc.values.get(NAME, ""))
            self._found(change, found)
        except SignalError as exc:
            self.failures.append(str(exc))
        else:
            change.ended, change.revision = trio.current_time(), revision
            self._known = max(self._known, (revision, text))

    def _found(self, change: Change, found: tuple[int, str]) -> None:
        change.ended, change.found = trio.current_time(), found
        self._known = max(self._known, found)

    @property
    def more(self) -> list[str]:
        """All that it did, in short."""
        return [repr(attrs.astuple(it)) for it in self.changes]

    @more.setter
    def more(self, _: list[str]) -> None:
        """It is what `changes` are."""


def check_register(actors: Sequence[Any]) -> Iterator[str]:
    """All that was answered could have been by one register, and each write has one revision, which
    rises from one to the next.
    """
    changes = [it for actor in actors for it in actor.changes]
    made = {it.text: it for it in changes if it.revision}
    revisions = {it.text: it.revision for it in made.values()}
    for it in changes:
        if it.found is not None and it.found != UNSET:
            revision, text = it.found
            if revisions.setdefault(text, revision) != revision:
                yield f"{it.found} was found, which was made as {revisions[text]}"
        if it.text and it.found == it.seen:
            yield f"{it.text} was refused where it was as it was to be: {it.seen}"
        if it.revision and it.revision <= it.seen[0]:
            yield f"{it.text} was made as {it.revision} where it was {it.seen[0]}"
    in_order = sorted(made.values(), key=lambda it: it.revision)
    for number, later in enumerate(in_order):
        for earlier in in_order[:number]:
            if later.ended < earlier.began:
                yield f"{later.text} was made before {earlier.text}, as {later.revision}"
    history = [call for it in changes for call in it.calls(revisions)]
    if not is_linearizable(history, register, (UNSET,)):
        yield f"no one register has answered so: {changes}"


@attrs.define(kw_only=True, eq=False)
class RegisterWorld(World):
    """A world of such clients; nobody vanishes in it."""

    busy_seconds: ClassVar[float] = 7.0
    calm_seconds: ClassVar[float] = 0.1
    short_seconds: ClassVar[float] = 1.0
    mean_pause: ClassVar[float] = 0.9
    clients: ClassVar[Sequence[int]] = (2, 3)

    def make_actor(self, name: str, names: Sequence[str]) -> Actor:
        client = self.network.client(name)
        return RegisterActor(name, names, client, self.seed, mean_pause=self.mean_pause)

    def make_ghosts(self) -> Sequence[Ghost]:
        return ()

    async def check_rosters(self) -> None:
        """The other worlds do."""
        await trio.lowlevel.checkpoint()

    def check_records(self) -> None:
        self.problems += check_register(self.actors)


@attrs.define(kw_only=True, eq=False)
class RegistersOnOneServer(RegisterWorld, OneServer):
    """At one server that is killed."""


@attrs.define(kw_only=True, eq=False)
class RegistersOnManyNodes(RegisterWorld, ManyNodes):
    """At three nodes."""
