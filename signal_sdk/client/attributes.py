"""Attributes with their revisions: what is asked for, and what is answered, as values.

Owns: these forms, how a change is asked for, and what one that was not made is told by. Must not
know a connection, nor what becomes of a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import attrs
import msgspec

from signal_sdk.client import given
from signal_sdk.client.operation import Operation
from signal_sdk.client.requests import Requests
from signal_sdk.ecodes import ECode
from signal_sdk.errors import ConflictError, SignalError
from signal_sdk.wire import names
from signal_sdk.wire.attribute_functions import (
    MAX_TTL_MS,
    AttributesResult,
    ChangeArguments,
    ChangeResult,
    Told,
)
from signal_sdk.wire.hidden import hides
from signal_sdk.wire.parameter_errors import as_python, wrong, wrong_content

__all__ = ["Attribute", "Attributes", "attributes_of", "change_attributes", "told_of"]

C = TypeVar("C", bound=ChangeArguments)

MIN_TTL_SECONDS: Final = 0.001


@hides("value")
class Attribute(msgspec.Struct, frozen=True):
    """An attribute of an account or a channel: its `value` as text, the `revision` of the change
    that set it, and when it `expires`, in Unix seconds of the server's clock; None where it stays.
    """

    value: str
    revision: int
    expires: float | None = None


@attrs.frozen(repr=False)
class Attributes(Mapping[str, Attribute]):
    """All attributes of an account or a channel, by their names. `revision` is that of the last
    change of any of them, be it that it deleted one; 0 where there is none.
    """

    revision: int = 0
    _all: Mapping[str, Attribute] = attrs.field(factory=dict)

    def __getitem__(self, name: str) -> Attribute:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"<Attributes: {len(self)}, revision {self.revision}>"


def told_of(attributes: Mapping[str, Told]) -> dict[str, Attribute]:
    """Attributes as the wire has them."""
    return {
        name: Attribute(names.json_text(value), revision, expires / 1000 if expires else None)
        for name, (value, revision, expires) in attributes.items()
    }


def attributes_of(result: AttributesResult) -> Attributes:
    """The answer to a question for all attributes."""
    return Attributes(result.revision, told_of(result.attributes))


def change_attributes(
    requests: Requests,
    make: Callable[..., ChangeArguments],
    wanted: tuple[Any, ...],
    unless: SignalError | None = None,
) -> Operation[int]:
    """Change attributes: `make` makes the arguments of what is `wanted`, which are those of
    `_change_of`. With `unless`, it is refused with that. Fails with `ConflictError` where nothing
    was changed.
    """
    made: list[ChangeArguments] = []

    def remembered() -> ChangeArguments:
        made[:] = [_change_of(make, *wanted)]
        return made[0]

    return requests.call(
        remembered,
        ChangeResult,
        lambda result: _revision_of(made[0], result),
        unless=unless,
    )


def _change_of(
    make: Callable[..., C],
    values: Mapping[str, str] | None,
    delete: Iterable[str],
    if_revisions: Mapping[str, int] | None,
    if_absent: Iterable[str],
    if_revision: int | None,
    ttl: float | None,
) -> C:
    """The arguments of a change. Raises `ParameterError` (1004, 1005)."""
    conditions = given.json_object("if_revisions", if_revisions or {})
    for name in _listed("if_absent", if_absent):
        if conditions.setdefault(name, 0) != 0:
            raise wrong("attribute name", name, "is to have a revision and to be absent")
    change = make(
        set=given.json_object("values", values or {}),
        delete=_listed("delete", delete),
        conditions=conditions,
        revision=if_revision,
        ttl=_ttl_ms(ttl),
    )
    for value in change.set.values():
        given.content("attribute value", value)
    change.check()
    return change


def _listed(what: str, some: Iterable[str]) -> tuple[str, ...]:
    if isinstance(some, str):
        raise wrong_content(what, "is text, not a list of names")
    return tuple(given.text("attribute name", name) for name in some)


def _ttl_ms(ttl: float | None) -> int:
    if ttl is None:
        return 0
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise wrong("ttl", ttl, "is not a number of seconds", show=as_python)
    if not MIN_TTL_SECONDS <= ttl <= MAX_TTL_MS / 1000:
        why = f"is not from {MIN_TTL_SECONDS} to {names.MAX_TTL_SECONDS} seconds"
        raise wrong("ttl", ttl, why, show=as_python)
    return round(ttl * 1000)


def _revision_of(change: ChangeArguments, result: ChangeResult) -> int:
    """The revision of what was changed. Raises `ConflictError` where nothing was."""
    if result.conflict is None and result.revision:
        return result.revision
    found = result.conflict or AttributesResult()
    present = told_of(found.attributes)
    named = dict.fromkeys((*change.conditions, *change.set, *change.delete))
    revisions = {it: present[it].revision if it in present else 0 for it in named}
    raise ConflictError(
        ECode.GENERAL_E_FAILED,
        f"nothing was changed: {_why(change, found.revision, revisions)}",
        revision=found.revision,
        revisions=revisions,
        values={name: it.value for name, it in present.items()},
    )


def _why(change: ChangeArguments, revision: int, revisions: Mapping[str, int]) -> str:
    for name, wanted in change.conditions.items():
        if revisions[name] != wanted:
            return f"the attribute {name!r} has the revision {revisions[name]}, not {wanted}"
    if change.revision is not None and change.revision != revision:
        return f"the attributes have the revision {revision}, not {change.revision}"
    # It has changed once more since.
    return "the attributes were not as they were to be"
