"""Memory: how much the process has, how much it may have, and whether that is nearly used up.

Owns: asking the system, and when a shortage begins and ends. Must not know what is done about one.
Where the system does not say (elsewhere than on Linux), there is none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from signal_sdk.server.config import LimitsConfig
from signal_sdk.server.control_groups import group_limits

__all__ = ["SHORT_OF_MEMORY", "MemoryWatch", "allowed_bytes", "resident_bytes"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

STATM: Final = Path("/proc/self/statm")
MIB: Final = 1024 * 1024
ENOUGH_PART: Final = 0.95
"""A shortage is over once so much of what begins one is used, so that it does not begin anew at
once.
"""
SHORT_OF_MEMORY: Final = "the server is short of memory"
"""What those hear who are not let in for it."""
LOOKS_PER_GIVING_BACK: Final = 10
"""While memory is short, free pages are given back at one look of so many: it takes some
milliseconds.
"""


def resident_bytes() -> int:
    """How much memory the process has; 0 where the system does not say."""
    try:
        return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def allowed_bytes(root: Path = Path("/")) -> int:
    """How much memory the process may have: its control groups' least limit, or what the machine
    has; 0 where the system does not say. `root` is where the system's files are.
    """
    return min(_limits(root), default=0)


def _limits(root: Path) -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        # MemTotal is the first.
        yield int((root / "proc/meminfo").read_text().split()[1]) * 1024
    for text in group_limits(root, "memory", "memory.max", "memory.limit_in_bytes"):
        # "max" is none.
        with suppress(ValueError):
            yield int(text)


class MemoryWatch:
    """Whether memory is short: `look` says so, and has `give_back` return what is free to the
    system before and now and then while it is. Of what there may be, this is one of `processes`
    that share it.
    """

    def __init__(
        self, limits: LimitsConfig, give_back: Callable[[], None], processes: int = 1
    ) -> None:
        self._limits = limits
        self._give_back = give_back
        self._allowed = allowed_bytes() // processes
        self._looks = 0
        self.is_short: bool = False

    @property
    def most_bytes(self) -> int:
        """How much the process may have before it is short; 0 where the system does not say."""
        return self._allowed * self._limits.memory_percent // 100

    def look(self) -> bool:
        """Is memory short by now? The log hears when that begins, and when it ends."""
        most = self.most_bytes
        used = resident_bytes() if most else 0
        if used <= most * (ENOUGH_PART if self.is_short else 1):
            if self.is_short:
                self.is_short = False
                logger.warning("memory is enough again: %d MiB are in use", used // MIB)
            return False
        if not self.is_short or self._looks % LOOKS_PER_GIVING_BACK == 0:
            self._give_back()
            used = resident_bytes()
        self._looks += 1
        if not self.is_short and used > most:
            self.is_short, self._looks = True, 1
            logger.warning(
                "memory is short: %d MiB are in use, of %d (memory_percent): nobody new is let in, "
                "and the newest go that are not logged in",
                used // MIB,
                most // MIB,
            )
        return self.is_short
