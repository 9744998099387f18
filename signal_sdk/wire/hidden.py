"""What a `repr` does not show: what users say to each other, and what lets somebody in.

Owns: how a class hides some of its fields. Must not know which those are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

T = TypeVar("T")


def hides(*hidden: str) -> Callable[[type[T]], type[T]]:
    """Decorates an attrs class, a struct or a named tuple whose `repr` is to show `…` for these
    fields: an object may end in a log or in a traceback, whoever prints it there.
    """

    def decorate(cls: type[T]) -> type[T]:
        names = _names(cls)
        unknown = set(hidden).difference(names)
        if unknown:
            raise TypeError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")

        def show(self: Any) -> str:
            shown = (f"{it}={'…' if it in hidden else repr(getattr(self, it))}" for it in names)
            return f"{type(self).__name__}({', '.join(shown)})"

        cls.__repr__ = show  # type: ignore[method-assign]
        return cls

    return decorate


def _names(cls: Any) -> tuple[str, ...]:
    """The fields that its own `repr` shows."""
    if attrs.has(cls):
        return tuple(field.name for field in attrs.fields(cls) if field.repr)
    fields: tuple[str, ...] = getattr(cls, "__struct_fields__", ()) or cls._fields
    return fields
