"""The metrics as prometheus-client has them.

Owns: how a number becomes a sample, and which form is answered. Must not know what is measured. One
registry for each node, and nothing in the library's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

import attrs
from prometheus_client import CollectorRegistry, GCCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from signal_sdk.server.counts import Histogram
from signal_sdk.server.metrics.catalog import METRICS
from signal_sdk.server.metrics.metric import Metric
from signal_sdk.server.metrics.readings import Value
from signal_sdk.server.metrics.sources import Exposition, Sources

__all__ = ["exposition_of"]

MEDIA_TYPE: Final = "application/openmetrics-text"
OPENMETRICS: Final = f"{MEDIA_TYPE}; version=1.0.0"


def exposition_of(sources: Sources) -> Exposition:
    """Answers who asks for the metrics of this node."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_NodeCollector(sources))
    GCCollector(registry=registry)

    def expose(accept: str) -> tuple[str, bytes]:
        # Not what the request says: a version that is none, as in `version=x`, is an error there.
        encode, content_type = choose_encoder(OPENMETRICS if _asks_for_it(accept) else "")
        return content_type, encode(registry)

    return expose


def _asks_for_it(accept: str) -> bool:
    """Is OpenMetrics among what a request accepts?"""
    return any(it.partition(";")[0].strip().lower() == MEDIA_TYPE for it in accept.split(","))


@attrs.frozen(eq=False)
class _NodeCollector(Collector):
    """All of a node's own metrics. What is not known is left out."""

    _sources: Sources

    def describe(self) -> Iterable[Family]:
        """Nobody else has such names."""
        return ()

    def collect(self) -> Iterable[Family]:
        """The metrics as they are now."""
        seen = self._sources.look()
        for metric in METRICS:
            value = metric.read(seen) if metric.read is not None else None
            if value is not None:
                yield _family(metric, value)


def _family(metric: Metric, value: Value) -> Family:
    name, doc = metric.name, metric.doc.replace("`", "")
    if isinstance(value, Histogram):
        histogram = HistogramMetricFamily(name, doc)
        histogram.add_metric([], _buckets(value), value.sum)
        return histogram
    family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(name, doc)
    if not isinstance(value, Mapping):
        value = {(): value or 0}
    for labels, number in value.items():
        named = zip(metric.labels, labels, strict=True) if labels else ()
        # An empty label is none.
        family.add_sample(name, {label: it for label, it in named if it}, number)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
