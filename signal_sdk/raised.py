"""What somebody's code has raised: the one exception of a group, told by its type's name and in one
line of its text.

Owns: that to ask for these raises nothing, whatever the class does when it is asked. Must not know
who is told.
"""

from __future__ import annotations

import errno
import os
import ssl
from typing import Final

import trio

__all__ = ["NOT_OURS", "cause_of", "is_cancellation", "only", "text_of", "type_name"]

NOT_OURS: Final = (KeyboardInterrupt, trio.Cancelled)
"""What is not to be kept from whom it is for, wherever it comes up."""
_type_name: Final = type.__dict__["__name__"].__get__


def type_name(value: object) -> str:
    """The name of a value's type, past whatever a class has in its place."""
    name: str = _type_name(type(value))
    return str.__str__(name)


def is_cancellation(exc: BaseException) -> bool:
    """Is it, or does it hold, nothing but trio's `Cancelled`?"""
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(trio.Cancelled)[1] is None
    return isinstance(exc, trio.Cancelled)


def only(exc: BaseException) -> BaseException:
    """The one exception in a group, or the group itself where there are more."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def text_of(exc: BaseException) -> str:
    """What an exception says of itself, in one line."""
    try:
        return " ".join(str.split(str(exc)))
    except NOT_OURS:
        raise
    except BaseException as failure:  # noqa: BLE001  it is anybody's code
        return f"(its text cannot be shown: {type_name(failure)})"


def cause_of(exc: BaseException) -> str:
    """What went wrong, in one line: the system's word for it where it has one.

    A refused connection is deep in what libraries raise, which say themselves no more than that all
    attempts have failed, or nothing.
    """
    told = str(exc)
    while True:
        if isinstance(exc, BaseExceptionGroup):
            # One error for each address of a name.
            inner: BaseException | None = exc.exceptions[0]
        else:
            inner = exc.__cause__
            if inner is None and (not told or isinstance(exc.__context__, OSError)):
                # httpcore hides what its own exception stands for.
                inner = exc.__context__
        if inner is None:
            break
        exc = inner
        told = told or str(exc)
    if isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError) and exc.errno is not None:
        return os.strerror(exc.errno) if exc.errno in errno.errorcode else exc.strerror or told
    return told.partition("\n")[0] or type(exc).__name__
