"""A node's connections, as its operator looks at them.

Owns: where they are found. Must not know what is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from signal_sdk.server.acceptor import Acceptor
from signal_sdk.server.engine.base import AccountKey
from signal_sdk.server.hub import Hub
from signal_sdk.server.operator.looking import Connections, Looked

__all__ = ["NodeConnections"]


class NodeConnections(Connections):
    """Those of one node."""

    def __init__(self, hub: Hub, acceptor: Acceptor) -> None:
        self._hub = hub
        self._acceptor = acceptor

    def of(self, key: AccountKey) -> Looked | None:
        """As `Connections` has it."""
        return self._hub.find(key)

    def all(self) -> Sequence[Looked]:
        """As `Connections` has it."""
        clients = (connection.client for connection in self._acceptor.connections)
        return [client for client in clients if client is not None]
