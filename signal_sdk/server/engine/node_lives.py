"""The lives of the nodes of one process that share the embedded engine's state.

Owns: when a node was last heard of, where it may be reached, and what becomes of what it held.
Must not know what a lease is.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from signal_sdk.server.engine.base import LIFE_SECONDS, PLACE_SECONDS, Delivery, Place
from signal_sdk.server.engine.core import Core
from signal_sdk.server.engine.tables import Account

logger: logging.Logger = logging.getLogger("signal_sdk.server.engine")

K = TypeVar("K")


class NodeLives(Core):
    """A node's own life, and the end of others'."""

    def _live(self) -> None:
        """This node is there; those that were silent for too long are not."""
        lives, now = self._state.lives, self._patient()
        self._check_life()
        lives[self.node] = now
        for node, heard in list(lives.items()):
            if now - heard > LIFE_SECONDS:
                logger.warning("node %s is silent: its clients' leases begin", node)
                self._bury(node)

    def announce(self, place: Place | None) -> Sequence[Place]:
        """As the contract has it."""
        places, now = self._state.places, self._patient()
        places.pop(self.node, None)
        if place is not None:
            places[self.node] = now, place
        for node, (said_at, _) in list(places.items()):
            if now - said_at > PLACE_SECONDS:
                del places[node]
        return [it for _, it in places.values()]

    def _check_life(self) -> None:
        """Whoever comes to a node that was taken for dead comes to its new life: of the old one,
        nobody would notice the end.
        """
        lives = self._state.lives
        if lives and self.node not in lives:
            self._be_reborn()

    def _be_reborn(self) -> None:
        """Others took this node for dead."""
        logger.warning("this node was silent, and the others took it for dead: it begins anew")
        self.node: str = secrets.token_hex(8)
        delivery, clocks = self._own
        self._take_part(delivery, clocks)
        self._state.lives[self.node] = self._patient()
        self._dues.start()
        self._expiries.start()
        delivery.deliver_fencing()

    def _bury(self, node: str) -> None:
        """What this node held is as if each connection had broken now."""
        state = self._state
        delivery = self._part_from(node)
        _let_go(state.listening, delivery)
        _let_go(state.watching, delivery)
        for account in state.accounts.values():
            if account.presence is not None and account.presence.node == node:
                self._lease(account)
                # Whatever that node still asks for is no session's.
                account.presence = replace(account.presence, node="")

    def _part_from(self, node: str) -> Delivery | None:
        """This node is handed nothing any more, and what is due is others' affair."""
        state = self._state
        state.lives.pop(node, None)
        for dues, alarm in state.alarms.pop(node, ()):
            dues.leave(alarm)
        return state.deliveries.pop(node, None)

    def _lease(self, account: Account) -> None:
        """Begin the lease of an account whose connection is gone."""
        raise NotImplementedError


def _let_go(heard: dict[K, tuple[Delivery, ...]], delivery: Delivery | None) -> None:
    """A node hears of nothing of these any more."""
    for key, nodes in list(heard.items()):
        left = tuple(it for it in nodes if it is not delivery)
        if left:
            heard[key] = left
        else:
            del heard[key]
