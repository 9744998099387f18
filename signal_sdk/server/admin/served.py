"""What the admin address stands on: the rules for whoever runs the server, and what its node tells
of itself.

Owns: nothing; it names what its routes work with. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Protocol

import attrs
import trio

from signal_sdk.net.reactor import Reactor
from signal_sdk.server.engine.base import Statistics
from signal_sdk.server.feed import Feed
from signal_sdk.server.operator.operator import Operator

__all__ = ["Exposition", "NodeView", "Served", "Stream", "program_version"]

Exposition = Callable[[str], tuple[str, bytes]]
"""The metrics, in the form that a request's `Accept` names: their media type, and their text."""


def program_version() -> str:
    """The version of this program; `0` of a source tree that is not installed."""
    try:
        return metadata.version("signal-sdk")
    except metadata.PackageNotFoundError:
        return "0"


class NodeView(Protocol):
    """What a node tells of itself."""

    @property
    def sessions(self) -> int:
        """How many logged-in connections there are."""

    def statistics(self) -> Statistics:
        """How much the engine of this node has."""

    def why_not_ready(self) -> str:
        """Why nobody new is let in; empty where they are."""


class Stream(Protocol):
    """Somebody who follows what happens."""

    def end(self) -> None:
        """End it: its reader may come again."""


@attrs.frozen(kw_only=True)
class Served:
    """What the routes of one node work with."""

    operator: Operator
    feed: Feed
    node: NodeView
    reactor: Reactor
    since: float
    """When the node began, in Unix seconds."""
    exposition: Exposition | None = None
    stopping: trio.Event = attrs.field(factory=trio.Event)
    """Set once what would go on is to end."""
    streams: set[Stream] = attrs.field(factory=set)
    """Who follows what happens."""
