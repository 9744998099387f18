"""Every metric: its name, its labels, what it means, and where its number is.

Owns: the list, which docs/monitoring.md prints (`python -m signal_sdk.server.metrics.catalog`).
Must not know how a number is written for whoever asks. No account, channel or token is a label: an
app is one where it is configured, and of what clients say only what is well known.
"""

from __future__ import annotations

import sys
from typing import Final

from signal_sdk.server.metrics import state, traffic
from signal_sdk.server.metrics.metric import Metric

__all__ = ["METRICS", "table"]

METRICS: Final[tuple[Metric, ...]] = (*traffic.METRICS, *state.METRICS)
"""All of them."""


def table() -> str:
    """The list as Markdown: a row for each."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for it in METRICS:
        labels = ", ".join(f"`{label}`" for label in it.labels)
        rows.append(f"| `{it.name}` | {it.kind} | {labels} | {it.doc} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
