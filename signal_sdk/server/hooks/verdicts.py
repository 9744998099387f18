"""What a rule knows of a backend that is asked: the questions, and what a verdict says.

Owns: these words. Must not know how anybody is asked: a node without hooks has none of that.
"""

from __future__ import annotations

from typing import Final, Protocol

import attrs

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.pending import Pending

__all__ = ["INVITE", "JOIN", "LOGIN", "Questions", "Verdict", "check"]

LOGIN: Final = "login"
JOIN: Final = "join"
INVITE: Final = "invite"


@attrs.frozen
class Verdict:
    """What the backend says, or, where it says nothing in time, what holds then: `is_answer` tells
    which. `reason` is why it is not allowed, in one line.
    """

    allow: bool
    reason: str = ""
    is_answer: bool = True


class Questions(Protocol):
    """Whom a rule asks. `asked` is before what."""

    asked: frozenset[str]

    def ask(self, what: str, **facts: str) -> Pending[Verdict]:
        """Ask whether this may be, of which these are the facts: the verdict is there when the
        backend has answered, or its time is over.
        """


def check(verdict: Verdict, ecode: ECode) -> None:
    """Raise `SignalError` with this code where it is not allowed."""
    if not verdict.allow:
        raise SignalError(ecode, verdict.reason)
