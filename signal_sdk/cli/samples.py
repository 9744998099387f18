"""Samples of a server: what it says of itself at a time, and how much happened between two.

Owns: which of its figures are looked at, and what they are called. Must not know how they are
asked for or shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
from prometheus_client.parser import text_string_to_metric_families

from signal_sdk.admin import AdminError, AsyncAdminClient
from signal_sdk.admin import Node as NodeFacts

__all__ = ["Sample", "rates", "sample"]

NOT_TOLD: Final = (403, 404)
"""The key has not the right `metrics`, or the node has none."""
GAUGES: Final[Mapping[str, str]] = {
    "workers": "signal_sdk_workers",
    "connections": "signal_sdk_connections",
    "not_logged_in": "signal_sdk_connections_not_logged_in",
    "max_connections": "signal_sdk_connections_max",
    "outbox_bytes": "signal_sdk_outbox_bytes",
    "slow_readers": "signal_sdk_slow_readers",
    "memory_bytes": "process_resident_memory_bytes",
}
COUNTERS: Final[Mapping[str, str]] = {
    "logins": "signal_sdk_logins_total",
    "requests": "signal_sdk_requests_total",
    "received": "signal_sdk_messages_received_total",
    "sent": "signal_sdk_messages_sent_total",
    "deliveries": "signal_sdk_deliveries_total",
    "refusals": "signal_sdk_refusals_total",
    "received_bytes": "signal_sdk_received_bytes_total",
    "sent_bytes": "signal_sdk_sent_bytes_total",
    "cpu_seconds": "process_cpu_seconds_total",
    "lag_seconds": "signal_sdk_loop_lag_seconds_sum",
    "lag_looks": "signal_sdk_loop_lag_seconds_count",
}


@attrs.frozen(kw_only=True)
class Sample:
    """What a server says of itself: `at`, by this machine's monotonic clock; where the key may not
    read metrics, or there are none, `gauges` and `counters` are empty.
    """

    at: float
    node: NodeFacts
    gauges: Mapping[str, float]
    counters: Mapping[str, float]

    @property
    def facts(self) -> dict[str, Any]:
        """All of it, for programs."""
        node = self.node
        return {
            "version": node.version,
            "since": node.since,
            "uptime_seconds": round(max(0.0, time.time() - node.since), 1),
            "ready": not node.why_not_ready,
            "why_not_ready": node.why_not_ready,
            "sessions": node.sessions,
            "engine": {
                name: getattr(node.engine, name)
                for name in ("accounts", "online", "channels", "calls")
            },
            "gauges": {name: _plain(value) for name, value in self.gauges.items()},
            "counters": {name: _plain(value) for name, value in self.counters.items()},
        }


async def sample(client: AsyncAdminClient) -> Sample:
    """Ask a server. Raises `AdminError`."""
    node = await client.node()
    try:
        totals = dict(_totals(await client.metrics()))
    except AdminError as exc:
        if exc.status not in NOT_TOLD:
            raise
        totals = {}
    if totals:
        # What nobody has done yet has no label, and so no sample.
        totals = dict.fromkeys((*COUNTERS.values(), GAUGES["connections"]), 0.0) | totals
    return Sample(
        at=time.monotonic(),
        node=node,
        gauges={name: totals[it] for name, it in GAUGES.items() if it in totals},
        counters={name: totals[it] for name, it in COUNTERS.items() if it in totals},
    )


def _totals(text: str) -> Iterator[tuple[str, float]]:
    """Each metric's samples together, whatever their labels say."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            totals[one.name] = totals.get(one.name, 0.0) + one.value
    yield from totals.items()


def rates(before: Sample, after: Sample) -> dict[str, float]:
    """How much of each counter there was in a second between two; where a counter went back, the
    server was started anew, and all of it is new. `lag_ms` is by how much a task was late.
    """
    seconds = max(after.at - before.at, 1e-3)
    grown = {
        name: value - before.counters.get(name, 0.0)
        if value >= before.counters.get(name, 0.0)
        else value
        for name, value in after.counters.items()
    }
    looks, lag = grown.pop("lag_looks", 0.0), grown.pop("lag_seconds", 0.0)
    found = {name: round(value / seconds, 3) for name, value in grown.items()}
    if looks:
        found["lag_ms"] = round(lag / looks * 1000, 3)
    return found


def _plain(value: float) -> float | int | None:
    """As JSON has it: a number without a fraction is an integer."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value
