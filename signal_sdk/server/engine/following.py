"""The engine contract, what happens: who follows it, and what of it is kept for hooks.

Owns: these operations. `base.Engine` has them beside the others. Must not know who may follow what,
nor to whom it is sent: what can happen is in happened.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from signal_sdk.server.engine.happened import Backlog, Follow, Happening
from signal_sdk.server.engine.pending import Answer

__all__ = ["Following"]


class Following(Protocol):
    """What those who are no clients may ask of an engine about what happens."""

    def follow(self, app: str, follow: Follow) -> Answer[None]:
        """Deliver to this node what happens in the app and is of `follow`, in place of what it has
        followed there: as it happens, and not again where it is lost on the way.
        """

    def keep_happenings(self, kinds: Collection[str], most: int) -> None:
        """Keep for hooks what happens of these kinds, in every app, from here on: of an app at most
        so many, and of more the oldest go. With no kinds nothing is kept; what was may go.
        """

    def backlogs(self) -> Answer[Mapping[str, Backlog]]:
        """What is kept for hooks, by apps, as far as this node knows them."""

    def take_happenings(
        self, app: str, most: int, *, seconds: float
    ) -> Answer[Sequence[Happening] | None]:
        """The oldest that are kept for hooks, at most so many, in the order of their numbers, which
        are durable. No other node is given them for so many `seconds`; None where that is so of
        this one. They stay until they are done.
        """

    def happenings_done(self, app: str, upto: int) -> Answer[bool]:
        """All up to this number are with whom they are for. Does nothing, and is False, where
        another node has taken them meanwhile.
        """
