"""A model of attributes that are changed under conditions, and what is done to it at random."""

from __future__ import annotations

import random
from typing import Any, Final

import attrs

from signal_sdk.server.engine.base import Attribute, AttributeChange, Attributes, Changed

NAMES: Final = ("a", "b", "c", "d")
MOST: Final = 3
"""How many attributes one may have."""


@attrs.define
class Owned:
    """The attributes of one owner."""

    revision: int = 0
    values: dict[str, Attribute] = attrs.field(factory=dict)


@attrs.define
class Model:
    """All attributes of an app, by their owners."""

    last: int = 0
    owners: dict[str | None, Owned] = attrs.field(factory=lambda: {None: Owned(), "room": Owned()})

    def pass_time(self, now: float) -> None:
        """It is `now`: what has ended is gone, that of one owner at once."""
        while ended := [
            (it.expires, owner)
            for owner, owned in self.owners.items()
            for it in owned.values.values()
            if it.expires is not None and it.expires <= now
        ]:
            end, owner = min(ended, key=lambda it: it[0])
            owned = self.owners[owner]
            self.last += 1
            owned.revision = self.last
            owned.values = {name: it for name, it in owned.values.items() if it.expires != end}

    def change(self, owner: str | None, change: AttributeChange, now: float) -> Changed | None:
        """What becomes of it; None where it leads over the bound."""
        owned = self.owners[owner]
        found = {name: it.revision for name, it in owned.values.items()}
        if change.revision not in (None, owned.revision) or any(
            found.get(name, 0) != wanted for name, wanted in change.conditions.items()
        ):
            named = {it: owned.values[it] for it in change.named if it in owned.values}
            return Changed(0, Attributes(owned.revision, named))
        left = {it: value for it, value in owned.values.items() if it not in change.delete}
        count = len(left.keys() | change.set.keys())
        if change.set and count > MOST and count > len(owned.values):
            return None
        self.last += 1
        if owned.revision or change.set or owner is None:
            # Nothing is made in order to be without something.
            owned.revision = self.last
        expires = None if change.ttl is None else now + change.ttl
        new = {name: Attribute(it, self.last, expires) for name, it in change.set.items()}
        owned.values = {**left, **new}
        return Changed(self.last)


def some_change(chance: random.Random, model: Model, owner: str | None) -> AttributeChange:
    """A change of an owner's attributes, the conditions of which hold as often as not."""
    owned = model.owners[owner]
    values = {name: chance.randrange(99) for name in NAMES if chance.random() < 0.3}
    delete = [name for name in NAMES if name not in values and chance.random() < 0.2]
    if not values and not delete:
        values = {chance.choice(NAMES): 100}
    conditions: dict[str, int] = {}
    for name in NAMES:
        if chance.random() < 0.25:
            there = owned.values[name].revision if name in owned.values else 0
            conditions[name] = there if chance.random() < 0.8 else chance.randrange(20)
    revision = chance.choice([None, None, owned.revision, owned.revision, 3])
    # Between two moments at which anything is done, and no two owners' at once.
    at = 4.0 if owner is None else 6.0
    ttl = chance.choice([None, None, at, at + 10.0]) if values else None
    return AttributeChange(
        set=values, delete=delete, conditions=conditions, revision=revision, ttl=ttl
    )


def rounded(found: Attributes | None) -> Any:
    """Attributes, but for the seconds of their ends below ten."""
    if found is None:
        return None
    values = {
        name: (it.value, it.revision, None if it.expires is None else int(it.expires // 10))
        for name, it in found.values.items()
    }
    return found.revision, values
