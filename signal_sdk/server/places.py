"""The places: which addresses the lookups name, of this node and of those beside it.

Owns: what `advertise` says, what other nodes have said of themselves, and which are named first.
Must not know who asks, or how an answer is spelled.

With nobody beside it, a node names what its `advertise` says, in that order, and with nothing there
the address at which it was reached. Beside others it names theirs, too: those first where there are
fewest connections for each node.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from signal_sdk.server.config import Config, parse_address
from signal_sdk.server.engine.base import Place

__all__ = ["Address", "Places", "is_ipv4"]

Address = tuple[str, int]
MOST_NAMED: Final = 64
"""Of how many places, at most, one answer names the addresses."""


@attrs.define(eq=False)
class _Group:
    """The nodes that say that they are at the same addresses, as processes do that share a port:
    how many, and how many connections they have, those included that were sent there since.
    """

    place: Place
    nodes: int = 0
    connections: int = 0

    @property
    def load(self) -> float:
        return self.connections / self.nodes


class Places:
    """What is named. `web_port` and `native_port` are this node's, and `serves_native` says whether
    native clients are served, all of which its owner knows once it listens.
    """

    def __init__(self, config: Config) -> None:
        self.web_port: int = config.server.port
        self.native_port: int = config.native.port
        self.serves_native: bool = config.native.enabled
        self._web = [parse_address(entry) for entry in config.server.advertise]
        self._native = [parse_address(entry) for entry in config.native.advertise]
        self._groups: list[_Group] = []

    @property
    def is_advertised(self) -> bool:
        """Does this node know addresses of its own?"""
        return bool(self._web or self._native)

    def own(self, connections: int) -> Place:
        """This node, which has so many connections."""
        web = tuple((host, port or self.web_port) for host, port in self._web)
        # Native clients take no names, and no IPv6.
        hosts = self._native or [(host, None) for host, _ in self._web if is_ipv4(host)]
        native = tuple((host, port or self.native_port) for host, port in hosts)
        return Place(web, native if self.serves_native else (), connections)

    def take(self, places: Sequence[Place]) -> None:
        """These nodes are there, this one among them."""
        groups: dict[tuple[Sequence[Address], Sequence[Address]], _Group] = {}
        for place in places:
            group = groups.setdefault((place.web, place.native), _Group(place))
            group.nodes += 1
            group.connections += place.connections
        self._groups = list(groups.values())

    def web(self) -> list[Address]:
        """The addresses for WebSocket clients; none where this node advertises none."""
        return self._named(lambda place: place.web)

    def native(self) -> list[Address]:
        """The addresses for native clients; none where this node advertises none that they take."""
        return self._named(lambda place: place.native)

    def _named(self, addresses: Callable[[Place], Sequence[Address]]) -> list[Address]:
        own = addresses(self.own(0))
        if not own:
            return []
        groups = [group for group in self._groups if addresses(group.place)]
        groups.sort(key=lambda group: group.load)
        if groups:
            # Who asks next is not to come to the same one before that has said that it has more.
            groups[0].connections += 1
        named = [it for group in groups[:MOST_NAMED] for it in addresses(group.place)]
        return list(dict.fromkeys(named or own))


def is_ipv4(host: str) -> bool:
    """Is it an address of IPv4?"""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
