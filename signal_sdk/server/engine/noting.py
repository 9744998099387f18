"""Noting: how an engine says what it has changed, and hears when that is durable.

Owns: these calls, and what they are for state that lives as long as the process. Must not know
where changes are written: commits.py does.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Protocol

import trio

from signal_sdk.server.engine.base import Then
from signal_sdk.server.engine.measures import Batches
from signal_sdk.server.engine.schema import Row
from signal_sdk.server.engine.tables import Account, Channel

__all__ = ["Alone", "Commits", "Others", "WhenDurable"]


class WhenDurable(Protocol):
    """`Commits.when_durable`, by itself."""

    def __call__(self, then: Then, *, is_urgent: bool = False) -> None: ...


class Others(Protocol):
    """What else there is to be done: as `Delivery` has it."""

    def gather(self) -> AbstractContextManager[None]:
        """Within this, many are told in turns, between which others run."""

    def give_way(self, *, at_once: bool = False) -> None:
        """Whoever is being woken comes before others, or `at_once` before what others are about to
        do, and then only who asks seldom is served until `flush`, or for some milliseconds. May be
        called in any thread, but for `at_once`.
        """

    def flush(self) -> None:
        """Who was told just now could not wait, and what is said to him need not either. All are
        served again.
        """


class Alone:
    """There is nothing else to be done."""

    def gather(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def give_way(self, *, at_once: bool = False) -> None:
        pass

    def flush(self) -> None:
        pass


class Commits:
    """Where an engine notes its changes. This one is for state that lives as long as the process:
    nothing is noted, and all is durable at once.
    """

    batches: Batches | None = None
    """What was written, where there is a journal."""

    def account(self, account: Account) -> None:
        """The account's own row has changed."""

    def channel(self, channel: Channel) -> None:
        """The channel's own row has changed."""

    def put(self, table: str, key: Row, row: Row) -> None:
        """There is this row now, whatever was there before."""

    def drop(self, table: str, key: Row) -> None:
        """There is no such row any more."""

    def check(self) -> None:
        """Raise `SignalError` while nothing can be written."""

    def when_durable(self, then: Then, *, is_urgent: bool = False) -> None:  # noqa: ARG002  all is at once
        """Call `then` once all changes noted so far are durable. What `is_urgent` may be called
        before others who ask, and has them written sooner.
        """
        then(None)

    @property
    def is_behind(self) -> bool:
        """Do very many wait for the batch that is being gathered, or is there very much in it?"""
        return False

    async def run(self, others: Others) -> None:  # noqa: ARG002  there is nothing to tell of
        """Commit until cancelled, beside others."""
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """Commit what there is, and close."""
        await trio.lowlevel.checkpoint()
