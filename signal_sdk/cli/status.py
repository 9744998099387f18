"""`signal-sdk status`: one look at a server.

Owns: what is told of it. Must not know how it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click
import trio

from signal_sdk.cli.admin_access import Access, access_of, access_options
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.failures import FAILED
from signal_sdk.cli.output import say
from signal_sdk.cli.samples import Sample, sample
from signal_sdk.cli.screen import say_fact
from signal_sdk.cli.times import shown_time

__all__ = ["duration", "shown_bytes", "status"]

UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
KIB: Final = 1024


@click.command()
@access_options
@json_option
def status(*, is_json: bool, **options: Any) -> int:
    """Ask a server at its admin address how it does, once.

    The key needs the right `read`; with `metrics`, connections and messages are told, too. With
    several workers, it is one of them that is asked: each has an address of its own. Exit codes: 0
    it lets clients in, 1 it does not, or does not answer.
    """
    found = trio.run(_look, access_of(**options))
    if is_json:
        say(as_json(found.facts))
    else:
        for name, fact in _facts(found):
            say_fact(name, fact, is_warning=name == "ready" and bool(found.node.why_not_ready))
    return FAILED if found.node.why_not_ready else 0


async def _look(access: Access) -> Sample:
    async with access.client() as client:
        return await sample(client)


def _facts(found: Sample) -> Iterator[tuple[str, str]]:
    node, gauges, counters = found.node, found.gauges, found.counters
    yield "version", node.version
    since = shown_time(int(node.since))
    yield "running", f"{duration(found.facts['uptime_seconds'])}, since {since}"
    yield "ready", node.why_not_ready or "yes"
    if gauges.get("workers", 1) > 1:
        count = f"{gauges['workers']:.0f}"
        yield "worker", f"one of {count}: each has an admin address, and counts for itself"
    yield "logged in here", str(node.sessions)
    if "connections" in gauges:
        most = f" of {gauges['max_connections']:.0f}" if "max_connections" in gauges else ""
        every = gauges["connections"] + gauges.get("not_logged_in", 0)
        yield "connections", f"{every:.0f}{most}"
    if counters:
        received, sent = counters.get("received", 0), counters.get("sent", 0)
        yield "messages", f"{received:.0f} received, {sent:.0f} sent"
        yield "logins", f"{counters.get('logins', 0):.0f}"
        yield "refusals", f"{counters.get('refusals', 0):.0f}"
    if "memory_bytes" in gauges:
        yield "memory", shown_bytes(gauges["memory_bytes"])
    engine = node.engine
    has = f"accounts: {engine.accounts}, online: {engine.online}"
    yield "engine", f"{has}, channels: {engine.channels}, calls: {engine.calls}"


def duration(seconds: float) -> str:
    """So long, in its two largest units."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in UNITS:
        count, rest = divmod(rest, size)
        if count or (parts and unit != "s"):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def shown_bytes(count: float) -> str:
    """So many bytes, in their unit."""
    for unit in ("B", "KiB", "MiB"):
        if count < KIB:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= KIB
    return f"{count:.3g} GiB"
