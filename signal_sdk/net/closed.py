"""Why a link is closed, for whoever receives on it or sends.

Owns: these errors, and the code of an end that has none. Must not know a link, or what its codes
mean to the kind of it.
"""

from __future__ import annotations

from typing import Final

from signal_sdk.errors import LinkError

__all__ = ["ABNORMAL_CLOSURE", "LinkClosed", "MessageTooLong", "ReadsTooSlowly"]

ABNORMAL_CLOSURE: Final = 1006
"""The code of a connection that broke, or whose kind of link has no codes."""


class LinkClosed(LinkError):
    """The link is closed: by the other side (its code and reason), or by a break (code 1006)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"the connection is closed: {self.code} {self.reason}".rstrip()


class ReadsTooSlowly(LinkClosed):
    """Broken here, since more waited for the other side than its outbox may hold."""


class MessageTooLong(LinkClosed):
    """Ended here, since the other side's message was longer than it may be."""
