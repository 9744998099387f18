"""What all operations of the engine on Redis stand on: what it is made with, how a function is
asked for, and which server that goes to.

Owns: the form of what is asked, and the names of keys. Must not know an operation.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

import msgspec

from signal_sdk.server.engine import core as embedded
from signal_sdk.server.engine.base import LIFE_SECONDS, AccountKey, Asked, Clocks, Delivery
from signal_sdk.server.engine.bounds import MAX_UID, Bounds
from signal_sdk.server.engine.call_table import EVENT_TTL_SECONDS
from signal_sdk.server.engine.facts import Known
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import answers, resp
from signal_sdk.server.engine.redis.addresses import CLUSTER, parse
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.changes import Change, Posts
from signal_sdk.server.engine.redis.library import library
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline, Subscribing
from signal_sdk.server.engine.redis.servers import Servers
from signal_sdk.wire import names
from signal_sdk.wire.remembered import remembered

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("signal_sdk.server.redis")

PREFIX: Final = "signal:"
HEAD_ARGS: Final = 3
"""How many arguments each function has: the time, the node, the bounds."""
INVITED: Final = "invited"
"""What calls.lua says of a call that has begun."""
pack: Final = msgspec.msgpack.Encoder().encode


@remembered(names.NAMES_KEPT)
def tag(app: str) -> str:
    """The app in a key's hash tag: as it is, unless something in it would end that."""
    return quote(app, safe="") if any(it in "{}%:" for it in app) else app


def untag(text: bytes) -> str:
    """The app that has this tag."""
    return unquote(text.decode())


