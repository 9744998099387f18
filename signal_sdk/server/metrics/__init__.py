"""What a node tells whoever measures it, in the forms that Prometheus reads.

Owns: the form that is answered, and one registry for each node. Must not know what is measured
(catalog.py does), nor how the answer reaches anybody. prometheus-client is imported by the first
question, and nowhere else in the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from signal_sdk.errors import ConfigError
from signal_sdk.server.config import AppConfig
from signal_sdk.server.metrics.sources import Exposition, Sources

__all__ = ["Metrics", "exposition"]

NO_CLIENT = "metrics need the extra: pip install 'signal-sdk[server]'"


class Metrics:
    """What is measured of one node."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._expose: Exposition | None = None

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps have numbers of their own."""
        self._sources.take_apps(apps)

    def exposition(self, accept: str = "") -> tuple[str, bytes]:
        """All metrics as they are now: the content type, and the text. `accept` is what an HTTP
        request's header of that name says: OpenMetrics where that asks for it, otherwise the older
        text form, 0.0.4. Takes some milliseconds, however many connections there are. Raises
        `ConfigError` where prometheus-client is not installed.
        """
        if self._expose is None:
            try:
                from signal_sdk.server.metrics.collector import (  # noqa: PLC0415  most never ask
                    exposition_of,
                )
            except ModuleNotFoundError as exc:
                if exc.name != "prometheus_client":
                    raise
                raise ConfigError(NO_CLIENT) from None
            self._expose = exposition_of(self._sources)
        return self._expose(accept)


class Measured(Protocol):
    """A node, as far as this is about it."""

    @property
    def metrics(self) -> Metrics:
        """What is measured of it."""


def exposition(node: Measured, accept: str = "") -> tuple[str, bytes]:
    """As `Metrics.exposition`, of this node."""
    return node.metrics.exposition(accept)
