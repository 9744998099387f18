"""Where a node's numbers are: the parts of it that count.

Owns: nothing but which parts these are, what an app's numbers are called, and what is looked at
once for each question. Must not know a metric's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.acceptor import Acceptor
from signal_sdk.server.clock import Clock
from signal_sdk.server.config import AppConfig, Config
from signal_sdk.server.counts import Histogram, Tallies
from signal_sdk.server.engine.base import Engine, Measures
from signal_sdk.server.feed import Feed
from signal_sdk.server.hooks.counts import HookCounts
from signal_sdk.server.hub import Hub
from signal_sdk.server.memory import MemoryWatch
from signal_sdk.server.refusals import Limit

__all__ = ["Exposition", "Seen", "Sources"]

Exposition: TypeAlias = Callable[[str], "tuple[str, bytes]"]
"""Answers a request by its `Accept`: the content type, and the text."""


@attrs.define(kw_only=True, eq=False)
class Sources:
    """The parts of a node that count. `apps` are those that have numbers of their own: the ones
    that are configured, of which there are few; in dev mode any name is an app, and none has.
    """

    config: Config
    engine: Engine
    hub: Hub
    reactor: Reactor
    acceptor: Acceptor
    tallies: Tallies
    refusals: Mapping[Limit, int]
    memory: MemoryWatch
    lag: Histogram
    feed: Feed
    hooks: HookCounts | None
    clock: Clock
    apps: frozenset[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.take_apps(self.config.apps)

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these are configured."""
        names = () if self.config.server.dev else (app.id for app in apps)
        self.apps = frozenset(names)

    def look(self) -> Seen:
        """What there is now."""
        return Seen(self, self.engine.measures(self.apps))


@attrs.frozen(eq=False)
class Seen:
    """One look at a node: where its numbers are, and what its engine has said of itself."""

    of: Sources
    engine: Measures
