"""Accounts that this node watches: what becomes of them, as Redis tells of it.

Owns: these subscriptions, and that what was missed while a connection was lost is made up for. Must
not know who wants to hear of it.

There is no history of what becomes of an account: where something may have been missed, how it
stands is asked anew, and handed on as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import (
    AccountKey,
    Attribute,
    AttributesChanged,
    PresenceChanged,
    Watched,
    WatchedFact,
    presence_number,
)
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis.attribute_operations import attributes
from signal_sdk.server.engine.redis.events import unpack
from signal_sdk.server.engine.redis.topics import Topics
from signal_sdk.server.engine.values import decode_json

__all__ = ["Watching"]


class Watching(Topics):
    """Watching, and what comes of it."""

    _watched: dict[bytes, AccountKey]

    def _start_hearing(self) -> None:
        super()._start_hearing()
        self._watched = {}

    def _watch_topic(self, key: AccountKey) -> bytes:
        return f"{self._base(key.app)}w:{key.account}".encode()

    def watch(self, key: AccountKey) -> Pending[Watched]:
        """As the contract has it."""
        topic = self._watch_topic(key)
        if topic not in self._watched and self._is_there(key.app):
            self._watched[topic] = key
            self._subscribing(key.app, topic)
        # What comes behind this is behind the subscription.
        return self._ask(key.app, "watched", (key.account,), _watched)

    def unwatch(self, key: AccountKey) -> None:
        """As the contract has it."""
        topic = self._watch_topic(key)
        if self._watched.pop(topic, None) is not None:
            self._if_there(key.app, topic, ends=True)

    def _want_nothing(self) -> None:
        super()._want_nothing()
        self._watched = {}

    def _wanted(self) -> Iterator[tuple[bytes, str]]:
        yield from super()._wanted()
        for topic, key in self._watched.items():
            yield topic, key.app

    # --- what comes ---

    def _heard(self, topic: bytes, message: bytes) -> None:
        key = self._watched.get(topic)
        if key is None:
            super()._heard(topic, message)
        elif not message:
            self._settle_later(topic, key.app)
        elif not self._is_mute(key.app):
            self._own.deliver_watched(key, _fact(unpack(message)))

    def _settle_there(self, topic: bytes, app: str) -> Pending[Any]:
        key = self._watched.get(topic)
        if key is None:
            return super()._settle_there(topic, app)
        self._subscribing(app, topic)
        # Something may have been missed.
        asked = self._ask(app, "watched", (key.account,), _watched)
        asked.when_done(partial(self._has_looked_again, key, asked))
        return asked

    def _has_looked_again(self, key: AccountKey, asked: Pending[Watched]) -> None:
        if self._watch_topic(key) not in self._watched:
            return
        try:
            fact = asked.result()
        except SignalError:
            # The connection is lost once more: it is asked on the next.
            return
        self._own.deliver_watched(key, fact)


def _watched(reply: Any) -> Watched:
    _, _, is_online, generation, *found = reply
    number = presence_number(generation, is_online=bool(is_online))
    return Watched(bool(is_online), number, attributes(*found))


def _fact(told: Any) -> WatchedFact:
    """What marks.lua has told."""
    kind, *facts = told
    if kind == "presence":
        generation, is_online = facts
        return PresenceChanged(is_online, presence_number(generation, is_online=is_online))
    revision, sets, deleted, expires = facts
    return AttributesChanged(
        revision=revision,
        set={
            name: Attribute(decode_json(text), revision, expires or None)
            for name, text in zip(sets[::2], sets[1::2], strict=True)
        },
        deleted=tuple(deleted),
    )
