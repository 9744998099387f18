"""What a node tells whoever measures it, in the forms that Prometheus reads.

Owns: the form that is answered, and one registry for each node. Must not know what is measured
(catalog.py does), nor how the answer reaches anybody. prometheus-client is imported by a node that
has an admin address, or by the first question, and nowhere else in the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from signal_sdk.errors import ConfigError
from signal_sdk.extras import needs_extra
from signal_sdk.server.config import AppConfig
from signal_sdk.server.metrics.sources import Exposition, Sources

__all__ = ["Metrics", "exposition"]

NO_CLIENT: Final = needs_extra("/metrics", "server")


class Metrics:
    """What is measured of one node."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._expose: Exposition | None = None

    def take_apps(self, apps: Sequence[AppConfig]) -> None:
        """From here on these apps have numbers of their own."""
        self._sources.take_apps(apps)

    def prepare(self) -> Exposition:
        """Bring in what answers, so that nobody waits for that at the first question. Raises
        `ModuleNotFoundError` where prometheus-client is not installed.
        """
        # Most nodes are never asked.
        from signal_sdk.server.metrics.collector import exposition_of  # noqa: PLC0415

        self._expose = exposition_of(self._sources)
        return self._expose

    def exposition(self, accept: str = "") -> tuple[str, bytes]:
        """All metrics as they are now: the content type, and the text. `accept` is what an HTTP
        request's header of that name says: OpenMetrics where that asks for it, otherwise the older
        text form, 0.0.4. Takes some milliseconds, however many connections there are. Raises
        `ConfigError` where prometheus-client is not installed.
        """
        try:
            expose = self._expose or self.prepare()
        except ModuleNotFoundError as exc:
            if exc.name != "prometheus_client":
                raise
            raise ConfigError(NO_CLIENT) from None
        return expose(accept)


class Measured(Protocol):
    """A node, as far as this is about it."""

    @property
    def metrics(self) -> Metrics:
        """What is measured of it."""


def exposition(node: Measured, accept: str = "") -> tuple[str, bytes]:
    """As `Metrics.exposition`, of this node."""
    return node.metrics.exposition(accept)
