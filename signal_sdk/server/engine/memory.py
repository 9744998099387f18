"""Memory that is not used any more, given back.

Owns: how a process gives back what it has freed. Must not know what that was.

A dict and a set keep the room of all that was ever in them at once, and the C library keeps pages
that are free for what may come. A server that was flooded once would be as large for good: Python
gives back a megabyte only where nothing in it is used any more, so that few that are kept of very
many keep all of it.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import Any, Final

from signal_sdk.wire import remembered

__all__ = ["give_back", "shrink"]


def _find_trim() -> Callable[[int], int] | None:
    """The C library's way to give pages back; other libraries than Linux's have none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None


_trim: Final = _find_trim()


def shrink(*tables: dict[Any, Any] | set[Any]) -> None:
    """Have each take the room of what is in it. It stays the same object."""
    for table in tables:
        kept = table.copy()
        table.clear()
        table.update(kept)


def give_back() -> None:
    """Give free memory back to the system, where that can be asked for: some 20 ms for 100 MB."""
    remembered.forget()
    # What the interpreter keeps for its next objects goes with a look at all of them, which takes
    # no time while they are frozen.
    gc.freeze()
    gc.collect()
    gc.unfreeze()
    if _trim is not None:
        _trim(0)
