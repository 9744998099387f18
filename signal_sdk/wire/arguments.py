"""What all arguments classes have in common: fields that know their wire names and their checks.

Owns: making a class from JSON, and JSON from a class. Must not know any function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.results import Result


def arg(wire: str, convert: Callable[[Any], Any], default: Any = attrs.NOTHING) -> Any:
    """A field named `wire` in JSON; `convert` checks a value and normalises it."""
    return attrs.field(converter=convert, default=default, metadata={"wire": wire})


class Arguments:
    """What every arguments class is: attrs fields that know their wire names, and the function's
    name and result.
    """

    __slots__ = ()

    function: ClassVar[str]
    result: ClassVar[type[Result]] = Result

    @classmethod
    def from_wire(cls, args: Mapping[str, JsonValue]) -> Any:
        """Make the class from a request's `args`. Raises `ParameterError` (1004, 1005)."""
        # As the class itself does it, in half the time: this is done for each request.
        made = object.__new__(cls)
        for field in _plan(cls):
            if field.wire in args:
                value = args[field.wire]
            elif field.default is attrs.NOTHING:
                raise ParameterError(
                    ECode.GENERAL_E_WRONG_PARAM, f"{cls.function} needs {field.wire!r}"
                )
            else:
                value = field.default
            field.put(made, field.convert(value))
        return made

    def to_wire(self) -> dict[str, JsonValue]:
        """The request's `args` without `line`; what was left at its default is left out."""
        return {
            field.wire: value
            for field in _plan(type(self))
            if (value := getattr(self, field.name)) != field.default
        }


class _Field(msgspec.Struct, frozen=True):
    """A field's name, its name on the wire, its default, and how it is checked and put."""

    name: str
    wire: str
    default: Any
    convert: Callable[[JsonValue], Any]
    put: Callable[[object, Any], None]


_plans: dict[type, tuple[_Field, ...]] = {}


def _plan(cls: type[Arguments]) -> tuple[_Field, ...]:
    plan = _plans.get(cls)
    if plan is None:
        plan = _plans[cls] = _make_plan(cls)
    return plan


def _make_plan(cls: type[Arguments]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            name=field.name,
            wire=field.metadata["wire"],
            default=field.default,
            convert=field.converter,
            put=getattr(cls, field.name).__set__,
        )
        for field in attrs.fields(cls)  # type: ignore[arg-type]  # every subclass is an attrs class
    )