@remembered(names.NAMES_KEPT)
def first_uid(app: str, account: str) -> int:
    """The uid that the account has, unless another has it already."""
    digest = hashlib.blake2b(f"{app}\0{account}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % MAX_UID + 1


def new_node() -> str:
    """An id for a node, or for its next life. What it begins with says what the node understands:
    `r`, several entries in one message (`tell_all` of inboxes.lua), and a removal (`tell_removal`
    of operator.lua); `l`, the grant of a lock (`tell_grant` of locks.lua).
    """
    return f"rl{secrets.token_hex(8)}"


class Core:
    """The engine of one node below its operations; the arguments are `RedisEngine`'s."""

    pipeline_class: type[Pipeline] = Pipeline

    def __init__(
        self,
        urls: Sequence[str],
        *,
        password: str = "",
        bounds: Bounds = embedded.DEFAULTS,
        prefix: str = PREFIX,
        replicas: int = 0,
        life_seconds: float = LIFE_SECONDS,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.node: str = new_node()
        self.prefix: str = prefix
        self.replicas: int = replicas
        self._life_seconds = life_seconds
        self._now = now
        self._bounds = bounds
        self._kept_kinds: frozenset[str] = frozenset()
        self._kept_most = 0
        self._packed = b""
        self._delivery: Delivery | None = None
        self._wall: Callable[[], float] = time.time
        self._ahead = 0.0
        """By how much Redis' clock is ahead of this node's."""
        self._heads: dict[tuple[str, str], bytes] = {}
        self.steps: Counter[str] = Counter()
        """How many calls have begun (`INVITED`) and ended, and why, by what this node has asked."""
        self._posts: dict[str, Posts] = {}
        """Of each app, what is posted together, as long as nothing else is asked there."""
        address = parse(urls, password)
        self._names = library(is_cluster=address.kind == CLUSTER)
        self._servers = Servers(
            address,
            prefix,
            make=self.pipeline_class,
            on_message=self._heard,
            on_up=self._is_up,
            together=self._together,
        )
        self.bound(bounds)

    def attach(self, delivery: Delivery, clocks: Clocks) -> None:
        """As the contract has it."""
        self._delivery = delivery
        self._wall = clocks.wall

    @property
    def _own(self) -> Delivery:
        if self._delivery is None:
            raise RuntimeError("the engine is not attached to a node")
        return self._delivery

    def _together(self) -> AbstractContextManager[None]:
        return self._own.together()

    def bound(self, bounds: Bounds) -> None:
        """As the contract has it."""
        self._bounds = bounds
        self._packed = resp.words(
            [
                pack(
                    [
                        bounds.history_events,
                        bounds.history_seconds,
                        bounds.count_push_seconds,
                        bounds.inbox_messages,
                        bounds.inbox_bytes,
                        bounds.inbox_sender_messages,
                        bounds.app_bytes,
                        bounds.app_accounts,
                        bounds.app_channels,
                        bounds.account_channels,
                        bounds.account_calls,
                        bounds.attributes,
                        bounds.channel_joins_per_second,
                        bounds.channel_messages_per_second,
                        bounds.channel_attributes_per_second,
                        embedded.MAX_REPLIES,
                        self._life_seconds,
                        EVENT_TTL_SECONDS,
                        names.MAX_ATTRS_BYTES,
                        sorted(self._kept_kinds),
                        self._kept_most,
                        bounds.session_channels,
                        bounds.account_locks,
                        bounds.channel_locks,
                        bounds.lock_waiters,
                    ]
                )
            ]
        )

    def keep_happenings(self, kinds: Collection[str], most: int) -> None:
        """As the contract has it: by what is done from here on. What is kept already stays."""
        self._kept_kinds, self._kept_most = frozenset(kinds), most
        self.bound(self._bounds)

    def redis_time(self) -> float:
        """What Redis' clock shows, as far as this node knows."""
        return self._now() if self._now is not None else self._wall() + self._ahead

    # --- asking ---

    def _base(self, app: str) -> str:
        """How the keys of an app begin."""
        return f"{self.prefix}{{{tag(app)}}}:"

    def _spell(self, head: bytes, args: Sequence[str | bytes | int], node: str) -> bytes:
        """The command that has a function done for `node`, which begins with `head`."""
        now = "" if self._now is None else f"{self._now():.6f}"
        return b"".join((head, resp.words((now, node)), self._packed, resp.words(args)))

    def _head(self, keys: Sequence[str], function: str, count: int) -> bytes:
        words: list[str | bytes | int] = ["FCALL", self._names.name(function), len(keys), *keys]
        return resp.head(len(words) + HEAD_ARGS + count, words)

    def _command(
        self, app: str, function: str, args: Sequence[str | bytes | int], node: str
    ) -> bytes:
        """The command that has a function done in this app, for `node`. Nothing is posted any more
        together with what was before.
        """
        self._posts.pop(app, None)
        head = self._heads.get((app, function))
        if head is None:
            keys = [base := self._base(app)]
            if self._servers.is_cluster:
                # One that never is there: while a slot moves, all that would be done halfway in one
                # place is refused before it begins.
                keys.append(f"{base}!")
            head = self._heads[app, function] = self._head(keys, function, len(args))
        return self._spell(head, args, node)

    def _ask(
        self,
        app: str,
        function: str,
        args: Sequence[str | bytes | int],
        read: Callable[[Any], T],
    ) -> Ask[T]:
        """Have a function done; `read` makes the result of its answer."""
        servers = self._servers
        data = self._command(app, function, args, self.node)
        ask = Ask(data, partial(self._read, app, self.node, read), servers.slot(tag(app)))
        servers.ask(ask)
        return ask

    def _ask_at(
        self,
        key: str,
        function: str,
        args: Sequence[str | bytes | int],
        read: Callable[[Any], T],
    ) -> Ask[T]:
        """Have a function done that is about this key, and no app."""
        data = self._spell(self._head([key], function, len(args)), args, self.node)
        ask = Ask(data, read, self._servers.slot(key))
        self._servers.ask(ask)
        return ask

    def _read(self, app: str, node: str, read: Callable[[Any], T], reply: Any) -> T:
        if reply is not None and reply[0]:
            due_ms = reply[0]
            if type(due_ms) is list:
                due_ms, *steps = due_ms
                self.steps.update(it.decode() for it in steps)
            if due_ms:
                self._due_at(app, due_ms)
        try:
            return read(reply)
        except answers.Dead:
            # Before whoever has asked hears of it.
            self._found_dead(app, node)
            raise

    def _change(
        self, asked: Asked, function: str, args: Sequence[str | bytes | int], about: About
    ) -> Ask[Known | None]:
        """Have a function done that a session asks for, and that has no other result."""
        servers, app = self._servers, asked.key.app
        data = self._command(app, function, (*asker(asked), *args), self.node)
        read = partial(self._read, app, self.node, partial(answers.known, about))
        change = Change(data, read, servers.slot(tag(app)))
        change.asked, change.recall = asked, self.recall
        servers.ask(change)
        return change

    # --- what those above do ---

    def recall(self, asked: Asked) -> Pending[Known | None]:
        """As the contract has it."""
        raise NotImplementedError

    def _due_at(self, app: str, due_ms: int) -> None:
        """Something of the app is due then."""
        raise NotImplementedError

    def _found_dead(self, app: str, node: str) -> None:
        """Others have taken `node`, as which this one has asked, for dead in the app."""
        raise NotImplementedError

    def _is_mute(self, app: str) -> bool:
        """May others have taken this node for dead?"""
        raise NotImplementedError

    def _heard(self, topic: bytes, message: bytes) -> None:
        """Something was published; empty where the topic is heard no more."""
        raise NotImplementedError

    def _subscribing(self, app: str, topic: bytes, *, ends: bool = False) -> Subscribing:
        """Have a topic of the app heard, or heard no more."""
        ask = Subscribing(topic, self._servers.slot(tag(app)), ends=ends)
        self._servers.ask(ask)
        return ask

    def _is_up(self, pipeline: Pipeline) -> None:
        """A server is there, perhaps again: from here on it may be asked."""
        raise NotImplementedError


def deliver(own: Delivery, key: AccountKey, version: int, line: str) -> None:
    """Hand on one entry of several: whatever comes of it, the others follow."""
    try:
        own.deliver_entry(key, version, line)
    except Exception:
        logger.exception("what was posted cannot be delivered")


def asker(asked: Asked) -> tuple[str | int, ...]:
    """Who asks, as the functions have it."""
    callid = "" if asked.callid is None else asked.callid
    return asked.key.account, asked.generation, callid, asked.ack, asked.reply
