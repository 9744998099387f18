"""What the tests of the metrics share: a node is asked, and its answer read by the library's own
parsers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from signal_sdk.server.metrics import exposition
from signal_sdk.server.node import Node

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; q=0.8, text/plain; q=0.5"
"""As Prometheus asks."""
_parse_text: Callable[[str], Iterable[Any]] = parse_text
_parse_openmetrics: Callable[[str], Iterable[Any]] = parse_openmetrics

Labels = tuple[tuple[str, str], ...]


@attrs.frozen
class Scrape:
    """What a node has said: the samples by name and labels, and each metric's type and meaning."""

    samples: dict[tuple[str, Labels], float]
    types: dict[str, str]
    docs: dict[str, str]

    def __call__(self, name: str, **labels: str) -> float:
        """A sample; not a number where there is none."""
        return self.samples.get((name, tuple(sorted(labels.items()))), math.nan)

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.samples}

    def labels(self, name: str) -> set[Labels]:
        """With which labels there are samples of that name."""
        return {labels for it, labels in self.samples if it == name}


def scrape(node: Node, accept: str = "") -> Scrape:
    content_type, data = exposition(node, accept)
    text = data.decode()
    is_open = content_type.startswith("application/openmetrics-text")
    families = list((_parse_openmetrics if is_open else _parse_text)(text))
    return Scrape(
        {
            (it.name, tuple(sorted(it.labels.items()))): it.value
            for family in families
            for it in family.samples
        },
        {family.name: family.type for family in families},
        {family.name: family.documentation for family in families},
    )


def grown(before: Scrape, after: Scrape) -> dict[tuple[str, Labels], float]:
    """Which counters have risen, and by how much; what is the process's own is left out."""
    return {
        key: value - before.samples.get(key, 0.0)
        for key, value in after.samples.items()
        if key[0].startswith("signal_sdk_")
        and key[0].endswith("_total")
        and value != before.samples.get(key, 0.0)
    }
