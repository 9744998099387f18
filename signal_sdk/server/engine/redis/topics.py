"""What a node hears: the topics that it has subscribed to, and what of a channel's events it was
handed.

Owns: the order of a channel's events, and how a hole is filled. Must not know what an event says,
or who is told in the end.

Redis tells of what is published while a connection lasts, in order and once. A hole is what
happened between two connections. It is filled from the channel's history before anything later is
handed on; what that does not hold any more stays a hole, which each member sees by itself by what
follows.

A node hears very many topics, and more than may be asked for at once. Where all are to be heard
again, on another connection, or none any more, some are settled at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import ChannelKey, Event
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import events
from signal_sdk.server.engine.redis.core import Core, tag
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline

__all__ = ["Heard", "Topics"]

SETTLED_AT_ONCE: Final = 64
"""How many subscriptions are made as they have to be at once: some 3 ms of this node's time."""


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
    _unsettled: dict[bytes, str]
    """Topics, with their apps, which Redis may not have as they have to be."""

    def _start_hearing(self) -> None:
        self._topics = {}
        self._nodes = {}
        self._unsettled = {}
        self._settling = 0
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
        wanted = dict(self._wanted())
        self._want_nothing()
        self._settle(wanted)

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
                # The subscription is over, and the channel is not.
                self._settle({topic: heard.key.app})
            elif not self._is_mute(heard.key.app):
                self._take(heard, events.event(heard.key.channel, message))
            return
        app = self._nodes.get(topic)
        if app is None:
            return
        if not message:
            self._settle({topic: app})
        elif not self._is_mute(app):
            self._told(app, events.unpack(message))

    def _settle(self, topics: Mapping[bytes, str]) -> None:
        """Have Redis have these as they have to be, some at a time; the values are their apps."""
        self._unsettled |= topics
        self._settle_some()

    def _settle_some(self) -> None:
        if self._is_settling:
            return
        self._is_settling = True
        while self._unsettled and self._settling < SETTLED_AT_ONCE:
            topic = next(iter(self._unsettled))
            app = self._unsettled.pop(topic)
            # The next connection has no subscriptions, and all that are needed are made there.
            if self._is_there(app):
                self._settling += 1
                self._settle_one(app, topic).when_done(self._has_settled)
        self._is_settling = False

    def _has_settled(self) -> None:
        self._settling -= 1
        self._settle_some()

    def _settle_one(self, app: str, topic: bytes) -> Pending[Any]:
        """Have a topic heard, and what was missed filled in; or heard no more. Done once it is."""
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
        self._settle({topic: its for topic, its in self._wanted() if its == app})

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
        self._settle({topic: app for topic, app in self._wanted() if app in apps})


def _all_behind(after_msgid: int, found: tuple[int, Sequence[Event]]) -> Sequence[Event] | None:
    """The events, where these are all that there were; None also where there is no channel."""
    msgid, events = found
    return events if msgid >= 0 and len(events) == msgid - after_msgid else None
