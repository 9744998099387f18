"""Which sessions are connected to this node, as it knows itself and as Redis has it.

Owns: that the two agree again after a connection to Redis was lost, or something was refused. Must
not know how a session begins or ends, nor a node's heartbeats.

A login may have been done whose answer never came, and the end of a connection may never have come
to Redis. Then Redis has a session of this node that is not here: its connection is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

import attrs

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import answers, events
from signal_sdk.server.engine.redis.amounts import Amounts
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.core import pack
from signal_sdk.server.engine.redis.watching import Watching

__all__ = ["Holding", "Served"]

logger: logging.Logger = logging.getLogger("signal_sdk.server.redis")

HELD_PER_LOOK: Final = 500
COMPARED_EVERY: Final = 10
"""So many heartbeats are between two looks at who is connected here, at least."""


@attrs.define(eq=False)
class Served:
    """An app, as this node knows it. `heard_at` is when the heartbeat was sent that was answered
    last, None where it does not live there; `due_ms` is when something is due; `amounts` is how
    much there is; `held` are the sessions that are connected here, `leaving` how many have ended
    here and not in Redis yet, `compared` at which heartbeat both were compared.
    """

    heard_at: float | None = None
    beats: int = 0
    is_asked: bool = False
    due_ms: int = -1
    amounts: Amounts = attrs.field(factory=Amounts)
    held: dict[str, int] = attrs.field(factory=dict)
    leaving: int = 0
    compared: int = -COMPARED_EVERY


class Holding(Watching):
    """What this node holds."""

    def _start_holding(self) -> None:
        self._served: dict[str, Served] = {}

    def _be_reborn(self) -> None:
        """Others took this node for dead, in some app: it begins anew in all, under another id."""
        raise NotImplementedError

    def _found_dead(self, app: str, node: str) -> None:
        served = self._served.get(app)
        # What one that does not live there any more had under way says nothing of its next life.
        if node == self.node and served is not None and served.heard_at is not None:
            self._be_reborn()

    def _is_heard_again(self, app: str) -> None:
        served = self._served.get(app)
        if served is None:
            return
        served.compared = served.beats
        self._look_for_strays(app, b"0")
        held = list(served.held.items())
        for at in range(0, len(held), HELD_PER_LOOK):
            some = held[at : at + HELD_PER_LOOK]
            packed = pack([part for pair in some for part in pair])
            asked = self._ask(app, "look_over", (packed,), _looked)
            asked.when_done(partial(self._has_looked, app, some, asked))

    def _has_looked(self, app: str, held: Sequence[tuple[str, int]], asked: Pending[Any]) -> None:
        """What were these sessions told while nothing was heard?"""
        served = self._served.get(app)
        try:
            found, removed, now_ms = asked.result()
        except SignalError:
            return
        if served is None:
            return
        for (account, generation), entry in zip(held, found, strict=True):
            if served.held.get(account) != generation:
                continue
            key = AccountKey(app, account)
            if entry == 0:
                # Whether by another login, its client finds out when it comes back.
                del served.held[account]
                self._own.deliver_loss(key, generation)
            elif entry:
                version, _, _, line = events.unpack(entry)
                self._own.deliver_entry(key, version, line)
        for place, channel, msgid in zip(*[iter(removed)] * 3, strict=True):
            account, generation = held[place - 1]
            if served.held.get(account) == generation:
                key = AccountKey(app, account)
                self._own.deliver_removal(key, generation, channel.decode(), msgid, now_ms)

    # --- who is connected ---

    def _compare(self, app: str, served: Served, connected: Collection[int]) -> None:
        """Redis has counted so many sessions of this node, before a heartbeat and behind it, and
        the node hears so: of those that the heartbeat itself has ended before that, or behind.
        """
        if len(served.held) + served.leaving in connected:
            return
        if served.beats - served.compared >= COMPARED_EVERY:
            self._is_heard_again(app)

    def _look_for_strays(self, app: str, cursor: bytes) -> None:
        """Which sessions does Redis take for connected here that are not? Those that ended while it
        could not be told, and logins whose answer was lost.
        """
        asked = self._ask(app, "connected", (cursor,), _connected)
        asked.when_done(partial(self._found_connected, app, self.node, asked))

    def _found_connected(self, app: str, node: str, asked: Pending[Any]) -> None:
        served = self._served.get(app)
        try:
            cursor, found = asked.result()
        except SignalError:
            # It is asked on the next connection.
            return
        if served is None or node != self.node:
            return
        # What was answered before this is known here, so that nobody is on the way in.
        strays = [it for it in found if served.held.get(it[0]) != it[1]]
        for account, generation in strays:
            self._lease(AccountKey(app, account), generation)
        if strays:
            logger.info("%d sessions of this node were not here any more", len(strays))
        if cursor != b"0":
            self._look_for_strays(app, cursor)

    def _lease(self, key: AccountKey, generation: int) -> Pending[None]:
        """Have a session's lease begin, now or when Redis is there: until it is done, Redis takes
        it for connected here, which is noticed.
        """
        asked = self._ask(key.app, "disconnect", (key.account, generation), _nothing)
        self._is_leaving(key.app, asked)
        done: Pending[None] = Pending()
        asked.when_done(partial(_lease_began, asked, done))
        return done

    def _is_leaving(self, app: str, asked: Pending[Any]) -> None:
        """A session that is held here no more has ended in Redis once this is answered."""
        served = self._served.get(app)
        if served is not None:
            served.leaving += 1
            asked.when_done(partial(_has_left, served))


def _has_left(served: Served) -> None:
    served.leaving -= 1


def _lease_began(asked: Pending[Any], done: Pending[None]) -> None:
    try:
        asked.result()
    except SignalError as exc:
        logger.debug("a lease begins later: %s", exc)
    done.resolve(None)


def _looked(reply: Any) -> Any:
    if reply[1] == b"dead":
        raise answers.refusal(About(), reply)
    return reply[2:]


def _connected(reply: Any) -> tuple[bytes, list[tuple[str, int]]]:
    names, generations = reply[3][::2], reply[3][1::2]
    return reply[2], [
        (name.decode(), int(number)) for name, number in zip(names, generations, strict=True)
    ]


def _nothing(_: object) -> None:
    return None
