"""Extras: how what is missing is said, and how it is installed.

Owns: the words for it. Must not know what an extra is for.
"""

from __future__ import annotations

__all__ = ["needs_extra"]


def needs_extra(what: str, extra: str) -> str:
    """What is said where `what` stands on libraries of an extra that is not installed."""
    return (
        f"{what} needs the extra {extra}: pip install '.[{extra}]' in a clone,"
        f" or pip install './FILE.whl[{extra}]' with a wheel"
    )
