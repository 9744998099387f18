"""What somebody's code has raised, told by its type's name and in one line of its text.

Owns: that to ask for these raises nothing, whatever the class does when it is asked. Must not know
who is told.
"""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["NOT_OURS", "text_of", "type_name"]

NOT_OURS: Final = (KeyboardInterrupt, trio.Cancelled)
"""What is not to be kept from whom it is for, wherever it comes up."""
_type_name: Final = type.__dict__["__name__"].__get__


def type_name(value: object) -> str:
    """The name of a value's type, past whatever a class has in its place."""
    name: str = _type_name(type(value))
    return str.__str__(name)


def text_of(exc: BaseException) -> str:
    """What an exception says of itself, in one line."""
    try:
        return " ".join(str.split(str(exc)))
    except NOT_OURS:
        raise
    except BaseException as failure:  # noqa: BLE001  it is anybody's code
        return f"(its text cannot be shown: {type_name(failure)})"
