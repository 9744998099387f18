"""`signal-sdk status`: one look at a server.

Owns: what is told of it. Must not know how it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click
import trio

from signal_sdk.cli.admin_access import Access, access_of, access_options, alone_option
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.failures import FAILED
from signal_sdk.cli.group import Look, looking
from signal_sdk.cli.output import say
from signal_sdk.cli.samples import Sample
from signal_sdk.cli.screen import say_fact
from signal_sdk.cli.times import shown_time

__all__ = ["duration", "shown_bytes", "status"]

UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
KIB: Final = 1024


@click.command()
@access_options
@alone_option
@json_option
def status(*, is_json: bool, is_alone: bool, **options: Any) -> int:
    """Ask a server at its admin address how it does, once.

    The key needs the right `read`; with `metrics`, connections and messages are told, too, and
    several workers together and each by itself: the address is that of the first then. Exit codes:
    0 it lets clients in, with all of its workers, 1 it does not, or does not answer.
    """
    look = trio.run(_look, access_of(**options), is_alone)
    found = look.found
    if found is None:
        raise RuntimeError("a look without an answer is an error")
    is_bad = bool(found.node.why_not_ready)
    if is_json:
        say(as_json(look.facts(has_rates=False)))
    else:
        for name, fact in _facts(look):
            say_fact(name, fact, is_warning=name == "ready" and is_bad)
    return FAILED if is_bad else 0


async def _look(access: Access, is_alone: bool) -> Look:
    async with looking(access, is_alone=is_alone) as group:
        return await group.look()


def _facts(look: Look) -> Iterator[tuple[str, str]]:
    found = look.found
    if found is None:
        return
    yield from _of(found, is_one=not look.workers)
    for port, it in look.workers.items():
        yield f"worker at port {port}", _brief(it)


def _brief(look: Look) -> str:
    """One worker in a line."""
    found = look.found
    if found is None:
        return f"no answer: {look.failure}"
    gauges, counters = found.gauges, found.counters
    parts = [f"up {duration(found.facts['uptime_seconds'])}", f"logged in: {found.node.sessions}"]
    if "connections" in gauges:
        parts.append(f"connections: {gauges['connections'] + gauges.get('not_logged_in', 0):.0f}")
    if counters:
        received, sent = counters.get("received", 0), counters.get("sent", 0)
        parts.append(f"messages: {received:.0f} received, {sent:.0f} sent")
        parts.append(f"refusals: {counters.get('refusals', 0):.0f}")
    if "memory_bytes" in gauges:
        parts.append(shown_bytes(gauges["memory_bytes"]))
    return ", ".join([found.node.why_not_ready or "ready", *parts])


def _of(found: Sample, *, is_one: bool) -> Iterator[tuple[str, str]]:
    node, gauges, counters = found.node, found.gauges, found.counters
    yield "version", node.version
    since = shown_time(int(node.since))
    yield "running", f"{duration(found.facts['uptime_seconds'])}, since {since}"
    yield "ready", node.why_not_ready or "yes"
    if gauges.get("workers", 1) > 1:
        count = f"{gauges['workers']:.0f}"
        if is_one:
            yield "worker", f"one of {count}: each has an admin address, and counts for itself"
        else:
            yield "workers", count
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
