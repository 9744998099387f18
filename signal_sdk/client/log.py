"""The debug log of one `Signal`.

Owns: whether it is on, and how what somebody's code has raised is told, whatever that does when it
is asked for its text. Must not be handed a token, a `line` or a whole frame: only names, sizes and
codes.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["Log", "log_raised", "logger", "text_of"]

logger: Final = logging.getLogger("signal_sdk")
"""Where the SDK logs: what goes wrong always, what it does where `set_do_log(True)` asked for
it."""


def text_of(exc: BaseException) -> str:
    """What an exception says of itself, in one line."""
    try:
        return " ".join(str.split(str(exc)))
    except Exception as failure:  # noqa: BLE001  it is anybody's code
        return f"(its text cannot be shown: {type(failure).__name__})"


def log_raised(text: str, exc: BaseException) -> None:
    """Log `text` with what was raised: its traceback, or where that cannot be shown, its type."""
    try:
        # A triple, since an exception may be false, or refuse to say whether it is.
        logger.error("%s", text, exc_info=(type(exc), exc, exc.__traceback__))
    except Exception as failure:  # noqa: BLE001  what shows a traceback runs anybody's code
        what = f"{type(exc).__name__} (its traceback cannot be shown: {type(failure).__name__})"
        logger.error("%s: %s", text, what)  # noqa: TRY400  there is none


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
            logger.debug(text, *args, stacklevel=2)
