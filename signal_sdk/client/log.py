"""The debug log of one `Signal`.

Owns: whether it is on. Must not be handed a token, a `line` or a whole frame: only names, sizes and
codes.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["Log", "logger"]

logger: Final = logging.getLogger("signal_sdk")
"""Where the SDK logs: what goes wrong always, what it does where `set_do_log(True)` asked for
it."""


class Log:
    """Debug lines that are written only while `is_on`."""

    __slots__ = ("is_on",)

    def __init__(self) -> None:
        self.is_on = False

    @property
    def is_heard(self) -> bool:
        """Does anybody hear of a line? To ask is cheaper than to write one in vain."""
        return self.is_on

    def debug(self, text: str, *args: object) -> None:
        """Write one line, if the log is on."""
        if self.is_on:
            logger.debug(text, *args, stacklevel=2)
