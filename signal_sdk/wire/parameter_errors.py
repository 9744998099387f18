"""What is said of a value that is wrong or too large, and how the value is shown there.

Owns: the form of these errors: one short line, which quotes nothing that may be a secret. Must not
know what a value may be.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError

__all__ = ["as_json", "as_python", "too_large", "wrong", "wrong_content"]


def as_json(value: object) -> str:
    """A value as an error text quotes it: short, on one line, and as who sent it would write it."""
    try:
        text = repr(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
    except Exception:  # noqa: BLE001  no JSON, nested too deep, or anybody's own object
        text = _own_words(value)
    if not text.isprintable():
        text = " ".join(text.split())
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


def _own_words(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  an integer of thousands of digits, or anybody's own `repr`
        return f"of the type {type(value).__name__}"


def as_python(value: object) -> str:
    """A number, or None, as an error text quotes what a program has given: short, and as Python
    writes it. All else is named by its type, since it may be a secret.
    """
    if value is None or isinstance(value, bool | int | float):
        return _cut(_own_words(value))
    return f"of the type {type(value).__name__}"


def wrong(
    what: str, value: object, why: str, *, show: Callable[[object], str] = as_json
) -> ParameterError:
    """The error for a wrong value (1004), which is shown as JSON writes it, unless `show` says
    otherwise.
    """
    return ParameterError(ECode.GENERAL_E_WRONG_PARAM, f"{what} {show(value)} {why}")


def wrong_content(what: str, why: str) -> ParameterError:
    """The error for content that is wrong (1004). It is not quoted: what users say to each other is
    in no error's text.
    """
    return ParameterError(ECode.GENERAL_E_WRONG_PARAM, f"{what} {why}")


def too_large(what: str, size: int, limit: int) -> ParameterError:
    """The error for a value over its limit (1005)."""
    return ParameterError(
        ECode.GENERAL_E_LARGE_PARAM,
        f"{what} has {size} visible characters; at most {limit} are allowed",
    )
