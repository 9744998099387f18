"""Changes that are asked for: each one's outcome, whether it went to Redis alone or with others.

Owns: which messages go together, and what a change comes to where Redis is full. Must not know how
a command is spelt, nor what an answer says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import Asked, Known, Post
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis.pipeline import Ask, Full, settle

__all__ = ["Change", "Posts"]

MOST_TOGETHER: Final = 64
"""How many messages one function has done: for less than a millisecond it keeps others waiting."""


class Change(Ask[Known | None]):
    """A change. Where there is no room for it, it may have been done before: that is looked up."""

    __slots__ = ("asked", "recall")
    asked: Asked
    recall: Callable[[Asked], Pending[Known | None]]

    def fail(self, error: Exception) -> None:
        """As `Pending` has it, unless it was done before."""
        unless_known(self, self.asked, self.recall, error)


def unless_known(
    change: Pending[Known | None],
    asked: Asked,
    recall: Callable[[Asked], Pending[Known | None]],
    error: Exception,
) -> None:
    """Fail a change by this, unless that says that there is no room for it, and it was done before:
    then that is its result.
    """
    if not isinstance(error, Full) or asked.callid is None:
        Pending.fail(change, error)
        return
    found = recall(asked)
    found.when_done(partial(_has_found, change, found, error))


def _has_found(
    change: Pending[Known | None], found: Pending[Known | None], error: Exception
) -> None:
    try:
        known = found.result()
    except SignalError:
        known = None
    if known is None:
        Pending.fail(change, error)
    else:
        change.resolve(known)


class Poster(Protocol):
    """Who has messages done together."""

    def spell_posts(self, posts: Posts) -> bytes:
        """The command that has them done."""

    def read_posts(self, posts: Posts, reply: Any) -> None:
        """Give each its outcome, as the reply has it."""

    def recall(self, asked: Asked) -> Pending[Known | None]:
        """As the contract has it."""


class Posts(Ask[None]):
    """Messages of one app that `poster` asks for together, as the node that it is at their
    beginning. It `is_open` for more until it is written, or something else is asked in the app.
    """

    __slots__ = ("app", "asked", "is_open", "messages", "node", "poster")

    data: bytes

    def __init__(self, poster: Poster, app: str, node: str, slot: int) -> None:
        super().__init__(b"", _nothing, slot)
        self.count: int = 0
        self.poster: Poster = poster
        self.app: str = app
        self.node: str = node
        self.is_open: bool = True
        self.messages: list[bytes] = []
        """As they are packed."""
        self.asked: list[tuple[Asked, Post, Pending[Known | None]]] = []

    def add(self, message: bytes, asked: Asked, post: Post) -> Pending[Known | None]:
        """One more, of which `message` is the packed form: its outcome."""
        outcome: Pending[Known | None] = Pending()
        self.messages.append(message)
        self.asked.append((asked, post, outcome))
        if self.pipeline is None:
            self.count += 1
        else:
            self.pipeline.ask_more(self)
        self.is_open = self.count < MOST_TOGETHER
        return outcome

    def command(self) -> bytes:
        """As `Ask` has it: from here on there are no more."""
        if not self.data:
            self.is_open = False
            self.data = self.poster.spell_posts(self)
            self.messages.clear()
        return self.data

    def answer(self, reply: Any) -> None:
        """As `Ask` has it, for each."""
        settle(self, partial(self.poster.read_posts, self), reply)

    def fail(self, error: Exception) -> None:
        """As `Ask` has it, for each that has no outcome."""
        self.is_open = False
        super().fail(error)
        for asked, _, outcome in self.asked:
            if not outcome.is_done:
                unless_known(outcome, asked, self.poster.recall, error)


def _nothing(_: object) -> None:
    return None
