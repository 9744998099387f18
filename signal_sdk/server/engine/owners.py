"""Owners: what an account and a channel have alike, which is attributes.

Owns: the attributes of one of them, their marks, and the row of each in the journal. Must not know
what else its owner is, nor who is told of a change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import attrs

from signal_sdk.server.engine.attribute_facts import Attribute, Attributes
from signal_sdk.server.engine.bounds import Usage, size_of
from signal_sdk.server.engine.values import decode_json, encode_json
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.names import JsonValue

__all__ = ["Mark", "Owner", "Row"]

Row = tuple[Any, ...]


class Mark(NamedTuple):
    """The revision of the change that set an attribute, and when it ends by itself, if it does."""

    revision: int
    expires: float | None = None


_UNMARKED: Final[dict[str, Mark]] = {}
"""What all share that have no attributes, which are most."""


@hides("attributes")
@attrs.define(kw_only=True, eq=False)
class Owner:
    """Who has attributes: `marks` says more of each, `revision` is that of the last change."""

    id: int
    usage: Usage = attrs.field(factory=Usage)
    attributes: dict[str, JsonValue] = attrs.field(factory=dict)
    marks: dict[str, Mark] = _UNMARKED
    revision: int = 0

    @property
    def app(self) -> str:
        """Whose it is."""
        raise NotImplementedError

    def put(self, name: str, value: JsonValue, mark: Mark) -> None:
        """It has this attribute now."""
        if self.marks is _UNMARKED:
            self.marks = {}
        self.attributes[name] = value
        self.marks[name] = mark
        self.revision = max(self.revision, mark.revision)

    def take(self, row: Row) -> None:
        """The attribute that a row of the journal has, behind whose it is."""
        name, revision, expires, text = row
        self.put(name, decode_json(text), Mark(revision, expires))
        self.usage.bytes += size_of(text)
        self.usage.revision = max(self.usage.revision, revision)

    def attribute_row(self, name: str) -> Row:
        """The attribute in the journal."""
        mark = self.marks[name]
        text = encode_json(self.attributes[name])
        return (self.id, name, mark.revision, mark.expires, text)

    def drop(self, name: str) -> JsonValue:
        """It has this attribute no more, whose value it was."""
        del self.marks[name]
        return self.attributes.pop(name)

    def ended(self, now: float) -> list[str]:
        """The attributes whose time is over."""
        marks = self.marks.items()
        return [name for name, it in marks if it.expires is not None and it.expires <= now]

    @property
    def next_end(self) -> float | None:
        """When the first attribute ends by itself, if one does."""
        ends = (it.expires for it in self.marks.values() if it.expires is not None)
        return min(ends, default=None)

    def snapshot(self, names: Iterable[str] | None = None) -> Attributes:
        """All of its attributes, or those of these names that it has."""
        wanted = self.attributes if names is None else [it for it in names if it in self.marks]
        values = {it: Attribute(self.attributes[it], *self.marks[it]) for it in wanted}
        return Attributes(self.revision, values)
