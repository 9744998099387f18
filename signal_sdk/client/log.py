"""The debug log of one `Signal`, and all that the SDK logs.

Owns: whether it is on, and that what somebody's code has raised is logged, whatever that does when
it is shown, and whatever the program's log handlers do with it. Must not be handed a token, a
`line` or a whole frame: only names, sizes and codes.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from types import TracebackType
from typing import Final

from signal_sdk.raised import NOT_OURS, type_name

__all__ = ["Log", "log_raised", "logger", "warn"]

logger: Final = logging.getLogger("signal_sdk")
"""Where the SDK logs: what goes wrong always, what it does where `set_do_log(True)` asked for
it. What stands in it may raise: it is written to by the functions here alone."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def log_raised(text: str, exc: BaseException) -> None:
    """Log `text` with what was raised: its traceback, or where that cannot be shown, its type."""
    # A triple, since an exception may be false, or refuse to say whether it is.
    raised = (type(exc), exc, exc.__traceback__)
    failure = _written(logging.ERROR, "%s", text, exc_info=raised, stacklevel=3)
    if failure is not None:
        # What shows a traceback runs anybody's code.
        what = f"{type_name(exc)} (its traceback cannot be shown: {type_name(failure)})"
        _write(logging.ERROR, "%s: %s", text, what)


def warn(text: str, *args: object) -> None:
    """Log that something has gone wrong."""
    _write(logging.WARNING, text, *args)


def _write(level: int, text: str, *args: object) -> None:
    """Write one line; where a handler of the program's raises, that is said on stderr, as the
    standard library's handlers do of themselves.
    """
    failure = _written(level, text, *args)
    if failure is not None and logging.raiseExceptions and sys.stderr is not None:
        with contextlib.suppress(Exception):
            sys.stderr.write(f"signal_sdk: a log handler raised {type_name(failure)}\n")


def _written(
    level: int,
    text: str,
    *args: object,
    exc_info: ExcInfo | None = None,
    stacklevel: int = 4,
) -> BaseException | None:
    """What a handler, a filter or a formatter of the program's has raised over a line."""
    try:
        logger.log(level, text, *args, exc_info=exc_info, stacklevel=stacklevel)
    except NOT_OURS:
        raise
    except BaseException as failure:  # noqa: BLE001  it is anybody's code
        return failure
    return None


class Log:
    """Debug lines that are written only while `is_on`."""

    __slots__ = ("is_on",)

    def __init__(self) -> None:
        self.is_on: bool = False

    @property
    def is_heard(self) -> bool:
        """Does anybody hear of a line? To ask is cheaper than to write one in vain."""
        return self.is_on

    def debug(self, text: str, *args: object) -> None:
        """Write one line, if the log is on."""
        if self.is_on:
            _write(logging.DEBUG, text, *args)
