"""The wall clock, as something that is handed in: what outlives a process is stamped with it, and
tests move it.

Must not be used for waiting: timers.py waits on trio's clock.
"""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]
"""Gives the Unix time in seconds."""
