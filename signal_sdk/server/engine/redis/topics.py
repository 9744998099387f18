"""What a node hears: the topics that it has subscribed to, and what of a channel's events it was
handed.

Owns: the order of a channel's events, and how a hole is filled. Must not know what an event says,
or who is told in the end.

Redis tells of what is published while a connection lasts, in order and once. A hole is what
happened between two connections. It is filled from the channel's history before anything later is
handed on; what that does not hold any more stays a hole, which each member sees by itself by what
follows.

A node hears very many topics. Where all are to be heard again, on another connection, or none any
more, some are settled at a time (errands.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import ChannelKey, Event
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import events
from signal_sdk.server.engine.redis.core import Core, tag
from signal_sdk.server.engine.redis.errands import run_some
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline

__all__ = ["Heard", "Topics"]


class Heard:
    """A channel that is heard: the last msgid that was handed on (None: nobody knows yet), and what
    has come since a hole was found that is being filled.
    """

    __slots__ = ("held", "key", "last")

    def __init__(self, key: ChannelKey) -> None:
        self.key: ChannelKey = key
        self.last: int | None = None
        self.held: list[Event] | None = None


class Topics(Core):
    """Subscribing, and what comes of it."""

    _topics: dict[bytes, Heard]
    _nodes: dict[bytes, str]
    """The topic of this node in each app that it serves."""
    _ended: list[tuple[bytes, str]]
    """Topics whose subscriptions are over by themselves, and their apps."""

    def _start_hearing(self) -> None:
        self._topics = {}
        self._nodes = {}
        self._ended = []
        self._is_settling = False

    def _topic(self, key: ChannelKey) -> bytes:
        return f"{self._base(key.app)}e:{key.channel}".encode()

    def subscribe(self, key: ChannelKey) -> Pending[None]:
        """As the contract has it."""
        topic = self._topic(key)
        if topic not in self._topics and self._is_there(key.app):
            self._topics[topic] = Heard(key)
            self._subscribing(key.app, topic)
        # What comes behind this is behind the subscription.
        read = partial(self._begins, topic)
        return self._ask(key.app, "history", (key.channel, 2**53), read)

    def _begins(self, topic: bytes, reply: Any) -> None:
        heard = self._topics.get(topic)
        if heard is not None and heard.last is None:
            heard.last = max(reply[2], 0)

    def unsubscribe(self, key: ChannelKey) -> None:
        """As the contract has it."""
        topic = self._topic(key)
        if self._topics.pop(topic, None) is not None:
            self._if_there(key.app, topic, ends=True)

    def _hear_as(self, app: str, node: str) -> None:
        """What is for this node in the app is heard from here on."""
        topic = f"{self._base(app)}t:{node}".encode()
        self._nodes[topic] = app
        self._if_there(app, topic)

    def _hear_no_more_as(self, app: str, node: str) -> None:
        topic = f"{self._base(app)}t:{node}".encode()
        if self._nodes.pop(topic, None) is not None:
            self._if_there(app, topic, ends=True)

    def _hear_nothing(self) -> None:
        """All subscriptions are over."""
        wanted = list(self._wanted())
        self._want_nothing()
        run_some(self._settle, wanted)

    def _want_nothing(self) -> None:
        self._topics = {}

    def _wanted(self) -> Iterator[tuple[bytes, str]]:
        """All topics that this node wants to hear, its own first, and their apps."""
        yield from self._nodes.items()
        for topic, heard in self._topics.items():
            yield topic, heard.key.app

    def _if_there(self, app: str, topic: bytes, *, ends: bool = False) -> None:
        """What cannot be subscribed to now is when there is a connection."""
        if self._is_there(app):
            self._subscribing(app, topic, ends=ends)

    def _is_there(self, app: str) -> bool:
        return self._servers.of(tag(app)).is_up

    # --- what comes ---

    def _heard(self, topic: bytes, message: bytes) -> None:
        heard = self._topics.get(topic)
        if heard is not None:
            if not message:
                self._settle_later(topic, heard.key.app)
            elif not self._is_mute(heard.key.app):
                self._take(heard, events.event(heard.key.channel, message))
            return
        app = self._nodes.get(topic)
        if app is None:
            return
        if not message:
            self._settle_later(topic, app)
        elif not self._is_mute(app):
            self._told(app, events.unpack(message))

    def _settle_later(self, topic: bytes, app: str) -> None:
        """A subscription is over, though the topic is wanted; with a slot that moves, very many."""
        self._ended.append((topic, app))
        if not self._is_settling:
            self._settle_ended()

    def _settle_ended(self) -> None:
        self._is_settling = bool(self._ended)
        if self._is_settling:
            ended, self._ended = self._ended, []
            run_some(self._settle, ended).when_done(self._settle_ended)

    def _settle(self, wanted: tuple[bytes, str]) -> Pending[Any] | None:
        """Have a topic heard, and what was missed filled in; or heard no more. Done once it is."""
        topic, app = wanted
        # The next connection has no subscriptions, and all that are needed are made there.
        return self._settle_there(topic, app) if self._is_there(app) else None

    def _settle_there(self, topic: bytes, app: str) -> Pending[Any]:
        heard, is_own = self._topics.get(topic), topic in self._nodes
        subscribing = self._subscribing(app, topic, ends=heard is None and not is_own)
        if is_own:
            self._is_heard_again(app)
        if heard is None or heard.held is not None:
            return subscribing
        heard.held = []
        return self._fill(heard)

    def _hears_again(self, app: str) -> None:
        """What was told in the app was passed over for a while, and is not any more."""
        run_some(self._settle, [it for it in self._wanted() if it[1] == app])

    def _is_heard_again(self, app: str) -> None:
        """The node hears again of what it is told in the app: of what not, meanwhile?"""
        raise NotImplementedError

    def _told(self, app: str, told: Sequence[Any]) -> None:
        """This node is told something of an account."""
        raise NotImplementedError

    def _take(self, heard: Heard, event: Event) -> None:
        if heard.held is not None:
            heard.held.append(event)
        elif heard.last is not None and event.msgid > heard.last + 1 > 1:
            heard.held = [event]
            self._fill(heard)
        else:
            self._hand_on(heard, event)

    def _hand_on(self, heard: Heard, event: Event) -> None:
        heard.last = event.msgid
        self._own.deliver_event(heard.key, event.msgid, event.content, event.time_ms)

    def _fill(self, heard: Heard) -> Pending[Any]:
        """Ask for what is missing, and hand it on before what is held back."""
        asked = self._events(heard.key, heard.last or 0)
        asked.when_done(partial(self._fill_with, heard, asked))
        return asked

    def _fill_with(self, heard: Heard, asked: Pending[tuple[int, Sequence[Event]]]) -> None:
        held, heard.held = heard.held or [], None
        if self._topics.get(self._topic(heard.key)) is not heard:
            return
        try:
            msgid, missed = asked.result()
        except SignalError:
            # The connection is lost once more: it is filled with the next.
            return
        # What is not held any more is a hole before the first of these.
        for event in missed:
            self._hand_on(heard, event)
        if not missed:
            heard.last = min([max(msgid, 0), *(it.msgid - 1 for it in held)])
        newest = heard.last or 0
        for event in held:
            if event.msgid > newest:
                self._hand_on(heard, event)

    # --- the history ---

    def history(self, key: ChannelKey, after_msgid: int) -> Pending[Sequence[Event] | None]:
        """As the contract has it."""
        return self._events(key, after_msgid).map(partial(_all_behind, after_msgid))

    def _events(self, key: ChannelKey, after_msgid: int) -> Ask[tuple[int, Sequence[Event]]]:
        """The channel's last msgid, and what is held of the events after that one."""
        read = partial(self._read_events, key, after_msgid)
        return self._ask(key.app, "history", (key.channel, after_msgid), read)

    def _read_events(
        self, key: ChannelKey, after_msgid: int, reply: Any
    ) -> tuple[int, Sequence[Event]]:
        _, _, msgid, now_ms, packed = reply
        since = now_ms - self._bounds.history_seconds * 1000 if self._bounds.history_seconds else 0
        found = [events.event(key.channel, it) for it in packed]
        return msgid, [it for it in found if it.msgid > after_msgid and it.time_ms > since]

    # --- a connection anew ---

    def _hear_again(self, pipeline: Pipeline) -> None:
        """The connection is a new one: subscribe to all again, and fill what was missed."""
        apps = {app for _, app in self._wanted()}
        apps = {app for app in apps if self._servers.of(tag(app)) is pipeline}
        run_some(self._settle, [it for it in self._wanted() if it[1] in apps])


def _all_behind(after_msgid: int, found: tuple[int, Sequence[Event]]) -> Sequence[Event] | None:
    """The events, where these are all that there were; None also where there is no channel."""
    msgid, events = found
    return events if msgid >= 0 and len(events) == msgid - after_msgid else None
