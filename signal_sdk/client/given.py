"""What users hand to the API: names are text, messages are text or what JSON says exactly, and who
is to be told is of the right callback class.

Owns: that nothing is sent but what was given. (JSON libraries write bytes in base64, and take much
for JSON that nobody would get back.) Must not know limits or forms, which are wire/names.py's.

What is refused is shown by its type, never by its value, which may be a secret, or not be fit to be
shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeGuard

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.raised import text_of, type_name
from signal_sdk.wire.names import MAX_JSON_DEPTH, JsonValue
from signal_sdk.wire.properties import Properties, encode_bytes

__all__ = [
    "callback",
    "content",
    "has_method",
    "instance",
    "json_object",
    "json_value",
    "message",
    "text",
]


BINARY: Final = Properties(binary=True)


def text(what: str, value: object) -> str:
    """A name. Raises `ParameterError` (1004) for what is not a `str`."""
    if type(value) is str:
        return value
    # By its type alone: `isinstance` asks an object of anybody's for its `__class__`.
    if issubclass(type(value), str):
        # An enumeration's member: its text, whatever it shows itself as.
        return str.__str__(value)
    raise _wrong(f"{what} is of the type {_type(value)}, not str")


def content(what: str, value: object) -> JsonValue:
    """A message or an attribute's value: text, or what JSON says exactly. None says nothing, and is
    refused as anything else is: by `ParameterError` (1004).
    """
    if type(value) is str:
        return value
    if value is None:
        raise _wrong(f"{what} is of the type NoneType, not str")
    return json_value(what, value)


def message(value: object) -> tuple[JsonValue, Properties | None]:
    """What a message says, as it is sent: as `content`, or `bytes`. Raises `ParameterError` (1004;
    1005 for too many of these).
    """
    if type(value) is bytes:
        return encode_bytes(value), BINARY
    if issubclass(type(value), bytes | bytearray | memoryview):
        raise _wrong(f"message is of the type {_type(value)}: hand over bytes(…) of it")
    return content("message", value), None


def json_value(what: str, value: Any, depth: int = 0) -> JsonValue:
    """A copy, in plain types, of what JSON says exactly. Raises `ParameterError` (1004)."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    for plain, get in _SCALARS:
        if issubclass(kind, plain) and (plain is not float or math.isfinite(get(value))):
            return get(value)
    if depth > MAX_JSON_DEPTH:
        raise _wrong(f"{what} is nested deeper than {MAX_JSON_DEPTH} levels")
    if issubclass(kind, list):
        return [json_value(what, item, depth + 1) for item in list.__iter__(value)]
    if issubclass(kind, tuple):
        return [json_value(what, item, depth + 1) for item in tuple.__iter__(value)]
    if issubclass(kind, dict):
        return {
            text(f"a key in {what}", key): json_value(what, item, depth + 1)
            for key, item in dict.items(value)
        }
    is_or_holds = "holds something" if depth else "is"
    which = f" ({float.__repr__(value)})" if issubclass(kind, float) else ""
    raise _wrong(f"{what} {is_or_holds} of the type {_type(value)}{which}, which JSON cannot say")


_SCALARS: Final[tuple[tuple[type[Any], Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def json_object(what: str, value: object) -> dict[str, JsonValue]:
    """A mapping of names to what JSON says exactly. Raises `ParameterError` (1004)."""
    try:
        plain = dict(value) if isinstance(value, Mapping) else None
    except Exception as exc:  # noqa: BLE001  it is anybody's mapping
        raise _wrong(f"{what} cannot be read: {type_name(exc)}: {text_of(exc)}") from None
    if plain is None:
        raise _wrong(f"{what} is of the type {_type(value)}, not a mapping")
    copy: dict[str, JsonValue] = json_value(what, plain)
    return copy


def callback(value: object, *classes: type[Any]) -> None:
    """Raises `ParameterError` (1004) where `value` is neither None nor of one of the classes."""
    if value is None or _is_of(value, classes):
        return
    wanted = " or ".join(f"signal_sdk.{cls.__name__}" for cls in classes)
    if _is_of(value, (type,)) and issubclass(value, classes):
        raise _wrong(
            f"the callback is the class {value.__name__} itself: hand over an object of it"
        )
    raise _wrong(f"the callback is of the type {_type(value)}: derive its class from {wanted}")


def instance(what: str, value: object, cls: type[Any]) -> None:
    """Raises `ParameterError` (1004) where `value` is neither None nor of that class."""
    if value is not None and not _is_of(value, (cls,)):
        raise _wrong(f"{what} is of the type {_type(value)}, not {cls.__name__}")


def has_method(what: str, value: object, name: str) -> None:
    """Raises `ParameterError` (1004) where `value` has no method of this name."""
    if not callable(getattr(value, name, None)):
        raise _wrong(f"{what} is of the type {_type(value)}, which is neither str nor has `{name}`")


def _is_of(value: object, classes: tuple[type[Any], ...]) -> TypeGuard[Any]:
    """As `isinstance`, which asks an object of anybody's for its `__class__`."""
    try:
        return isinstance(value, classes)
    except Exception:  # noqa: BLE001  whatever that raises, it is none of ours
        return False


def _type(value: object) -> str:
    return type_name(value)


def _wrong(reason: str) -> ParameterError:
    return ParameterError(ECode.GENERAL_E_WRONG_PARAM, reason)
