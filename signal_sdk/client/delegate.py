"""A session as its connections see it: what they tell it, and what they ask of it.

Owns: that contract, between reconnector.py and whoever has one. Must not know either side of it.
"""

from __future__ import annotations

from typing import Protocol

from signal_sdk.client.connection import Connection
from signal_sdk.client.operation import Operation
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError
from signal_sdk.wire import frames, login

__all__ = ["Delegate", "Receiver"]


class Receiver(Protocol):
    """What a session's frames are handed to."""

    def hear(self, text: bytes) -> bool:
        """A frame has come; False where it is to be taken step by step."""

    def take(self, frame: frames.Frame) -> None:
        """A frame has come. Raises `ProtocolError`."""


class Delegate(Protocol):
    """The session, as its connections see it: who is told of them, and asked what to do."""

    @property
    def ended(self) -> Operation[ECode]:
        """The session's end."""

    @property
    def receiver(self) -> Receiver:
        """What its frames are handed to."""

    def accepted(
        self, success: login.LoginSucceeded, connection: Connection, *, is_fresh: bool
    ) -> None:
        """There is a connection: by a login that is the session's first or `is_fresh`, else the
        session was taken up.
        """

    def refused(self, error: LoginError) -> None:
        """The first login has failed, where the session is not over yet."""

    def ticket(self) -> login.LineLogin:
        """What takes the session up again."""

    def lost(self, reason: str) -> bool:
        """The connection is lost: is it to be replaced?"""

    def reconnecting(self, attempt: int) -> None:
        """Another connection is about to be dialed."""

    def stopped(self) -> None:
        """Nothing more will come."""

    def over(self, ecode: ECode, reason: str) -> None:
        """There will be no other connection."""

    @property
    def overdue_at(self) -> float:
        """When, by the reactor's patient clock, something has waited for its answer too long."""

    def due(self, now: float) -> float:
        """Do what is due; when to ask again. `now` is the patient clock's, what is returned
        trio's.
        """
