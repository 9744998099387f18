"""What a metric is.

Owns: its facts, and how names begin. Must not know any one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from signal_sdk.server.metrics.readings import Value
from signal_sdk.server.metrics.sources import Seen

__all__ = ["APP", "COUNTED", "COUNTER", "GAUGE", "HISTOGRAM", "SHARED", "Metric", "metric"]

PREFIX: Final = "signal_sdk_"
COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"
APP: Final = "app"
SHARED: Final = "On Redis it is the whole system's, the same on each node."
COUNTED: Final = f"{SHARED[:-1]}; left out while nodes of release 0.2.0 are there."


@attrs.frozen
class Metric:
    """One metric. `read` has its value of what was seen; None of what prometheus-client's own
    collector tells.
    """

    name: str
    """With the suffix that its samples have; those of a histogram have more."""
    kind: str
    doc: str
    read: Callable[[Seen], Value] | None
    labels: tuple[str, ...] = ()


def metric(kind: str, name: str, doc: str, read: Callable[[Seen], Value], *labels: str) -> Metric:
    """One of a node's own."""
    return Metric(PREFIX + name, kind, doc, read, labels)
